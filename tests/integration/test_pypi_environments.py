"""Locked environments: made by uv, built once per node, and never half."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import snakemake.script
from package_index import make_wheel, serve_index
from processes import wait_for
from pythons import another_python
from runs import Workspace
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards
from snakemake.sourcecache import LocalSourceFile

from snakemake_repro.backends.environments import pypi
from snakemake_repro.backends.environments.installed import check_installed
from snakemake_repro.backends.environments.lockfile import lock_path, resolve_spec
from snakemake_repro.backends.environments.shim import script_search_path
from snakemake_repro.backends.environments.store import NodeEnvironments
from snakemake_repro.backends.files import hash_file
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.operations.lock import lock
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec, JobState

pytestmark = pytest.mark.integration

YAML = """
channels: [conda-forge]
dependencies:
  - python >=3.11,<3.14
  - pip
  - pip:
      - tabulate ==0.9.0
      - six
      - colorama ; sys_platform == "win32"
"""

LOCKS = {".lock", ".use"}
"""Files of locks stay behind whatever becomes of an environment."""

REALISE = """
import sys
from pathlib import Path
from snakemake_repro.backends.environments import pypi
from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
built = []
build = pypi.build
def counted(*args, **kwargs):
    built.append(1)
    build(*args, **kwargs)
