"""Rules in containers by Apptainer's command line; the program itself is a stand-in."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import apptainer_shim
import pytest
from containers import Registry, make_image
from processes import descendants, kill, wait_for
from runs import Workspace

pytestmark = pytest.mark.integration

APPTAINER = ("--ray-container-engine", "apptainer")


@pytest.fixture
def shimmed(lonely: Workspace, tmp_path: Path) -> Workspace:
    """A working directory whose runs find a program of that name."""
    if shutil.which("bwrap") is None or os.getuid():
        pytest.skip("needs bubblewrap and root")
    programs = apptainer_shim.install(tmp_path / "programs")
    lonely.environ["PATH"] = f"{programs}:{lonely.environ['PATH']}"
    lonely.environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    return lonely


def _rule(workspace: Workspace, image: str, shell: str, *more: str) -> None:
    lines = ["rule a:", "    output: 'a.txt'", f"    container: 'docker://{image}'"]
    lines += [f"    {line}" for line in more]
    workspace.write("Snakefile", "\n".join([*lines, f"    shell: {shell!r}", ""]))


def test_a_tag_is_locked_made_into_a_file_once_and_run(
    shimmed: Workspace, registry: Registry, tmp_path: Path
) -> None:
    digest = registry.push(make_image("busybox", label="sif"), "lab/sif", "1")
    image = f"{registry.host}/lab/sif:1"
    shimmed.environ["APPTAINERENV_LEAK"] = "leaked"
    look = "cat /etc/label > {output}; env >> {output}; cat /proc/net/dev >> {output}"
    _rule(shimmed, image, look, "resources: network=False")
    shimmed.ok(*APPTAINER)
    text = (shimmed.root / "a.txt").read_text()
    assert text.startswith("sif\n")
    assert "leaked" not in text
    assert re.search(r"^HOME=.*/home$", text, re.MULTILINE)
    assert re.findall(r"^\s*(\w+):", text, re.MULTILINE) == ["lo"]
    record = shimmed.job("a").record
    environment = shimmed.history.environments[str(record.spec.environment)]
    assert environment.image == f"{registry.host}/lab/sif@{digest}"
    assert environment.engine == "apptainer 1.3.0"
    assert str(environment.image_id).startswith("sha256:")
    assert record.use is not None
    assert record.use.max_rss_mb
    assert record.isolation is not None
    [made] = (tmp_path / "cache").rglob("*.sif")

    before = made.stat().st_mtime_ns
    _rule(shimmed, image, "exit 42")
    done = shimmed.fails(*APPTAINER, "--forceall")
    assert "exited with status 42" in done.output
    assert made.stat().st_mtime_ns == before


def test_an_image_that_cannot_be_had_leaves_nothing(
    shimmed: Workspace, registry: Registry, tmp_path: Path
) -> None:
    _rule(shimmed, f"{registry.host}/lab/sif@sha256:{'0' * 64}", "touch {output}")
    done = shimmed.fails(*APPTAINER)
    assert "cannot be pulled" in done.output
    assert not list((tmp_path / "cache").rglob("image.sif"))


def test_no_job_outlives_its_worker(shimmed: Workspace, registry: Registry) -> None:
    registry.push(make_image("busybox", label="sif"), "lab/sif", "1")
    _rule(shimmed, f"{registry.host}/lab/sif:1", "touch started; sleep 1723")
    process = shimmed.start(*APPTAINER, "--ray-resubmissions", "0")
    wait_for((shimmed.root / "started").exists, what="the job")
    assert descendants(1, "sleep 1723")
    [pid] = descendants(process.pid, "ray::execute")
    kill(pid)
    wait_for(lambda: not descendants(1, "sleep 1723"), timeout=15, what="the end of the job")
    process.communicate(timeout=60)
    assert process.returncode not in (0, -signal.SIGKILL)


@pytest.mark.skipif(any(map(shutil.which, ("apptainer", "singularity"))), reason="has the program")
def test_a_missing_program_is_one_clear_error_before_any_job(
    workspace: Workspace, small: str
) -> None:
    _rule(workspace, small, "touch {output}")
    done = workspace.fails(*APPTAINER)
    assert done.output.count("this machine has no program apptainer or singularity") == 1
    assert "--ray-container-engine chooses another engine" in done.output


def test_apptainer_closes_nothing_off_hermetically(shimmed: Workspace, registry: Registry) -> None:
    image = f"{registry.host}/lab/sif@{registry.push(make_image('busybox'), 'lab/sif', '1')}"
    _rule(shimmed, image, "touch {output}")
    done = shimmed.fails(*APPTAINER, "--ray-hermetic", "enforce")
    assert "rule a cannot run hermetically: Apptainer runs its container" in done.output


@pytest.mark.parametrize(
    ("lines", "flags", "reason"),
    [
        (
            "    run: shell('touch {output}')",
            (),
            "neither shell nor script nor notebook nor wrapper",
        ),
        ("    group: 'g'\n    shell: 'touch {output}'", (), "a group"),
        ("    params: x=range(3)\n    shell: 'touch {output}'", ("--ray-tier", "fork"), "fork"),
        ("    params: x=range(3)\n    script: 'a.py'", (), "a value of type builtins.range"),
    ],
)
def test_what_takes_the_fork_tier_is_refused_before_any_job(
    shimmed: Workspace, lines: str, flags: tuple[str, ...], reason: str
) -> None:
    image = f"localhost:1/lab/sif@sha256:{'0' * 64}"
    before = "rule before:\n    output: 'before.txt'\n    shell: 'touch {output}'\n"
    rule = (
        f"rule a:\n    input: 'before.txt'\n    output: 'a.txt'\n    container: 'docker://{image}'"
    )
    shimmed.write("a.py", "")
    shimmed.write("Snakefile", f"rule all:\n    input: 'a.txt'\n{before}{rule}\n{lines}\n")
    done = shimmed.fails(*APPTAINER, *flags)
    assert done.output.count("rule a cannot run in a container of Apptainer") == 1
    assert f"{reason})" in done.output
    assert "Traceback" not in done.output
    assert not (shimmed.root / "before.txt").exists()
