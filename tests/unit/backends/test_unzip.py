"""An archive from anywhere cannot write outside of its directory."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from snakemake_repro.backends.unzip import holds, unzip
from snakemake_repro.errors import RecordError, StorageError


def _archive(path: Path, *names: str, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "content")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty directory, alone in another one."""
    made = tmp_path / "alone" / "target"
    made.mkdir(parents=True)
    return made


def test_files_are_unpacked(tmp_path: Path, target: Path) -> None:
    archive = _archive(tmp_path / "a.zip", "a/b.txt", "c.txt")
    assert holds(archive, "a/b.txt")
    assert not holds(archive, "b.txt")
    unzip(archive, target)
    assert (target / "a/b.txt").read_text() == "content"


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..\\x"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, target: Path, name: str) -> None:
    with pytest.raises(RecordError, match="would lie outside of it"):
        unzip(_archive(tmp_path / "a.zip", "good.txt", name), target)
    assert [path.name for path in target.parent.rglob("*")] == ["target"]


def test_a_link_is_refused(tmp_path: Path, target: Path) -> None:
    archive = _archive(tmp_path / "a.zip", "link", mode=stat.S_IFLNK | 0o777)
    with pytest.raises(RecordError, match="is no regular file"):
        unzip(archive, target)
    assert list(target.iterdir()) == []


def test_two_files_of_one_name_are_refused(tmp_path: Path, target: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = _archive(tmp_path / "a.zip", "x", "x")
    with pytest.raises(StorageError, match="cannot unpack"):
        unzip(archive, target)


def test_more_than_there_is_space_for_is_refused(tmp_path: Path, target: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", "content")
        archive.filelist[0].file_size = 1 << 50  # so its directory will say
    with pytest.raises(StorageError, match="it holds 1,125,899,906,842,624 bytes"):
        unzip(file, target)
    assert list(target.iterdir()) == []


def test_what_is_no_archive_is_refused(tmp_path: Path, target: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(b"nothing")
    assert not holds(file, "x")
    with pytest.raises(RecordError, match="cannot be unpacked"):
        unzip(file, target)