pypi.build = counted
file, store = map(Path, sys.argv[1:])
environment = NodeEnvironments(store).realise(resolve_spec(file, file.parent))
print("built" if built else "found", environment.python)
"""


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("envs") / "x.yaml"
    path.write_text(YAML)
    [locked] = lock([path])
    assert locked.state == "created"
    return path


@pytest.fixture
def spec(env_file: Path) -> EnvironmentSpec:
    return resolve_spec(env_file, env_file.parent)


def _realise(env_file: Path, store: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", REALISE, str(env_file), str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def _works(python: str) -> bool:
    script = "import tabulate, six; assert tabulate.__version__ == '0.9.0'"
    return subprocess.run([python, "-c", script], check=False).returncode == 0


def test_a_lock_names_versions_and_digests_and_no_place(env_file: Path) -> None:
    text = lock_path(env_file).read_text()
    assert "tabulate==0.9.0" in text
    assert "--hash=sha256:" in text
    assert "colorama" in text, "it is universal"
    assert not re.search(r"://|index|find-links|/tmp|\.whl|\.tar", text)


def test_a_lock_is_what_pip_takes_in_its_hash_checking_mode(env_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*command, "-r", lock_path(env_file), "-d", tmp_path], check=True)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"tabulate", "six"}


def test_locking_again_changes_nothing_until_it_is_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("dependencies: [python, {pip: ['tabulate ==0.8.10']}]\n")
    assert [item.state for item in lock([path], check=True)] == ["missing"]
    lock([path])
    before = lock_path(path).read_bytes()
    assert [item.state for item in lock([path])] == ["unchanged"]
    path.write_text("dependencies: [python, {pip: ['tabulate']}]\n")
    assert [item.state for item in lock([path], check=True)] == ["stale"]
    assert lock_path(path).read_bytes() == before, "looking changes nothing"
    lock([path])
    assert "tabulate==0.8.10" in lock_path(path).read_text(), "what is locked stays"
    [upgraded] = lock([path], upgrade_packages=["tabulate"])
    assert upgraded.state == "changed"
    [(name, old, new)] = upgraded.moved
    assert (name, old) == ("tabulate", "0.8.10")
    assert new != old


def test_an_environment_holds_what_its_lock_says_and_is_found_again(
    spec: EnvironmentSpec, tmp_path: Path
) -> None:
    environments = NodeEnvironments(tmp_path)
    environment = environments.realise(spec)
    assert environment.python is not None
    assert _works(environment.python)
    record = environment.record
    assert record.pinned
    assert record.kind is EnvironmentKind.PYPI
    assert [package.name for package in record.packages] == ["six", "tabulate"]
    started = time.monotonic()
    again = NodeEnvironments(tmp_path).realise(spec)
    assert time.monotonic() - started < 0.5
    assert again.record == record
    variables = environment.variables({"PATH": "/bin", "PYTHONPATH": "/leak", "HOME": "/h"})
    assert variables["PATH"].startswith(str(tmp_path))
    assert "PYTHONPATH" not in variables
    assert variables["HOME"] == "/h"


def test_the_host_is_recorded_and_never_called_pinned(tmp_path: Path) -> None:
    host = EnvironmentSpec(kind=EnvironmentKind.HOST, name="host")
    environment = NodeEnvironments(tmp_path).realise(host)
    assert not environment.record.pinned
    assert "snakemake" in {package.name for package in environment.record.packages}
    assert environment.variables({"A": "b"}) == {"A": "b"}
    assert not list(tmp_path.iterdir())


def test_a_wrong_hash_is_one_clear_error_and_leaves_nothing(env_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "x.yaml"
    other.write_text(env_file.read_text())
    text = lock_path(env_file).read_text()
    lock_path(other).write_text(
        re.sub(r"sha256:[0-9a-f]{64}(?=\s|$)", "sha256:" + "0" * 64, text).replace(
            f"# spec: sha256:{'0' * 64}", re.search(r"# spec: .*", text)[0]
        )
    )  # type: ignore[index]
    store = tmp_path / "store"
    with pytest.raises(EnvironmentBuildError, match=r"(?i)hash mismatch") as caught:
        NodeEnvironments(store).realise(resolve_spec(other, tmp_path))
    assert "://" not in caught.value.message or "@" not in caught.value.message
    assert {path.suffix for path in store.iterdir()} == LOCKS


def test_a_version_that_no_index_has_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("dependencies: [python, {pip: ['six ==0.0.0.1']}]\n")
    with pytest.raises(EnvironmentBuildError, match="cannot be locked") as caught:
        lock([path])
    assert caught.value.hint
    assert not lock_path(path).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: lock_path(p).unlink(), "is not locked"),
        (lambda p: p.write_text(YAML.replace("six", "six >=1")), "has changed since"),
        (lambda p: p.write_text("dependencies: [numpy]"), "asks for conda packages"),
        (lambda p: p.write_text("dependencies: ["), "is no YAML"),
        (lambda p: p.unlink(), "cannot be read"),
        (lambda p: lock_path(p).write_text("six==1"), "cannot be used"),
    ],
    ids=["no lock", "stale", "conda", "no yaml", "missing", "bad lock"],
)
def test_what_is_not_locked_is_refused(
    env_file: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(YAML)
    lock_path(path).write_text(lock_path(env_file).read_text())
    change(path)
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        resolve_spec(path, tmp_path)
    assert caught.value.hint


def test_a_lock_for_a_python_that_the_node_has_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("dependencies: [python =3.12.39, {pip: [six]}]\n")
    lock([path])
    with pytest.raises(EnvironmentBuildError, match=r"locked for Python ==3\.12\.39") as caught:
        NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    assert platform.python_version() in caught.value.message
    assert "uv python install" in (caught.value.hint or "")
    assert not (tmp_path / "store").exists()


def test_a_lock_for_another_python_finds_it_on_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, executable = another_python()
    monkeypatch.setenv("PATH", f"{executable.parent}:{os.environ['PATH']}")
    path = tmp_path / "x.yaml"
    unlike = f'colorama ; python_full_version != "{version}"'
    path.write_text(f"dependencies: [python =={version}, {{pip: [six, '{unlike}']}}]\n")
    lock([path])
    environment = NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    record = environment.record
    assert (record.python, record.pinned) == (version, True)
    assert record.interpreter == hash_file(executable.resolve())[0]
    assert [package.name for package in record.packages] == ["six"]
    assert environment.python is not None
    script = "import platform, six, sys; print(platform.python_version(), sys.base_prefix)"
    said = subprocess.run([environment.python, "-c", script], check=True, capture_output=True)
    found, base = said.stdout.decode().split()
    assert found == version
    assert base in environment.directories


def test_jobs_run_with_the_python_that_their_lock_asks_for(workspace: Workspace) -> None:
    version, _ = another_python(on_path=True)
    workspace.write("envs/x.yaml", f"dependencies: [python =={version}, {{pip: [six]}}]\n")
    workspace.write(
        "script.py",
        """
        import platform, six
        with open(snakemake.output[0], "w") as f:
            f.write(f"{platform.python_version()} {snakemake.params.answer}")
        """,
    )
    workspace.write(
        "Snakefile",
        """
        rule script:
            output: "script.txt"
            params: answer=42
            conda: "envs/x.yaml"
            script: "script.py"
        """,
    )
    workspace.ok("--ray-environment-store", str(workspace.root / "store"))
    assert (workspace.root / "script.txt").read_text() == f"{version} 42"


def test_of_many_processes_one_builds(env_file: Path, tmp_path: Path) -> None:
    processes = [_realise(env_file, tmp_path / "store") for _ in range(6)]
    outputs = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 6
    assert sorted(output[0] for output in outputs) == ["built", *["found"] * 5]
    assert len({output[1] for output in outputs}) == 1


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment file whose environment takes its time to build, locked."""
    wheels = tmp_path / "wheels"
    text = "".join(f"def f{i}(x):\n    return x + {i}\n" for i in range(200))
    for name in ("apple", "pear"):
        files = {f"{name}/m{i}.py": text for i in range(60)}
        make_wheel(wheels, name, "1.0", files={f"{name}/__init__.py": "", **files})
    path = tmp_path / "large.yaml"
    path.write_text("dependencies: [python, {pip: [apple, pear]}]\n")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with serve_index(wheels) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        lock([path])
        yield path


