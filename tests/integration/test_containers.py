"""Rules in containers: by digest, with Docker's engine and a registry on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from containers import BASIC, Registry, make_image, ours
from containers import registry as private_registry
from processes import descendants, kill, wait_for
from runs import Workspace

from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.run import run
from snakemake_repro.backends.environments.imagelock import NAME
from snakemake_repro.errors import EnvironmentBuildError, ReproError
from snakemake_repro.logic.containers import Bind, ContainerJob, supervised
from snakemake_repro.logic.images import ImageLock, ImageName
from snakemake_repro.records import EnvironmentKind, EnvironmentRecord, JobState, JobStatus

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


@pytest.fixture
def alone(lonely: Workspace, engine: Engine) -> Iterator[Workspace]:
    """A working directory whose runs leave no container behind."""
    lonely.environ["REPRO_TEST_TOKEN"] = "a-very-secret-value"
    yield lonely
    wait_for(lambda: not ours(engine), timeout=10, what="the end of every container")


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
    made = make_image("busybox", label="small").id
    if engine.image_id(made):  # of a test before this one
        engine.client.images.remove(made, force=True)
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


@pytest.fixture
def shared(workspace: Workspace, engine: Engine) -> Iterator[Workspace]:
    """Like ``alone``, in the cluster that all tests share."""
    yield workspace
    wait_for(lambda: not ours(engine), timeout=10, what="the end of every container")


def _repro(workspace: Workspace, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake_repro.cli", *args],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=False,
    )


def _one_rule(workspace: Workspace, image: str, shell: str, *more: str) -> None:
    lines = ["rule a:", "    output: 'a.txt'", f"    container: 'docker://{image}'"]
    lines += [f"    {line}" for line in more]
    workspace.write("Snakefile", "\n".join([*lines, f"    shell: {shell!r}", ""]))


def test_a_moved_tag_changes_nothing_until_the_lock_is_upgraded(
    shared: Workspace, registry: Registry
) -> None:
    one = registry.push(make_image("busybox", label="one"), "lab/moving", "1")
    image = f"{registry.host}/lab/moving:1"
    _one_rule(shared, image, "cat /etc/label > {output}")
    assert _repro(shared, "lock", "--check").returncode == 1
    done = _repro(shared, "lock")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"created    envs/{NAME}\n")
    assert f"{image} (new) -> sha256:{one[7:19]}" in done.stdout
    shared.ok()
    assert (shared.root / "a.txt").read_text() == "one\n"
    key = shared.job("a").record.key

    two = registry.push(make_image("busybox", label="two"), "lab/moving", "1")
    assert _repro(shared, "lock", "--check").returncode == 0
    assert _repro(shared, "lock").stdout.startswith("unchanged")
    shared.ok("--forceall", "--ray-locks", "frozen")
    assert (shared.root / "a.txt").read_text() == "one\n"
    assert shared.job("a").record.key == key

    done = _repro(shared, "lock", "--upgrade", image)
    assert f"{image} sha256:{one[7:19]} -> sha256:{two[7:19]}" in done.stdout
    why = "Software environment definition has changed"
    assert why in shared.ok("-n", executor="local").output
    assert why in shared.ok().output
    assert (shared.root / "a.txt").read_text() == "two\n"
    assert shared.job("a").record.key != key
    assert "Nothing to be done" in shared.ok().output


def test_an_unlocked_image_is_refused_where_locks_are_frozen(shared: Workspace, small: str) -> None:
    _one_rule(shared, small, "touch {output}")
    done = shared.fails("--ray-locks", "frozen")
    assert f"the container {small} is not locked" in done.output
    assert "`repro lock` makes it" in done.output
    assert not (shared.root / "envs").exists()
    assert not (shared.root / "a.txt").exists()


def test_a_digest_needs_no_lock_and_a_wrong_one_says_so(
    shared: Workspace, registry: Registry, small: str
) -> None:
    digest = registry.push(make_image("busybox", label="small"), "lab/small", "1")
    repository = small.removesuffix(":1")
    _one_rule(shared, f"{repository}@{digest}", "cat /etc/label > {output}")
    shared.ok("--ray-locks", "frozen")
    assert (shared.root / "a.txt").read_text() == "small\n"
    assert not (shared.root / "envs").exists()
    _one_rule(shared, f"{repository}@sha256:{'0' * 64}", "touch {output}")
    done = shared.fails("--forceall")
    assert f"the container {repository}@sha256:{'0' * 64} cannot be pulled" in done.output
    assert "manifest unknown" in done.output
    assert "Check the name and tag, or the digest" in done.output


def test_a_missing_engine_is_one_clear_error_before_any_job(alone: Workspace, small: str) -> None:
    alone.write(
        "Snakefile",
        f"""
        rule all:
            input: "a.txt", "b.txt"
        rule a:
            output: "a.txt"
            shell: "touch {{output}}"
        rule b:
            output: "b.txt"
            container: "docker://{small}"
            shell: "touch {{output}}"
        """,
    )
    assert _repro(alone, "lock").returncode == 0
    done = alone.fails(env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    message = "no Docker engine answers at unix:///nowhere/docker.sock"
    assert done.output.count(message) == 1
    assert "No such file or directory" in done.output
    assert not (alone.root / "a.txt").exists()


def test_an_image_that_is_there_runs_while_its_registry_is_away(
    shared: Workspace, registry: Registry, small: str
) -> None:
    _one_rule(shared, small, "cat /etc/label > {output}")
    shared.ok()
    registry.stop()
    try:
        shared.ok("--forceall")
        _one_rule(shared, small.replace(":1", ":2"), "touch {output}")
        done = shared.fails("--forceall")
    finally:
        registry.start()
    assert "cannot be locked" in done.output
    assert "connection refused" in done.output


def test_an_image_for_another_platform_is_refused(shared: Workspace, registry: Registry) -> None:
    arm = registry.push(make_image("busybox", architecture="arm64"), "lab/arm", "image")
    registry.push_index("lab/arm", "1", {"arm64": arm})
    _one_rule(shared, f"{registry.host}/lab/arm:1", "touch {output}")
    done = shared.fails()
    assert "for linux/arm64, this node's engine runs linux/amd64" in done.output


def test_what_no_container_can_be_given_to_is_refused_before_any_job(
    shared: Workspace, small: str
) -> None:
    shared.write("tool.cwl", "{}")
    shared.write(
        "Snakefile",
        f"""
        rule all:
            input: "a.txt", "b.txt"
        rule a:
            output: "a.txt"
            container: "docker://{small}"
            cwl: "tool.cwl"
        rule b:
            output: "b.txt"
            shell: "touch {{output}}"
        """,
    )
    done = shared.fails()
    assert "rule a asks for an environment and for `cwl:`" in done.output
    assert not (shared.root / "b.txt").exists()


def test_a_rule_with_a_container_and_a_conda_environment_needs_a_choice(
    shared: Workspace, small: str
) -> None:
    shared.write("env.yaml", "channels: [conda-forge]\ndependencies: [r-base]\n")
    _one_rule(shared, small, "cat /etc/label > {output}", "conda: 'env.yaml'")
    done = shared.fails()
    assert "which is it to run in?" in done.output
    assert "--ray-environments container" in done.output
    shared.ok("--ray-environments", "container")
    assert (shared.root / "a.txt").read_text() == "small\n"


def test_what_is_no_image_of_a_registry_is_refused(shared: Workspace) -> None:
    shared.write(
        "Snakefile", "rule a:\n    output: 'a.txt'\n    container: 'x.sif'\n    shell: 'true'\n"
    )
    assert "expected an address that begins with docker://" in shared.fails().output


def test_exit_codes_signals_and_memory_are_named(shared: Workspace, small: str) -> None:
    shared.write(
        "Snakefile",
        f"""
        container: "docker://{small}"
        rule all:
            input: "code.txt", "signal.txt", "memory.txt"
        rule code:
            output: "code.txt"
            shell: "exit 42"
        rule signal:
            output: "signal.txt"
            shell: "kill -9 $$"
        rule memory:
            output: "memory.txt"
            resources: mem_mb=40
            shell: "x=x; while true; do x=$x$x; done"
        """,
    )
    done = shared.fails("--keep-going")
    records = {job.record.spec.rule: job.record for job in shared.history.jobs}
    assert records["code"].exit_code == 42
    assert "the command exited with status 42." in done.output
    assert "killed by signal 9 (SIGKILL)" in str(records["signal"].error)
    assert "out of memory" not in str(records["signal"].error)
    error = str(records["memory"].error)
    assert "it ran out of memory: its limit is 38 MiB (`mem_mb`), its peak was 38 MiB" in error


def test_a_job_sees_its_image_its_files_and_nothing_else_of_the_host(
    shared: Workspace, small: str, tmp_path: Path
) -> None:
    """The Snakefile, an input and an output lie outside of the working directory."""
    data, out = tmp_path / "data", tmp_path / "out"
    workflow = tmp_path / "flow"
    for folder in (data, out, workflow):
        folder.mkdir()
    (data / "one.txt").write_text("one\n")
    (data / "two.txt").write_text("two\n")
    (data / "secret.txt").write_text("secret\n")
    (shared.root / "link.txt").symlink_to(data / "two.txt")
    (workflow / "helper.sh").write_text("echo helped\n")
    (workflow / "Snakefile").write_text(
        f"rule a:\n    input: '{data}/one.txt', 'link.txt'\n    output: '{out}/a.txt', 'env.txt'\n"
        f"    container: 'docker://{small}'\n    threads: 1\n"
        "    shell: 'cat {input} > {output[0]}; bash {workflow.basedir}/helper.sh >> {output[0]};'\n"
        f"        'ls {data} >> {{output[0]}}; (echo x > {data}/one.txt) 2>/dev/null || echo refused >> {{output[0]}};'\n"
        "        'env > {output[1]}; grep Cap /proc/self/status >> {output[1]}; pwd >> {output[1]}'\n"
    )
    shared.ok("--snakefile", str(workflow / "Snakefile"))
    text = (out / "a.txt").read_text()
    assert text == "one\ntwo\nhelped\none.txt\ntwo.txt\nrefused\n"
    lines = (shared.root / "env.txt").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if "=" in line}
    of_the_image = {"PATH", "LABEL"}
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME"}
    of_the_executor = {"REPRO_JOB", "REPRO_METRICS", "REPRO_ARTIFACTS"}
    of_the_executor |= {"PYTHONHASHSEED", "SOURCE_DATE_EPOCH"}
    of_the_executor |= {"TMPDIR", "TMP", "TEMP", "TEMPDIR", "HOME", "USER", "LOGNAME"}
    of_the_executor |= {name for name in names if name.endswith("_THREADS")}
    assert of_the_image | of_the_executor <= names
    proxies = {name for name in names if name.lower().endswith("_proxy")}
    assert names - of_the_image - of_the_shell - of_the_executor - proxies == set()
    assert re.search(r"CapEff:\s+0+$", "\n".join(lines), re.MULTILINE)
    assert lines[-1] == str(shared.root)


SLEEPS = "touch started; sleep 1000; touch {output}"


def _starts(workspace: Workspace, engine: Engine) -> subprocess.Popen[str]:
    process = workspace.start("--ray-resubmissions", "0")
    wait_for((workspace.root / "started").exists, what="the job")
    assert len(ours(engine)) == 1
    return process


STOPS = {"ctrl-c": signal.SIGINT, "sigterm": signal.SIGTERM}


@pytest.mark.parametrize("victim", ["worker", "driver", *STOPS])
def test_no_container_outlives_who_started_it(
    alone: Workspace, engine: Engine, small: str, victim: str
) -> None:
    _one_rule(alone, small, SLEEPS)
    process = _starts(alone, engine)
    if victim == "worker":
        [pid] = descendants(process.pid, "ray::execute")
        kill(pid)
    else:
        kill(process.pid, STOPS.get(victim, signal.SIGKILL))
    patience = 5 if victim in STOPS else 15
    wait_for(lambda: not ours(engine), timeout=patience, what="the end of the container")
    process.communicate(timeout=60)
    assert process.returncode != 0
    if victim in STOPS:
        assert alone.job("a").state is JobState.INTERRUPTED
    if victim == "worker":
        assert alone.job("a").record.status is JobStatus.LOST


def test_what_a_dead_process_left_is_removed_and_nothing_else(engine: Engine, small: str) -> None:
    engine.pull(small)
    boot, namespace, pid, started = owners.label()[owners.LABEL].split(":")
    dead = 2**22 - 7
    other = str(os.getppid())
    fields = Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()
    labels = {
        "mine": f"{boot}:{namespace}:{pid}:{started}",
        "another's": f"{boot}:{namespace}:{other}:{fields[19]}",
        "dead": f"{boot}:{namespace}:{dead}:12345",
        "reused": f"{boot}:{namespace}:{pid}:12345",
        "elsewhere": f"{boot}:1:{dead}:12345",
        "last boot": f"00000000:{namespace}:{pid}:{started}",
    }
    made = {
        name: engine.client.containers.create(small, ["true"], labels={owners.LABEL: label})
        for name, label in labels.items()
    }
    try:
        owners.sweep(engine)
        left = {one.id for one in engine.client.containers.list(all=True)}
        assert {name for name, one in made.items() if one.id in left} == {"another's", "elsewhere"}
    finally:
        for name in ("another's", "elsewhere"):
            made[name].remove(force=True)


PULLS = """
import sys
from pathlib import Path
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.environments.container import realise
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec
image, root, log = sys.argv[1:]
spec = EnvironmentSpec(kind=EnvironmentKind.CONTAINER, name="docker://x", image=image)
environment = realise(Engine(), spec, root=Path(root), log=Path(log))
print(environment.said.partition(" ")[0] or "found", environment.record.image_id)
"""


def test_of_many_processes_that_need_an_image_one_pulls_it(
    registry: Registry, engine: Engine, tmp_path: Path
) -> None:
    made = make_image("python", label="pulled once")
    image = f"{registry.host}/lab/once@{registry.push(made, 'lab/once', '1')}"
    command = [sys.executable, "-c", PULLS, image, str(tmp_path / "store")]
    running = [
        subprocess.Popen([*command, str(tmp_path / f"{i}.log")], stdout=subprocess.PIPE, text=True)
        for i in range(4)
    ]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in running)
    assert said == [f"Pulled {made.id}", *[f"found {made.id}"] * 3]
    assert [path.read_text() for path in tmp_path.glob("*.log")] == [f"Pulling {image}\n"]


def _job(root: Path, image: str, text: str, **fields: Any) -> ContainerJob:
    """Describe a job whose working directory and scratch directory lie below a root."""
    for name in ("work", "scratch"):
        (root / name).mkdir()
    return ContainerJob(
        image=image,
        command=supervised(  # noqa: S604
            log=str(root / "work/log"),
            usage=str(root / "scratch/usage"),
            shell="bash",
            text=text,
            umask="0027",
        ),
        workdir=str(root / "work"),
        binds=tuple(
            Bind(source=str(root / name), target=str(root / name), read_only=False)
            for name in ("work", "scratch")
        ),
        variables={},
        cpus=1,
        **fields,
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root may act as somebody else")
def test_files_belong_to_who_runs_the_workflow(engine: Engine, small: str, tmp_path: Path) -> None:
    engine.pull(small)
    job = _job(tmp_path, small, "echo made > made; id -G", user="1000:1000", groups=("1001",))
    for bind in job.binds:
        os.chown(bind.source, 1000, 1000)
    assert run(engine, job) == (0, "")
    made = (tmp_path / "work/made").stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (1000, 1000, 0o640)
    assert (tmp_path / "work/log").read_text() == "1000 1001\n"


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="has a GPU")
def test_a_gpu_that_the_engine_cannot_give_is_one_clear_error(
    engine: Engine, small: str, tmp_path: Path
) -> None:
    engine.pull(small)
    with pytest.raises(EnvironmentBuildError, match="could not select device driver") as caught:
        run(engine, _job(tmp_path, small, "true", user="0:0", gpus=("0",)))
    assert "NVIDIA's container toolkit" in str(caught.value.hint)
    assert ours(engine) == []


def test_an_unreadable_workflow_is_named_and_does_not_hide_a_lock(
    shared: Workspace, small: str
) -> None:
    _one_rule(shared, small, "touch {output}")
    shared.write("envs/x.yaml", "dependencies: [python]\n")
    snakefile = (shared.root / "Snakefile").read_text()
    shared.write("Snakefile", f"config['missing']\n{snakefile}")
    done = _repro(shared, "lock")
    assert done.returncode == 0
    assert "Containers were not looked for" in done.stderr
    assert "'missing'" in done.stderr
    shared.write("Snakefile", snakefile)
    assert _repro(shared, "lock").returncode == 0
    shared.write("Snakefile", f"config['missing']\n{snakefile}")
    done = _repro(shared, "lock", "--check")
    assert done.returncode not in (0, 1)
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_upgrading_one_image_leaves_the_others(shared: Workspace, registry: Registry) -> None:
    first = {
        name: registry.push(make_image("busybox", label="one"), f"lab/{name}", "1")
        for name in ("left", "right")
    }
    shared.write(
        "Snakefile",
        "".join(
            f"rule {name}:\n    output: '{name}.txt'\n"
            f"    container: 'docker://{registry.host}/lab/{name}:1'\n    shell: 'true'\n"
            for name in first
        ),
    )
    assert _repro(shared, "lock").returncode == 0
    second = registry.push(make_image("busybox", label="two"), "lab/left", "1")
    registry.push(make_image("busybox", label="two"), "lab/right", "1")
    done = _repro(shared, "lock", "--upgrade", f"{registry.host}/lab/left")
    assert done.returncode == 0, done.stderr
    locked = {
        name: str(_locked(shared).images[f"{registry.host}/lab/{name}:1"]["linux/amd64"])
        for name in first
    }
    assert locked == {"left": second, "right": first["right"]}
    done = _repro(shared, "lock", "--upgrade", "no-such-image")
    assert done.returncode not in (0, 1)
    assert "nothing to upgrade: no-such-image" in done.stderr


def test_a_private_registry_gets_the_credentials_of_docker_login(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with private_registry(tmp_path / "registry", private=True) as registry:
        made = make_image("busybox", label="private")
        digest = registry.push(made, "lab/private", "1")
        image = ImageName.parse(f"docker://{registry.host}/lab/private:1")
        reference = f"{registry.host}/lab/private@{digest}"
        for refused in (lambda: engine.resolve(image), lambda: engine.pull(reference)):
            with pytest.raises(ReproError, match="no basic auth credentials") as caught:
                refused()
            assert "`docker login`" in str(caught.value.hint)
        config = {"auths": {registry.host: {"auth": BASIC}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        knowing = Engine()
        with closing(knowing.client):
            assert str(knowing.resolve(image)["linux/amd64"]) == digest
            knowing.pull(reference)
            assert knowing.image_id(reference) == made.id
            knowing.client.images.remove(reference)


def test_podman_runs_the_same_jobs(
    alone: Workspace, registry: Registry, podman: str, small: str
) -> None:
    digest = registry.push(make_image("busybox", label="small"), "lab/small", "1")
    image = f"{small.removesuffix(':1')}@{digest}"
    flags = ["--ray-container-engine", "podman"]
    alone.environ["CONTAINER_HOST"] = podman
    _one_rule(alone, image, "cat /etc/label > {output}", "resources: mem_mb=100")
    alone.ok(*flags)
    assert (alone.root / "a.txt").read_text() == "small\n"
    record = _environments(alone)["a"]
    assert record.engine is not None
    assert record.engine.startswith("Podman ")
    assert record.image == image
    _one_rule(alone, image, "cat /proc/net/dev > {output}")
    alone.ok(*flags, "--forceall", "--ray-container-network", "none")
    assert re.findall(r"(\w+):", (alone.root / "a.txt").read_text()) == ["lo"]
    _one_rule(alone, image, "exit 42")
    assert "exited with status 42" in alone.fails(*flags, "--forceall").output
