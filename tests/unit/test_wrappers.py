"""The wrappers' common code, their folders, and the pages that describe them."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from snakemake.iocontainers import InputFiles, Params
from wrapperjobs import LOCKED, Job, Recorder, table

from snakemake_repro.errors import UsageError
from snakemake_repro.wrappers import reference, wrapper
from snakemake_repro.wrappers.evaluation import evaluate
from snakemake_repro.wrappers.families.base import Family
from snakemake_repro.wrappers.families.fastai import Fastai
from snakemake_repro.wrappers.families.keras import Keras
from snakemake_repro.wrappers.families.lightgbm import LightGBM
from snakemake_repro.wrappers.families.pytorch import PyTorch
from snakemake_repro.wrappers.families.scikit_learn import ScikitLearn
from snakemake_repro.wrappers.families.xgboost import XGBoost
from snakemake_repro.wrappers.models import load_model
from snakemake_repro.wrappers.problems import WrapperError, one_line
from snakemake_repro.wrappers.resampling import interval, resample
from snakemake_repro.wrappers.sample import Sample
from snakemake_repro.wrappers.training import train

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "snakemake_repro" / "wrappers"
NETWORKS = ("fastai/train", "keras/train", "pytorch/train")
"""Wrappers that come without a lock, and whose libraries are an extra."""

HAS_TORCH = pytest.mark.skipif(
    find_spec("torch") is None, reason="PyTorch is not installed: the extra `networks`"
)
HAS_KERAS = pytest.mark.skipif(
    find_spec("keras") is None or find_spec("torch") is None,
    reason="Keras and PyTorch are not installed: the extra `networks`",
)
HAS_FASTAI = pytest.mark.skipif(
    find_spec("fastai") is None, reason="fastai is not installed: the extra `fastai`"
)
LOCKS = sorted(
    [*FOLDER.rglob("environment.requirements.lock"), *(ROOT / "envs").glob("*.requirements.lock")]
)
SVM = ["sklearn.preprocessing.StandardScaler", "sklearn.svm.LinearSVC"]


@pytest.fixture
def showers(tmp_path: Path) -> Path:
    """A folder with tables to train on and to validate on."""
    table(range(10)).to_parquet(tmp_path / "train.parquet")
    table(range(10, 14), seed=4).to_parquet(tmp_path / "valid.parquet")
    return tmp_path


def train_job(folder: Path, model: str, **params: Any) -> Job:
    inputs = {"train": str(folder / "train.parquet"), "valid": str(folder / "valid.parquet")}
    return Job(
        inputs,
        {"model": str(folder / model), "metrics": str(folder / "metrics.json")},
        {"target": "class", "group": "run", "seed": 1} | params,
    )


FAMILIES = [
    pytest.param(ScikitLearn(), "m.joblib", {"estimator": SVM, "linearsvc__C": 0.5}, id="sklearn"),
    pytest.param(XGBoost(), "m.ubj", {"n_estimators": 8, "max_depth": 2}, id="xgboost-ubj"),
    pytest.param(XGBoost(), "m.json", {"n_estimators": 8, "max_depth": 2}, id="xgboost-json"),
    pytest.param(LightGBM(), "m.txt", {"n_estimators": 8, "min_child_samples": 4}, id="lightgbm"),
    pytest.param(
        PyTorch(),
        "m.safetensors",
        {"epochs": 8, "hidden": [16], "learning_rate": 0.02, "dropout": 0.1},
        id="pytorch",
        marks=HAS_TORCH,
    ),
    pytest.param(
        Keras("torch"),
        "m.keras",
        {"epochs": 8, "hidden": [16], "learning_rate": 0.02, "dropout": 0.1},
        id="keras",
        marks=HAS_KERAS,
    ),
    pytest.param(
        Fastai(),
        "m.safetensors",
        {"epochs": 8, "hidden": [16], "learning_rate": 0.02, "dropout": 0.1},
        id="fastai",
        marks=HAS_FASTAI,
    ),
]

# ----- what every wrapper folder holds ---------------------------------------------------------


def test_every_wrapper_has_an_address_that_snakemake_takes() -> None:
    assert [wrapper(name) for name in LOCKED] == [(FOLDER / name).as_uri() for name in LOCKED]


def test_an_unknown_wrapper_is_named_with_those_that_exist() -> None:
    with pytest.raises(
        UsageError, match=r"no wrapper 'forecast': expected one of corsika/read, dataset/fetch"
    ):
        wrapper("forecast")


@pytest.mark.parametrize("name", [*LOCKED, *NETWORKS])
def test_a_wrapper_folder_is_complete(name: str) -> None:
    folder = FOLDER / name
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    # which build of PyTorch is right depends on the machine
    assert ("environment.requirements.lock" in files) == (name in LOCKED)
    assert files >= {
        "environment.yaml",
        "meta.yaml",
        "test/Snakefile",
        "test/expected.json",
        "wrapper.py",
    }
    meta = yaml.safe_load((folder / "meta.yaml").read_text())
    assert meta["name"] == name
    assert set(meta) == {"name", "description", "authors", "input", "output", "params", "notes"}


@pytest.mark.parametrize("name", [*LOCKED, *NETWORKS])
def test_a_wrapper_begins_with_nothing_that_its_environment_lacks(name: str) -> None:
    """Its environment holds its libraries, Snakemake and this package: no click, no mlflow."""
    allowed = {"snakemake_repro", "numpy", "pandas", "pyarrow", "sklearn", "joblib"}
    allowed |= {
        "xgboost",
        "lightgbm",
        "matplotlib",
        "optuna",
        "awkward",
        "uproot",
        "tenacity",
        "corsikaio",
    }
    allowed |= {"safetensors", "torch", "pytorch_lightning", "keras", "tensorflow", "fastai"}
    allowed |= {"jupyter_client", "nbclient", "nbformat", "ray"}
    todo, seen = [FOLDER / name / "wrapper.py"], set()
    while todo:
        path = todo.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
                modules += [f"{node.module}.{alias.name}" for alias in node.names]
            for module in modules:
                if not module.startswith("snakemake_repro"):
                    top = module.partition(".")[0]
                    assert top in allowed or top in _standard_library(), f"{path}: {module}"
                    continue
                file = ROOT / Path(*module.split(".")).with_suffix(".py")
                if file.exists() and file.name != "client.py" and file not in seen:
                    todo.append(file)
    assert len(seen) > 5


def _standard_library() -> frozenset[str]:
    import sys

    return sys.stdlib_module_names


# ----- environments ------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.relative_to(ROOT).as_posix())
@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_a_lock_satisfies_its_environment_on_every_python(lock: Path, python: str) -> None:
    environment = yaml.safe_load(
        lock.with_name(lock.name.replace(".requirements.lock", ".yaml")).read_text()
    )
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert {entry.split()[0] for entry in plain} == {"python", "pip"}
    (asked,) = (e["pip"] for e in environment["dependencies"] if isinstance(e, dict))
    locked = _locked(lock.read_text(), python)
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(locked[name]), f"{name} {locked[name]}"


def _locked(text: str, python: str) -> dict[str, str]:
    """Return the versions that a lock has for a Python; check that every line is hashed."""
    environment = dict(default_environment())
    environment |= {"python_version": python.rpartition(".")[0], "python_full_version": python}
    environment |= {"sys_platform": "linux", "platform_system": "Linux"}
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        if entry.startswith("#"):
            continue
        head, *hashes = (part.strip() for part in entry.replace("\\\n", "\n").splitlines())
        requirement = Requirement(head)
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        assert hashes, head
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found
            found[name] = pin.version
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_lock_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


# ----- reference pages ---------------------------------------------------------------------------


def test_the_reference_pages_are_what_the_wrappers_say() -> None:
    folder = ROOT / "docs" / "reference" / "wrappers"
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == reference.pages(), "run: python -m snakemake_repro.wrappers.reference"


def test_the_reference_names_every_parameter_that_the_interface_fixes() -> None:
    for name in ("sklearn-train.md", "xgboost-train.md", "lightgbm-train.md"):
        page = reference.pages()[name]
        for word in ("data", "train", "valid", "model", "metrics", "target", "features", "group"):
            assert f"| `{word}` |" in page


# ----- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "model", "params"), FAMILIES)
def test_a_model_is_trained_measured_and_read_back(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    run = Recorder()
    train(train_job(showers, model, **params), run, family)
    report = json.loads((showers / "metrics.json").read_text())
    assert report["features"] == ["muons", "energy"]
    assert report["classes"] == ["heavy", "light"]
    assert report["rows"] == {"train": 120, "valid": 48}
    assert report["valid"]["roc_auc"] > 0.75
    assert run.metrics["valid_roc_auc"] == [report["valid"]["roc_auc"]]
    loaded = load_model(str(showers / model))
    assert loaded.classes == ("heavy", "light")
    assert loaded.features == ("muons", "energy")
    valid = pd.read_parquet(showers / "valid.parquet")
    output = loaded.output(valid[["muons", "energy"]])
    truth = (valid["class"] == "light").to_numpy()
    assert roc_auc_score(truth, output[:, 1]) == pytest.approx(report["valid"]["roc_auc"])


@pytest.mark.parametrize(("family", "model", "params"), FAMILIES)
def test_the_same_request_gives_the_same_bytes(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    written = []
    for _ in range(2):
        train(train_job(showers, model, **params), Recorder(), family)
        written.append([(showers / name).read_bytes() for name in (model, "metrics.json")])
    assert written[0] == written[1]
    assert sorted(path.name for path in showers.iterdir()) == sorted(
        [model, "metrics.json", "train.parquet", "valid.parquet"]
    )


@pytest.mark.parametrize(("family", "model", "params"), FAMILIES)
def test_data_alone_is_cross_validated_by_group(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    job = train_job(showers, model, folds=4, **params)
    job.input = InputFiles(fromdict={"data": str(showers / "train.parquet")})
    run = Recorder()
    train(job, run, family)
    report = json.loads((showers / "metrics.json").read_text())
    assert report["rows"] == {"train": 120}
    assert report["cross_validation"]["folds"] == 4
    assert 0.6 < report["cross_validation"]["roc_auc"] < report["train"]["roc_auc"] + 0.1
    assert run.metrics["cv_accuracy"] == [report["cross_validation"]["accuracy"]]


@pytest.mark.parametrize(("family", "model", "params"), FAMILIES[1:])
def test_the_validation_is_recorded_after_every_round(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    run = Recorder()
    train(train_job(showers, model, **params), run, family)
    found = {name: values for name, values in run.metrics.items() if len(values) > 1}
    assert any(name.startswith("valid_") for name in found)
    for series in found.values():
        assert len(series) == 8
        assert series[-1] < series[0]


@pytest.mark.parametrize(
    ("family", "model", "params"),
    [
        pytest.param(
            ScikitLearn(), "m.joblib", {"estimator": "sklearn.linear_model.Ridge"}, id="sklearn"
        ),
        pytest.param(XGBoost(), "m.ubj", {"n_estimators": 30}, id="xgboost"),
        pytest.param(LightGBM(), "m.txt", {"n_estimators": 30}, id="lightgbm"),
        pytest.param(
            PyTorch(),
            "m.safetensors",
            {"epochs": 40, "learning_rate": 0.02},
            id="pytorch",
            marks=HAS_TORCH,
        ),
        pytest.param(
            Keras("torch"),
            "m.keras",
            {"epochs": 40, "learning_rate": 0.02},
            id="keras",
            marks=HAS_KERAS,
        ),
        pytest.param(
            Fastai(),
            "m.safetensors",
            {"epochs": 40, "learning_rate": 0.02},
            id="fastai",
            marks=HAS_FASTAI,
        ),
    ],
)
def test_a_target_of_floating_point_numbers_makes_a_regression(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    job = train_job(showers, model, target="energy", features=["muons"], **params)
    train(job, Recorder(), family)
    report = json.loads((showers / "metrics.json").read_text())
    assert report["classes"] is None
    assert report["train"]["r2"] > 0.5
    assert set(report["valid"]) == {"mae", "rmse", "r2"}


@pytest.mark.parametrize(("family", "model", "params"), FAMILIES[1:4])
def test_early_stopping_keeps_the_best_round(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    wanted = params | {"n_estimators": 500, "early_stopping_rounds": 5}
    train(train_job(showers, model, **wanted), Recorder(), family)
    early = json.loads((showers / "metrics.json").read_text())["valid"]["log_loss"]
    train(train_job(showers, model, **(params | {"n_estimators": 500})), Recorder(), family)
    late = json.loads((showers / "metrics.json").read_text())["valid"]["log_loss"]
    assert early < late


def test_balanced_weights_move_boosted_trees_to_the_rare_class(showers: Path) -> None:
    frame = pd.read_parquet(showers / "train.parquet")
    rare = frame[(frame["class"] == "light") | (frame["run"] == 0)]
    rare.to_parquet(showers / "train.parquet")
    recalls = {}
    for weight in (None, "balanced"):
        own = {"n_estimators": 5, "max_depth": 1} | ({"class_weight": weight} if weight else {})
        train(train_job(showers, "m.ubj", **own), Recorder(), XGBoost())
        model = load_model(str(showers / "m.ubj"))
        heavy = frame[frame["class"] == "heavy"][["muons", "energy"]]
        recalls[weight] = (model.output(heavy).argmax(axis=1) == 0).mean()
    assert recalls["balanced"] > recalls[None]


@HAS_TORCH
@pytest.mark.parametrize("activation", ["relu", "elu", "tanh", "sigmoid"])
def test_a_perceptron_is_the_same_in_pytorch(showers: Path, activation: str) -> None:
    """What judges rows without PyTorch is compared with PyTorch itself."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    path = showers / "m.safetensors"
    job = train_job(showers, path.name, activation=activation, hidden=[8, 4], epochs=3)
    train(job, Recorder(), PyTorch())
    nn = torch.nn
    kind = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[activation]
    module = nn.Sequential(
        nn.Linear(2, 8), kind(), nn.Linear(8, 4), kind(), nn.Linear(4, 2), nn.Softmax(dim=1)
    )
    module.load_state_dict(load_file(path))
    with safe_open(path, "numpy") as opened:
        about = json.loads(opened.metadata()["snakemake_repro"])
    rows = pd.read_parquet(showers / "valid.parquet")[["muons", "energy"]]
    scaled = (rows.to_numpy() - np.array(about["mean"])) / np.array(about["deviation"])
    with torch.no_grad():
        expected = module(torch.from_numpy(scaled.astype(np.float32))).numpy()
    np.testing.assert_allclose(load_model(str(path)).output(rows), expected, atol=1e-6)