def test_a_build_that_is_killed_is_built_anew(large: Path, tmp_path: Path) -> None:
    """Killed at any moment: the builder alone, so that uv goes on without it, or with uv."""
    seed = random.randrange(2**32)
    print("seed", seed)
    moments = random.Random(seed)
    spec = resolve_spec(large, tmp_path)
    plan = pypi.plan(spec)
    record, packages = plan.record, plan.packages
    duration = _seconds(lambda: NodeEnvironments(tmp_path / "first").realise(spec))
    killed = 0
    for attempt in range(40):
        if killed == 8:
            break
        store = tmp_path / f"store{attempt}"
        prefix = store / record.digest.value[:32]
        with _realise(large, store) as process:
            wait_for(prefix.exists, what="the build")
            time.sleep(moments.uniform(0, duration))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                if attempt % 2:
                    os.killpg(process.pid, signal.SIGKILL)
        if prefix.with_suffix(".ok").exists():
            continue  # it was complete before; try again
        killed += 1
        python = NodeEnvironments(store).realise(spec).python
        assert python is not None
        assert {path.name for path in store.iterdir()} == {
            prefix.name,
            *(f"{prefix.name}{suffix}" for suffix in (".ok", *LOCKS)),
        }
        wait_for(lambda p=prefix: not _writers(p), what="the end of what was left behind")
        [site] = prefix.glob("lib/python*/site-packages")
        check_installed(site, "large", packages)
        script = "import apple.m59, pear.m59; assert pear.m59.f199(1) == 200"
        subprocess.run([python, "-c", script], check=True)
    assert killed == 8


def _writers(prefix: Path) -> list[Path]:
    """Return living processes that were told to work on an environment."""
    found = []
    for commands in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if str(prefix).encode() in commands.read_bytes():
                found.append(commands)
    return found


