"""A rule's environment file leads to its lock, or to one clear refusal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import snakemake_repro
from snakemake_repro.backends.environments.lockfile import (
    UnlockedError,
    lock_path,
    read_spec,
    resolve_spec,
)
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.requirements import PypiLock
from snakemake_repro.records import EnvironmentKind

YAML = "dependencies:\n  - python\n  - pip\n  - pip:\n      - six\n"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "envs" / "x.yaml"
    path.parent.mkdir()
    path.write_text(YAML)
    spec = read_spec(path)
    lock = PypiLock(spec=spec.digest, python=spec.python, packages=())
    lock_path(path).write_text(lock.to_text())
    return path


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("x.yaml", "x.requirements.lock"),
        ("x.yml", "x.requirements.lock"),
        ("environment.yaml", "environment.requirements.lock"),
        ("x.y.yaml", "x.y.requirements.lock"),
    ],
)
def test_the_lock_stands_beside_its_file(name: str, lock: str) -> None:
    assert lock_path(Path("envs", name)) == Path("envs", lock)


def test_the_spec_says_which_bytes_were_asked_for(env_file: Path, tmp_path: Path) -> None:
    spec = resolve_spec(env_file, tmp_path)
    assert spec.kind is EnvironmentKind.PYPI
    assert spec.name == "envs/x.yaml"
    assert spec.source is not None
    assert spec.lock is not None
    assert (spec.source.path, spec.source.size) == ("envs/x.yaml", len(YAML))
    assert spec.lock.path == "envs/x.requirements.lock"
    for record, path in ((spec.source, env_file), (spec.lock, lock_path(env_file))):
        assert record.digest is not None
        assert record.digest.value == hashlib.sha256(path.read_bytes()).hexdigest()
    assert spec.lock_text == lock_path(env_file).read_text()


def test_our_own_environments_are_named_alike_wherever_we_are_installed(tmp_path: Path) -> None:
    ours = Path(snakemake_repro.__file__).parent / "wrappers/sklearn/train/environment.yaml"
    name = "snakemake_repro/wrappers/sklearn/train/environment.yaml"
    assert resolve_spec(ours, tmp_path).name == name


def test_line_ends_of_another_system_do_not_matter(env_file: Path, tmp_path: Path) -> None:
    text = lock_path(env_file).read_text()
    lock_path(env_file).write_bytes(text.replace("\n", "\r\n").encode())
    assert resolve_spec(env_file, tmp_path).lock_text == text


def _other(env_file: Path, text: str) -> None:
    env_file.write_text(text)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (lambda p: lock_path(p).unlink(), "x.yaml is not locked: expected", "repro lock envs/x"),
        (lambda p: _other(p, YAML.replace("six", "six >1")), "has changed since", "repro lock env"),
        (lambda p: lock_path(p).write_text("six==1"), "cannot be used", "repro lock"),
        (lambda p: lock_path(p).write_bytes(b"\xff"), "cannot be read", "repro lock envs/x"),
        (lambda p: _other(p, "dependencies: [samtools]"), "names no channel", "conda-forge"),
        (lambda p: _other(p, "dependencies: ["), "is no YAML", "syntax"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00"), "is no YAML", "syntax"),
        (lambda p: p.unlink(), "cannot be read", "relative to the Snakefile"),
        (
            lambda p: p.with_name("x.post-deploy.sh").write_text("make install"),
            "x.post-deploy.sh",
            "into a rule",
        ),
    ],
    ids=[
        "no lock",
        "stale",
        "bad lock",
        "binary lock",
        "conda",
        "no yaml",
        "binary",
        "missing",
        "script",
    ],
)
def test_what_cannot_be_resolved_is_one_clear_error(
    env_file: Path, tmp_path: Path, change: Callable[[Path], object], message: str, hint: str
) -> None:
    change(env_file)
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        resolve_spec(env_file, tmp_path)
    assert "x." in caught.value.message
    assert hint in (caught.value.hint or "")


def test_the_command_in_a_hint_can_be_copied_to_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "my envs" / "x.yaml"
    path.parent.mkdir()
    path.write_text(YAML)
    with pytest.raises(EnvironmentSpecError) as caught:
        resolve_spec(path, tmp_path)
    assert "`repro lock 'my envs/x.yaml'`" in (caught.value.hint or "")


def test_what_is_no_environment_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"ends in \.yaml"):
        read_spec(tmp_path / "x.requirements.lock")


PYLOCK = f"""
lock-version = "1.0"
created-by = "another tool"
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{{ url = "https://host/six.whl", hashes = {{ sha256 = "{"a" * 64}" }} }}]
"""


@pytest.mark.parametrize(
    ("source", "lock"),
    [
        ("x.yaml", "pylock.x.toml"),
        ("environment.yaml", "pylock.toml"),
        ("environment.yml", "pylock.environment.toml"),
    ],
)
def test_the_lock_that_tools_have_in_common_is_read_where_there_is_none_of_ours(
    tmp_path: Path, source: str, lock: str
) -> None:
    path = tmp_path / source
    path.write_text(YAML)
    path.with_name(lock).write_text(PYLOCK)
    spec = resolve_spec(path, tmp_path)
    assert spec.kind is EnvironmentKind.PYPI
    assert spec.lock is not None
    assert spec.lock.path == lock
    assert "six==1.17.0" in (spec.lock_text or "")
    asked = read_spec(path)
    ours = PypiLock(spec=asked.digest, python=asked.python, packages=())
    lock_path(path).write_text(ours.to_text())
    assert resolve_spec(path, tmp_path).lock_text == ours.to_text()


@pytest.mark.parametrize(
    ("yaml", "lock", "message"),
    [
        (YAML, "lock-version = ", "is no TOML"),
        (YAML, "lock-version = '9.0'", "has lock-version '9.0'"),
        (YAML, PYLOCK.replace("sha256", "md5"), "six has a file without a sha256"),
        (YAML.replace("six", "six >2"), PYLOCK, "asks for 'six >2', and pylock.x.toml has nothing"),
    ],
)
def test_such_a_lock_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, yaml: str, lock: str, message: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml)
    (tmp_path / "pylock.x.toml").write_text(lock)
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        resolve_spec(path, tmp_path)
    assert caught.value.hint


def test_a_lock_for_the_whole_directory_is_not_taken_for_one_file_of_many(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(YAML)
    (tmp_path / "pylock.toml").write_text(PYLOCK)
    with pytest.raises(UnlockedError, match="is not locked"):
        resolve_spec(path, tmp_path)
