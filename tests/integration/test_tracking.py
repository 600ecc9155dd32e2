"""Training scripts that track themselves: what MLflow's plain client then finds, and loads."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow_view import View
from repositories import git
from runs import Workspace
from uv import find_uv_bin
from wheels import TENSORFLOW, wheels_without_cuda

from snakemake_repro.backends.journal import JournalStore
from snakemake_repro.operations.sync import sync
from snakemake_repro.records import JobRecord

pytestmark = pytest.mark.integration

SHOWERS = Path(__file__).parents[1] / "data" / "corsika" / "p_fe.parquet"
FEATURES = ["log10_muons", "log10_energy_sum"]

SNAKEFILE = """
rule all:
    input: expand("{library}.json", library=config["libraries"].split())
rule train:
    input: "train.parquet"
    output: "{library}.json"
    params: depth=2
    threads: 1
    script: "scripts/{wildcards.library}.py"
"""
COMMON = """
import json
import pandas as pd
from snakemake_repro import track

table = pd.read_parquet(snakemake.input[0])
rows = table[["log10_muons", "log10_energy_sum"]]
iron = (table["class"] == "Fe").astype(int)
depth = snakemake.params.depth


def write(predicted):
    with open(snakemake.output[0], "w") as file:
        json.dump([float(value) for value in predicted], file)


"""
SCRIPTS = {
    "sklearn": """
from sklearn.ensemble import RandomForestClassifier

with track(snakemake, seed=7, autolog=True) as run:
    model = RandomForestClassifier(20, max_depth=depth, random_state=run.seed).fit(rows, iron)
    for count in (5, 10):
        run.log_metric("trees", count, step=count)
    run.log_model(model, example=rows[:5], registered="showers")
    write(model.predict(rows))
""",
    "xgboost": """
import xgboost

with track(snakemake, seed=7, autolog=True) as run:
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=depth, random_state=run.seed, n_jobs=1)
    model.fit(rows, iron, eval_set=[(rows, iron)], verbose=False)
    run.log_model(model, example=rows[:5])
    write(model.predict(rows))
""",
    "lightgbm": """
import lightgbm

with track(snakemake, seed=7, autolog=True) as run:
    data = lightgbm.Dataset(rows, iron)
    params = {"max_depth": depth, "objective": "binary", "seed": run.seed, "num_threads": 1}
    model = lightgbm.train(params | {"verbose": -1}, data, 5, valid_sets=[data])
    run.log_model(model, example=rows[:5])
    write(model.predict(rows))
""",
    "network": """
import numpy as np
import pytorch_lightning as lightning
import torch


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, _):
        x, y = batch
        loss = torch.nn.functional.binary_cross_entropy_with_logits(self(x)[:, 0], y)
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.02)


with track(snakemake, seed=7, autolog=True) as run:
    x = rows.to_numpy(np.float32)
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(iron.to_numpy(np.float32)))
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    model = Net()
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=64))
    run.log_model(model.eval(), example=x[:5])
    write(model(torch.tensor(x))[:, 0].detach().numpy())
""",
    "keras": """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

with track(snakemake, seed=7, autolog=True) as run:
    keras.utils.set_random_seed(run.seed)
    x = rows.to_numpy(np.float32)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(x, iron.to_numpy(np.float32), batch_size=64, epochs=3, verbose=0)
    run.log_model(model, example=x[:5])
    write(model.predict(x, verbose=0)[:, 0])
""",
    "flow": """
import keras
import numpy as np
import tensorflow as tf

assert keras.backend.backend() == "tensorflow"
with track(snakemake, seed=7, autolog=True) as run:
    x = rows.to_numpy(np.float32)
    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(x, iron.to_numpy(np.float32), batch_size=64, epochs=3, verbose=0)
    run.log_model(model, example=x[:5])
    write(model.predict(x, verbose=0)[:, 0])
""",
    "fastai": """
import numpy as np
import torch
from fastai.callback.schedule import Learner
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.losses import BCEWithLogitsLossFlat