def _seconds(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def test_a_builder_that_is_interrupted_leaves_nothing(large: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with _realise(large, store) as process:
        wait_for(lambda: list(store.glob("*/bin/python")), what="the build")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert process.returncode != 0
    assert {path.suffix for path in store.iterdir()} == LOCKS


def test_a_cache_that_somebody_changed_is_noticed(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = resolve_spec(large, tmp_path)
    NodeEnvironments(tmp_path / "one").realise(spec)
    [cached] = (tmp_path / "cache").glob("archive-v*/*/apple/m7.py")
    assert cached.stat().st_nlink == 1, "no environment shares it"
    text = cached.read_text()
    cached.write_text(text.replace("x + 7", "x + 8"))
    with pytest.raises(EnvironmentBuildError, match=r"m7\.py is not as apple was packed"):
        NodeEnvironments(tmp_path / "other").realise(spec)
    assert {path.suffix for path in (tmp_path / "other").iterdir()} == LOCKS


def test_settings_of_uv_do_not_change_what_is_built(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_VENV_SEED", "UV_NO_VERIFY_HASHES", "UV_SYSTEM_PYTHON", "UV_NO_BUILD"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UV_LINK_MODE", "symlink")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "pyproject.toml").write_text('[tool.uv.pip]\nno-deps = "broken"\n')
    monkeypatch.chdir(tmp_path)
    environment = NodeEnvironments(Path("store")).realise(resolve_spec(large, tmp_path))
    assert environment.python is not None
    [module] = Path(environment.python).parents[1].glob("lib/python*/site-packages/apple/m7.py")
    assert not module.is_symlink()


def test_a_job_cannot_reach_the_cache_through_its_environment(
    spec: EnvironmentSpec, tmp_path: Path
) -> None:
    environment = NodeEnvironments(tmp_path).realise(spec)
    assert environment.python is not None
    links = [path.stat().st_nlink for path in Path(environment.python).parents[1].rglob("*.py")]
    assert set(links) == {1}


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    spec: EnvironmentSpec, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        with pytest.raises(EnvironmentBuildError) as caught:
            NodeEnvironments(small / "store").realise(spec)
        assert "Free some space" in (caught.value.hint or "")
        assert not list((small / "store").glob("*.ok"))
        assert not [path for path in (small / "store").iterdir() if path.is_dir()]
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_script_gets_its_snakemake_object_and_nothing_else_of_the_host(
    spec: EnvironmentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preamble that Snakemake writes into a script, in an environment without Snakemake."""
    environment = NodeEnvironments(tmp_path / "store").realise(spec)
    assert environment.python is not None
    search = str(script_search_path(tmp_path / "store"))
    monkeypatch.setattr(snakemake.script, "get_snakemake_searchpaths", lambda: [search])
    preamble = snakemake.script.PythonScript.generate_preamble(
        LocalSourceFile(str(tmp_path / "job.py")),
        cache_path=None,
        source="",
        basedir=None,
        input_=InputFiles(fromdict={"data": "in.txt"}),
        output=OutputFiles(["out.txt"]),
        params=Params(fromdict={"depth": {"trees": [1, 2.5, None]}}),
        wildcards=Wildcards(fromdict={"sample": "a"}),
        threads=2,
        resources=ResourceList(fromdict={"mem_mb": 100}),
        log=Log([]),
        config={"key": ["value"]},
        rulename="train",
        conda_env=None,
        container_img=None,
        singularity_args="",
        env_modules=None,
        bench_record=None,
        jobid=1,
        bench_iteration=None,
        cleanup_scripts=True,
        shadow_dir=None,
        is_local=False,
    )
    (tmp_path / "job.py").write_text(
        preamble
        + textwrap.dedent(
            """
            import importlib, tabulate
            assert snakemake.input.data == "in.txt"
            assert snakemake.output[0] == "out.txt"
            assert snakemake.params.depth == {"trees": [1, 2.5, None]}
            assert snakemake.wildcards.sample == "a"
            assert (snakemake.threads, snakemake.resources["mem_mb"]) == (2, 100)
            assert (snakemake.config, snakemake.rule) == ({"key": ["value"]}, "train")
            logger.info("logging works")
            from snakemake_repro import track
            for name in ("numpy", "ray", "mlflow", "yaml", "click", "packaging", "pip"):
                try:
                    importlib.import_module(name)
                except ImportError:
                    continue
                raise SystemExit(name + " leaks in")
            """
        )
    )
    subprocess.run([environment.python, tmp_path / "job.py"], check=True, cwd=tmp_path)


def test_rules_run_in_their_locked_environment_in_both_tiers(
    workspace: Workspace, env_file: Path
) -> None:
    workspace.write("envs/x.yaml", env_file.read_text())
    workspace.write("envs/x.requirements.lock", lock_path(env_file).read_text())
    workspace.write(
        "script.py",
        """
        import sys, tabulate
        try:
            import numpy
        except ImportError:
            numpy = None
        with open(snakemake.output[0], "w") as f:
            f.write(f"{tabulate.__version__} {numpy} {snakemake.rule}")
        """,
    )
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "shell.txt", "script.txt", "shadow.txt", "shadowscript.txt"
        rule shell:
            output: "shell.txt"
            conda: "envs/x.yaml"
            shell: "python -c 'import tabulate; print(tabulate.__version__)' > {output}"
        rule script:
            output: "script.txt"
            conda: "envs/x.yaml"
            script: "script.py"
        rule shadow:
            output: "shadow.txt"
            conda: "envs/x.yaml"
            shadow: "minimal"
            shell: "python -c 'import tabulate; print(tabulate.__version__)' > {output}"
        rule shadowscript:
            output: "shadowscript.txt"
            conda: "envs/x.yaml"
            shadow: "minimal"
            script: "script.py"
        """,
    )
    store = workspace.root / "store"
    workspace.ok("--ray-environment-store", str(store))
    assert (workspace.root / "shell.txt").read_text() == "0.9.0\n"
    assert (workspace.root / "shadow.txt").read_text() == "0.9.0\n"
    assert (workspace.root / "script.txt").read_text() == "0.9.0 None script"
    assert (workspace.root / "shadowscript.txt").read_text() == "0.9.0 None shadowscript"
    history = workspace.history
    assert all(job.state is JobState.ACCEPTED for job in history.jobs)
    [digest] = {job.record.spec.environment for job in history.jobs}
    environment = history.environments[str(digest)]
    assert (environment.name, environment.pinned) == ("envs/x.yaml", True)
    assert environment.lock is not None
    assert environment.lock.path == "envs/x.requirements.lock"
