"""Rules in containers: by digest, with Docker's engine and a registry on loopback."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest
from containers import Registry, make_image
from runs import Workspace

from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.environments.imagelock import NAME
from snakemake_repro.logic.images import ImageLock
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord

pytestmark = pytest.mark.integration

TWO_IMAGES = r"""
import os
envvars: "REPRO_TEST_TOKEN"

rule all:
    input: "out/script.txt", "out/wrapped.txt", "out/bash.txt"

rule shell:
    output: "out/shell.txt"
    container: "docker://{small}"
    threads: 2
    params: text="it's here"
    shell:
        "cat /etc/label > {{output}}; echo {{params.text:q}} $OMP_NUM_THREADS $REPRO_TEST_TOKEN >> {{output}};"
        "echo said on stderr >&2; echo said on stdout; touch $TMPDIR/x {{resources.tmpdir}}/y;"
        "echo '{{{{\"auc\": 0.5}}}}' >> $REPRO_METRICS"

rule script:
    input: one="out/shell.txt"
    output: text="out/script.txt"
    params: deep={{"a": [1, (2, 3)]}}
    container: "docker://{python}"
    script: "scripts/work.py"

rule bash:
    input: "out/script.txt"
    output: "out/bash.txt"
    container: "docker://{small}"
    script: "scripts/work.sh"

rule wrapped:
    input: "out/shell.txt"
    output: "out/wrapped.txt"
    params: greeting="hi"
    container: "docker://{python}"
    wrapper: f"file://{{os.getcwd()}}/wrap"
"""

WORK_PY = """
import os, sys
import helper
from snakemake_repro import track

assert "site-packages" not in "".join(sys.path), sys.path
with track(snakemake, seed=1) as run:
    run.log_metric("loss", 0.25)
with open(snakemake.output.text, "w") as f:
    f.write(open("/etc/label").read() + open(snakemake.input.one).read())
    f.write(f"{snakemake.params.deep} {helper.VALUE} {snakemake.rule} {sys.version_info[:2]}")
    f.write(f"{__file__.endswith('scripts/work.py')}")
"""

WORK_SH = """
#!/bin/bash
cat "${snakemake_input[0]}" > "${snakemake_output[0]}"
echo "${snakemake[rule]}" >> "${snakemake_output[0]}"
"""


@pytest.fixture(scope="session")
def small(registry: Registry) -> str:
    """An image of busybox and bash, by tag."""
    registry.push(make_image("busybox", label="small"), "lab/small", "1")
    return f"{registry.host}/lab/small:1"


@pytest.fixture(scope="session")
def python(registry: Registry) -> str:
    """An image with Python, by tag."""
    registry.push(make_image("python", label="python"), "lab/python", "1")
    return f"{registry.host}/lab/python:1"


@pytest.fixture
def alone(lonely: Workspace, engine: Engine) -> Iterator[Workspace]:
    """A working directory whose runs leave no container behind."""
    lonely.environ["REPRO_TEST_TOKEN"] = "a-very-secret-value"
    yield lonely
    assert _ours(engine) == []


def _ours(engine: Engine) -> list[str]:
    found = engine.client.containers.list(
        all=True, filters={"label": owners.LABEL}, ignore_removed=True
    )
    return [container.id for container in found]


def _environments(workspace: Workspace) -> dict[str, EnvironmentRecord]:
    """Return the last run's environments by rule."""
    history = workspace.history
    return {
        job.record.spec.rule: history.environments[str(job.record.spec.environment)]
        for job in history.jobs
        if job.record.spec.environment is not None
    }


def _locked(workspace: Workspace) -> ImageLock:
    text = (workspace.root / "envs" / NAME).read_text()
    return ImageLock.parse(text, name=NAME)


def test_shell_script_and_wrapper_rules_run_in_two_images_by_digest(
    alone: Workspace, engine: Engine, small: str, python: str
) -> None:
    alone.write("Snakefile", TWO_IMAGES.format(small=small, python=python))
    alone.write("scripts/work.py", WORK_PY)
    alone.write("scripts/helper.py", "VALUE = 'from a module beside the script'\n")
    alone.write("scripts/work.sh", WORK_SH.lstrip())
    alone.write("wrap/environment.yaml", "channels: [conda-forge]\ndependencies: [r-base]\n")
    alone.write(
        "wrap/wrapper.py",
        "open(snakemake.output[0], 'w').write(open('/etc/label').read() + snakemake.params.greeting)",
    )
    done = alone.ok()
    assert f"Locked the container {small} as sha256:" in done.output
    shell = "small\nit's here 2 a-very-secret-value\n"
    assert (alone.root / "out/shell.txt").read_text() == shell
    assert (alone.root / "out/script.txt").read_text() == (
        f"python\n{shell}{{'a': [1, (2, 3)]}} from a module beside the script script (3, 11)True"
    )
    assert (alone.root / "out/bash.txt").read_text().endswith("Truebash\n")
    assert (alone.root / "out/wrapped.txt").read_text() == "python\nhi"
    assert not list((alone.root / ".snakemake/scripts").iterdir())

    lock = _locked(alone)
    for rule, image in {"shell": small, "script": python, "wrapped": python}.items():
        record = _environments(alone)[rule]
        digest = lock.images[image]["linux/amd64"]
        assert record.kind is EnvironmentKind.CONTAINER
        assert record.pinned
        assert record.name == f"docker://{image}"
        assert record.image == f"{image.removesuffix(':1')}@{digest}"
        assert record.image_id == engine.image_id(record.image)
        assert record.platform == "linux/amd64"
        assert record.engine is not None
        assert record.engine.startswith("Docker ")
        assert record.lock is not None
        assert record.lock.path == f"envs/{NAME}"

    job = alone.job("shell").record
    log = (alone.root / job.log.path).read_text()  # type: ignore[union-attr]
    assert "said on stderr\nsaid on stdout\n" in log
    assert log.startswith("Pulled ")
    assert [(m.name, m.value) for m in job.metrics] == [("auc", 0.5)]
    assert job.use is not None
    assert job.use.max_rss_mb
    assert job.use.cpu_user_s is not None
    assert [m.name for m in alone.job("script").record.metrics] == ["loss"]
    assert "a-very-secret-value" not in str(alone.history)
    out = (alone.root / "out/shell.txt").stat()
    assert (out.st_uid, out.st_gid) == (os.getuid(), os.getgid())
    assert stat.S_IMODE(out.st_mode) == 0o644
