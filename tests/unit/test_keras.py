"""Models of Keras: their file means the same with Keras and without, and autoencoders describe."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from wrapperjobs import Job, Recorder, table

from snakemake_repro.wrappers.autoencoding import autoencode
from snakemake_repro.wrappers.evaluation import evaluate
from snakemake_repro.wrappers.families.keras import Keras, KerasAutoencoders
from snakemake_repro.wrappers.models import load_model
from snakemake_repro.wrappers.prediction import predict
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.training import train

HAS_KERAS = pytest.mark.skipif(
    find_spec("keras") is None or find_spec("torch") is None,
    reason="Keras and PyTorch are not installed: the extra `networks`",
)
FEATURES = ["muons", "energy"]


@pytest.fixture
def showers(tmp_path: Path) -> Path:
    """A folder with tables to train on and to validate on."""
    table(range(10)).to_parquet(tmp_path / "train.parquet")
    table(range(10, 14), seed=4).to_parquet(tmp_path / "valid.parquet")
    return tmp_path


def job(folder: Path, **params: Any) -> Job:
    outputs = {"model": str(folder / "m.keras"), "metrics": str(folder / "metrics.json")}
    if params.get("kind"):
        outputs["latent"] = str(folder / "latent.parquet")
    inputs = {part: str(folder / f"{part}.parquet") for part in ("train", "valid")}
    return Job(inputs, outputs, {"group": "run", "seed": 1} | params)


def encoded(folder: Path, **params: Any) -> tuple[dict[str, Any], Recorder]:
    run = Recorder()
    wanted = {"keep": ["class"], "latent_size": 1, "epochs": 30, "learning_rate": 0.02} | params
    autoencode(job(folder, **wanted), run, KerasAutoencoders("torch"))
    return json.loads((folder / "metrics.json").read_text()), run


def with_keras(path: Path, rows: pd.DataFrame) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

        return keras.saving.load_model(path).predict(rows.to_numpy(np.float32), verbose=0)


@HAS_KERAS
@pytest.mark.parametrize("activation", ["relu", "elu", "tanh", "sigmoid"])
def test_a_classifier_is_the_same_in_keras(showers: Path, activation: str) -> None:
    wanted = job(showers, target="class", activation=activation, hidden=[8, 4], epochs=2)
    train(wanted, Recorder(), Keras("torch"))
    path = showers / "m.keras"
    rows = pd.read_parquet(showers / "valid.parquet")[FEATURES]
    ours = load_model(str(path)).output(rows)
    np.testing.assert_allclose(with_keras(path, rows), ours, atol=1e-5)


@HAS_KERAS
def test_a_regressor_is_the_same_in_keras(showers: Path) -> None:
    wanted = job(showers, target="energy", features=["muons"], epochs=5)
    train(wanted, Recorder(), Keras("torch"))
    rows = pd.read_parquet(showers / "valid.parquet")[["muons"]]
    ours = load_model(str(showers / "m.keras")).output(rows)
    np.testing.assert_allclose(with_keras(showers / "m.keras", rows)[:, 0], ours, atol=1e-5)


@HAS_KERAS
def test_a_model_of_keras_that_is_not_ours_is_told_so(showers: Path) -> None:
    with zipfile.ZipFile(showers / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(WrapperError, match="names its features and classes, got one without"):
        load_model(str(showers / "m.keras"))


@HAS_KERAS
def test_training_with_keras_leaves_pytorch_and_the_user_as_they_were(
    showers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setenv("HOME", str(showers / "home"))
    torch.manual_seed(5)
    expected = torch.rand(3), np.random.get_state()[1].tolist()  # noqa: NPY002
    torch.manual_seed(5)
    encoded(showers, kind="autoencoder", epochs=1)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.random.get_state()[1].tolist() == expected[1]  # noqa: NPY002
    assert not torch.are_deterministic_algorithms_enabled()
    assert not (showers / "home").exists()


@HAS_KERAS
def test_a_plain_autoencoder_finds_what_the_principal_component_finds(showers: Path) -> None:
    report, run = encoded(showers, kind="autoencoder", epochs=120)
    rows = pd.read_parquet(showers / "train.parquet")[FEATURES]
    least = np.linalg.eigvalsh(np.corrcoef(rows.T))[0] / 2
    assert least <= report["train"]["mse"] < 1.05 * least
    assert run.metrics["train_mse"] == [report["train"]["mse"]]
    for part in ("train", "valid"):
        series = run.metrics[f"{part}_reconstruction_error"]
        assert len(series) == 120
        assert series[-1] < series[0] / 4


KINDS = [
    pytest.param({"kind": "autoencoder"}, id="plain"),
    pytest.param({"kind": "deep_autoencoder", "hidden": [8, 4], "dropout": 0.1}, id="deep"),
    pytest.param({"kind": "variational_autoencoder", "beta": 0.1}, id="variational"),
]


@HAS_KERAS
@pytest.mark.parametrize("params", KINDS)
def test_an_autoencoder_describes_rows_with_and_without_keras(
    showers: Path, params: dict[str, Any]
) -> None:
    report, run = encoded(showers, **params)
    written = [(showers / name).read_bytes() for name in ("m.keras", "latent.parquet")]
    assert report["valid"]["mse"] < 0.5
    assert ("train_loss" in run.metrics) == (params["kind"] == "variational_autoencoder")
    latent = pq.read_table(showers / "latent.parquet").to_pandas()
    frame = pd.read_parquet(showers / "train.parquet")
    assert list(latent) == ["class", "latent_1", "reconstruction_error"]
    assert latent["class"].tolist() == frame["class"].tolist()
    assert latent["reconstruction_error"].mean() == pytest.approx(report["train"]["mse"])
    theirs = with_keras(showers / "m.keras", frame[FEATURES])
    np.testing.assert_allclose(theirs["latent"][:, 0], latent["latent_1"], atol=1e-5)
    wrong = (theirs["reconstruction"] - frame[FEATURES]) / frame[FEATURES].std(ddof=0)
    np.testing.assert_allclose(
        np.square(wrong).mean(axis=1), latent["reconstruction_error"], atol=1e-5
    )
    encoded(showers, **params)
    assert written == [(showers / name).read_bytes() for name in ("m.keras", "latent.parquet")]


@HAS_KERAS
def test_a_heavier_divergence_leaves_less_in_the_code(showers: Path) -> None:
    errors = [
        encoded(showers, kind="variational_autoencoder", beta=beta)[0]["train"]["mse"]
        for beta in (0, 20)
    ]
    assert errors[0] < 0.2
    assert errors[1] == pytest.approx(1, abs=0.1)


@HAS_KERAS
def test_predict_describes_other_rows_and_evaluate_refuses(showers: Path) -> None:
    report, _ = encoded(showers, kind="autoencoder")
    inputs = {"model": str(showers / "m.keras"), "data": str(showers / "valid.parquet")}
    outputs = {"predictions": str(showers / "p.parquet"), "report": str(showers / "p.json")}
    run = Recorder()
    predict(Job(inputs, outputs, {"keep": []}), run)
    found = pd.read_parquet(showers / "p.parquet")
    assert list(found) == ["latent_1", "reconstruction_error"]
    assert found["reconstruction_error"].mean() == pytest.approx(report["valid"]["mse"])
    assert run.metrics["predicted_mean"] == [pytest.approx(report["valid"]["mse"])]
    wanted = Job(inputs, {"metrics": str(showers / "e.json")}, {"target": "class"})
    with pytest.raises(WrapperError, match="expected a classifier as model=, got a model that des"):
        evaluate(wanted, Recorder())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"target": "class"}, r"expected no target= beside kind='autoencoder', .* got 'class'"),
        ({"hidden": [4]}, r"keras autoencoder has no parameter 'hidden': expected one of backend"),
        ({"beta": 1}, r"keras autoencoder has no parameter 'beta'"),
        ({"latent_size": 0}, "expected a whole number of at least 1 as latent_size=, got 0"),
        (
            {"kind": "variational_autoencoder", "beta": -1},
            "a number of at least 0 as beta=, got -1",
        ),
        ({"keep": ["clas"]}, r"expected a column 'clas' \(keep\)"),
        ({"keep": None}, r"expected numbers in column 'class' \(feature\)"),
    ],
)
def test_an_autoencoder_that_makes_no_sense_is_one_clear_error(
    showers: Path, params: dict[str, Any], message: str
) -> None:
    before = sorted(showers.iterdir())
    with pytest.raises(WrapperError) as caught:
        encoded(showers, **({"kind": "autoencoder"} | params))
    assert re.search(message, caught.value.message), caught.value.message
    assert sorted(showers.iterdir()) == before


@HAS_KERAS
@pytest.mark.parametrize("name", ["keep", "features"])
def test_a_value_that_is_missing_is_one_clear_error(showers: Path, name: str) -> None:
    frame = pd.read_parquet(showers / "train.parquet")
    frame.loc[3, "muons"] = np.nan
    frame.to_parquet(showers / "train.parquet")
    own = {"keep": ["class"]} if name == "keep" else {"features": FEATURES}
    with pytest.raises(WrapperError, match="expected numbers in every row, got none in muons"):
        encoded(showers, kind="autoencoder", **own)


@HAS_KERAS
def test_a_group_on_both_sides_is_an_error(showers: Path) -> None:
    table(range(8, 12)).to_parquet(showers / "valid.parquet")
    with pytest.raises(WrapperError, match=r"expected other groups \(column 'run'\) than in"):
        encoded(showers, kind="autoencoder")


@HAS_KERAS
def test_keras_on_another_backend_is_refused(showers: Path) -> None:
    encoded(showers, kind="autoencoder", epochs=1)
    wanted = job(showers, target="class", backend="tensorflow", epochs=1)
    with pytest.raises(WrapperError, match="expected Keras on the backend= 'tensorflow', got it"):
        train(wanted, Recorder(), Keras("tensorflow"))
