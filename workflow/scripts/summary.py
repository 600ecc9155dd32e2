"""Put the evaluations of all models side by side: JSON, CSV, and Markdown for people."""

import csv
import itertools
import json
from pathlib import Path
from typing import Any

snakemake: Any

HEADER = """\
# Which primary made this air shower, and which image is a gamma ray?

Out-of-fold results: every shower was judged by a model that never saw a shower of its run, every
image by one that never saw it. Intervals: 95 %, bootstrap over whole runs, or images. The accuracy
of always naming the larger class stands beside, because the classes are not of equal size.

"""
SCORES = ("roc_auc", "accuracy", "balanced_accuracy")
COLUMNS = (
    "task",
    "model",
    "events",
    "groups",
    *(f"{score}{end}" for score in SCORES for end in ("", "_low", "_high")),
    "majority_accuracy",
)


def row(task: str, model: str, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return a table row of one evaluation."""
    values: dict[str, Any] = {
        "task": task,
        "model": model,
        "events": metrics["rows"],
        "groups": metrics["groups"],
        "majority_accuracy": metrics["majority_accuracy"],
    }
    for score in SCORES:
        values[score] = metrics[score]["value"]
        values[f"{score}_low"] = metrics[score]["low"]
        values[f"{score}_high"] = metrics[score]["high"]
    return {name: values[name] for name in COLUMNS}


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown page."""

    def interval(values: dict[str, Any], score: str) -> str:
        low, high = values[f"{score}_low"], values[f"{score}_high"]
        return f"{values[score]:.3f} [{low:.3f}, {high:.3f}]"

    head = (
        "task",
        "model",
        "events",
        "groups",
        "ROC AUC",
        "accuracy",
        "balanced accuracy",
        "majority",
    )
    lines = [f"| {' | '.join(head)} |", "|---|---|--:|--:|---|---|---|--:|"]
    for values in rows:
        cells = [str(values[name]) for name in ("task", "model", "events", "groups")]
        cells += [interval(values, score) for score in SCORES]
        cells.append(f"{values['majority_accuracy']:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return HEADER + "\n".join(lines) + "\n"


def main() -> None:
    """Write the tables of the rule ``summary``."""
    pairs = itertools.product(snakemake.params.tasks, snakemake.params.models)
    found = [
        (task, model, json.loads(Path(path).read_text()))
        for (task, model), path in zip(pairs, snakemake.input.metrics, strict=True)
    ]
    rows = [row(*item) for item in found]
    tree: dict[str, dict[str, Any]] = {}
    for task, model, metrics in found:
        tree.setdefault(task, {})[model] = metrics
    text = json.dumps(tree, indent=2, sort_keys=True) + "\n"
    Path(snakemake.output.json).write_text(text)
    with Path(snakemake.output.csv).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    Path(snakemake.output.markdown).write_text(markdown(rows))


if __name__ == "__main__":
    main()
