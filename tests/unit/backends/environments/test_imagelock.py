"""The lock of container images stands in one place, completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_repro.backends.environments.imagelock import (
    NAME,
    image_lock_path,
    lock_record,
    read_image_lock,
    write_image_lock,
)
from snakemake_repro.errors import EnvironmentSpecError, StorageError
from snakemake_repro.logic.images import ImageLock
from snakemake_repro.records import Digest

LOCK = ImageLock(images={"x:1": {"linux/amd64": Digest("1" * 64)}})


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "workflow/envs"),
        (["workflow/envs/x.yaml"], "workflow/envs"),
        (["envs/x.yaml"], "envs"),
        (["envs/x.yaml", "workflow/envs/x.yaml"], "workflow/envs"),
        ([f"envs/{NAME}", "workflow/envs/x.yaml"], "envs"),
    ],
    ids=["nothing", "beside", "above", "both", "a lock above"],
)
def test_it_stands_in_envs_beside_the_snakefile_or_above(
    tmp_path: Path, there: list[str], expected: str
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = image_lock_path(tmp_path / "workflow" / "Snakefile")
    assert found == tmp_path / expected / NAME


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "envs" / NAME
    assert read_image_lock(path) is None
    write_image_lock(path, LOCK)
    assert read_image_lock(path) == LOCK
    assert [one.name for one in path.parent.iterdir()] == [NAME]
    record = lock_record(path, tmp_path)
    assert (record.path, record.size) == (f"envs/{NAME}", path.stat().st_size)


def test_what_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(EnvironmentSpecError, match=NAME):
        read_image_lock(tmp_path / NAME)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="cannot read the lock"):
        read_image_lock(tmp_path / "folder")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write the lock"):
        write_image_lock(tmp_path / "file" / NAME, LOCK)
    assert sorted(one.name for one in tmp_path.iterdir()) == [NAME, "file", "folder"]
