"""An environment holds what its lock says, with the files that were packed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from package_index import make_wheel

from snakemake_repro.backends.environments.installed import check_installed
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.requirements import LockedPackage
from snakemake_repro.records import Digest


def _install(site: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def _locked(name: str, version: str = "1.0") -> LockedPackage:
    return LockedPackage(name=name, version=version, marker=None, digests=(Digest("a" * 64),))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site-packages"
    for name in ("one", "other"):
        _install(site, make_wheel(tmp_path, name, "1.0"))
    return site


def test_what_was_locked_and_packed_is_accepted(site: Path) -> None:
    check_installed(site, "x", [_locked("one"), _locked("other")])


@pytest.mark.parametrize(
    ("locked", "message"),
    [
        (["one"], "other: expected nothing, got 1.0"),
        (["one", "other", "third"], "third: expected 1.0, got nothing"),
    ],
)
def test_a_package_too_many_or_too_few_is_named(
    site: Path, locked: list[str], message: str
) -> None:
    with pytest.raises(EnvironmentBuildError, match=message):
        check_installed(site, "x", map(_locked, locked))


def test_another_version_is_named(site: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"one: expected 1\.1, got 1\.0"):
        check_installed(site, "x", [_locked("one", "1.1"), _locked("other")])


def test_two_spellings_of_a_version_are_one(tmp_path: Path) -> None:
    site = tmp_path / "site"
    _install(site, make_wheel(tmp_path, "certs", "2024.7.4", written_version="2024.07.04"))
    check_installed(site, "x", [_locked("certs", "2024.7.4")])


def test_a_file_that_is_not_as_it_was_packed_is_named(site: Path) -> None:
    path = site / "one.py"
    path.write_text(path.read_text().replace("1.0", "9.9"))
    with pytest.raises(EnvironmentBuildError, match=r"one\.py is not as one was packed") as caught:
        check_installed(site, "x", [_locked("one"), _locked("other")])
    assert "uv cache clean one" in (caught.value.hint or "")


def test_a_compiled_file_that_differs_is_removed_unless_it_is_all_there_is(
    site: Path, tmp_path: Path
) -> None:
    compiled = {
        "__pycache__/third.cpython-311.pyc": "packed",
        "third.py": "",
        "alone.pyc": "packed",
    }
    _install(site, make_wheel(tmp_path, "third", "1.0", files=compiled))
    locked = [_locked(name) for name in ("one", "other", "third")]
    check_installed(site, "x", locked)
    assert (site / "__pycache__/third.cpython-311.pyc").read_text() == "packed"
    (site / "__pycache__/third.cpython-311.pyc").write_text("compiled here")
    check_installed(site, "x", locked)
    assert not (site / "__pycache__/third.cpython-311.pyc").exists()
    (site / "alone.pyc").write_text("other")
    with pytest.raises(EnvironmentBuildError, match=r"alone\.pyc is not as third was packed"):
        check_installed(site, "x", locked)


def test_a_file_that_is_missing_is_named(site: Path) -> None:
    (site / "one.py").unlink()
    with pytest.raises(EnvironmentBuildError, match=r"one\.py is not as one was packed"):
        check_installed(site, "x", [_locked("one"), _locked("other")])


def test_a_record_that_is_missing_is_named(site: Path) -> None:
    (site / "one-1.0.dist-info" / "RECORD").unlink()
    with pytest.raises(EnvironmentBuildError, match="RECORD is not as one was packed"):
        check_installed(site, "x", [_locked("one"), _locked("other")])


def test_a_path_that_two_packages_bring_may_be_of_either(site: Path, tmp_path: Path) -> None:
    for name in ("third", "fourth"):
        files = {f"{name}.py": "", "tests/__init__.py": f"# {name}\n"}
        _install(site, make_wheel(tmp_path, name, "1.0", files=files))
    locked = [_locked(name) for name in ("one", "other", "third", "fourth")]
    check_installed(site, "x", locked)
    (site / "tests/__init__.py").write_text("# somebody else\n")
    with pytest.raises(EnvironmentBuildError, match="tests/__init__"):
        check_installed(site, "x", locked)