@HAS_TORCH
def test_training_a_network_leaves_pytorch_as_it_was(showers: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(train_job(showers, "m.safetensors", epochs=1), Recorder(), PyTorch())
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@HAS_TORCH
def test_balanced_weights_move_a_network_to_the_rare_class(showers: Path) -> None:
    frame = table(range(10))
    rare = frame[(frame["class"] == "light") | (frame["run"] == 0)]
    rare.to_parquet(showers / "train.parquet")
    recalls = []
    for weight in (None, "balanced"):
        job = train_job(showers, "m.safetensors", epochs=20, learning_rate=0.02)
        job.params = Params(fromdict={**dict(job.params.items()), "class_weight": weight})
        train(job, Recorder(), PyTorch())
        valid = pd.read_parquet(showers / "valid.parquet")
        scores = load_model(str(showers / "m.safetensors")).output(valid[["muons", "energy"]])
        recalls.append(float((scores.argmax(axis=1) == 0)[valid["class"] == "heavy"].mean()))
    assert recalls[1] > recalls[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hiden": [4]}, r"pytorch\.MLP has no parameter 'hiden': expected one of activation"),
        ({"hidden": 4}, "expected a list of whole numbers above 0 as hidden=, got 4"),
        ({"hidden": [4, 0]}, r"expected a list of whole numbers above 0 as hidden=, got \[4, 0\]"),
        ({"activation": "gelu"}, "expected one of relu, elu, tanh, sigmoid as activation="),
        ({"dropout": 1}, "expected a number from 0 to below 1 as dropout=, got 1"),
        ({"learning_rate": "1"}, "expected a number of at least 0 as learning_rate=, got '1'"),
        ({"epochs": 0}, "expected a whole number of at least 1 as epochs=, got 0"),
        ({"batch_size": 1}, "expected a whole number of at least 2 as batch_size=, got 1"),
    ],
)
def test_a_network_that_makes_no_sense_is_one_clear_error(
    showers: Path, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        train(train_job(showers, "m.safetensors", **params), Recorder(), PyTorch())


@HAS_TORCH
def test_a_network_has_one_kind_of_file(showers: Path) -> None:
    with pytest.raises(WrapperError, match=r"expected a name that ends in \.safetensors"):
        train(train_job(showers, "m.pt", epochs=1), Recorder(), PyTorch())


def test_a_seed_reaches_every_random_state_of_a_pipeline(showers: Path) -> None:
    def model(seed: int) -> bytes:
        estimator = ["sklearn.kernel_approximation.Nystroem", "sklearn.svm.LinearSVC"]
        params = {"estimator": estimator, "nystroem__n_components": 10, "seed": seed}
        train(train_job(showers, "m.joblib", **params), Recorder(), ScikitLearn())
        return (showers / "m.joblib").read_bytes()

    assert model(1) == model(1) != model(2)


@pytest.mark.parametrize(
    ("family", "model", "params", "message"),
    [
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"target": "clas"},
            r"train.parquet: expected a column 'clas' \(target\), got columns run, class, muons, "
            r"energy \(did you mean 'class'\?\)$",
            id="no target column",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"features": ["muons", "radius"]},
            r"expected a column 'radius' \(feature\), got columns run, .* \(correct params: feat",
            id="no feature column",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"features": ["muons", "class"]},
            r"expected features= without the target and the group, got 'class'",
            id="target as feature",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"target": "run", "group": None},
            r"expected numbers in column 'class' \(feature\), got str \(encode it as numbers",
            id="feature of text",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"n_estimator": 5},
            r"xgboost.XGBClassifier has no parameter 'n_estimator': expected one of .* "
            r"\(did you mean 'n_estimators'\?\)$",
            id="xgboost parameter",
        ),
        pytest.param(
            LightGBM(),
            "m.txt",
            {"num_leafs": 5},
            r"lightgbm.LGBMClassifier has no parameter 'num_leafs': .*did you mean 'num_leaves'",
            id="lightgbm parameter",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {"estimator": SVM, "linearsvc__c": 1},
            r"LinearSVC has no parameter 'linearsvc__c': .*did you mean 'linearsvc__C'",
            id="sklearn parameter",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {"estimator": "sklearn.svm.LinearSCV"},
            r"estimator 'sklearn.svm.LinearSCV': expected an estimator class in sklearn.svm, got "
            r"nothing of that name \(did you mean 'LinearSV[RC]'",
            id="unknown class",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {"estimator": "no_such_library.Model"},
            r"estimator 'no_such_library.Model': .* a module 'no_such_library' that cannot be impo",
            id="unknown module",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {"estimator": "sklearn.metrics.accuracy_score"},
            r"expected an estimator class in sklearn.metrics, got a function",
            id="no class",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {"estimator": "sklearn.preprocessing.StandardScaler"},
            r"expected a classifier or regressor at the end, got sklearn.preprocessing.Standard",
            id="no predictor",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {},
            r"expected a dotted name or a list of them as estimator=, got nothing \(such as",
            id="no estimator",
        ),
        pytest.param(
            ScikitLearn(),
            "m.joblib",
            {"estimator": "sklearn.svm.LinearSVC", "C": -1},
            r"sklearn.svm.LinearSVC: cannot be trained on .*: The 'C' parameter of LinearSVC must",
            id="value that the library refuses",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"max_depth": "deep"},
            r"xgboost.XGBClassifier: cannot be trained on .*max_depth",
            id="value that xgboost refuses",
        ),
        pytest.param(
            LightGBM(),
            "m.txt",
            {"num_leaves": 1},
            r"lightgbm.LGBMClassifier: cannot be trained on .*num_leaves",
            id="value that lightgbm refuses",
        ),
        pytest.param(
            XGBoost(),
            "m.bin",
            {},
            r"m.bin: expected a name that ends in .json or .ubj",
            id="xgboost format",
        ),
        pytest.param(
            LightGBM(), "m.json", {}, r"m.json: expected a name that ends in .txt", id="lgb format"
        ),
        pytest.param(
            ScikitLearn(),
            "m.txt",
            {"estimator": SVM},
            r"m.txt: expected a name that ends in .joblib or .pkl",
            id="sklearn format",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"class_weight": "heavy"},
            r"expected 'balanced' or a mapping of classes to weights as class_weight=.*got 'heavy'",
            id="class weight",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"seed": "one"},
            r"expected a whole number from 0 to 4294967295 as seed=, got 'one'",
            id="seed",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"features": "muons"},
            r"expected a list of different column names as features=, got 'muons'",
            id="features",
        ),
        pytest.param(
            XGBoost(),
            "m.ubj",
            {"target": None},
            r"expected a column name as target=, got nothing \(add target=",
            id="no target",
        ),
    ],
)
def test_what_makes_no_sense_is_one_clear_error_and_writes_nothing(
    showers: Path, family: Family, model: str, params: dict[str, Any], message: str
) -> None:
    before = sorted(showers.iterdir())
    with pytest.raises(SystemExit) as caught, one_line("x/train"):
        train(train_job(showers, model, **params), Recorder(), family)
    text = str(caught.value)
    assert text.startswith("x/train: ")
    assert "\n" not in text
    assert re.search(message, text), text
    assert sorted(showers.iterdir()) == before