with track(snakemake, seed=7, autolog=True) as run:
    x = rows.to_numpy(np.float32)
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(iron.to_numpy(np.float32)))
    loaders = DataLoaders(DataLoader(data, bs=64, shuffle=True), DataLoader(data, bs=64))
    learner = Learner(loaders, torch.nn.Linear(2, 1), loss_func=BCEWithLogitsLossFlat())
    learner.fit_one_cycle(2, lr_max=0.02)
    learner.fit(1)
    model = learner.model.eval()
    run.log_model(model, example=x[:5])
    write(model(torch.tensor(x))[:, 0].detach().numpy())
""",
}
NEEDS = {"flow": "tensorflow", "network": "pytorch_lightning", "keras": "keras", "fastai": "fastai"}
FASTAI = """
dependencies:
  - python
  - pip
  - pip:
      - fastai ==2.8.12
      - mlflow ==3.17.2
      - pyarrow
      - torch ==2.13.0
      - spacy ; python_version < '0'
      - torchvision ; python_version < '0'
"""
LIBRARIES = [name for name in SCRIPTS if find_spec(NEEDS.get(name, name))]
SERIES = {
    "sklearn": ("trees", 2),
    "xgboost": ("validation_0-logloss", 5),
    "lightgbm": ("training-binary_logloss", 5),
    "network": ("loss", 3),
    "keras": ("loss", 3),
    "flow": ("loss", 3),
    "fastai": ("valid_loss", 3),
}
PARAMS = {
    "sklearn": ("n_estimators", "20"),
    "xgboost": ("max_depth", "2"),
    "lightgbm": ("max_depth", "2"),
    "network": ("epochs", "3"),
    "keras": ("epochs", "3"),
    "flow": ("epochs", "3"),
    "fastai": ("lr_max", "0.02"),
}


def _prepare(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a workflow and commit it; return the commit."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # for who reads a model of Keras back
    shutil.copy(SHOWERS, workspace.root / "train.parquet")
    workspace.write("Snakefile", SNAKEFILE)
    for name, text in SCRIPTS.items():
        workspace.write(f"scripts/{name}.py", COMMON + text)
    workspace.environ |= {"MLFLOW_AUTOLOGGING_TESTING": "true", "KMP_DUPLICATE_LIB_OK": "TRUE"}
    git(workspace.root, "init", "--quiet")
    git(workspace.root, "add", ".")
    git(workspace.root, "commit", "--quiet", "-m", "study")
    return git(workspace.root, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_mlflow_finds_all_of_a_training_that_tracks_itself(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    commit = _prepare(workspace, monkeypatch)
    workspace.ok("--config", f"libraries='{' '.join(LIBRARIES)}'", executor=executor)
    sync(workspace.root)
    view = View(workspace.environ["MLFLOW_TRACKING_URI"])
    [history] = workspace.histories()
    shown = view.shown(history.run.id)
    jobs = {job.record.spec.wildcards["library"]: job.record for job in history.jobs}
    assert sorted(jobs) == sorted(LIBRARIES)
    for library, record in jobs.items():
        assert record.integrity == (), library
        [run] = shown.jobs[record.id]
        assert run.data.tags["mlflow.source.git.commit"] == commit
        _check_found(view, run, record, library, workspace.root)
    run_id = shown.jobs[jobs["sklearn"].id][0].info.run_id
    [version] = view.client.search_model_versions(f"run_id = '{run_id}'")
    assert version.name == "showers"
    loaded = view.client.get_model_version_download_uri("showers", version.version)
    assert loaded.endswith("/model")


@pytest.mark.skipif(wheels_without_cuda() is None, reason="needs a CPU build of PyTorch")
def test_fastai_tracks_itself_in_a_locked_environment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = _prepare(workspace, monkeypatch)
    workspace.write("envs/fastai.yaml", FASTAI)
    pinned = SNAKEFILE.replace("    script:", '    conda: "envs/fastai.yaml"\n    script:')
    workspace.write("Snakefile", pinned)
    workspace.environ["UV_FIND_LINKS"] = str(wheels_without_cuda())
    workspace.ok("--config", "libraries=fastai")
    sync(workspace.root)
    view = View(workspace.environ["MLFLOW_TRACKING_URI"])
    [job] = workspace.history.jobs
    [run] = view.shown(workspace.history.run.id).jobs[job.record.id]
    assert run.data.tags["mlflow.source.git.commit"] == commit
    _check_found(view, run, job.record, "fastai", workspace.root)


def test_tensorflow_tracks_itself_under_both_executors(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = _prepare(workspace, monkeypatch)
    workspace.write("envs/tensorflow.yaml", TENSORFLOW)
    pinned = SNAKEFILE.replace("    script:", '    conda: "envs/tensorflow.yaml"\n    script:')
    workspace.write("Snakefile", pinned)
    wanted = ("--config", "libraries=flow")
    backend = {"KERAS_BACKEND": "tensorflow"}
    workspace.ok(*wanted, env=backend)
    predicted = (workspace.root / "flow.json").read_bytes()
    beside = tmp_path / "beside"
    subprocess.run(
        [
            *(find_uv_bin(), "pip", "install", "--quiet", "--require-hashes", "--target", beside),
            *("--requirements", workspace.root / "envs/tensorflow.requirements.lock"),
        ],
        check=True,
    )
    local = backend | {"PYTHONPATH": str(beside)}
    workspace.ok(*wanted, "--forceall", executor="local", env=local)
    assert (workspace.root / "flow.json").read_bytes() == predicted
    sync(workspace.root)
    view = View(workspace.environ["MLFLOW_TRACKING_URI"])
    histories = workspace.histories()
    assert len(histories) == 2
    for history in histories:
        [job] = history.jobs
        [run] = view.shown(history.run.id).jobs[job.record.id]
        assert run.data.tags["mlflow.source.git.commit"] == commit
        _check_found(view, run, job.record, "flow", workspace.root)


def _check_found(view: View, run: Any, record: JobRecord, library: str, root: Path) -> None:
    """Check what stands in MLflow of a training: all that its library and its script said."""
    name, value = PARAMS[library]
    assert run.data.params[name] == value
    assert run.data.params["seed.numpy"] == "7"
    series, steps = SERIES[library]
    history_of = view.client.get_metric_history(run.info.run_id, series)
    assert len({point.step for point in history_of}) == steps, library
    datasets = {tag.value for item in run.inputs.dataset_inputs for tag in item.tags}
    [read], [made] = record.spec.inputs, record.outputs
    assert read.digest is not None
    assert made.digest is not None
    assert {read.digest.value, made.digest.value} <= datasets
    expected = json.loads((root / f"{library}.json").read_text())
    assert _predicted(view, run.info.run_id) == pytest.approx(expected, abs=1e-6)
    assert {file.path for file in record.artifacts} >= {"model"}
    assert record.models["model"] is not None


def _predicted(view: View, run_id: str) -> list[float]:
    """Let the model of a run predict, as who has nothing but MLflow does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints, and of arrays
        from mlflow.pyfunc import load_model

        model: Any = load_model(view.client.download_artifacts(run_id, "model"))
        signature = model.metadata.signature
        assert signature is not None
        rows = pd.read_parquet(SHOWERS)[FEATURES]
        tensor = signature.inputs.is_tensor_spec()
        predicted = model.predict(rows.to_numpy("float32") if tensor else rows)
    return [float(value) for value in pd.DataFrame(predicted).iloc[:, 0]]


def test_what_a_job_leaves_reaches_mlflow_in_any_language(workspace: Workspace) -> None:
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "fine", "late"
        rule fine:
            output: touch("fine")
            shell: 'mkdir $REPRO_ARTIFACTS/notes; echo one > "$REPRO_ARTIFACTS/notes/a.txt"'
        rule late:
            output: touch("late")
            retries: 1
            shell: 'echo $SHLVL > "$REPRO_ARTIFACTS/try.txt"; [ -e tried ] || {{ touch tried; exit 3; }}'
        """,
    )
    workspace.ok()
    sync(workspace.root)
    view = View(workspace.environ["MLFLOW_TRACKING_URI"])
    history = JournalStore(workspace.root).load(workspace.history.run.id)
    shown = view.shown(history.run.id)
    attempts = [job.record for job in history.jobs]
    assert sorted(len(record.artifacts) for record in attempts) == [1, 1, 1]
    for record in attempts:
        [run] = shown.jobs[record.id]
        names = [item.path for item in view.client.list_artifacts(run.info.run_id)]
        assert names == [file.path for file in record.artifacts]
    assert "artifacts" in workspace.repro("show", "latest", "--job", "fine").stdout
