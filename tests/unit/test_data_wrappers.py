"""The wrappers that make tables: what is split stays apart, what is predicted stays with its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from wrapperjobs import Job, Recorder, table

from snakemake_repro.wrappers.dealing import deal
from snakemake_repro.wrappers.families.base import Family
from snakemake_repro.wrappers.families.lightgbm import LightGBM
from snakemake_repro.wrappers.families.scikit_learn import ScikitLearn
from snakemake_repro.wrappers.families.xgboost import XGBoost
from snakemake_repro.wrappers.models import load_model
from snakemake_repro.wrappers.prediction import predict
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.splitting import split
from snakemake_repro.wrappers.training import train

WRAPPERS = Path(__file__).parents[2] / "snakemake_repro" / "wrappers"

# ----- split: who goes where ---------------------------------------------------------------------


def rows_of(part: np.ndarray, number: int) -> list[int]:
    return np.flatnonzero(part == number).tolist()


@pytest.mark.parametrize("count", [None, 2, 5])
@pytest.mark.parametrize(("share", "size"), [(0.25, 40), (0.07, 100), (1 / 3, 61)])
def test_rows_go_where_scikit_learn_sends_them(count: int | None, share: float, size: int) -> None:
    classes = None if count is None else np.arange(size) % (count + 1) % count
    part = deal(size, [1 - share, share], groups=None, classes=classes, seed=7)
    train, valid = train_test_split(
        np.arange(size), test_size=share, random_state=7, stratify=classes
    )
    assert rows_of(part, 0) == sorted(train)
    assert rows_of(part, 1) == sorted(valid)


def test_a_test_part_is_held_out_before_the_valid_part() -> None:
    part = deal(40, [0.5, 0.3, 0.2], groups=None, classes=None, seed=3)
    left, test = train_test_split(np.arange(40), test_size=0.2, random_state=3)
    train, valid = train_test_split(left, test_size=12, random_state=3)
    found = [rows_of(part, number) for number in range(3)]
    assert found == [sorted(train), sorted(valid), sorted(test)]


def test_groups_go_where_scikit_learn_sends_them() -> None:
    groups = np.repeat(np.arange(12), np.arange(1, 13))
    part = deal(len(groups), [0.7, 0.3], groups=groups, classes=None, seed=5)
    splitter = GroupShuffleSplit(1, test_size=0.3, random_state=5)
    train, valid = next(splitter.split(groups, groups=groups))
    assert rows_of(part, 0) == train.tolist()
    assert rows_of(part, 1) == valid.tolist()


grouped = st.lists(
    # rows of class 0 and of class 1 in each group
    st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(any),
    min_size=1,
    max_size=40,
).filter(lambda groups: all(sum(map(bool, column)) >= 3 for column in zip(*groups, strict=True)))


@given(counts=grouped, seed=st.integers(0, 9), parts=st.sampled_from([2, 3]))
@settings(max_examples=150, deadline=None)
def test_whole_groups_are_dealt_so_that_every_part_has_every_class(
    counts: list[tuple[int, int]], seed: int, parts: int
) -> None:
    groups = np.repeat(np.arange(len(counts)), [sum(pair) for pair in counts])
    classes = np.concatenate([np.repeat([0, 1], pair) for pair in counts])
    shares = [0.6, 0.3, 0.1] if parts == 3 else [0.8, 0.2]
    part = deal(len(groups), shares, groups=groups, classes=classes, seed=seed)
    assert all(len(set(part[groups == group])) == 1 for group in range(len(counts)))
    for code in (0, 1):
        assert set(part[classes == code]) == set(range(parts))


@pytest.mark.parametrize("seed", range(20))
def test_the_shares_of_the_classes_are_kept_as_well_as_groups_allow(seed: int) -> None:
    """Forty groups of 1 to 9 rows; a group of the rare class is 2 to 4 rows."""
    generator = np.random.default_rng(seed)
    sizes = np.concatenate([generator.integers(1, 10, 30), generator.integers(2, 5, 10)])
    groups = np.repeat(np.arange(40), sizes)
    classes = (groups >= 30).astype(int)
    part = deal(len(groups), [0.6, 0.25, 0.15], groups=groups, classes=classes, seed=seed)
    for code, most in ((0, 2.5), (1, 3.0)):
        total = (classes == code).sum()
        for number, share in enumerate((0.6, 0.25, 0.15)):
            rows = ((part == number) & (classes == code)).sum()
            assert abs(rows - share * total) <= most


def test_another_seed_deals_other_groups() -> None:
    groups = np.repeat(np.arange(20), 5)
    classes = groups % 2
    dealt = {
        deal(100, [0.75, 0.25], groups=groups, classes=classes, seed=seed).tobytes()
        for seed in range(10)
    }
    assert len(dealt) > 5


def test_a_group_has_the_same_chance_to_be_held_out_wherever_it_stands() -> None:
    groups = np.repeat(np.arange(20), 5)
    held_out = np.zeros(20)
    for seed in range(400):
        part = deal(100, [0.75, 0.25], groups=groups, classes=groups % 2, seed=seed)
        held_out += part[::5]
    assert held_out / 400 == pytest.approx(np.full(20, held_out.mean() / 400), abs=0.1)


# ----- split: the wrapper ------------------------------------------------------------------------


@pytest.fixture
def showers(tmp_path: Path) -> Path:
    table(range(20)).to_parquet(tmp_path / "data.parquet")
    return tmp_path


def split_job(folder: Path, outputs: tuple[str, ...] = ("train", "valid"), **params: Any) -> Job:
    paths = {name: str(folder / f"{name}.parquet") for name in outputs}
    paths["report"] = str(folder / "report.json")
    return Job({"data": str(folder / "data.parquet")}, paths, params)


def parts_of(folder: Path, *names: str) -> Mapping[str, pd.DataFrame]:
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}


ALL = ("train", "valid", "test")


def test_every_row_is_in_one_part_in_its_old_order(showers: Path) -> None:
    split(split_job(showers, ALL, test=0.1, group="run", stratify="class"), Recorder())
    parts = parts_of(showers, *ALL)
    data = pd.read_parquet(showers / "data.parquet")
    for part in parts.values():
        assert part["run"].is_monotonic_increasing
    whole = pd.concat(parts.values()).sort_values("run", kind="stable")
    pd.testing.assert_frame_equal(whole.reset_index(drop=True), data)
    runs = [part["run"].nunique() for part in parts.values()]
    assert sum(runs) == data["run"].nunique()


def test_the_report_and_the_metrics_say_what_each_part_got(showers: Path) -> None:
    run = Recorder()
    split(split_job(showers, ALL, test=0.1, group="run", stratify="class", seed=4), run)
    report = json.loads((showers / "report.json").read_text())
    assert report["rows"] == 240
    assert (report["group"], report["stratify"], report["seed"]) == ("run", "class", 4)
    assert report["asked"] == pytest.approx({"train": 0.65, "valid": 0.25, "test": 0.1})
    for name, part in parts_of(showers, *ALL).items():
        about = report["parts"][name]
        assert about["rows"] == len(part)
        assert about["share"] == len(part) / 240
        assert about["groups"] == part["run"].nunique()
        assert about["counts"] == part["class"].value_counts().to_dict()
        assert about["class_shares"]["heavy"] == (part["class"] == "heavy").mean()
        assert run.metrics[f"{name}_rows"] == [len(part)]
        assert run.metrics[f"{name}_groups"] == [about["groups"]]
        assert run.metrics[f"{name}_share_heavy"] == [about["class_shares"]["heavy"]]


def test_a_plain_split_holds_a_quarter_out_and_speaks_of_rows_only(showers: Path) -> None:
    run = Recorder()
    split(split_job(showers), run)
    assert run.metrics == {"train_rows": [180], "valid_rows": [60]}
    report = json.loads((showers / "report.json").read_text())
    assert report["parts"]["valid"] == {"rows": 60, "share": 0.25}


@pytest.mark.parametrize("group", [None, "run"])
@pytest.mark.parametrize("stratify", [None, "class"])
def test_the_same_split_gives_the_same_bytes(
    showers: Path, group: str | None, stratify: str | None
) -> None:
    written = []
    for _ in range(2):
        split(split_job(showers, group=group, stratify=stratify), Recorder())
        names = ("train.parquet", "valid.parquet", "report.json")
        written.append([(showers / name).read_bytes() for name in names])
    assert written[0] == written[1]
    split(split_job(showers, group=group, stratify=stratify, seed=1), Recorder())
    assert (showers / "valid.parquet").read_bytes() != written[0][1]


def test_columns_keep_types_that_pandas_does_not_have(showers: Path) -> None:
    data = pa.table(
        {
            "count": pa.array([1, None, 3, 4], pa.int32()),
            "pulses": pa.array([[1.0], [], None, [2.0, 3.0]], pa.list_(pa.float32())),
            "day": pa.array([1, 2, 3, 4], pa.date32()),
        },
        metadata={"made by": "hand"},
    )
    pq.write_table(data, showers / "data.parquet")
    split(split_job(showers, valid=0.5), Recorder())
    # a list's items have another name once they were in a file
    read = pq.read_table(showers / "data.parquet")
    parts = [pq.read_table(showers / f"{name}.parquet") for name in ("train", "valid")]
    assert [len(part) for part in parts] == [2, 2]
    assert all(part.schema.equals(read.schema, check_metadata=True) for part in parts)
    assert pa.concat_tables(parts).sort_by("day").equals(read)


def test_a_report_may_be_left_out(showers: Path) -> None:
    job = split_job(showers)
    job.output = type(job.output)(fromdict={n: job.output[n] for n in ("train", "valid")})
    split(job, Recorder())
    assert not (showers / "report.json").exists()
    assert (showers / "valid.parquet").exists()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"vaild": 0.2}, r"tabular/split has no parameter 'vaild': expected one of valid, test"),
        ({"valid": 1}, r"expected a number from 0 to below 1 as valid=, got 1"),
        ({"valid": "0.2"}, r"expected a number from 0 to below 1 as valid=, got '0.2'"),
        ({"valid": 0}, r"expected a share above 0 as valid=, got 0"),
        ({"test": 0.2}, r"params: expected test= also in the rule's output, got it only here"),
        ({"valid": 0.6, "test": 0.4}, r"that leave rows to train on, got 0.6 and 0.4"),
        ({"group": "rnu"}, r"expected a column 'rnu' \(group\), got columns run, class"),
        ({"stratify": "klass"}, r"expected a column 'klass' \(stratify\), got columns run, class"),
        ({"stratify": "energy"}, r"at least 2 rows of every class in column 'energy' \(stratify\)"),
        ({"group": 3}, r"expected a column name as group=, got 3"),
        ({"group": "run", "valid": 0.96}, r"more groups than the 20 that valid=0.96 hold out, got"),
        ({"valid": 0.004, "stratify": "class"}, r"cannot be split with valid=0.004: The test_size"),
    ],
)
def test_a_split_that_cannot_be_is_told_so(
    showers: Path, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        split(split_job(showers, **params), Recorder())
    assert [path.name for path in showers.iterdir()] == ["data.parquet"]


def test_a_test_table_without_its_share_is_an_error(showers: Path) -> None:
    message = r"output: expected test= also in the rule's params, got it only here"
    with pytest.raises(WrapperError, match=message):
        split(split_job(showers, ALL), Recorder())


def test_a_class_with_too_few_groups_is_named(showers: Path) -> None:
    frame = pd.read_parquet(showers / "data.parquet")
    frame.loc[frame["run"] < 2, "class"] = "rare"
    frame.to_parquet(showers / "data.parquet")
    split(split_job(showers, group="run", stratify="class"), Recorder())
    message = r"at least 3 groups of every class in column 'class' \(stratify\), got 2 of 'rare'"
    with pytest.raises(WrapperError, match=message):
        split(split_job(showers, ALL, test=0.2, group="run", stratify="class"), Recorder())


def test_a_part_without_one_of_the_classes_is_named(showers: Path) -> None:
    frame = pd.read_parquet(showers / "data.parquet")
    frame.loc[:1, "class"] = "rare"
    frame.to_parquet(showers / "data.parquet")
    message = r"of every class in column 'class' \(stratify\) in valid, got none of rare"
    with pytest.raises(WrapperError, match=message) as caught:
        split(split_job(showers, valid=0.1, stratify="class"), Recorder())
    assert caught.value.hint == "give valid a larger share, or leave out params: stratify="


def test_too_few_rows_are_told_so(showers: Path) -> None:
    table(range(1)).head(1).to_parquet(showers / "data.parquet")
    message = r"expected more rows than the 1 that valid=0.25 hold out, got 1"
    with pytest.raises(WrapperError, match=message):
        split(split_job(showers), Recorder())


# ----- predict -----------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder with a table to learn from and one without answers."""
    table(range(10)).to_parquet(tmp_path / "train.parquet")
    table(range(10, 14), seed=4).drop(columns="class").to_parquet(tmp_path / "data.parquet")
    return tmp_path


