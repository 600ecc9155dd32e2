"""A job speaks of itself, in any Python, and never fails over what it says."""

from __future__ import annotations

import ast
import json
import math
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from snakemake_repro import client, track
from snakemake_repro.logic.metrics import Report, parse
from snakemake_repro.records import Metric

_SOURCE = Path(client.__file__)


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a job of our executor writes to."""
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("REPRO_JOB", '{"id": "x"}')
    monkeypatch.setenv("REPRO_METRICS", str(path))
    return path


@pytest.fixture(autouse=True)
def _forget_warnings() -> Iterator[None]:
    client._warned.clear()
    yield
    client._warned.clear()


def _report(path: Path) -> Report:
    return parse(path.read_bytes().splitlines(), now_ms=0)


def test_metrics_reach_the_record(metrics: Path) -> None:
    with track() as run:
        run.log_metric("auc", 0.97)
        run.log_metrics({"loss": 1, "rate": np.float32(0.5)}, step=3)
    report = _report(metrics)
    assert [(m.name, m.value, m.step) for m in report.metrics] == [
        ("auc", 0.97, 0),
        ("loss", 1.0, 3),
        ("rate", 0.5, 3),
    ]
    assert all(isinstance(m, Metric) and m.timestamp > 1.7e12 for m in report.metrics)
    assert report.problems == ()


def test_numbers_that_are_not_finite_become_tags(metrics: Path) -> None:
    with track() as run:
        run.log_metrics({"loss": math.nan, "auc": 0.5}, step=7)
        run.log_metric("margin", -math.inf)
    report = _report(metrics)
    assert [m.name for m in report.metrics] == ["auc"]
    assert report.tags == {"loss": "nan (step 7)", "margin": "-inf"}
    assert report.problems == ()


@pytest.mark.parametrize("value", ["0.97", b"1", None, [1], 1j])
def test_what_is_no_number_is_refused(metrics: Path, value: Any) -> None:
    with track() as run, pytest.raises(TypeError):
        run.log_metric("auc", value)
    assert not metrics.exists()


@pytest.mark.parametrize("name", ["", "step", "timestamp", "$params", 3])
def test_names_that_would_be_misread_are_refused(metrics: Path, name: Any) -> None:
    with track() as run, pytest.raises(ValueError, match="expected a metric name"):
        run.log_metric(name, 1.0)


def test_a_step_is_an_integer(metrics: Path) -> None:
    with track() as run, pytest.raises(TypeError):
        run.log_metric("auc", 1.0, step=0.5)  # type: ignore[arg-type]


def test_parameters_and_tags_reach_the_record(metrics: Path) -> None:
    class Estimator:
        pass

    with track() as run:
        run.log_param("lr", np.float64(0.1))
        run.log_params({"path": Path("a/b"), "x": (1, None), "bad": math.inf, "model": Estimator()})
        run.log_params({1: {2: True}})
        run.set_tag("family", 3)
    report = _report(metrics)
    model = report.params["model"]
    assert "Estimator" in model["type"]
    assert {**report.params, "model": None} == {
        "lr": 0.1,
        "path": "a/b",
        "x": [1, None],
        "bad": "inf",
        "model": None,
        "1": {"2": True},
    }
    assert report.tags == {"family": "3"}


def test_seeds_are_set_and_recorded(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # which another test may have loaded
    drawn = []
    for _ in range(2):
        with track(seed=7):
            drawn.append((random.random(), np.random.random()))  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert _report(metrics).seeds == {"random": 7, "numpy": 7}


def test_a_seed_too_large_for_numpy_is_cut_and_said_so(
    metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with track(seed=np.int64(2**32 + 5)):  # type: ignore[arg-type]
        pass
    assert _report(metrics).seeds == {"random": 2**32 + 5, "numpy": 5, "PYTHONHASHSEED": 0}


def test_frameworks_in_use_are_seeded_and_others_left_alone(
    metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, body in {
        "torch": "def manual_seed(seed):\n    global given\n    given = seed\n",
        "tensorflow": "class random:\n    @staticmethod\n    def set_seed(seed):\n        raise "
        "RuntimeError('imported by nobody')\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    # the real one comes back afterwards if it was there, and the one of this test never stays
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    del sys.modules["torch"]
    torch = import_module("torch")

    with track(seed=5):
        pass
    assert torch.given == 5
    assert _report(metrics).seeds["torch"] == 5
    assert "tensorflow" not in sys.modules


def test_a_seed_is_an_integer(metrics: Path) -> None:
    with pytest.raises(TypeError):
        track(seed=0.5)  # type: ignore[arg-type]


def test_without_a_seed_none_is_set(metrics: Path) -> None:
    state = random.getstate()
    with track():
        pass
    assert random.getstate() == state
    assert not metrics.exists()


def test_an_exception_goes_on_its_way(metrics: Path) -> None:
    with pytest.raises(KeyError, match="mine"), track() as run:  # noqa: PT012 - the point
        run.log_metric("auc", 0.5)
        raise KeyError("mine")
    assert len(_report(metrics).metrics) == 1


def test_many_processes_write_whole_lines(metrics: Path) -> None:
    code = (
        "from snakemake_repro import track\n"
        "with track() as run:\n"
        "    for step in range(200):\n"
        "        run.log_metrics({'m' * 300: step, 'n' * 300: step}, step=step)\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    report = _report(metrics)
    assert report.problems == ()
    assert len(report.metrics) == 4 * 200 * 2


def test_a_place_that_cannot_be_written_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPRO_JOB", "{}")
    monkeypatch.setenv("REPRO_METRICS", str(tmp_path / "gone" / "metrics.jsonl"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with track() as run:
            run.log_metric("a", 1)
            run.log_metric("b", 2)
    assert len(caught) == 1
    assert "metrics of this job are lost" in str(caught[0].message)
    assert caught[0].category is RuntimeWarning


def test_a_job_without_a_place_for_metrics_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_JOB", "{}")
    monkeypatch.delenv("REPRO_METRICS", raising=False)
    with pytest.warns(RuntimeWarning, match=r"\$REPRO_METRICS is not"), track() as run:
        run.log_metric("a", 1)


def _isolated(python: str, tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the one file alone, as it is shipped: nothing but the standard library beside it."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from shipped import track\n"
        "with track(seed=3) as run:\n"
        "    run.log_metric('auc', 0.5, step=2)\n"
        "    run.log_params({'x': [1, float('nan')]})\n"
    )
    (tmp_path / "shipped.py").write_text(_SOURCE.read_text())
    clean = {k: v for k, v in os.environ.items() if not k.startswith("REPRO_")}
    return subprocess.run(
        [python, "-I", "-S", "-c", code, str(tmp_path)],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    done = _isolated(sys.executable, tmp_path, REPRO_JOB="{}", REPRO_METRICS=str(path))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[0]["$seeds"]["random"] == 3
    assert (lines[1]["auc"], lines[1]["step"]) == (0.5, 2)
    assert lines[2] == {"$params": {"x": [1, "nan"]}}


def test_where_nothing_can_be_recorded_the_job_runs_with_one_warning(tmp_path: Path) -> None:
    done = _isolated(sys.executable, tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("RuntimeWarning: snakemake-repro: nothing is recorded") == 1


def test_the_file_is_written_in_the_syntax_of_python_3_7() -> None:
    ast.parse(_SOURCE.read_text(), feature_version=(3, 7))


def _old_pythons() -> list[str]:
    """Return working interpreters older than this package's own minimum."""
    found = []
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(7, 11):
        there = sorted(pyenv.glob(f"3.{minor}.*/bin/python3.{minor}"))
        name = str(there[0]) if there else f"python3.{minor}"
        probe = [name, "-c", "import sys; print(sys.version_info[:2])"]
        try:
            done = subprocess.run(probe, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == f"(3, {minor})":
            found.append(name)
    return found


@pytest.mark.skipif(not _old_pythons(), reason="no older Python on this machine")
def test_the_file_runs_in_old_pythons(tmp_path: Path) -> None:
    for python in _old_pythons():
        path = tmp_path / f"{Path(python).name}.jsonl"
        done = _isolated(python, tmp_path, REPRO_JOB="{}", REPRO_METRICS=str(path))
        assert (done.returncode, done.stderr) == (0, ""), python
        assert len(path.read_bytes().splitlines()) == 3
        alone = _isolated(python, tmp_path)
        assert alone.returncode == 0
        assert "that needs Python 3.11" in alone.stderr


@pytest.fixture
def artifacts(metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a job of our executor leaves files."""
    path = tmp_path / "artifacts"
    path.mkdir()
    monkeypatch.setenv("REPRO_ARTIFACTS", str(path))
    return path


def test_files_and_directories_are_copied(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("one")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.svg").write_text("<svg/>")
    with track() as run:
        run.log_artifact(tmp_path / "notes.txt")
        run.log_artifact(str(tmp_path / "notes.txt"), "sub/again.txt")
        run.log_artifact(tmp_path / "plots")
        (tmp_path / "notes.txt").write_text("two")
        run.log_artifact(tmp_path / "notes.txt")
        (tmp_path / "plots" / "a.svg").rename(tmp_path / "plots" / "b.svg")
        run.log_artifact(tmp_path / "plots")
    found = {str(p.relative_to(artifacts)): p.read_text() for p in artifacts.rglob("*.*")}
    assert found == {"notes.txt": "two", "sub/again.txt": "one", "plots/b.svg": "<svg/>"}


def test_what_is_not_there_is_not_logged(artifacts: Path, tmp_path: Path) -> None:
    with track() as run, pytest.raises(FileNotFoundError, match="nothing to be logged"):
        run.log_artifact(tmp_path / "nothing")
    assert list(artifacts.iterdir()) == []


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "a//b", "./x"])
def test_an_artifact_stays_among_the_artifacts(artifacts: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("x")
    with track() as run, pytest.raises(ValueError, match="expected a relative path"):
        run.log_artifact(tmp_path / "x", name)
    assert list(artifacts.iterdir()) == []


def test_a_figure_is_drawn_in_the_form_of_its_name(artifacts: Path) -> None:
    from matplotlib.figure import Figure

    class Interactive:
        def write_html(self, path: str) -> None:
            Path(path).write_text("<html>")

    with track() as run:
        run.log_figure(Figure(), "figures/empty.png")
        run.log_figure(Interactive(), "figures/empty.html")
        with pytest.raises(TypeError, match=r"expected a figure for x\.png, got int"):
            run.log_figure(3, "x.png")
    assert (artifacts / "figures/empty.png").read_bytes().startswith(b"\x89PNG")
    assert (artifacts / "figures/empty.html").read_text() == "<html>"


def test_a_job_goes_on_where_an_artifact_cannot_be_written(artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (artifacts / "sub").write_text("in the way")
    with track() as run, pytest.warns(RuntimeWarning, match="artifact sub/x of this job is lost"):
        run.log_artifact(tmp_path / "x", "sub/x")


def test_where_artifacts_have_no_place_nothing_happens(metrics: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with track() as run:
        run.log_artifact(tmp_path / "x")
    assert not metrics.exists()


def test_libraries_are_given_the_threads_of_the_rule(
    metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    torch, pools = ModuleType("torch"), ModuleType("threadpoolctl")
    monkeypatch.setattr(torch, "set_num_threads", given.append, raising=False)
    monkeypatch.setattr(pools, "threadpool_limits", given.append, raising=False)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "threadpoolctl", pools)
    with track(SimpleNamespace(threads=3)):
        pass
    assert given == [3, 3]


def test_a_model_is_saved_as_mlflow_reads_it(artifacts: Path, metrics: Path) -> None:
    from sklearn.linear_model import LinearRegression

    rows = np.arange(6.0).reshape(3, 2)
    model = LinearRegression().fit(rows, [0.0, 1.0, 2.0])
    with track() as run:
        run.log_model(model, example=rows, registered="line")
        with pytest.raises(TypeError, match=r"expected a model of .*sklearn.*, got builtins.int"):
            run.log_model(3)
    assert _report(metrics).models == {"model": {"flavour": "sklearn", "registered": "line"}}
    from mlflow.pyfunc import load_model  # not earlier: it warns of its own type hints

    loaded = load_model(str(artifacts / "model"))
    assert np.array_equal(loaded.predict(rows), model.predict(rows))
    assert "float64" in repr(loaded.metadata.signature)
    requirements = (artifacts / "model/requirements.txt").read_text().splitlines()
    assert f"numpy=={np.__version__}" in requirements
    assert {line for line in requirements if "mlflow" in line} >= {f"mlflow=={version('mlflow')}"}
    *_, pip = yaml.safe_load((artifacts / "model/conda.yaml").read_text())["dependencies"]
    assert pip == {"pip": requirements}
    assert not any(line.startswith("snakemake-executor-plugin-ray") for line in requirements)


def test_mlflow_records_by_itself_where_it_is_asked_to(
    artifacts: Path, metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from mlflow.utils import import_hooks
    from sklearn.linear_model import LogisticRegression

    # what MLflow does when libraries are imported must not meet the imports of later tests
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(import_hooks, "_post_import_hooks", {})
    monkeypatch.setenv("MLFLOW_AUTOLOGGING_TESTING", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    rows, classes = np.arange(20.0).reshape(10, 2), [0, 1] * 5
    with track(seed=1, autolog=True) as run:
        LogisticRegression(C=0.5, random_state=run.seed).fit(rows, classes)
    report = _report(metrics)
    assert (report.params["C"], report.params["random_state"]) == ("0.5", "1")
    assert "training_accuracy_score" in {metric.name for metric in report.metrics}
    assert report.tags["estimator_name"] == "LogisticRegression"
    assert (artifacts / "training_confusion_matrix.png").is_file()
    assert not (artifacts / "model").exists()
    assert report.problems == ()
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == elsewhere
    assert not Path(f"{tmp_path}/elsewhere.db").exists()
    [template] = (tmp_path / "cache/snakemake-repro").iterdir()
    before = len(metrics.read_bytes())
    LogisticRegression().fit(rows, classes)
    assert len(metrics.read_bytes()) == before
    assert template.name == f"mlflow-{mlflow.__version__}.db"


def test_what_needs_mlflow_says_so_where_there_is_none(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LinearRegression

    for name in [*sys.modules, "mlflow", "mlflow.sklearn"]:
        if name.partition(".")[0] == "mlflow":
            monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    with track() as run, pytest.raises(ImportError, match="add mlflow-skinny to the environment"):
        run.log_model(LinearRegression())
    with pytest.raises(ImportError, match="autolog=True needs MLflow in the environment"):
        track(autolog=True).__enter__()
    assert list(artifacts.iterdir()) == []
