"""Trials of a search on processors that the cluster has left: other places, the same bytes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import RunningCluster, another_node, can_hide, hiding, ray_cluster
from processes import descendants, wait_for
from runs import Workspace

pytestmark = pytest.mark.integration

HELPER = "snakemake_repro.wrappers.tuning.helper"
WORKER = "snakemake_repro.wrappers.tuning.worker"
SNAKEFILE = """
    from snakemake_repro import wrapper as repro

    rule search:
        input: code="{code}"
        output: best="best.json", trials="trials.csv", model="model.txt"
        params:
            trial={{"{kind}": "{what}"}}, space={{"x": {{"uniform": [-1, 1]}}}},
            metric="square", trials={trials}, parallel=3, seed=3, pruner="median",
            pruner_options={{"n_startup_trials": 6, "n_warmup_steps": 1}}, {more}
        resources: helpers={helpers}
        wrapper: repro("tune")
"""
FUNCTION = """
    import os, time
    from pathlib import Path

    def square(params, trial):
        Path("ran").mkdir(exist_ok=True)
        Path("ran", str(trial.number)).write_text(os.environ.get("PLACE", "first"))
        deadline = time.monotonic() + 100
        while Path("hold").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        for step in range(1, 4):
            time.sleep(0.1)
            trial.report(params["x"] ** 2 + 1 / step, step=step)
        trial.model.write_text(str(params["x"]))
        return params["x"] ** 2
"""
SCRIPT = """
    set -e
    mkdir -p ran
    echo -n "${PLACE:-first}" > "ran/$REPRO_TRIAL"
    for _ in $(seq 1000); do [ -e hold ] || break; sleep 0.1; done
    test -z "$PYTHONPATH"
    echo "$REPRO_PARAM_x" > "$REPRO_MODEL"
    echo "{\\"square\\": $REPRO_PARAM_x}" >> "$REPRO_METRICS"