def fit(folder: Path, family: Family, name: str, **params: Any) -> Path:
    job = Job(
        {"train": str(folder / "train.parquet")},
        {"model": str(folder / name), "metrics": str(folder / "training.json")},
        {"target": "class", "group": "run", "features": ["muons", "energy"]} | params,
    )
    train(job, Recorder(), family)
    return folder / name


def answers(folder: Path, model: Path, **params: Any) -> tuple[pd.DataFrame, Any, Recorder]:
    job = Job(
        {"model": str(model), "data": str(folder / "data.parquet")},
        {"predictions": str(folder / "out.parquet"), "report": str(folder / "out.json")},
        params,
    )
    run = Recorder()
    predict(job, run)
    report = json.loads((folder / "out.json").read_text())
    return pd.read_parquet(folder / "out.parquet"), report, run


BAYES = "sklearn.naive_bayes.GaussianNB"
CLASSIFIERS = [
    pytest.param(ScikitLearn(), "m.joblib", {"estimator": BAYES}, id="sklearn"),
    pytest.param(XGBoost(), "m.ubj", {"n_estimators": 8}, id="xgboost"),
    pytest.param(LightGBM(), "m.txt", {"n_estimators": 8}, id="lightgbm"),
]


@pytest.mark.parametrize(("family", "name", "own"), CLASSIFIERS)
def test_every_row_gets_its_class_and_the_score_of_each(
    trained: Path, family: Family, name: str, own: dict[str, Any]
) -> None:
    model = fit(trained, family, name, **own)
    found, report, run = answers(trained, model)
    data = pd.read_parquet(trained / "data.parquet")
    pd.testing.assert_frame_equal(found[list(data.columns)], data)
    assert list(found.columns[3:]) == ["predicted", "score_heavy", "score_light"]
    scores = load_model(str(model)).output(data[["muons", "energy"]])
    assert np.array_equal(found[["score_heavy", "score_light"]], scores)
    expected = np.where(scores[:, 0] >= scores[:, 1], "heavy", "light")
    assert found["predicted"].tolist() == expected.tolist()
    share = (expected == "heavy").mean()
    assert 0 < share < 1
    assert report["predicted"]["share"] == pytest.approx({"heavy": share, "light": 1 - share})
    assert (report["rows"], report["classes"]) == (48, ["heavy", "light"])
    assert report["probabilities"] is True
    assert run.metrics["rows"] == [48]
    assert run.metrics["predicted_share_heavy"] == [pytest.approx(share)]


