"""`repro env`: what is realised on this node, built ahead, and removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from conda_channel import make_channel, serve
from processes import wait_for

Repro = Callable[..., Result]

USE = """
import sys
from pathlib import Path
from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
file, store, said = map(Path, sys.argv[1:])
environments = NodeEnvironments(store)
environments.realise(resolve_spec(file, file.parent))
said.touch()
sys.stdin.read()
"""


@pytest.fixture
def locked(repro: Repro, tmp_path: Path) -> Path:
    """A project with one locked environment of nothing but Python."""
    path = tmp_path / "envs" / "empty.yaml"
    path.parent.mkdir()
    path.write_text("dependencies: [python]\n")
    assert repro("lock").exit_code == 0
    return path


@contextmanager
def _in_use(file: Path, store: Path) -> Iterator[None]:
    said = store.with_name("said")
    user = subprocess.Popen(
        [sys.executable, "-c", USE, str(file), str(store), str(said)], stdin=subprocess.PIPE
    )
    try:
        wait_for(said.exists, what="the use of it")
        yield
    finally:
        user.communicate()


def _fates(repro: Repro, *args: str) -> list[str]:
    data = json.loads(repro("env", "gc", "--json", "--store", "store", *args).stdout)
    return [one["fate"] for one in data["environments"]]


def test_an_environment_is_built_ahead_and_listed(repro: Repro, locked: Path) -> None:
    assert repro("env", "list", "--store", "store").stdout == (
        "There is no environment on this node yet.\n"
    )
    built = repro("env", "build", "--store", "store")
    assert re.fullmatch(r"[0-9a-f]{12} .* envs/empty\.yaml\n", built.stdout)
    key = built.stdout[:12]
    listed = repro("env", "list", "--store", "store").stdout.splitlines()
    assert len(listed) == 2
    assert listed[1].startswith(key)
    assert "envs/empty.yaml  pypi" in listed[1]
    [one] = json.loads(repro("env", "list", "--store", "store", "--json").stdout)["environments"]
    assert one["key"].startswith(key)
    assert one["record"]["pinned"] is True
    assert one["size"] > 0
    assert (one["used"] is not None, one["busy"]) == (True, False)
    [again] = json.loads(repro("env", "build", "--store", "store", "--json").stdout)["environments"]
    assert again["record"] == one["record"]


def test_an_unlocked_file_is_not_built(repro: Repro, locked: Path) -> None:
    locked.with_name("empty.requirements.lock").unlink()
    result = repro("env", "build", "--store", "store")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not locked" in result.stderr


def test_what_no_lock_names_is_removed_and_nothing_else(
    repro: Repro, locked: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    repro("env", "build", "--store", "store")
    assert _fates(repro, "--unused-for", "0") == ["locked here"]
    other = tmp_path / "other"
    other.mkdir()
    assert _fates(repro, "other", ".", "--unused-for", "0") == ["locked here"]
    assert _fates(repro, "other") == ["used lately"]
    with _in_use(locked, store):
        assert _fates(repro, "other", "--unused-for", "0") == ["in use"]
        [one] = json.loads(repro("env", "list", "--json", "--store", "store").stdout)[
            "environments"
        ]
        assert one["busy"]
    assert _fates(repro, "other", "--unused-for", "0", "--dry-run") == ["removed"]
    assert _fates(repro, "other", "--unused-for", "0", "--dry-run") == ["removed"]
    result = repro("env", "gc", "other", "--unused-for", "0", "--store", "store")
    assert re.search(r"^1 removed, ", result.stdout, re.MULTILINE)
    assert "There is no environment" in repro("env", "list", "--store", "store").stdout
    assert [path for path in store.iterdir() if path.is_dir()] == []
    assert repro("env", "build", "--store", "store").exit_code == 0, "it can be built again"


def test_what_a_build_that_was_cut_off_left_is_removed(
    repro: Repro, locked: Path, tmp_path: Path
) -> None:
    repro("env", "build", "--store", "store")
    [done] = (tmp_path / "store").glob("*.ok")
    done.unlink()
    assert "unfinished" in repro("env", "list", "--store", "store").stdout
    assert _fates(repro) == ["removed"], "although its lock is in reach and it is new"
    assert _fates(repro) == []


def test_a_damaged_mark_is_named(repro: Repro, locked: Path, tmp_path: Path) -> None:
    repro("env", "build", "--store", "store")
    [done] = (tmp_path / "store").glob("*.ok")
    done.write_text("{")
    result = repro("env", "list", "--store", "store")
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"{done} cannot be read" in result.stderr


def test_an_environment_of_pip_alone_makes_no_image(
    repro: Repro, locked: Path, tmp_path: Path
) -> None:
    result = repro("env", "export", "envs/empty.yaml", "--store", "store")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "envs/empty.yaml asks for packages of pip alone" in result.stderr
    assert not (tmp_path / "empty.tar").exists()


def test_a_conda_environment_becomes_an_image(repro: Repro, tmp_path: Path) -> None:
    with serve(make_channel(tmp_path / "channel")) as url:
        env_file = tmp_path / "tools.yaml"
        env_file.write_text(f"channels: [{url}]\ndependencies: [activated]\n")
        assert repro("lock", "tools.yaml").exit_code == 0
        said = repro("env", "export", "tools.yaml", "--store", "store").stdout
        data = json.loads(
            repro("env", "export", "tools.yaml", "-o", "x.tar", "--store", "store", "--json").stdout
        )
    assert f"the image {data['id']}." in said
    assert (tmp_path / "tools.tar").read_bytes() == (tmp_path / "x.tar").read_bytes()
    assert data["path"] == str(tmp_path / "x.tar")
    assert data["size"] == (tmp_path / "x.tar").stat().st_size
    assert data["environment"]["kind"] == "conda"
    assert data["digest"].startswith("sha256:")
    assert "There is no environment" in repro("env", "list", "--store", "store").stdout


def _shell(locked: Path, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "snakemake_repro.cli", "env", "shell", "envs/empty.yaml"]
    return subprocess.run(
        [*line, "--store", "store", *(["--", *command] if command else [])],
        cwd=locked.parents[1],
        env={**os.environ, "PYTHONPATH": ""},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_runs_in_the_environment_and_its_exit_code_is_passed_on(
    locked: Path, tmp_path: Path
) -> None:
    script = "import os, sys; print(sys.prefix, os.getcwd()); sys.exit(7)"
    done = _shell(locked, "python", "-c", script)
    assert done.returncode == 7
    prefix, place = done.stdout.split()
    assert Path(prefix).parent == tmp_path / "store"
    assert place == str(tmp_path)
    assert _shell(locked, "sh", "-c", "kill -TERM $$").returncode == 128 + 15
    missing = _shell(locked, "no-such-program")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no-such-program cannot be started: No such file" in missing.stderr


def test_without_a_command_it_is_a_shell(locked: Path, tmp_path: Path) -> None:
    done = _shell(locked, text="command -v python; exit 5\n")
    assert done.returncode == 5
    assert done.stdout.startswith(f"{tmp_path / 'store'}/")


def test_the_environment_is_in_use_as_long_as_the_command_runs(
    repro: Repro, locked: Path, tmp_path: Path
) -> None:
    done = _shell(
        locked,
        *(sys.executable, "-m", "snakemake_repro.cli", "env", "list", "--json", "--store", "store"),
    )
    [one] = json.loads(done.stdout)["environments"]
    assert one["busy"]
    assert _fates(repro, ".", "--unused-for", "0") == ["locked here"]


def test_a_signal_reaches_the_command_and_not_only_what_waits_for_it(
    repro: Repro, locked: Path, tmp_path: Path
) -> None:
    repro("env", "build", "--store", "store")
    script = "trap 'echo ended > ended; exit 3' TERM; touch began; while :; do sleep 0.05; done"
    line = [sys.executable, "-m", "snakemake_repro.cli", "env", "shell", "envs/empty.yaml"]
    with subprocess.Popen(
        [*line, "--store", "store", "--", "sh", "-c", script], cwd=tmp_path
    ) as running:
        wait_for((tmp_path / "began").exists, what="the command")
        running.terminate()
        assert running.wait(30) == 3
    assert (tmp_path / "ended").exists()