def test_a_group_on_both_sides_is_an_error(showers: Path) -> None:
    table(range(8, 12)).to_parquet(showers / "valid.parquet")
    message = r"valid.parquet: expected other groups \(column 'run'\) than in .*, got 8, 9 in both"
    with pytest.raises(WrapperError, match=message):
        train(train_job(showers, "m.ubj"), Recorder(), XGBoost())


def test_a_class_that_only_the_validation_has_is_an_error(showers: Path) -> None:
    frame = pd.read_parquet(showers / "valid.parquet")
    frame.loc[0, "class"] = "medium"
    frame.to_parquet(showers / "valid.parquet")
    message = r"expected only classes that .* has \(heavy, light\), got also medium"
    with pytest.raises(WrapperError, match=message):
        train(train_job(showers, "m.ubj"), Recorder(), XGBoost())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            lambda path: pd.read_parquet(path).iloc[:0].to_parquet(path),
            r"train.parquet: expected at least one row, got an empty table",
            id="empty",
        ),
        pytest.param(
            lambda path: path.write_text("run,class\n1,heavy\n"),
            r"expected a Parquet file, got a file that begins with b'run,'",
            id="csv",
        ),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:-20]),
            r"expected a Parquet file, got a damaged one",
            id="truncated",
        ),
        pytest.param(
            lambda path: path.unlink(), r"expected a Parquet file, found nothing", id="missing"
        ),
        pytest.param(
            lambda path: pd.read_parquet(path).query("run % 2 == 0").to_parquet(path),
            r"expected at least two classes in column 'class', got only 'heavy'",
            id="one class",
        ),
        pytest.param(
            lambda path: (
                pd.read_parquet(path).assign(**{"class": None}).astype(object).to_parquet(path)
            ),
            r"expected a value in every row of column 'class' \(target\), got 120 of 120 without",
            id="no answers",
        ),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_one_clear_error(
    showers: Path, spoil: Any, message: str
) -> None:
    spoil(showers / "train.parquet")
    with pytest.raises(SystemExit) as caught, one_line("xgboost/train"):
        train(train_job(showers, "m.ubj"), Recorder(), XGBoost())
    assert re.search(message, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({}, {}, r"input: expected either data= or train=, got none"),
        ({"data": "a", "train": "b"}, {}, r"either data= or train=, got both"),
        ({"data": "a", "valid": "b"}, {}, r"expected valid= only beside train="),
        ({"data": "a"}, {"model": "m"}, r"output: expected a file as metrics=, got model"),
        ({"data": ["a", "b"]}, {}, r"expected one file as data=, got 2"),
    ],
)
def test_a_rule_that_does_not_follow_the_interface_is_told_so(
    inputs: dict[str, Any], outputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        train(Job(inputs, outputs, {"target": "class"}), Recorder(), XGBoost())


def test_a_parameter_without_a_name_is_an_error() -> None:
    job = Job({"data": "a"}, {"model": "m", "metrics": "n"}, {})
    job.params = Params(toclone=["loose"])
    with pytest.raises(WrapperError, match="expected every parameter with a name, got 1 without"):
        train(job, Recorder(), XGBoost())


def test_too_many_folds_for_the_rows_are_an_error(showers: Path) -> None:
    job = train_job(showers, "m.ubj", folds=11)
    job.input = InputFiles(fromdict={"data": str(showers / "train.parquet")})
    with pytest.raises(WrapperError, match=r"cannot be split into 11 folds: ") as caught:
        train(job, Recorder(), XGBoost())
    assert caught.value.hint == "give params: folds= a smaller number, or 0 for no cross-validation"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"expected a model of one of our train wrappers, .* begins with b''"),
        (b"{}", r"expected a model of XGBoost, got a file that cannot be read as one"),
        (b"PK\x03\x04oops", r"expected a model of Keras, got a file that cannot be read as one"),
        (b"tree\n", r"expected a model of LightGBM, got a file that cannot be read as one"),
        (
            b"\x80\x04oops",
            r"expected a model of scikit-learn, got a file that cannot be read as one",
        ),
    ],
)
def test_what_is_no_model_is_told_apart(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(WrapperError, match=message):
        load_model(str(path))


@pytest.mark.parametrize(("family", "model", "params"), FAMILIES)
def test_a_model_that_is_cut_off_is_an_error_and_no_crash(
    showers: Path, family: Family, model: str, params: dict[str, Any]
) -> None:
    train(train_job(showers, model, **params), Recorder(), family)
    content = (showers / model).read_bytes()
    for share in range(1, 20):
        (showers / model).write_bytes(content[: len(content) * share // 20])
        with pytest.raises(WrapperError, match="got a file that cannot be read as one"):
            load_model(str(showers / model))


def test_boosted_models_stay_readable_for_their_own_libraries(showers: Path) -> None:
    import lightgbm
    import xgboost

    rows = pd.read_parquet(showers / "valid.parquet")[["muons", "energy"]]
    train(train_job(showers, "m.ubj", n_estimators=5), Recorder(), XGBoost())
    forest = xgboost.XGBClassifier()
    forest.load_model(showers / "m.ubj")
    ours = load_model(str(showers / "m.ubj")).output(rows)
    assert np.allclose(forest.predict_proba(rows), ours)
    train(train_job(showers, "m.txt", n_estimators=5), Recorder(), LightGBM())
    booster = lightgbm.Booster(model_file=showers / "m.txt")
    ours = load_model(str(showers / "m.txt")).output(rows)
    assert np.array_equal(booster.predict(rows), ours[:, 1])


# ----- evaluation --------------------------------------------------------------------------------


def sample(truth: Any, score: Any, *, fold: Any = None, group: Any = None) -> Sample:
    scores = np.asarray(score, float)
    size = len(scores)
    return Sample(
        classes=("a", "b"),
        truth=np.asarray(truth),
        scores=np.column_stack([-scores, scores]),
        fold=np.zeros(size, int) if fold is None else np.asarray(fold),
        group=np.arange(size) if group is None else np.asarray(group),
    )


answers = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-5, 5), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda rows: len({truth for truth, _, _ in rows}) == 2)


@given(rows=answers)
@settings(max_examples=60, deadline=None)
def test_the_area_is_that_of_scikit_learn_for_any_weights(rows: list[tuple[int, int, int]]) -> None:
    truth, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    weights = np.vstack([np.ones(len(rows)), weight])
    ours = sample(truth, score).auc(1, weights)
    assert ours[0] == pytest.approx(roc_auc_score(truth, score))
    if (weight * truth).any() and (weight * (1 - truth)).any():
        assert ours[1] == pytest.approx(roc_auc_score(truth, score, sample_weight=weight))
    else:
        assert np.isnan(ours[1])


@given(rows=answers)
@settings(max_examples=30, deadline=None)
def test_the_area_under_the_curve_is_the_area(rows: list[tuple[int, int, int]]) -> None:
    truth, score, fold = (np.array(column) for column in zip(*rows, strict=True))
    judged = sample(truth, score, fold=fold)
    weights = np.ones((1, len(rows)))
    area = judged.auc(1, weights)[0]
    grid = np.linspace(0, 1, 20001)
    curve = judged.roc(1, grid, weights)[0]
    if np.isnan(area):
        assert np.isnan(curve).all()
    else:
        assert np.trapezoid(curve, grid) == pytest.approx(area, abs=1e-3)
        assert (np.diff(curve) > -1e-12).all()


def test_scores_of_different_models_are_never_compared() -> None:
    """The second model scores everything 100 higher; each model orders its own rows rightly."""
    judged = sample([0, 1, 0, 1], [0, 1, 100, 101], fold=[0, 0, 1, 1])
    assert judged.auc(1, np.ones((1, 4)))[0] == 1.0
    assert roc_auc_score([0, 1, 0, 1], [0, 1, 100, 101]) == 0.75


def test_many_weightings_at_once_are_as_one_by_one() -> None:
    generator = np.random.default_rng(0)
    truth, score = generator.integers(0, 2, 3000), generator.normal(size=3000)
    judged = sample(truth, score, group=np.arange(3000) % 40)
    weights = generator.integers(0, 3, (1500, 40)).astype(float)
    together = judged.auc(1, weights)
    assert together[[0, 700, 1499]] == pytest.approx(
        [judged.auc(1, weights[[row]])[0] for row in (0, 700, 1499)]
    )


def test_accuracies_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    truth, score = generator.integers(0, 2, 50), generator.normal(size=50)
    weight = generator.integers(0, 3, (1, 50)).astype(float)
    judged = sample(truth, score)
    named = (score > 0).astype(int)
    assert judged.accuracy(weight)[0] == pytest.approx(
        np.average(truth == named, weights=weight[0])
    )
    assert judged.balanced_accuracy(weight)[0] == pytest.approx(
        balanced_accuracy_score(truth, named, sample_weight=weight[0])
    )
    assert judged.confusion().sum() == 50
    assert judged.confusion()[1, 0] == ((truth == 1) & (named == 0)).sum()


def test_groups_of_one_class_are_drawn_class_by_class() -> None:
    judged = sample([0] * 6 + [1] * 3, range(9), group=[0, 0, 1, 1, 2, 2, 3, 4, 4])
    drawn = resample(judged, 400, seed=5)
    assert drawn.stratified
    assert (drawn.weights[:, :3].sum(axis=1) == 3).all()
    assert (drawn.weights[:, 3:].sum(axis=1) == 2).all()
    assert drawn.weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.15)
    assert np.array_equal(drawn.weights, resample(judged, 400, seed=5).weights)
    assert not np.array_equal(drawn.weights, resample(judged, 400, seed=6).weights)


