"""Bases of images: refused where they are not what they say."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from containers import Image, digest, save_image, save_layout

from snakemake_repro.backends.containers.bases import Base, open_base
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.layers import write_layer
from snakemake_repro.errors import EnvironmentSpecError, StorageError


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image of one file."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content\n")
    write_layer(tree, tmp_path / "layer.tar")
    layer = (tmp_path / "layer.tar").read_bytes()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    return Image(layers=(layer,), config=json.dumps(config).encode())


def _no_engine() -> Engine:
    raise AssertionError("no engine is needed")


def _open(name: str, workdir: Path) -> Base:
    folder = workdir / "folder"
    folder.mkdir(exist_ok=True)
    return open_base(name, workdir, "amd64", folder, engine=_no_engine)


def test_archives_of_both_kinds_hold_the_same_image(image: Image, tmp_path: Path) -> None:
    save_image(image, tmp_path / "saved.tar")
    save_layout(image, tmp_path / "layout.tar")
    for name in ("saved.tar", "layout.tar"):
        base = _open(name, tmp_path)
        [(path, blob)] = base.layers
        assert path.read_bytes() == image.layers[0]
        assert str(blob.digest) == digest(image.layers[0])
        assert base.config == {"Env": ["A=b"]}


def test_a_damaged_layer_is_named(image: Image, tmp_path: Path) -> None:
    other = Image(layers=(image.layers[0] + bytes(10),), config=image.config)
    save_image(other, tmp_path / "x.tar")
    with pytest.raises(
        EnvironmentSpecError, match=r"is damaged: its layer 0/layer\.tar has sha256:"
    ):
        _open("x.tar", tmp_path)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for name in ("text.tar", "empty.tar"):
        with pytest.raises(EnvironmentSpecError, match="is no archive of an image"):
            _open(name, tmp_path)
    with pytest.raises(EnvironmentSpecError, match="neither a directory nor an archive"):
        _open("missing", tmp_path)


def test_layers_in_a_newer_compression_are_refused(image: Image, tmp_path: Path) -> None:
    other = Image(layers=(b"\x28\xb5\x2f\xfd" + bytes(10),), config=image.config)
    save_image(other, tmp_path / "x.tar")
    with pytest.raises(EnvironmentSpecError, match="compressed with zstd, expected gzip or none"):
        _open("x.tar", tmp_path)


def test_a_layer_has_neither_times_nor_owners_and_its_parents_come_first(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "b" / "deep").mkdir(parents=True)
    (tree / "run" / "shm").mkdir(parents=True)
    (tree / "b" / "deep" / "file").write_text("x")
    (tree / "b.txt").write_text("y")
    (tree / "link").symlink_to("b/deep")
    first = write_layer(tree, tmp_path / "1.tar", place="/opt/env", hidden={"run"})
    os.utime(tree / "b.txt", (0, 0))
    assert write_layer(tree, tmp_path / "2.tar", place="/opt/env", hidden={"run"}) == first
    with tarfile.open(tmp_path / "1.tar") as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        *("opt", "opt/env", "opt/env/b", "opt/env/b/deep", "opt/env/b/deep/file"),
        *("opt/env/b.txt", "opt/env/link", "opt/env/run"),
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}


def test_a_pipe_cannot_be_in_an_image(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mkfifo(tree / "pipe")
    with pytest.raises(StorageError, match="pipe cannot be in an image"):
        write_layer(tree, tmp_path / "1.tar")