@pytest.mark.parametrize("classes", [(7, 1), (True, False)])
def test_a_predicted_class_is_of_the_type_that_it_was_trained_with(
    trained: Path, classes: tuple[Any, Any]
) -> None:
    frame = pd.read_parquet(trained / "train.parquet")
    frame["class"] = np.where(frame["class"] == "heavy", *classes)
    frame.to_parquet(trained / "train.parquet")
    model = fit(trained, XGBoost(), "m.ubj", n_estimators=3)
    found, _, _ = answers(trained, model)
    assert found["predicted"].dtype == frame["class"].dtype
    assert set(found["predicted"]) == set(classes)


def test_a_regression_predicts_a_number(trained: Path) -> None:
    own = {"target": "energy", "features": ["muons"], "estimator": "sklearn.linear_model.Ridge"}
    found, report, run = answers(trained, fit(trained, ScikitLearn(), "m.joblib", **own))
    assert list(found.columns) == ["run", "muons", "energy", "predicted"]
    assert np.corrcoef(found["predicted"], found["energy"])[0, 1] > 0.8
    assert report["classes"] is None
    assert report["predicted"] == {
        "mean": pytest.approx(found["predicted"].mean()),
        "min": found["predicted"].min(),
        "max": found["predicted"].max(),
    }
    assert run.metrics["predicted_max"] == [found["predicted"].max()]


