"""Environments of conda packages: locked, installed without conda, built once per node, never half."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conda_channel import OTHER, PYTHON, index, make_channel, serve
from conda_shim import make_shim
from processes import wait_for
from runs import Workspace

from snakemake_repro.backends.environments import conda
from snakemake_repro.backends.environments.conda_lockfile import conda_lock_path, read_conda_lock
from snakemake_repro.backends.environments.lockfile import UnlockedError, resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.interfaces import RealisedEnvironment
from snakemake_repro.operations.lock import lock
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, JobState, Tier

pytestmark = pytest.mark.integration

LEFT_BEHIND = {".lock", ".use"}

REALISE = """
import sys
from pathlib import Path
from snakemake_repro.backends.environments import conda
from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
built = []
build = conda.build
def counted(*args, **kwargs):
    built.append(1)
    build(*args, **kwargs)
conda.build = counted
file, store = map(Path, sys.argv[1:])
environment = NodeEnvironments(store).realise(resolve_spec(file, file.parent))
print("built" if built else "found", environment.python)
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel that the tests of this module share and leave as it is."""
    return make_channel(tmp_path_factory.mktemp("channel") / "test")


@pytest.fixture(scope="module")
def url(channel: Path) -> Iterator[str]:
    """Its address on the loopback interface."""
    with serve(channel) as address:
        yield address


def _write(path: Path, url: str, *packages: str, more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"  - {package}\n" for package in packages)
    path.write_text(f"channels: [{url}]\ndependencies:\n{lines}{more}")
    return path


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """A locked environment file with a bit of everything."""
    path = tmp_path_factory.mktemp("envs") / "x.yaml"
    _write(path, url, "python", "greet", "activated", "many", "pip: [six ==1.16.0]")
    [locked] = lock([path])
    assert locked.state == "created"
    return path


@pytest.fixture
def spec(env_file: Path) -> EnvironmentSpec:
    return resolve_spec(env_file, env_file.parent)


def _run(environment: RealisedEnvironment, *command: str) -> str:
    env = environment.variables({"PATH": "/usr/bin:/bin", "PYTHONPATH": "/leak", "HOME": "/"})
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def _realise(env_file: Path, store: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", REALISE, str(env_file), str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_what_is_locked_is_what_runs(spec: EnvironmentSpec, tmp_path: Path) -> None:
    environment = NodeEnvironments(tmp_path / "store").realise(spec)
    record = environment.record
    assert (record.kind, record.pinned, record.platform) == (
        EnvironmentKind.CONDA,
        True,
        conda.this_platform(),
    )
    assert record.python == PYTHON
    packages = {package.name: package for package in record.packages}
    assert set(packages) == {"python", "greet", "activated", "many", "six"}
    assert packages["greet"].build == "py_0"
    assert packages["greet"].channel is not None
    assert packages["greet"].channel.endswith("/noarch")
    assert packages["six"].build is None
    assert all(len(package.digests) == 1 for package in record.packages)
    script = "import greet, six, ssl, sqlite3; print(greet.__version__, six.__version__)"
    assert environment.python is not None
    assert _run(environment, environment.python, "-c", script) == "2.0 1.16.0\n"
    assert _run(environment, "greet") == "greet 2.0\n", "its programs come first"


def test_its_activation_reaches_jobs_and_nothing_of_the_host_does(
    spec: EnvironmentSpec, tmp_path: Path
) -> None:
    environment = NodeEnvironments(tmp_path / "store").realise(spec)
    assert environment.python is not None
    prefix = Path(environment.python).parents[1]
    base = {"PATH": "/usr/bin", "PYTHONPATH": "/leak", "R_LIBS": "/leak", "MINE": "kept"}
    variables = environment.variables(base)
    assert variables["ACTIVATED_HOME"] == f"{prefix}/share/activated"
    assert variables["ACTIVATED_FLAG"] == "on"
    assert variables["CONDA_PREFIX"] == str(prefix)
    assert variables["PATH"] == f"{prefix}/bin:/usr/bin"
    assert variables["MINE"] == "kept"
    assert not {"PYTHONPATH", "R_LIBS", "HOME", "LC_ALL"} & set(variables)


def test_an_environment_needs_no_python(url: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "x.yaml", url, "tool <2")
    lock([path])
    environment = NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    assert environment.python is None
    assert environment.record.python is None
    assert _run(environment, "tool") == "tool 1.0\n"


def test_link_scripts_run_only_if_told_and_make_another_environment(
    url: str, tmp_path: Path
) -> None:
    path = _write(tmp_path / "x.yaml", url, "linked")
    lock([path])
    digests = set()
    for told in (False, True):
        environments = NodeEnvironments(tmp_path / "store")
        spec = resolve_spec(path, tmp_path, link_scripts=told)
        digests.add(environments.realise(spec).record.digest)
        assert (environments.place(spec) / "linked.txt").exists() is told
    assert len(digests) == 2


def test_locking_again_changes_nothing_until_it_is_asked_to(url: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "x.yaml", url, "tool <2", "greet <2", "python")
    assert [one.state for one in lock([path], check=True)] == ["missing"]
    lock([path])
    before = conda_lock_path(path).read_bytes()
    _write(path, url, "tool", "greet", "python")
    assert [one.state for one in lock([path], check=True)] == ["stale"]
    with pytest.raises(UnlockedError, match="has changed since"):
        resolve_spec(path, tmp_path)
    assert conda_lock_path(path).read_bytes() == before, "looking changes nothing"
    [relocked] = lock([path])
    assert (relocked.state, relocked.moved) == ("changed", ()), "what is locked stays"
    assert [one.state for one in lock([path])] == ["unchanged"]
    [one] = lock([path], upgrade_packages=["tool"])
    assert one.moved == (("tool", "1.0", "2.0"),)
    [rest] = lock([path], upgrade=True)
    assert rest.moved == (("greet", "1.0", "2.0"),)


def test_a_lock_is_for_every_platform_that_is_named(url: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "x.yaml", url, "tool >=2")
    lock([path])
    assert [one.state for one in lock([path], check=True, platforms=[OTHER])] == ["stale"]
    lock([path], platforms=[OTHER])
    text = conda_lock_path(path).read_text()
    assert "/linux-64/tool-2.0" in text
    assert f"/{OTHER}/tool-2.0" in text
    assert [one.state for one in lock([path])] == ["unchanged"]
    _write(path, url, "tool >=2", more=f"platforms: [{OTHER}]\n")
    lock([path])
    with pytest.raises(EnvironmentBuildError, match=f"is locked for {OTHER}, this node is") as no:
        NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    assert "repro lock --platform" in (no.value.hint or "")
    assert not (tmp_path / "store").exists()


def test_the_lock_of_another_tool_counts_until_something_is_to_be_moved(
    url: str, spec: EnvironmentSpec, env_file: Path, tmp_path: Path
) -> None:
    path = _write(tmp_path / "x.yaml", url, "python", "greet", "activated", "many")
    locked = read_conda_lock(conda_lock_path(env_file).read_bytes(), name="x")
    pins = tmp_path / "x.linux-64.pin.txt"
    lines = [
        f"{'# pip six @ ' * (f.manager == 'pip')}{f.url}#sha256={f.sha256.value}\n"
        for f in locked.files
    ]
    pins.write_text("@EXPLICIT\n" + "".join(lines))
    pinned = resolve_spec(path, tmp_path)
    assert pinned.lock is not None
    assert pinned.lock.path == pins.name
    environments = NodeEnvironments(tmp_path / "store")
    assert environments.place(pinned) == environments.place(spec), "the same files"
    assert _run(environments.realise(pinned), "greet") == "greet 2.0\n"
    for check in (True, False):
        [kept] = lock([path], check=check)
        assert (kept.lock, kept.state) == (pins, "unchanged")
    [own] = lock([path], upgrade=True)
    assert (own.lock, own.state) == (conda_lock_path(path), "created")
    assert resolve_spec(path, tmp_path).lock != pinned.lock


def test_conda_lock_itself_reads_our_lock(env_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "conda_lock", "render", "--kind", "explicit"]
    command += ["--platform", "linux-64", str(conda_lock_path(env_file))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "conda-linux-64.lock").read_text()
    assert "@EXPLICIT" in text
    assert re.search(r"/noarch/greet-2\.0-py_0\.conda#[0-9a-f]{32}", text)


def test_a_lock_that_conda_lock_made_is_used_as_it_is(url: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "x.yaml", url, "python", "greet =1.0")
    shim = make_shim(tmp_path / "conda")
    made = conda_lock_path(path)
    command = [sys.executable, "-m", "conda_lock", "lock", "--conda", str(shim)]
    command += ["--platform", conda.this_platform(), "--file", str(path), "--lockfile", str(made)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spec = resolve_spec(path, tmp_path)
    assert _run(NodeEnvironments(tmp_path / "store").realise(spec), "greet") == "greet 1.0\n"
    text = made.read_bytes()
    [kept] = lock([path], check=True)
    assert kept.state == "unchanged"
    assert made.read_bytes() == text


@pytest.mark.parametrize(
    ("packages", "error", "message"),
    [
        (["nothing"], EnvironmentBuildError, "No candidates were found for nothing"),
        (["tool >=9"], EnvironmentBuildError, "cannot be locked for linux-64"),
        (["'@@@'"], EnvironmentSpecError, "is not a valid package name"),
        (["tool", "pip: [six]"], EnvironmentSpecError, "it has a list for pip, but no Python"),
    ],
    ids=["unknown", "version", "no spec", "pip alone"],
)
def test_what_cannot_be_locked_is_one_clear_error_and_leaves_nothing(
    url: str, tmp_path: Path, packages: list[str], error: type[Exception], message: str
) -> None:
    path = _write(tmp_path / "x.yaml", url, *packages)
    with pytest.raises(error, match=message):
        lock([path])
    assert [file.name for file in tmp_path.iterdir()] == ["x.yaml"]


def test_a_channel_that_cannot_be_reached_is_one_clear_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.yaml", "http://127.0.0.1:9/nowhere", "tool")
    with pytest.raises(EnvironmentBuildError, match="a channel cannot be reached") as caught:
        lock([path])
    assert "Connection refused" in caught.value.message


def test_a_lock_whose_channel_is_gone_parses_and_fails_with_one_clear_error(
    env_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "far.conda-lock.yml"
    text = conda_lock_path(env_file).read_text()
    path.write_text(re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:9", text))
    spec = resolve_spec(path, tmp_path)
    store = tmp_path / "store"
    with pytest.raises(EnvironmentBuildError, match=r"far\.conda-lock\.yml cannot be built") as no:
        NodeEnvironments(store).realise(spec)
    assert "reachable" in (no.value.hint or "")
    assert {item.suffix for item in store.iterdir() if item.name != "packages"} == LEFT_BEHIND


@pytest.fixture
def own(channel: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A channel that may be changed, and a locked environment file for it."""
    mine = tmp_path / "channel"
    shutil.copytree(channel, mine)
    with serve(mine) as address:
        path = _write(tmp_path / "x.yaml", address, "python", "tool", "greet")
        lock([path])
        yield mine, path