"""
RESULTS = ("best.json", "trials.csv", "model.txt")


@pytest.fixture(scope="module")
def nodes() -> Iterator[RunningCluster]:
    """A cluster of two nodes: one processor here, two where ``PLACE`` says that it is elsewhere."""
    with ray_cluster(cpus=1) as cluster, another_node(cluster, "env", "PLACE=second", cpus=2):
        yield cluster


def prepare(
    workspace: Workspace,
    *,
    kind: str = "function",
    trials: int = 24,
    helpers: int = 2,
    more: str = "",
) -> None:
    code = {"function": "square.py", "script": "square.sh"}[kind]
    what = {"function": "square.py:square", "script": code}[kind]
    workspace.write(code, {"function": FUNCTION, "script": SCRIPT}[kind])
    workspace.write(
        "Snakefile",
        SNAKEFILE.format(
            code=code, kind=kind, what=what, trials=trials, helpers=helpers, more=more
        ),
    )


BOTH = frozenset(("first", "second"))


def run_on_both(workspace: Workspace, *args: str, places: frozenset[str] = BOTH) -> None:
    """Run with the first trials held back until each place has one."""
    hold = workspace.write("hold", "")
    ran = workspace.root / "ran"
    with workspace.start(*args) as run:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and run.poll() is None:
            if {path.read_text() for path in ran.glob("*")} >= places:
                break
            time.sleep(0.05)
        hold.unlink()
        output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    assert {path.read_text() for path in ran.glob("*")} == places


def results(workspace: Workspace) -> dict[str, bytes]:
    return {name: (workspace.root / name).read_bytes() for name in RESULTS}


@pytest.mark.parametrize("kind", ["function", "script"])
def test_trials_run_on_other_nodes_and_find_the_same(
    tmp_path: Path, nodes: RunningCluster, tracking_uri: str, kind: str
) -> None:
    workspace = Workspace(tmp_path, nodes, tracking_uri)
    prepare(workspace, kind=kind, trials=6)
    run_on_both(workspace)
    spread = results(workspace)
    workspace.ok("--forceall", executor="local")
    assert results(workspace) == spread


def test_a_helper_that_is_killed_is_replaced_and_nothing_else_changes(
    workspace: Workspace,
) -> None:
    prepare(workspace, trials=6, helpers=1)
    hold = workspace.write("hold", "")
    with workspace.start() as run:
        (helper,) = _wait_for(workspace, run, HELPER)
        _wait_for(workspace, run, WORKER, most=2)  # in the middle of a trial
        os.kill(helper, signal.SIGKILL)
        (other,) = _wait_for(workspace, run, HELPER, besides=helper)
        hold.unlink()
        output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    assert other != helper
    spread = results(workspace)
    workspace.ok("--forceall", executor="local")
    assert results(workspace) == spread
    _check_that_nothing_is_left(workspace)


@pytest.mark.parametrize("kind", ["function", "script"])
@pytest.mark.parametrize("victim", ["ray::_Helper", "ray::execute"])
def test_trials_end_with_the_part_of_ray_that_they_hang_on(
    workspace: Workspace, victim: str, kind: str
) -> None:
    prepare(workspace, kind=kind, trials=4, helpers=1)
    hold = workspace.write("hold", "")
    trial = {"function": WORKER, "script": "square.sh"}[kind]
    with workspace.start() as run:
        (helper,) = _wait_for(workspace, run, HELPER)
        wait_for(lambda: descendants(helper, trial), timeout=60)
        theirs = descendants(helper)
        [part] = descendants(os.getpid(), victim)  # of the cluster of these tests
        os.kill(part, signal.SIGKILL)
        wait_for(lambda: not set(descendants(1)) & {helper, *theirs}, timeout=30)
        hold.unlink()
        output, _ = run.communicate(timeout=180)
    assert run.returncode == 0, output
    _check_that_nothing_is_left(workspace)


def test_each_helper_has_a_gpu_of_its_own(tmp_path: Path, tracking_uri: str) -> None:
    # what Ray counts need not be there
    model = {"accelerator_type:A100": 2}
    with ray_cluster(cpus=2, num_gpus=2, resources=model) as cluster:
        workspace = Workspace(tmp_path, cluster, tracking_uri)
        prepare(workspace, trials=4, helpers=2, more="gpus=1")
        snakefile = workspace.root / "Snakefile"
        more = 'helpers=2, gpu=1, gpu_model="a100"'
        snakefile.write_text(snakefile.read_text().replace("helpers=2", more))
        code = workspace.root / "square.py"
        device = 'os.environ["CUDA_VISIBLE_DEVICES"]'
        code.write_text(code.read_text().replace('os.environ.get("PLACE", "first")', device))
        run_on_both(workspace, places=frozenset("01"))


def test_what_ends_its_helpers_is_run_by_the_job_itself(workspace: Workspace) -> None:
    prepare(workspace, trials=4, helpers=1)
    workspace.write(
        "square.py",
        """
        import os, signal, time
        from pathlib import Path

        def square(params, trial):
            if b"tuning.helper" in Path(f"/proc/{os.getppid()}/cmdline").read_bytes():
                Path("killed").touch()
                os.kill(os.getppid(), signal.SIGKILL)
                os._exit(1)
            while not Path("killed").exists():
                time.sleep(0.05)
            trial.model.write_text(str(params["x"]))
            return params["x"] ** 2
        """,
    )
    workspace.ok()
    found = results(workspace)
    workspace.ok("--forceall", executor="local")
    assert results(workspace) == found
    _check_that_nothing_is_left(workspace)


@pytest.mark.skipif(not can_hide(), reason="needs root, to hide a directory from a node")
def test_a_node_without_the_files_of_the_job_gives_no_helper(
    tmp_path: Path, tracking_uri: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with (
        ray_cluster(cpus=1, resources={"first": 1}) as cluster,
        another_node(cluster, *hiding(work), cpus=1),
    ):
        workspace = Workspace(work, cluster, tracking_uri)
        prepare(workspace, trials=4, helpers=1)
        snakefile = workspace.root / "Snakefile"
        snakefile.write_text(snakefile.read_text().replace("helpers=1", "helpers=1, ray_first=1"))
        hold = workspace.write("hold", "")
        with workspace.start() as run:
            log = wait_for(lambda: [*work.glob(".snakemake/ray/search/job/*.log")])[0]
            wait_for(lambda: "expected the job's files on this node as well" in log.read_text())
            hold.unlink()
            output, _ = run.communicate(timeout=120)
        assert run.returncode == 0, output


def test_an_asynchronous_search_on_two_nodes_is_repeated_on_one(
    tmp_path: Path, nodes: RunningCluster, tracking_uri: str
) -> None:
    workspace = Workspace(tmp_path, nodes, tracking_uri)
    prepare(workspace, trials=8, more="asynchronous=True")
    snakefile = workspace.root / "Snakefile"
    text = snakefile.read_text()
    names = 'best="best.json", trials="trials.csv", model="model.txt"'
    assert names in text
    snakefile.write_text(text.replace(names, f'{names}, order="order.jsonl"'))
    run_on_both(workspace, "--ray-environments", "host")
    found = results(workspace)
    again = text.replace('code="square.py"', 'code="square.py", order="order.jsonl"')
    snakefile.write_text(again.replace("resources: helpers=2", "threads: 2"))
    workspace.ok("--forceall", executor="local")
    assert results(workspace) == found


def test_a_hermetic_job_does_without_helpers_and_that_is_said(workspace: Workspace) -> None:
    prepare(workspace, trials=3)
    code = workspace.root / "square.py"
    code.write_text(code.read_text().replace('Path("ran"', 'Path(trial.directory, "ran"'))
    done = workspace.ok("--ray-hermetic")
    assert "Some rules ask for helpers and get none: a hermetic job has none." in done.output


def test_a_search_that_is_interrupted_leaves_nothing(workspace: Workspace) -> None:
    prepare(workspace, trials=500, helpers=1)
    workspace.write("hold", "")
    with workspace.start() as run:
        assert _wait_for(workspace, run, WORKER, most=2)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    assert run.returncode != 0, output
    _check_that_nothing_is_left(workspace)


@pytest.mark.parametrize("number", ["-1", '"many"'])
def test_a_number_of_helpers_that_is_none_is_refused(workspace: Workspace, number: str) -> None:
    prepare(workspace)
    text = (workspace.root / "Snakefile").read_text()
    (workspace.root / "Snakefile").write_text(text.replace("helpers=2", f"helpers={number}"))
    done = workspace.run()
    assert done.status == 1
    assert re.search(
        "rule search has helpers=.*: expected a whole number of at least 0", done.output
    )
    assert "Traceback" not in done.output


def _processes(workspace: Workspace, program: str) -> list[int]:
    """Return those of a program that work here: other tests may run beside."""
    found = []
    for pid in descendants(1, program):
        with contextlib.suppress(OSError):  # it has gone
            if Path(f"/proc/{pid}/cwd").readlink() == workspace.root:
                found.append(pid)
    return found


def _wait_for(
    workspace: Workspace,
    run: subprocess.Popen[str],
    program: str,
    *,
    most: int = 1,
    besides: int | None = None,
) -> list[int]:
    """Wait until so many processes of a program are there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and run.poll() is None:
        found = [pid for pid in _processes(workspace, program) if pid != besides]
        time.sleep(0.3)  # one that has just started forks itself off
        if len(found) == most and set(found) <= set(_processes(workspace, program)):
            return found
    raise AssertionError(f"{program}: {run.communicate()[0]}")


def _check_that_nothing_is_left(workspace: Workspace) -> None:
    wait_for(lambda: not _processes(workspace, "wrappers.tuning."), timeout=30, what="their end")