def test_scores_that_are_no_probabilities_are_called_so(trained: Path) -> None:
    model = fit(trained, ScikitLearn(), "m.joblib", estimator="sklearn.svm.LinearSVC")
    found, report, _ = answers(trained, model)
    assert report["probabilities"] is False
    assert (found["score_heavy"] == -found["score_light"]).all()


@pytest.mark.parametrize(("keep", "kept"), [(["energy", "run"], ["energy", "run"]), ([], [])])
def test_only_wanted_columns_are_kept(trained: Path, keep: list[str], kept: list[str]) -> None:
    model = fit(trained, XGBoost(), "m.ubj", n_estimators=3)
    found, _, _ = answers(trained, model, keep=keep)
    assert list(found.columns) == [*kept, "predicted", "score_heavy", "score_light"]
    assert len(found) == 48


def test_an_index_that_is_not_kept_is_not_missed(trained: Path) -> None:
    frame = pd.read_parquet(trained / "data.parquet")
    frame.index = pd.Index([f"shower{number}" for number in range(48)], name="name")
    frame.to_parquet(trained / "data.parquet")
    model = fit(trained, XGBoost(), "m.ubj", n_estimators=3)
    found, _, _ = answers(trained, model)
    assert found.index.equals(frame.index)
    found, _, _ = answers(trained, model, keep=["run"])
    assert found["run"].tolist() == frame["run"].tolist()