def test_groups_of_several_classes_are_drawn_all_together() -> None:
    drawn = resample(sample([0, 1, 0, 1, 0], range(5), group=[0, 0, 1, 1, 2]), 100, seed=5)
    assert not drawn.stratified
    assert (drawn.weights.sum(axis=1) == 3).all()


def test_one_group_of_a_class_is_too_few_to_draw_from() -> None:
    with pytest.raises(WrapperError, match="at least 2 groups of class 'b' to draw from, got one"):
        resample(sample([0, 0, 1], range(3), group=[0, 1, 2]), 100, seed=5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Accuracy of a coin with 0.7, 40 groups of 5: nominally 95 %, here at least 85 %."""
    generator = np.random.default_rng(2)
    hits = 0
    for seed in range(200):
        right = generator.random(200) < 0.7
        judged = sample(right.astype(int), np.ones(200), group=np.arange(200) // 5)
        low, high = interval(judged.accuracy(resample(judged, 300, seed).weights))
        hits += low <= 0.7 <= high
    assert 170 <= hits <= 200


@pytest.fixture
def folds(showers: Path) -> Path:
    """Two models, each trained on what the other one is to judge."""
    for own, other in (("train", "valid"), ("valid", "train")):
        job = train_job(showers, f"{own}.ubj", n_estimators=10, max_depth=2)
        names = {"train": f"{own}.parquet", "valid": f"{other}.parquet"}
        job.input = InputFiles(fromdict={k: str(showers / v) for k, v in names.items()})
        train(job, Recorder(), XGBoost())
    return showers


def evaluate_job(folder: Path, **params: Any) -> Job:
    return Job(
        {
            "model": [str(folder / "train.ubj"), str(folder / "valid.ubj")],
            "data": [str(folder / "valid.parquet"), str(folder / "train.parquet")],
        },
        {
            "metrics": str(folder / "evaluation.json"),
            "predictions": str(folder / "predictions.parquet"),
            "figure": str(folder / "figure.png"),
        },
        {"target": "class", "group": "run", "seed": 1, "bootstrap": 200} | params,
    )


def test_an_evaluation_says_how_good_and_how_sure(folds: Path) -> None:
    run = Recorder()
    evaluate(evaluate_job(folds, positive="heavy"), run)
    report = json.loads((folds / "evaluation.json").read_text())
    assert report["rows"] == 168
    assert report["groups"] == 14
    assert report["folds"] == 2
    assert report["counts"] == {"heavy": 84, "light": 84}
    assert report["bootstrap"]["stratified"] is True
    for name in ("roc_auc", "accuracy", "balanced_accuracy"):
        assert report[name]["low"] < report[name]["value"] < report[name]["high"]
        assert run.metrics[name] == [report[name]["value"]]
    predictions = pd.read_parquet(folds / "predictions.parquet")
    by_fold = [
        (roc_auc_score(part["class"] == "heavy", part["score"]), len(part) ** 2)
        for _, part in predictions.groupby("fold")
    ]
    areas, pairs = zip(*by_fold, strict=True)
    assert report["roc_auc"]["value"] == pytest.approx(np.average(areas, weights=pairs))
    right = (predictions["class"] == predictions["predicted"]).mean()
    assert report["accuracy"]["value"] == pytest.approx(right)


def test_the_positive_class_is_only_a_point_of_view(folds: Path) -> None:
    areas = []
    for positive in ("heavy", "light"):
        evaluate(evaluate_job(folds, positive=positive), Recorder())
        areas.append(json.loads((folds / "evaluation.json").read_text())["roc_auc"])
    assert areas[0] == pytest.approx(areas[1])


def test_the_figure_is_the_same_whatever_style_the_user_has(
    folds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    evaluate(evaluate_job(folds), Recorder())
    first = (folds / "figure.png").read_bytes()
    monkeypatch.setitem(mpl.rcParams, "font.size", 20)
    monkeypatch.setitem(mpl.rcParams, "savefig.facecolor", "red")
    evaluate(evaluate_job(folds), Recorder())
    assert first == (folds / "figure.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert mpl.rcParams["font.size"] == 20


def test_three_classes_are_each_judged_against_the_others(showers: Path) -> None:
    for name in ("train", "valid"):
        frame = pd.read_parquet(showers / f"{name}.parquet")
        frame.loc[frame["energy"] < 2.7, "class"] = "faint"
        frame.to_parquet(showers / f"{name}.parquet")
    train(train_job(showers, "train.ubj", n_estimators=10), Recorder(), XGBoost())
    job = evaluate_job(showers, group=None)
    job.input = InputFiles(
        fromdict={"model": str(showers / "train.ubj"), "data": str(showers / "valid.parquet")}
    )
    evaluate(job, Recorder())
    report = json.loads((showers / "evaluation.json").read_text())
    predictions = pd.read_parquet(showers / "predictions.parquet")
    areas = [
        roc_auc_score(predictions["class"] == name, predictions[f"score_{name}"])
        for name in report["classes"]
    ]
    assert report["classes"] == ["faint", "heavy", "light"]
    assert report["roc_auc"]["value"] == pytest.approx(np.mean(areas))
    assert report["roc_auc"]["low"] < report["roc_auc"]["value"] < report["roc_auc"]["high"]
    assert report["positive"] is None
    assert np.array(report["confusion"]).sum() == 48


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"positive": "Fe"},
            r"expected one of the classes \(heavy, light\) as positive=, got 'Fe'",
        ),
        ({"bootstrap": 10}, r"expected a whole number of at least 100 as bootstrap=, got 10"),
        ({"n_estimators": 3}, r"evaluate has no parameter 'n_estimators': expected one of target"),
        (
            {"target": "energy"},
            r"expected only the model's classes \(heavy, light\) in column 'ene",
        ),
        ({"group": "rnu"}, r"expected a column 'rnu' \(group\).*did you mean 'run'"),
    ],
)
def test_an_evaluation_that_makes_no_sense_is_told_so(
    folds: Path, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(SystemExit) as caught, one_line("evaluate"):
        evaluate(evaluate_job(folds, **params), Recorder())
    assert re.search(message, str(caught.value)), caught.value
    assert not (folds / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"data": "valid.parquet"}, r"expected one file or more as model=, got data"),
        ({"model": "train.ubj"}, r"expected one file or more as data=, got model"),
        (
            {"model": ["train.ubj", "valid.ubj"], "data": "valid.parquet"},
            r"expected one table as data= for each model=, got 1 for 2",
        ),
    ],
)
def test_models_and_tables_must_belong_together(
    folds: Path, inputs: dict[str, Any], message: str
) -> None:
    def placed(names: Any) -> Any:
        return str(folds / names) if isinstance(names, str) else [str(folds / n) for n in names]

    job = evaluate_job(folds)
    job.input = InputFiles(fromdict={key: placed(names) for key, names in inputs.items()})
    with pytest.raises(WrapperError, match=message):
        evaluate(job, Recorder())


def test_a_table_without_one_of_the_classes_cannot_be_judged(folds: Path) -> None:
    for name in ("train", "valid"):
        frame = pd.read_parquet(folds / f"{name}.parquet")
        frame[frame["class"] == "heavy"].to_parquet(folds / f"{name}.parquet")
    message = r"expected rows of every class in column 'class', got none of light"
    with pytest.raises(WrapperError, match=message):
        evaluate(evaluate_job(folds), Recorder())


def test_a_regression_is_not_evaluated_as_a_classifier(showers: Path) -> None:
    job = train_job(showers, "train.ubj", target="energy", features=["muons"])
    train(job, Recorder(), XGBoost())
    judge = evaluate_job(showers)
    judge.input = InputFiles(
        fromdict={"model": str(showers / "train.ubj"), "data": str(showers / "valid.parquet")}
    )
    with pytest.raises(WrapperError, match="expected a classifier as model=, got a model that pre"):
        evaluate(judge, Recorder())


def test_one_line_says_what_and_how_to_mend() -> None:
    with pytest.raises(SystemExit) as caught, one_line("evaluate"):
        raise WrapperError(
            textwrap.dedent(
                """
                expected this,
                got that"""
            ),
            hint="do it\notherwise",
        )
    assert str(caught.value) == "evaluate: expected this, got that (do it otherwise)"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line("evaluate"):
        _ = 1 / 0
