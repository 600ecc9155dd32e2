"""Average precision, calibration and their curves, compared with scikit-learn and with hand counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss
from wrapperjobs import Job, Recorder, table

from snakemake_repro.wrappers.calibration import brier_score, reliability
from snakemake_repro.wrappers.evaluation import evaluate
from snakemake_repro.wrappers.families.base import Family
from snakemake_repro.wrappers.families.scikit_learn import ScikitLearn
from snakemake_repro.wrappers.families.xgboost import XGBoost
from snakemake_repro.wrappers.sample import Sample
from snakemake_repro.wrappers.training import train

ONCE = np.ones((1, 1))


def sample(truth: Any, score: Any, *, fold: Any = None, group: Any = None) -> Sample:
    """Return rows of two classes that have a score, or a probability, for the second."""
    scores = np.asarray(score, float)
    size = len(scores)
    return Sample(
        classes=("a", "b"),
        truth=np.asarray(truth),
        scores=np.column_stack([1 - scores, scores]),
        fold=np.zeros(size, int) if fold is None else np.asarray(fold),
        group=np.zeros(size, int) if group is None else np.asarray(group),
        probabilistic=True,
    )


answers = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-5, 5), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda rows: len({truth for truth, _, _ in rows}) == 2)

# ----- precision and recall ----------------------------------------------------------------------


@given(rows=answers)
@settings(max_examples=60, deadline=None)
def test_the_average_precision_is_that_of_scikit_learn_for_any_weights(
    rows: list[tuple[int, int, int]],
) -> None:
    truth, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    weights = np.vstack([np.ones(len(rows)), weight])
    ours = sample(truth, score, group=range(len(rows))).average_precision(1, weights)
    assert ours[0] == pytest.approx(average_precision_score(truth, score))
    if (weight * truth).any() and (weight * (1 - truth)).any():
        theirs = average_precision_score(truth, score, sample_weight=weight)
        assert ours[1] == pytest.approx(theirs)
    else:
        assert np.isnan(ours[1])


@given(rows=answers)
@settings(max_examples=40, deadline=None)
def test_the_average_precision_is_the_area_under_the_curve(
    rows: list[tuple[int, int, int]],
) -> None:
    truth, score, fold = (np.array(column) for column in zip(*rows, strict=True))
    judged = sample(truth, score, fold=fold)
    area = judged.average_precision(1, ONCE)[0]
    # no grid point on a step: the middles of many equal pieces
    middles = (np.arange(9973) + 0.5) / 9973
    curve = judged.precision_recall(1, middles, ONCE)[0]
    if np.isnan(area):
        assert np.isnan(curve).all()
    else:
        assert curve.mean() == pytest.approx(area, abs=0.01)
        assert ((curve > 0) & (curve <= 1)).all()


def test_precisions_are_those_of_the_highest_threshold_with_the_recall() -> None:
    """Ranked b a b b a: found after 1, 3 and 4 rows."""
    judged = sample([1, 0, 1, 1, 0], [5, 4, 3, 2, 1])
    recalls = np.array([0, 0.2, 1 / 3, 0.34, 2 / 3, 0.9, 1])
    found = judged.precision_recall(1, recalls, ONCE)[0]
    assert found == pytest.approx([1, 1, 1, 2 / 3, 2 / 3, 3 / 4, 3 / 4])


def test_scores_of_different_models_make_no_common_ranking() -> None:
    """The second model scores everything 100 higher; each model orders its own rows rightly."""
    judged = sample([0, 1, 0, 1], [0, 1, 100, 101], fold=[0, 0, 1, 1])
    assert judged.average_precision(1, ONCE)[0] == 1.0
    assert average_precision_score([0, 1, 0, 1], [0, 1, 100, 101]) < 1


# ----- calibration -------------------------------------------------------------------------------


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    truth, chance = generator.integers(0, 2, 80), generator.random(80)
    weight = generator.integers(0, 3, (1, 80)).astype(float)
    judged = sample(truth, chance, group=range(80))
    expected = brier_score_loss(truth, chance, sample_weight=weight[0])
    assert brier_score(judged, [1], weight)[0] == pytest.approx(expected)
    assert brier_score(judged, [0], weight)[0] == pytest.approx(expected)
    assert brier_score(judged, [0, 1], weight)[0] == pytest.approx(2 * expected)


def test_the_calibration_error_is_the_distance_in_each_bin() -> None:
    """Two rows said 0.25, of which one happened; three said 0.95 and one 1, all happened but one."""
    judged = sample([0, 1, 1, 1, 0, 1], [0.25, 0.25, 0.95, 0.95, 0.95, 1.0])
    found = reliability(judged, 1, ONCE)
    assert found.rows.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 4]
    assert found.predicted[0, [2, 9]] == pytest.approx([0.25, 3.85 / 4])
    assert found.observed[0, [2, 9]] == pytest.approx([0.5, 0.75])
    assert np.isnan(found.observed[0, [0, 5]]).all()
    assert found.error[0] == pytest.approx((2 * 0.25 + 4 * (3.85 / 4 - 0.75)) / 6)


def test_a_calibrated_model_has_a_small_error_and_a_boastful_one_a_large_one() -> None:
    generator = np.random.default_rng(4)
    chance = generator.random(20_000)
    truth = (generator.random(20_000) < chance).astype(int)
    boast = np.where(chance > 0.5, 1.0, 0.0)
    assert reliability(sample(truth, chance), 1, ONCE).error[0] < 0.02
    assert reliability(sample(truth, boast), 1, ONCE).error[0] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("weight", [0, 2])
def test_a_group_counts_as_often_as_it_is_drawn(weight: int) -> None:
    truth, chance = [0, 1, 1, 1, 0], [0.1, 0.7, 0.8, 0.65, 0.62]
    drawn = reliability(sample(truth, chance, group=[0, 0, 0, 1, 1]), 1, np.array([[1.0, weight]]))
    rows = [0, 1, 2, *[3, 4] * weight]
    expected = reliability(sample(np.take(truth, rows), np.take(chance, rows)), 1, ONCE)
    assert drawn.error[0] == pytest.approx(expected.error[0])
    assert drawn.observed[0] == pytest.approx(expected.observed[0], nan_ok=True)


# ----- the wrapper -------------------------------------------------------------------------------


def judge(folder: Path, family: Family, name: str, own: dict[str, Any], **params: Any) -> Any:
    """Train on one table, evaluate on another; return the report and what was recorded."""
    job = Job(
        {"train": str(folder / "train.parquet")},
        {"model": str(folder / name), "metrics": str(folder / "training.json")},
        {"target": "class", "group": "run"} | own,
    )
    train(job, Recorder(), family)
    outputs = {key: str(folder / key) for key in ("metrics", "predictions")}
    outputs["figure"] = str(folder / "figure.png")
    run = Recorder()
    evaluate(
        Job(
            {"model": str(folder / name), "data": str(folder / "valid.parquet")},
            outputs,
            {"target": "class", "group": "run", "bootstrap": 100} | params,
        ),
        run,
    )
    return json.loads((folder / "metrics").read_text()), run


@pytest.fixture
def showers(tmp_path: Path) -> Path:
    table(range(10)).to_parquet(tmp_path / "train.parquet")
    table(range(10, 20), seed=4).to_parquet(tmp_path / "valid.parquet")
    return tmp_path


TREES = {"n_estimators": 10, "max_depth": 2}


def test_an_evaluation_reports_precision_and_calibration(showers: Path) -> None:
    report, run = judge(showers, XGBoost(), "m.ubj", TREES, positive="heavy")
    rows = pd.read_parquet(showers / "predictions")
    happened = (rows["class"] == "heavy").to_numpy()
    precise = average_precision_score(happened, rows["score"])
    assert report["average_precision"]["value"] == pytest.approx(precise)
    brier = brier_score_loss(happened, rows["score"])
    assert report["brier_score"]["value"] == pytest.approx(brier)
    for name in ("average_precision", "brier_score", "expected_calibration_error"):
        assert report[name]["low"] < report[name]["high"]
        assert run.metrics[name] == [report[name]["value"]]
        assert run.metrics[f"{name}_high"] == [report[name]["high"]]
    curve = report["precision_recall"]["heavy"]
    assert curve["average_precision"] == report["average_precision"]["value"]
    assert curve["share"] == happened.mean()
    assert curve["precision"][-1] >= curve["share"]
    bands = zip(curve["low"], curve["high"], strict=True)
    assert all(0 <= low <= high <= 1 for low, high in bands)
    bins = report["calibration"]["heavy"]
    assert sum(bins["rows"]) == report["rows"]
    assert np.average(bins["observed"], weights=bins["rows"]) == pytest.approx(happened.mean())
    assert np.average(bins["predicted"], weights=bins["rows"]) == pytest.approx(
        rows["score"].mean()
    )


def test_scores_that_are_no_probabilities_are_not_called_calibrated(showers: Path) -> None:
    own = {"estimator": "sklearn.svm.LinearSVC"}
    report, run = judge(showers, ScikitLearn(), "m.joblib", own)
    for name in ("brier_score", "expected_calibration_error", "calibration"):
        assert report[name] is None
        assert name not in run.metrics
    assert 0.5 < report["average_precision"]["value"] < 1
    assert (showers / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_each_of_three_classes_has_its_curves(showers: Path) -> None:
    for name in ("train", "valid"):
        frame = pd.read_parquet(showers / f"{name}.parquet")
        frame.loc[frame["energy"] < 2.7, "class"] = "faint"
        frame.to_parquet(showers / f"{name}.parquet")
    report, _ = judge(showers, XGBoost(), "m.ubj", TREES)
    rows = pd.read_parquet(showers / "predictions")
    precise = {
        name: average_precision_score(rows["class"] == name, rows[f"score_{name}"])
        for name in report["classes"]
    }
    found = {name: c["average_precision"] for name, c in report["precision_recall"].items()}
    assert found == pytest.approx(precise)
    mean = np.mean(list(precise.values()))
    assert report["average_precision"]["value"] == pytest.approx(mean)
    errors = [curve["expected_calibration_error"] for curve in report["calibration"].values()]
    assert report["expected_calibration_error"]["value"] == pytest.approx(np.mean(errors))
    squares = sum(
        ((rows["class"] == name) - rows[f"score_{name}"]) ** 2 for name in report["classes"]
    )
    assert report["brier_score"]["value"] == pytest.approx(np.mean(squares))
    assert (showers / "figure.png").read_bytes().startswith(b"\x89PNG")
