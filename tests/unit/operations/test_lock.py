"""Locks that need no index: whether they fit, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_repro.backends.environments.lockfile import lock_path, read_spec
from snakemake_repro.errors import EnvironmentSpecError, NotFoundError, StorageError
from snakemake_repro.logic.requirements import LockedPackage, NewerLockError, PypiLock, parse_lock
from snakemake_repro.operations.lock import LockState, lock
from snakemake_repro.records import Digest

SIX = LockedPackage(name="six", version="1.17.0", marker=None, digests=(Digest("a" * 64),))


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text("dependencies: [python]\n")
    return path


def _states(*files: Path, check: bool = False) -> list[LockState]:
    return [locked.state for locked in lock(files, check=check)]


def _write_lock(env_file: Path, *packages: LockedPackage) -> Path:
    spec = read_spec(env_file)
    path = lock_path(env_file)
    path.write_text(PypiLock(spec=spec.digest, python=spec.python, packages=packages).to_text())
    return path


def test_a_file_without_packages_has_a_lock_too(env_file: Path) -> None:
    assert _states(env_file, check=True) == [LockState.MISSING]
    assert _states(env_file) == [LockState.CREATED]
    assert _states(env_file) == [LockState.UNCHANGED]
    assert _states(env_file, check=True) == [LockState.UNCHANGED]
    assert parse_lock(lock_path(env_file).read_text(), name="x").packages == ()
    assert lock_path(env_file).stat().st_mode & 0o777 == 0o644
    assert {path.name for path in env_file.parent.iterdir()} == {"x.yaml", "x.requirements.lock"}


def test_a_lock_that_does_not_fit_its_file_is_stale_and_then_made_anew(env_file: Path) -> None:
    _write_lock(env_file, SIX)
    env_file.write_text("dependencies: [python =3.12]\n")
    assert _states(env_file, check=True) == [LockState.STALE]
    [locked] = lock([env_file])
    assert (locked.state, locked.moved) == (LockState.CHANGED, (("six", "1.17.0", None),))
    assert parse_lock(lock_path(env_file).read_text(), name="x").python == "==3.12.*"


def test_what_fits_is_not_resolved_again(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/nobody-listens")
    env_file.write_text("dependencies: [python, {pip: [six]}]\n")
    before = _write_lock(env_file, SIX).read_bytes()
    assert _states(env_file) == [LockState.UNCHANGED]
    assert lock_path(env_file).read_bytes() == before


def test_a_damaged_lock_is_made_anew_and_never_passed_over(env_file: Path) -> None:
    lock_path(env_file).write_bytes(b"\xff\x00 nonsense")
    with pytest.raises(EnvironmentSpecError, match="cannot be used"):
        lock([env_file], check=True)
    assert _states(env_file) == [LockState.CREATED]


def test_a_lock_of_a_newer_version_is_not_overwritten(env_file: Path) -> None:
    path = _write_lock(env_file)
    text = path.read_text().replace("repro-lock: 1", "repro-lock: 2")
    path.write_text(text)
    for check in (False, True):
        with pytest.raises(NewerLockError, match="has format 2"):
            lock([env_file], check=check)
    assert path.read_text() == text


def test_a_file_named_twice_is_locked_once(env_file: Path) -> None:
    assert _states(env_file, env_file) == [LockState.CREATED]


def test_upgrading_a_package_that_nothing_locks_is_a_slip_of_the_pen(env_file: Path) -> None:
    before = _write_lock(env_file, SIX).read_bytes()
    with pytest.raises(NotFoundError, match=r"nothing to upgrade: sixx") as caught:
        lock([env_file], upgrade_packages=["six", "sixx"])
    assert "--upgrade" in (caught.value.hint or "")
    assert lock_path(env_file).read_bytes() == before


def test_a_lock_that_cannot_be_written_is_one_clear_error(env_file: Path) -> None:
    lock_path(env_file).mkdir()
    with pytest.raises(StorageError, match=r"cannot read the lock .*x\.requirements\.lock"):
        lock([env_file])


def test_a_lock_of_another_tool_is_left_alone_and_said_to_be_stale(env_file: Path) -> None:
    other = env_file.with_name("pylock.x.toml")
    other.write_text('lock-version = "1.0"\ncreated-by = "t"\npackages = []\n')
    before = other.read_bytes()
    [locked] = lock([env_file])
    assert (locked.lock, locked.state) == (other, LockState.UNCHANGED)
    assert _states(env_file, check=True) == [LockState.UNCHANGED]
    env_file.write_text("dependencies: [python, {pip: [six]}]\n")
    assert _states(env_file, check=True) == [LockState.STALE]
    with pytest.raises(EnvironmentSpecError, match=r"asks for 'six', and pylock\.x\.toml"):
        lock([env_file])
    assert other.read_bytes() == before
    assert not lock_path(env_file).exists()
    env_file.write_text("dependencies: [python]\n")
    [moved] = lock([env_file], upgrade=True)
    assert (moved.lock, moved.state) == (lock_path(env_file), LockState.CREATED)
