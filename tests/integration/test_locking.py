"""Locks made by uv from indexes on loopback: they hold what the index says, and no place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from package_index import make_sdist, make_wheel, serve_index, sha256, write_simple_pages

from snakemake_repro.backends.environments.lockfile import lock_path, resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.requirements import LockedPackage, parse_lock
from snakemake_repro.operations.lock import LockState, lock

pytestmark = pytest.mark.integration

TAGS = ("cp311-cp311-linux_x86_64", "cp312-cp312-linux_x86_64", "cp313-cp313-linux_x86_64")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Wheels of ``apple`` 1.0 and 1.1, and of ``pear`` 1.0 for each interpreter."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "apple", "1.0")
    make_wheel(folder, "apple", "1.1")
    for tag in TAGS:
        make_wheel(folder, "pear", "1.0", tag=tag)
    return folder


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which pip and uv know of no index yet, and uv's cache is empty."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    return monkeypatch


@pytest.fixture
def index(wheels: Path, told: pytest.MonkeyPatch) -> Iterator[str]:
    """Their index, as pip's main one."""
    with serve_index(wheels) as url:
        told.setenv("PIP_INDEX_URL", url)
        yield url


def _env_file(folder: Path, *requirements: str, python: str = "python") -> Path:
    path = folder / "x.yaml"
    lines = "".join(f"      - {line}\n" for line in requirements)
    path.write_text(f"dependencies:\n  - {python}\n  - pip\n  - pip:\n{lines}")
    return path


def _locked(env_file: Path) -> dict[str, LockedPackage]:
    found = parse_lock(lock_path(env_file).read_text(), name="x").packages
    return {package.name: package for package in found}


