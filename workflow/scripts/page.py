"""Write the page of the study: the table of all models with intervals, and the figures."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import charts
import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup
from page_template import TEMPLATE

snakemake: Any

GRID = np.linspace(0, 1, 101)


def score(values: dict[str, float]) -> str:
    """Return a score with its interval as text."""
    return f"{values['value']:.3f} [{values['low']:.3f}, {values['high']:.3f}]"


def roc(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the ROC curve of one model on ``GRID``.

    Args:
        truth: Whether each event is of the positive class, (n,).
        scores: (n,).
    """
    levels, place = np.unique(-scores, return_inverse=True)
    right, wrong = (np.bincount(place, chosen, len(levels)).cumsum() for chosen in (truth, ~truth))
    x, y = (np.concatenate([[0.0], values / values[-1]]) for values in (wrong, right))
    # of points above each other the highest counts
    highest = np.concatenate([x[1:] > x[:-1], [True]])
    return np.interp(GRID, x[highest], y[highest])


def pooled(table: pa.Table, positive: str) -> np.ndarray:
    """Return the curve of all folds: their mean, weighted by their pairs of events."""
    truth = np.array(table["class"].to_pylist()) == positive
    scores, fold = table["score"].to_numpy(), table["fold"].to_numpy()
    here = [fold == number for number in np.unique(fold)]
    pairs = [np.count_nonzero(truth[one]) * np.count_nonzero(~truth[one]) for one in here]
    curves = [roc(truth[one], scores[one]) for one in here]
    return np.average(curves, axis=0, weights=pairs)


def rates_of(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return how many showers with a bundle come of each primary, with the flux's weights."""
    rows = []
    for path in paths:
        table = pq.read_table(path)
        codes = table["primary"].to_numpy()
        # per m2 and per km2
        weight = 1e6 * table["weight"].to_numpy()
        bundle = table["muons"].to_numpy() >= snakemake.params.min_muons
        for name, code in snakemake.params.primaries.items():
            own = weight[bundle & (codes == code)]
            rows.append(
                {
                    "primary": name,
                    "showers": np.count_nonzero(codes == code),
                    "bundles": len(own),
                    "rate": f"{own.sum():.2g} ± {np.sqrt((own**2).sum()):.1g}",
                }
            )
    return rows


def search_of(paths: Sequence[str]) -> tuple[list[int], list[float]]:
    """Return numbers of trials and the best area under the curve until then, a mean of folds.

    It goes as far as the shortest search, and begins where each has a value.
    """
    columns = [pq.read_table(path)["cv_roc_auc"].to_numpy(zero_copy_only=False) for path in paths]
    least = min(map(len, columns))
    best = np.mean([np.fmax.accumulate(values[:least]) for values in columns], axis=0)
    some = np.flatnonzero(np.isfinite(best))
    return (some + 1).tolist(), best[some].tolist()


def clouds_of(task: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the latent spaces of a task."""
    params = snakemake.params
    found = []
    paths = zip(snakemake.input.latent, snakemake.input.latent_metrics, strict=True)
    for (name, kind), (path, metrics) in zip(params.latent, paths, strict=True):
        if name != task:
            continue
        table = pq.read_table(path)
        labels = np.array(table["class"].to_pylist())
        x, y = table["latent_1"].to_numpy(), table["latent_2"].to_numpy()
        groups = [(x[labels == label], y[labels == label]) for label in classes]
        title = kind.replace("_", " ")
        error = json.loads(Path(metrics).read_text())["valid"]["mse"]
        chart = Markup(charts.clouds(groups, f"{title} of {task}"))  # noqa: S704 - escaped there
        found.append({"kind": title.capitalize(), "chart": chart, "error": f"{error:.3f}"})
    return found


def task_of(name: str, reports: dict[str, Any]) -> dict[str, Any]:
    """Return what the page says of a task.

    Args:
        name: Of the task.
        reports: What ``evaluate`` found, by the names of the models.
    """
    params = snakemake.params
    titles = [params.titles[model] for model in reports]
    first = next(iter(reports.values()))
    pairs = itertools.product(params.tasks, params.models)
    predictions = dict(zip(pairs, snakemake.input.predictions, strict=True))
    shapes = [
        (GRID, pooled(pq.read_table(predictions[name, model]), first["positive"]))
        for model in reports
    ]
    found = zip(params.searches, snakemake.input.searches, strict=True)
    paths: dict[int, list[str]] = {}
    for (task, model), path in found:
        if task == name:
            paths.setdefault(params.models.index(model), []).append(path)
    searches = {number: search_of(own) for number, own in paths.items()}
    areas = [report["roc_auc"] for report in reports.values()]
    drawn = {
        "intervals": charts.intervals(titles, areas, f"{name}: intervals"),
        "curves": charts.curves(shapes, first["positive"], f"{name}: ROC curves"),
        "trials": charts.trials(searches, f"{name}: searches") if searches else "",
    }
    return {
        "name": name,
        "models": list(enumerate(titles)),
        "classes": list(enumerate(first["classes"])),
        "counts": ", ".join(f"{count} {label}" for label, count in first["counts"].items()),
        "rows": [
            {
                "model": title,
                "events": report["rows"],
                "majority": f"{report['majority_accuracy']:.3f}",
                **{key: score(report[key]) for key in ("roc_auc", "balanced_accuracy", "accuracy")},
            }
            for title, report in zip(titles, reports.values(), strict=True)
        ],
        "tuned": [(number, titles[number]) for number in searches],
        "clouds": clouds_of(name, first["classes"]),
        **{key: Markup(svg) for key, svg in drawn.items()},  # noqa: S704 - escaped where drawn
    }


def hadronic_of(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the page says of the hadronic models, projectile by projectile."""
    reports = [json.loads(Path(path).read_text()) for path in paths]
    groups = []
    for name in dict.fromkeys(report["projectile"] for report in reports):
        own = [report for report in reports if report["projectile"] == name]
        rows = []
        for report in own:
            row = {
                key: f"{mean['value']:.3g} ± {mean['error']:.1g}"
                for key, mean in report["means"].items()
            }
            section = f"{report['production_cross_section_mb']:.0f}"
            rows.append({"model": report["model"], "cross_section": section, **row})
        shares = [
            [count / report["events"] for count in report["charged_multiplicity"]["counts"]]
            for report in own
        ]
        chart = charts.steps(
            own[0]["charged_multiplicity"]["edges"], shares, "charged particles", f"{name} in air"
        )
        models = list(enumerate(report["model"] for report in own))
        drawn = Markup(chart)  # noqa: S704 - escaped where drawn
        groups.append({"name": name, "rows": rows, "models": models, "chart": drawn})
    return groups


def main() -> None:
    """Write the page of the rule ``page``."""
    params = snakemake.params
    summary = json.loads(Path(snakemake.input.summary).read_text())
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(TEMPLATE).render(
        title="Which primary made this air shower, and which image is a gamma ray?",
        tasks=[
            task_of(task, {model: summary[task][model] for model in params.models})
            for task in params.tasks
        ],
        hadronic=hadronic_of(snakemake.input.hadronic),
        rates=rates_of(snakemake.input.flux),
        min_muons=params.min_muons,
        events=params.events,
        energy=f"{params.energy_gev:g}",
    )
    Path(snakemake.output[0]).write_text(page + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
