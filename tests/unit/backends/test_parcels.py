"""Files as streams of chunks, and back."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from snakemake_repro.backends.parcels import pack, unpack
from snakemake_repro.errors import StorageError


def _tree(root: Path) -> dict[bytes, bytes | str]:
    found: dict[bytes, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = os.fsencode(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "directory" if path.is_dir() else path.read_bytes()
    return found


@pytest.mark.parametrize("chunk", [1, 700, 16_384, 10**9])
def test_what_is_packed_is_unpacked(tmp_path: Path, chunk: int) -> None:
    source = tmp_path / "source"
    (source / "dir/empty").mkdir(parents=True)
    (source / "dir/one.txt").write_bytes(b"x" * 1000)
    (source / "dir/link").symlink_to("one.txt")
    (source / "dir/dangling").symlink_to("nowhere")
    (source / os.fsdecode(b"dir/not-utf8-\xff")).write_bytes(b"odd")
    (source / "dir/with space\nand line").write_bytes(b"")
    (source / "dir/run.sh").write_text("#!/bin/sh\n")
    (source / "dir/run.sh").chmod(0o755)
    (source / f"dir/{'long' * 50}").write_bytes(b"a name longer than old archives can hold")
    (source / "empty").write_bytes(b"")
    names = ("dir", "empty")
    target = tmp_path / "target"
    target.mkdir()
    unpack(pack({name: source / name for name in names}, chunk=chunk), target)
    assert _tree(target) == _tree(source)
    assert os.access(target / "dir/run.sh", os.X_OK)
    assert (target / "dir/one.txt").stat().st_mtime == pytest.approx(
        (source / "dir/one.txt").stat().st_mtime
    )


def test_a_link_at_the_top_travels_as_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("content")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "target").mkdir()
    unpack(pack({"results/link": tmp_path / "link"}), tmp_path / "target")
    arrived = tmp_path / "target/results/link"
    assert not arrived.is_symlink()
    assert arrived.read_text() == "content"


def test_chunks_are_small_whatever_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    sizes = [len(chunk) for chunk in pack({"large": path}, chunk=1024 * 1024)]
    assert max(sizes) < 3 * 1024 * 1024
    assert sum(sizes) > 50 * 1024 * 1024


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped"])
def test_nothing_leaves_its_directory(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = 1
        archive.addfile(info, BytesIO(b"x"))
    if name.startswith("/"):  # the leading slash is taken off
        unpack([buffer.getvalue()], inside)
    else:
        with pytest.raises(StorageError, match="cannot be written below"):
            unpack([buffer.getvalue()], inside)
    assert {path.name for path in tmp_path.iterdir()} == {"inside"}
    assert not Path("/tmp/escaped").exists()


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to("/etc/passwd")
    (tmp_path / "target").mkdir()
    with pytest.raises(StorageError, match="cannot be written below"):
        unpack(pack({"out": tmp_path / "out"}), tmp_path / "target")


def test_a_stream_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    chunks = list(pack({"file": tmp_path / "file"}, chunk=1000))
    (tmp_path / "target").mkdir()
    with pytest.raises(StorageError):
        unpack(chunks[: len(chunks) // 2], tmp_path / "target")


def test_what_is_no_file_cannot_travel(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="neither a file nor a directory"):
        list(pack({"pipe": tmp_path / "pipe"}))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone"):
        list(pack({"gone": tmp_path / "gone"}))