def test_digests_are_those_of_every_file_of_the_index(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    path = _env_file(tmp_path, "apple", "pear")
    [locked] = lock([path])
    assert locked.state is LockState.CREATED
    assert locked.moved == (("apple", None, "1.1"), ("pear", None, "1.0"))
    for name, pattern in (("apple", "apple-1.1-*"), ("pear", "pear-1.0-*")):
        expected = sorted(sha256(wheel) for wheel in wheels.glob(pattern))
        assert [str(digest) for digest in _locked(path)[name].digests] == expected
    assert not re.search(r"://|127\.0|index|\.whl|/", lock_path(path).read_text())


def test_a_package_may_be_kept_out_although_another_needs_it(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    make_wheel(wheels, "basket", "1.0", needs="apple")
    path = _env_file(tmp_path, "basket")
    lock([path])
    assert set(_locked(path)) == {"apple", "basket"}
    _env_file(tmp_path, "basket", "apple ; python_version < '0'")
    [locked] = lock([path])
    assert locked.moved == (("apple", "1.1", None),)
    spec = resolve_spec(path, tmp_path)
    assert NodeEnvironments(tmp_path / "store").realise(spec).record.pinned
    assert set(_locked(path)) == {"basket"}


def test_a_lock_made_beside_an_incomplete_mirror_serves_every_python(
    index: str, told: pytest.MonkeyPatch, wheels: Path, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    make_wheel(mirror, "pear", "1.0", tag=TAGS[0])
    with serve_index(mirror) as url:
        told.setenv("PIP_EXTRA_INDEX_URL", url)
        path = _env_file(tmp_path, "pear")
        lock([path])
    assert len(_locked(path)["pear"].digests) == len(TAGS)


def test_what_only_a_directory_of_this_machine_has_is_not_locked(
    index: str, told: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    make_wheel(own, "apple", "1.1+here")
    make_wheel(own, "apple", "2.0")
    told.setenv("PIP_FIND_LINKS", str(own))
    told.setenv("PIP_EXTRA_INDEX_URL", write_simple_pages(own).as_uri())
    path = _env_file(tmp_path, "apple")
    lock([path])
    assert _locked(path)["apple"].version == "1.1"


def test_who_insists_on_a_directory_gets_no_path_into_the_lock(
    index: str, told: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    wheel = make_wheel(own, "apple", "1.1+here")
    told.setenv("UV_DEFAULT_INDEX", index)
    told.setenv("UV_FIND_LINKS", str(own))
    path = _env_file(tmp_path, "apple")
    lock([path])
    locked = _locked(path)["apple"]
    assert (locked.version, [str(digest) for digest in locked.digests]) == (
        "1.1+here",
        [sha256(wheel)],
    )
    assert "/" not in lock_path(path).read_text()
    assert NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path)).record.pinned


def test_an_index_behind_a_password_serves_and_is_not_named(
    told: pytest.MonkeyPatch, wheels: Path, tmp_path: Path
) -> None:
    path = _env_file(tmp_path, "apple")
    with serve_index(wheels, credentials="me:hunter2") as url:
        told.setenv("PIP_INDEX_URL", url.replace("//", "//me:hunter2@"))
        lock([path])
        assert not re.search(r"hunter2|127\.0", lock_path(path).read_text())
        spec = resolve_spec(path, tmp_path)
        assert NodeEnvironments(tmp_path / "store").realise(spec).record.pinned
        told.setenv("PIP_INDEX_URL", url.replace("//", "//me:hunter3@"))
        told.setenv("UV_CACHE_DIR", str(tmp_path / "other"))
        with pytest.raises(EnvironmentBuildError) as caught:
            NodeEnvironments(tmp_path / "other store").realise(spec)
    assert "apple" in caught.value.message
    assert "hunter3" not in caught.value.render()


def test_what_is_locked_stays_and_only_what_is_named_moves(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    path = _env_file(tmp_path, "apple ==1.0")
    lock([path])
    _env_file(tmp_path, "apple", "pear")
    [locked] = lock([path])
    assert (locked.state, locked.moved) == (LockState.CHANGED, (("pear", None, "1.0"),))
    [locked] = lock([path], upgrade_packages=["pear"])
    assert (locked.state, locked.moved) == (LockState.UNCHANGED, ())
    make_wheel(wheels, "pear", "1.1")
    [locked] = lock([path], upgrade_packages=["Pear"])
    assert (locked.state, locked.moved) == (LockState.CHANGED, (("pear", "1.0", "1.1"),))
    [locked] = lock([path], upgrade=True)
    assert (locked.state, locked.moved) == (LockState.CHANGED, (("apple", "1.0", "1.1"),))


def test_versions_of_a_plain_requirements_file_are_taken_over(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    path = _env_file(tmp_path, "apple")
    lock_path(path).write_text(f"apple==1.0 \\\n    --hash=sha256:{'0' * 64}\n    # via me\n")
    [locked] = lock([path])
    assert (locked.state, locked.moved) == (LockState.CREATED, ())
    [digest] = _locked(path)["apple"].digests
    assert str(digest) == sha256(wheels / "apple-1.0-py3-none-any.whl"), "not the one invented"


def test_a_digest_that_somebody_changed_comes_from_the_index_again(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    path = _env_file(tmp_path, "apple ==1.0", "pear")
    lock([path])
    honest = lock_path(path).read_text()
    lock_path(path).write_text(re.sub(r"(?<=hash=sha256:)\w{8}", "0" * 8, honest))
    [locked] = lock([path], upgrade_packages=["pear"])
    assert (locked.state, locked.moved) == (LockState.CHANGED, ())
    assert lock_path(path).read_text() == honest


def test_a_lock_resolves_for_the_oldest_python_that_its_file_admits(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    [wheel] = wheels.glob("apple-1.1-*")
    wheel.unlink()
    info = "Metadata-Version: 2.1\nName: apple\nVersion: 1.1\nRequires-Python: >=3.12\n"
    make_wheel(wheels, "apple", "1.1", files={"apple.py": "", "apple-1.1.dist-info/METADATA": info})
    path = _env_file(tmp_path, "apple ==1.1", python="python >=3.12")
    lock([path])
    assert _locked(path)["apple"].version == "1.1"


def test_which_versions_the_user_prefers_counts_for_locking(
    index: str, told: pytest.MonkeyPatch, wheels: Path, tmp_path: Path
) -> None:
    make_wheel(wheels, "apple", "2.0rc1")
    path = _env_file(tmp_path, "apple")
    lock([path])
    assert _locked(path)["apple"].version == "1.1"
    told.setenv("UV_PRERELEASE", "allow")
    lock([path], upgrade=True)
    assert _locked(path)["apple"].version == "2.0rc1"
    told.setenv("UV_PRERELEASE", "disallow")
    assert NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path)).record.pinned


def test_pip_and_uv_take_the_lock_as_it_is(index: str, tmp_path: Path) -> None:
    path = _env_file(tmp_path, "apple", 'pear ; sys_platform == "win32"')
    lock([path])
    target = tmp_path / "target"
    common = ["--require-hashes", "--no-deps", "-r", lock_path(path)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", target]
    subprocess.run([*pip, "--no-build-isolation", *common], check=True)
    assert (target / "apple.py").exists()
    assert not (target / "pear.py").exists()
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", tmp_path / "uv"]
    subprocess.run([*uv, "--default-index", index, *common], check=True)
    assert (tmp_path / "uv" / "apple.py").exists()


@pytest.mark.parametrize(
    ("requirement", "advice"), [("apple ==9", "have these versions"), ("plum", "index")]
)
def test_what_the_index_has_not_is_one_clear_error(
    index: str, tmp_path: Path, requirement: str, advice: str
) -> None:
    path = _env_file(tmp_path, requirement)
    with pytest.raises(EnvironmentBuildError, match=r"x\.yaml cannot be locked:") as caught:
        lock([path])
    assert requirement.split(maxsplit=1)[0] in caught.value.message
    assert advice in (caught.value.hint or "")
    assert not lock_path(path).exists()


def test_an_index_that_nobody_answers_for_is_one_clear_error(
    told: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    path = _env_file(tmp_path, "apple")
    with pytest.raises(EnvironmentBuildError, match="cannot be locked") as caught:
        lock([path])
    assert "reachable" in (caught.value.hint or "")
    assert {found.name for found in tmp_path.glob("x.*")} == {"x.yaml"}


def test_a_lock_that_another_tool_made_is_installed(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    path = _env_file(tmp_path, "apple", "pear")
    other = tmp_path / "pylock.x.toml"
    requirements = tmp_path / "wanted.in"
    requirements.write_text("apple\npear\n")
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    subprocess.run([*uv, "--default-index", index, "-o", other, requirements], check=True)
    record = NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path)).record
    assert record.lock is not None
    assert (record.lock.path, record.pinned) == ("pylock.x.toml", True)
    assert [(p.name, p.version) for p in record.packages] == [("apple", "1.1"), ("pear", "1.0")]
    lock([path], upgrade=True)
    ours = NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path)).record
    assert ours.lock is not None
    assert ours.lock.path == "x.requirements.lock"
    assert ours.digest == record.digest, "the content counts"


def test_a_lock_without_a_wheel_for_this_node_is_one_clear_error(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    wheel = make_wheel(wheels, "plum", "1.0", tag="cp311-cp311-win_amd64")
    path = _env_file(tmp_path, "plum")
    (tmp_path / "pylock.x.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "t"\n[[packages]]\nname = "plum"\nversion = "1.0"\n'
        f'wheels = [{{ name = "{wheel.name}", hashes = {{ sha256 = "{sha256(wheel)[7:]}" }} }}]\n'
    )
    with pytest.raises(EnvironmentBuildError, match=r"plum==1\.0 has no wheels") as caught:
        NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    assert "Only wheels are installed" in (caught.value.hint or "")


def test_a_source_archive_is_refused_until_it_is_allowed_and_then_said_so(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    sdist = make_sdist(wheels, "fig", "1.0", needs="apple")
    path = _env_file(tmp_path, "fig")
    with pytest.raises(EnvironmentBuildError, match=r"fig==1\.0 has no usable wheels") as caught:
        lock([path])
    assert "--no-binary NAME" in (caught.value.hint or "")
    path = _env_file(tmp_path, "fig", "apple", "--no-binary fig")
    lock([path])
    assert "\n--no-binary fig\n" in lock_path(path).read_text()
    assert [str(digest) for digest in _locked(path)["fig"].digests] == [sha256(sdist)]
    environment = NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))
    assert environment.python is not None
    subprocess.run([environment.python, "-c", "import fig; assert fig.built"], check=True)
    record = environment.record
    assert (record.built, record.pinned) == (("fig",), False)
    [site] = Path(environment.python).parents[1].glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation"]
    options = ["--require-hashes", "--no-deps", "--target", tmp_path / "pip"]
    subprocess.run(
        [*command, *options, "-r", lock_path(path)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert (tmp_path / "pip" / "fig.py").exists(), "pip takes the lock, too"


def test_a_package_is_built_with_what_is_locked_and_nothing_else(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    make_sdist(wheels, "fig", "1.0", needs="apple")
    path = _env_file(tmp_path, "fig", "--no-binary fig")
    lock([path])
    store = tmp_path / "store"
    with pytest.raises(EnvironmentBuildError, match="No module named 'apple'") as caught:
        NodeEnvironments(store).realise(resolve_spec(path, tmp_path))
    assert "must be in the `pip:` list" in (caught.value.hint or "")
    assert not list(store.glob("*.ok"))


def test_a_source_archive_that_is_not_the_locked_one_is_not_built(
    index: str, wheels: Path, tmp_path: Path
) -> None:
    make_sdist(wheels, "fig", "1.0")
    path = _env_file(tmp_path, "fig", "--no-binary fig")
    lock([path])
    make_sdist(wheels, "fig", "1.0", needs="apple")
    with pytest.raises(EnvironmentBuildError, match=r"(?i)hash mismatch"):
        NodeEnvironments(tmp_path / "store").realise(resolve_spec(path, tmp_path))


def test_allowing_what_nothing_needs_is_a_slip_of_the_pen(index: str, tmp_path: Path) -> None:
    path = _env_file(tmp_path, "apple", "--no-binary aple")
    with pytest.raises(EnvironmentSpecError, match="`--no-binary aple`, and nothing"):
        lock([path])
    assert not lock_path(path).exists()
