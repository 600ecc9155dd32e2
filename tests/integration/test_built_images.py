"""Rules that name a Dockerfile: its image is built, locked, and built again when it changes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import Registry, make_image
from runs import Workspace

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.environments.imagelock import NAME
from snakemake_repro.logic.builds import Build
from snakemake_repro.logic.images import ImageLock
from snakemake_repro.records import EnvironmentRecord

pytestmark = pytest.mark.integration

SNAKEFILE = """
rule all:
    input: "tool.txt", "plain.txt"
rule tool:
    output: "tool.txt"
    container: "envs/tools.Dockerfile"
    shell: "cat /etc/label /etc/note > {output}"
rule plain:
    output: "plain.txt"
    shell: "echo plain > {output}"
"""
DOCKERFILE = """
FROM scratch
ADD root.tar /
COPY note /etc/note
"""
TOOLS = "envs/tools.Dockerfile"
WHY = "Software environment definition has changed"


@pytest.fixture
def project(workspace: Workspace, engine: Engine) -> Iterator[Workspace]:
    """A workflow with a Dockerfile of busybox; the images that are built of it are removed."""
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write(TOOLS, DOCKERFILE)
    workspace.write("envs/note", "first\n")
    [layer] = make_image("busybox", label="built").layers
    (workspace.root / "envs/root.tar").write_bytes(layer)
    before = _ids(engine)
    yield workspace
    for image in _ids(engine) - before:
        engine.client.images.remove(image, force=True)


def _ids(engine: Engine) -> set[str]:
    return {image.id for image in engine.client.images.list("snakemake-repro/built")}


def _repro(workspace: Workspace, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake_repro.cli", *args],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )


def _build(workspace: Workspace) -> Build:
    text = (workspace.root / "envs" / NAME).read_text()
    return ImageLock.parse(text, name=NAME).builds[TOOLS]


def _environment(workspace: Workspace) -> EnvironmentRecord:
    record = workspace.job("tool").record
    return workspace.history.environments[str(record.spec.environment)]


def _planned(output: str) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE))


def _result(workspace: Workspace) -> list[str]:
    return (workspace.root / "tool.txt").read_text().split()


def test_the_first_run_builds_and_a_change_reruns_exactly_what_uses_it(
    project: Workspace, engine: Engine
) -> None:
    assert "is not built, and --ray-locks frozen" in project.fails("--ray-locks", "frozen").output
    done = project.ok()
    assert f"Built the container {TOOLS} as sha256:" in done.output
    assert _result(project) == ["built", "first"]
    build = _build(project)
    [(platform, image)] = build.images.items()
    assert platform == engine.facts.platform
    record = _environment(project)
    assert (record.image, record.image_id, record.pinned) == (None, str(image.id), False)
    assert record.name == TOOLS
    assert "Nothing to be done" in project.ok("--ray-locks", "frozen").output
    assert _repro(project, "lock", "--check").returncode == 0
    assert _repro(project, "lock").stdout.startswith("unchanged")
    assert _build(project) == build, "it is not built again"

    project.write("envs/note", "second\n")
    assert _repro(project, "lock", "--check").returncode == 1
    for executor in ("local", "ray"):
        output = project.ok("-n", executor=executor).output
        assert _planned(output) == {"all", "tool"}
        assert WHY in output
    frozen = project.fails("--ray-locks", "frozen").output
    assert "changed since its image was built, and --ray-locks frozen" in frozen
    assert _planned(project.ok().output) == {"all", "tool"}
    assert _result(project) == ["built", "second"]
    changed = _build(project)
    assert changed.dockerfile == build.dockerfile
    assert changed.context != build.context
    assert changed.identity != build.identity
    assert "Nothing to be done" in project.ok().output


def test_what_is_pushed_runs_where_it_was_not_built(
    project: Workspace, engine: Engine, registry: Registry
) -> None:
    done = _repro(project, "lock")
    assert done.returncode == 0, done.stderr
    assert f"{TOOLS} (new) -> sha256:" in done.stdout
    project.ok()
    one = _build(project).images[engine.facts.platform]
    engine.client.images.remove(str(one.id), force=True)
    lost = project.fails("--forcerun", "tool")
    assert f"this node does not have the image {one.id} of {TOOLS}" in lost.output
    assert "`repro lock --push HOST/NAME`" in lost.output
    done = _repro(project, "lock", "--push", f"{registry.host}/lab")
    assert done.returncode == 3
    assert "the engine here does not have it" in done.stderr

    done = _repro(project, "lock", "--upgrade", TOOLS, "--push", f"{registry.host}/lab")
    assert done.returncode == 0, done.stderr
    two = _build(project).images[engine.facts.platform]
    assert two.id != one.id
    assert two.pushed is not None
    assert two.pushed.startswith(f"{registry.host}/lab/tools@sha256:")
    engine.client.images.remove(str(two.id), force=True)
    project.ok("--ray-locks", "frozen")
    record = _environment(project)
    assert (record.image, record.image_id, record.pinned) == (two.pushed, str(two.id), True)
    assert _repro(project, "lock", "--push", f"{registry.host}/lab").stdout.startswith("unchanged")


def test_a_push_alone_reruns_nothing(
    project: Workspace, engine: Engine, registry: Registry
) -> None:
    project.ok()
    done = _repro(project, "lock", "--push", f"{registry.host}/lab/")
    assert done.stdout == f"changed    envs/{NAME}\n"
    assert _build(project).images[engine.facts.platform].pushed
    assert "Nothing to be done" in project.ok().output


def test_a_build_that_fails_says_why_and_locks_nothing(project: Workspace) -> None:
    project.write(TOOLS, f"{DOCKERFILE}COPY nowhere /\n")
    done = _repro(project, "lock")
    assert done.returncode == 3
    assert f"the container {TOOLS} cannot be built:" in done.stderr
    assert "Step 4/4 : COPY nowhere /" in done.stderr
    assert "COPY failed: file not found in build context" in done.stderr
    assert not (project.root / "envs" / NAME).exists()
    (project.root / TOOLS).unlink()
    done = _repro(project, "lock", "--check")
    assert done.returncode == 2
    assert f"there is no file {Path(project.root, TOOLS)}" in done.stderr


def test_checking_and_pushing_do_not_go_together(project: Workspace) -> None:
    done = _repro(project, "lock", "--check", "--push", "lab")
    assert done.returncode == 2
    assert "--check changes nothing, --push does" in done.stderr
