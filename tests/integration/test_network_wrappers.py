"""The wrappers for networks, beside Snakemake and in environments that are locked on first use."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from runs import Workspace
from wheels import TENSORFLOW, wheels_without_cuda

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[2] / "snakemake_repro" / "wrappers"
METRICS = "results/held_out.json"
MODELS = {
    "fastai": "results/held_out.safetensors",
    "keras": "results/held_out.keras",
    "pytorch": "results/held_out.safetensors",
}
"""What the example of each library's wrapper writes."""


def scores_of(text: str) -> dict[str, float]:
    report = json.loads(text)
    return {f"{part}_{n}": v for part in ("train", "valid") for n, v in report[part].items()}


def _put_example(library: str, workspace: Workspace) -> dict[str, float]:
    """Lay an example into a directory; return the scores to expect of it."""
    example = FOLDER / library / "train" / "test"
    shutil.copytree(example, workspace.root, dirs_exist_ok=True)
    expected = json.loads((example / "expected.json").read_text())
    return scores_of(json.dumps(expected[METRICS]))


@pytest.mark.skipif(find_spec("torch") is None, reason="needs the extra `networks`")
@pytest.mark.parametrize("library", ["keras", "pytorch"])
def test_a_network_is_trained_beside_snakemake(lonely: Workspace, library: str) -> None:
    expected, model = _put_example(library, lonely), MODELS[library]
    lonely.ok(METRICS, executor="local")
    assert scores_of((lonely.root / METRICS).read_text()) == pytest.approx(expected, abs=0.05)
    (record,) = (job.record for job in lonely.history.jobs)
    series = [metric.name for metric in record.metrics]
    assert series.count("train_loss") == series.count("valid_loss") == 30
    first = (lonely.root / model).read_bytes()
    lonely.ok(METRICS, "--force", executor="local")
    assert (lonely.root / model).read_bytes() == first
    snakefile = lonely.root / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("hidden=[16]", "hiden=[16]", 1))
    done = lonely.fails(METRICS, "--force", executor="local")
    (line,) = (li for li in done.output.splitlines() if li.startswith(f"{library}/train: "))
    assert line.endswith("(did you mean 'hidden'?)")


@pytest.mark.skipif(wheels_without_cuda() is None, reason="needs a CPU build of PyTorch")
@pytest.mark.parametrize("library", MODELS)
def test_the_environment_is_locked_on_first_use_in_the_workflow(
    workspace: Workspace, library: str
) -> None:
    expected, model = _put_example(library, workspace), MODELS[library]
    workspace.environ["UV_FIND_LINKS"] = str(wheels_without_cuda())
    done = workspace.ok(METRICS)
    assert f"Locks: created locks/{library}-train.requirements.lock" in done.output
    lock = (workspace.root / f"locks/{library}-train.requirements.lock").read_text()
    assert "\ntorch==2.13.0+cpu " in lock
    assert "://" not in lock
    assert not re.search("^(spacy|torchvision)=", lock, re.MULTILINE)
    assert scores_of((workspace.root / METRICS).read_text()) == pytest.approx(expected, abs=0.05)
    series = [metric.name for metric in workspace.history.jobs[0].record.metrics]
    assert series.count("train_loss") == series.count("valid_loss") == 30
    first = (workspace.root / model).read_bytes()
    done = workspace.ok(METRICS, "--force")
    assert "Locks:" not in done.output
    assert (workspace.root / model).read_bytes() == first
    assert not (FOLDER / library / "train/environment.requirements.lock").exists()


def test_keras_on_tensorflow_gives_the_same_bytes(workspace: Workspace) -> None:
    _put_example("keras", workspace)
    workspace.write("envs/tensorflow.yaml", TENSORFLOW)
    snakefile = workspace.root / "Snakefile"
    text = snakefile.read_text().replace("seed=1,", 'seed=1,\n        backend="tensorflow",')
    snakefile.write_text(
        text.replace("    wrapper:", '    conda: "envs/tensorflow.yaml"\n    wrapper:')
    )
    outputs = [MODELS["keras"], METRICS, "results/autoencoder.keras", "results/latent.parquet"]
    workspace.ok(*outputs)
    first = [(workspace.root / name).read_bytes() for name in outputs]
    report = json.loads((workspace.root / METRICS).read_text())
    assert report["valid"]["roc_auc"] > 0.7
    workspace.ok(*outputs, "--forceall")
    assert [(workspace.root / name).read_bytes() for name in outputs] == first
    environments = {job.record.spec.environment for job in workspace.history.jobs}
    [record] = [workspace.history.environment(digest) for digest in environments]
    assert record is not None
    assert "torch" not in {package.name for package in record.packages}