def test_a_package_that_somebody_changed_is_not_installed(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    channel, path = own
    (channel / "linux-64/tool-2.0-h0_0.conda").write_bytes(
        (channel / "linux-64/tool-1.0-h0_0.conda").read_bytes()
    )
    store = tmp_path / "store"
    with pytest.raises(EnvironmentBuildError, match="hash mismatch") as caught:
        NodeEnvironments(store).realise(resolve_spec(path, tmp_path))
    assert "do not trust it" in (caught.value.hint or "")
    assert {item.suffix for item in store.iterdir() if item.name != "packages"} == LEFT_BEHIND


def test_a_wrong_hash_in_a_lock_is_noticed_whatever_is_cached(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    _, path = own
    store = tmp_path / "store"
    NodeEnvironments(store).realise(resolve_spec(path, tmp_path))
    lock_file = conda_lock_path(path)
    data = re.sub(
        r"(tool-2\.0.*\n.*\n\s+sha256: )[0-9a-f]{64}", rf"\g<1>{'ab' * 32}", lock_file.read_text()
    )
    assert data != lock_file.read_text()
    lock_file.write_text(data)
    with pytest.raises(EnvironmentBuildError, match="hash mismatch"):
        NodeEnvironments(store).realise(resolve_spec(path, tmp_path))


def test_a_moved_channel_changes_nothing_until_it_is_asked_to(
    own: tuple[Path, Path], tmp_path: Path
) -> None:
    channel, path = own
    (channel / "noarch/greet-2.0-py_0.conda").unlink()
    index(channel)
    assert [one.state for one in lock([path])] == ["unchanged"]
    [moved] = lock([path], upgrade=True)
    assert moved.moved == (("greet", "2.0", "1.0"),)


def test_files_are_shared_with_the_cache_and_nobody_may_write_them(
    spec: EnvironmentSpec, tmp_path: Path
) -> None:
    environments = NodeEnvironments(tmp_path / "store")
    environments.realise(spec)
    prefix = environments.place(spec)
    shared = [path for path in prefix.rglob("*") if path.is_file() and path.stat().st_nlink > 1]
    assert prefix / "share/many/0/7.txt" in shared
    assert not [path for path in shared if path.stat().st_mode & 0o222]


def test_where_link_scripts_run_files_are_copied(env_file: Path, tmp_path: Path) -> None:
    spec = resolve_spec(env_file, env_file.parent, link_scripts=True)
    environments = NodeEnvironments(tmp_path / "store")
    environments.realise(spec)
    files = [path for path in environments.place(spec).rglob("*") if path.is_file()]
    assert {path.stat().st_nlink for path in files} == {1}


def test_a_cache_that_somebody_changed_is_mended(spec: EnvironmentSpec, tmp_path: Path) -> None:
    store = tmp_path / "store"
    environments = NodeEnvironments(store)
    first = environments.place(spec)
    environments.realise(spec)
    environments.close()
    text = (first / "share/many/0/7.txt").read_text()
    (first / "share/many/0/7.txt").chmod(0o644)
    (first / "share/many/0/7.txt").write_text(text.replace("7", "8"))
    shutil.rmtree(first)
    NodeEnvironments(store).realise(spec)
    assert (first / "share/many/0/7.txt").read_text() == text


def test_channels_may_ask_for_a_password(
    channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(channel, password="open-sesame") as address:
        path = _write(tmp_path / "x.yaml", address, "tool")
        with pytest.raises(EnvironmentBuildError, match="a channel cannot be reached"):
            lock([path])
        secrets = tmp_path / "auth.json"
        host = address.removeprefix("http://").partition(":")[0]
        login = {"BasicHTTP": {"username": "alice", "password": "open-sesame"}}
        secrets.write_text(json.dumps({host: login}))
        monkeypatch.setenv("RATTLER_AUTH_FILE", str(secrets))
        lock([path])
        NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    secrets.unlink()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"open-sesame" not in file.read_bytes(), file


def test_of_many_processes_one_builds(env_file: Path, tmp_path: Path) -> None:
    processes = [_realise(env_file, tmp_path / "store") for _ in range(8)]
    outputs = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    assert sorted(output[0] for output in outputs) == ["built", *["found"] * 7]
    assert len({output[1] for output in outputs}) == 1


def test_a_build_that_is_killed_is_built_anew(env_file: Path, tmp_path: Path) -> None:
    seed = int(os.environ.get("REPRO_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"REPRO_TEST_SEED={seed}")
    moments = random.Random(seed)
    spec = resolve_spec(env_file, env_file.parent)
    began = time.monotonic()
    whole = NodeEnvironments(tmp_path / "whole")
    whole.realise(spec)
    duration = time.monotonic() - began
    store = tmp_path / "store"
    environments = NodeEnvironments(store)
    prefix = environments.place(spec)
    killed = 0
    while killed < 20:
        with _realise(env_file, store) as process:
            wait_for(lambda: prefix.exists() or process.poll() is not None, what="the build")
            time.sleep(moments.uniform(0, duration))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
        if prefix.with_suffix(".ok").exists():
            shutil.rmtree(prefix)
            prefix.with_suffix(".ok").unlink()
            if killed % 2:
                shutil.rmtree(store / "packages")  # so that packages are fetched again
    environments.realise(spec)
    assert _files(prefix) == _files(whole.place(spec))


def _files(prefix: Path) -> dict[str, bytes]:
    """Return what an environment consists of, but for what names its place."""
    return {
        path.relative_to(prefix).as_posix(): path.read_bytes()
        for path in sorted(prefix.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.is_relative_to(prefix / "conda-meta")
        and path.parent.name != "bin"
        and path.name != "RECORD"
    }


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    spec: EnvironmentSpec, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        with pytest.raises(EnvironmentBuildError) as caught:
            NodeEnvironments(small / "store").realise(spec)
        assert "Free some space" in (caught.value.hint or ""), caught.value.message
        left = [path for path in (small / "store").iterdir() if path.name != "packages"]
        assert {path.suffix for path in left} == LEFT_BEHIND
    finally:
        # what was being unpacked when another package failed goes on for a moment
        unmount = ["umount", str(small)]
        wait_for(
            lambda: subprocess.run(unmount, check=False, capture_output=True).returncode == 0,
            what="the end of rattler's threads",
        )


SNAKEFILE = """
rule all:
    input: "tool.txt", "script.txt", "wrapped.txt"
rule tool:
    output: "tool.txt"
    conda: "envs/tool.yaml"
    shell: "tool > {output}"
rule script:
    input: "tool.txt"
    output: "script.txt"
    params: depth=[1, 2]
    conda: "envs/python.yaml"
    script: "scripts/greet.py"
rule wrapped:
    input: "tool.txt"
    output: "wrapped.txt"
    wrapper: "file:wrapped"
"""
SCRIPT = """
import importlib.util
import os
import greet
from pathlib import Path
assert importlib.util.find_spec("ray") is None, "nothing of the host"
content = Path(snakemake.input[0]).read_text().strip()
text = f"{content} {greet.__version__} {snakemake.params.get('depth')} {os.environ['ACTIVATED_FLAG']}"
Path(snakemake.output[0]).write_text(text)
"""


def test_rules_of_every_kind_run_in_their_environments(workspace: Workspace, url: str) -> None:
    """The locks are made on first use, and binding from then on."""
    root = workspace.root
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write("scripts/greet.py", "").unlink()
    (root / "scripts/greet.py").write_text(SCRIPT)
    (root / "wrapped").mkdir()
    (root / "wrapped/wrapper.py").write_text(SCRIPT)
    _write(root / "envs/tool.yaml", url, "tool")
    for path in ("envs/python.yaml", "wrapped/environment.yaml"):
        _write(root / path, url, "python", "greet", "activated")
    refused = workspace.fails("--ray-locks", "frozen")
    assert "is not locked: expected" in refused.output
    assert not list(root.glob("**/*.conda-lock.yml"))
    output = workspace.ok("--ray-environment-store", str(root / "store")).output
    assert "Locks: created envs/tool.conda-lock.yml" in output
    assert (root / "tool.txt").read_text() == "tool 2.0\n"
    assert (root / "script.txt").read_text() == "tool 2.0 2.0 [1, 2] on"
    assert (root / "wrapped.txt").read_text() == "tool 2.0 2.0 None on"
    history = workspace.history
    jobs = {job.record.spec.rule: job for job in history.jobs}
    for rule in ("tool", "script", "wrapped"):
        job = jobs[rule]
        assert (job.state, job.record.tier) == (JobState.ACCEPTED, Tier.DIRECT)
        environment = history.environments[str(job.record.spec.environment)]
        assert environment.kind is EnvironmentKind.CONDA
        assert environment.pinned
        assert environment.lock is not None
        assert environment.lock.path.endswith(".conda-lock.yml")
        assert environment.packages
    frozen = ("--ray-locks", "frozen", "--ray-environment-store", str(root / "store"))
    assert "Nothing to be done" in workspace.ok(*frozen).output
    lock([_write(root / "envs/tool.yaml", url, "tool <2")])
    output = workspace.ok(*frozen).output
    assert "Software environment definition has changed" in output
    assert (root / "script.txt").read_text() == "tool 1.0 2.0 [1, 2] on"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_rules_run_hermetically_in_their_environments(workspace: Workspace, url: str) -> None:
    root = workspace.root
    workspace.write("Snakefile", SNAKEFILE)
    for name in ("scripts/greet.py", "wrapped/wrapper.py"):
        workspace.write(name, "")
        (root / name).write_text(SCRIPT)
    _write(root / "envs/tool.yaml", url, "tool")
    for path in ("envs/python.yaml", "wrapped/environment.yaml"):
        _write(root / path, url, "python", "greet", "activated")
    workspace.ok("--ray-environment-store", str(root / "store"), "--ray-hermetic", "enforce")
    assert (root / "tool.txt").read_text() == "tool 2.0\n"
    assert (root / "script.txt").read_text() == "tool 2.0 2.0 [1, 2] on"
    assert (root / "wrapped.txt").read_text() == "tool 2.0 2.0 None on"
    for rule in ("tool", "script", "wrapped"):
        record = workspace.job(rule).record
        assert record.isolation is not None
        assert record.violations == ()


def test_an_environment_without_its_lock_is_refused(spec: EnvironmentSpec, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentSpecError, match="came without its lock"):
        NodeEnvironments(tmp_path).realise(dataclasses.replace(spec, lock_text=None))
