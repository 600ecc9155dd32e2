"""What a train wrapper does with an autoencoder: describe rows by few numbers, without answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snakemake_repro.logic.plain import describe
from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.answers import kept_columns, with_answers
from snakemake_repro.wrappers.families.keras import KerasAutoencoders
from snakemake_repro.wrappers.files import write_bytes, write_json
from snakemake_repro.wrappers.judging import judge
from snakemake_repro.wrappers.models import parse_model
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tables import (
    choose_features,
    column,
    features_of,
    read_arrow,
    to_parquet,
)
from snakemake_repro.wrappers.training import check_groups, log_curves

_OURS = ("features", "group", "keep", "seed")
_SUPERVISED = ("target", "folds", "class_weight")


def autoencode(snakemake: Any, run: Any, family: KerasAutoencoders) -> None:
    """Do what a rule asks for that trains an autoencoder.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.
        family: The library.

    Raises:
        WrapperError: Input or parameters make no sense.
    """
    tables = requests.tables_of(snakemake)
    params = requests.named_params(snakemake.params)
    for name in _SUPERVISED:
        if name in params:
            raise WrapperError(
                f"params: expected no {name}= beside kind={params['kind']!r}, which learns "
                f"without right answers, got {params[name]!r}",
                hint="leave it out",
            )
    model_path = requests.required_path(snakemake.output, "model", "output")
    metrics_path = requests.required_path(snakemake.output, "metrics", "output")
    latent_path = requests.path_of(snakemake.output, "latent")
    group = requests.optional_text(params, "group")
    own = {name: value for name, value in params.items() if name not in _OURS}
    seed, threads = requests.seed_of(snakemake), int(snakemake.threads)
    autoencoder = family.autoencoder(own, seed=seed, threads=threads)

    table = read_arrow(tables.train)
    frame = table.to_pandas()
    kept = kept_columns(params, table.column_names, tables.train, default=[])
    wanted = None if params.get("features") is None else requests.names(params, "features")
    without = [*kept, *([] if group is None else [group])]
    names = choose_features(frame, wanted, without=without, path=tables.train)
    rows = features_of(frame, names, path=tables.train)
    valid = None if tables.valid is None else (read_arrow(tables.valid).to_pandas(), tables.valid)
    if group is not None:
        ours = column(frame, group, path=tables.train, role="group").to_numpy()
        if valid is not None:
            others = column(valid[0], group, path=valid[1], role="group").to_numpy()
            check_groups(group, ours, others, train=tables.train, valid=valid[1])
    watched = None if valid is None else features_of(valid[0], names, path=valid[1])
    try:
        curves = family.fit(autoencoder, rows, watched)
    except (ValueError, TypeError, RuntimeError) as exc:
        raise WrapperError(
            f"{autoencoder.kind}: cannot be trained on {tables.train}: {exc}"
        ) from exc
    content = family.dump(autoencoder, {"classes": None, "features": list(names)}, model_path)
    model = parse_model(content, model_path)
    described = judge(model, frame, {}, without=(), path=tables.train)
    report: dict[str, Any] = {
        "schema": 1,
        "estimator": f"keras.{autoencoder.kind}",
        "parameters": describe(own),
        "features": list(names),
        "latent": autoencoder.latent,
        "group": group,
        "seed": seed,
        "threads": threads,
        "rows": {"train": len(rows)},
        "train": {"mse": float(described[:, -1].mean())},
    }
    if valid is not None:
        errors = judge(model, valid[0], {}, without=(), path=valid[1])[:, -1]
        report["rows"]["valid"] = len(errors)
        report["valid"] = {"mse": float(errors.mean())}
    run.log_params({"estimator": report["estimator"]})
    log_curves(run, curves)
    run.log_metrics(_flat(report))
    if latent_path is not None:
        answers = with_answers(table.select(kept), model, described, tables.train)
        write_bytes(latent_path, to_parquet(answers))
    write_bytes(model_path, content)
    write_json(metrics_path, report)


def _flat(report: Mapping[str, Any]) -> dict[str, float]:
    return {f"{part}_mse": report[part]["mse"] for part in ("train", "valid") if part in report}