def test_the_same_model_and_table_give_the_same_bytes(trained: Path) -> None:
    model = fit(trained, LightGBM(), "m.txt", n_estimators=5)
    written = []
    for _ in range(2):
        answers(trained, model)
        written.append([(trained / name).read_bytes() for name in ("out.parquet", "out.json")])
    assert written[0] == written[1]


@pytest.mark.filterwarnings("ignore:X has feature names, but LogisticRegression was fitted without")
def test_features_are_named_for_a_model_that_does_not_know_them(trained: Path) -> None:
    frame = pd.read_parquet(trained / "train.parquet")
    forest = LogisticRegression().fit(frame[["energy", "muons"]].to_numpy(), frame["class"])
    joblib.dump(forest, trained / "m.joblib")
    with pytest.raises(WrapperError, match=r"data.parquet: the model cannot judge these rows: "):
        answers(trained, trained / "m.joblib")
    found, _, _ = answers(trained, trained / "m.joblib", features=["energy", "muons"])
    assert np.array_equal(
        found[["score_heavy", "score_light"]],
        forest.predict_proba(found[["energy", "muons"]].to_numpy()),
    )


@pytest.mark.parametrize(
    ("params", "message", "hint"),
    [
        ({"kep": []}, r"predict has no parameter 'kep': expected one of keep, features", "'keep'"),
        ({"keep": "run"}, r"expected a list of different column names as keep=, got 'run'", None),
        (
            {"keep": ["ruun"]},
            r"data.parquet: expected a column 'ruun' \(keep\), got columns run, muons, energy",
            "did you mean 'run'?",
        ),
    ],
)
def test_a_prediction_that_cannot_be_is_told_so(
    trained: Path, params: dict[str, Any], message: str, hint: str | None
) -> None:
    model = fit(trained, XGBoost(), "m.ubj", n_estimators=3)
    with pytest.raises(WrapperError, match=message) as caught:
        answers(trained, model, **params)
    assert (hint or "") in (caught.value.hint or "")
    assert not (trained / "out.parquet").exists()


def test_a_column_is_never_overwritten_with_an_answer(trained: Path) -> None:
    model = fit(trained, XGBoost(), "m.ubj", n_estimators=3)
    frame = pd.read_parquet(trained / "data.parquet").assign(score_light=0.5)
    frame.to_parquet(trained / "data.parquet")
    with pytest.raises(WrapperError, match=r"expected a table without a column 'score_light'"):
        answers(trained, model)
    found, _, _ = answers(trained, model, keep=["run"])
    assert not (found["score_light"] == 0.5).all()


def test_a_table_without_a_feature_is_told_so(trained: Path) -> None:
    model = fit(trained, XGBoost(), "m.ubj", n_estimators=3)
    pd.read_parquet(trained / "data.parquet").drop(columns="muons").to_parquet(
        trained / "data.parquet"
    )
    with pytest.raises(
        WrapperError, match=r"expected a column 'muons' \(feature\), got columns run"
    ):
        answers(trained, model)


# ----- both --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"), [("tabular/split", "sklearn/train"), ("predict", "evaluate")]
)
def test_two_wrappers_share_an_environment(name: str, other: str) -> None:
    """The same lock: a node realises one environment for both."""
    for file in ("environment.yaml", "environment.requirements.lock"):
        assert (WRAPPERS / name / file).read_bytes() == (WRAPPERS / other / file).read_bytes()
