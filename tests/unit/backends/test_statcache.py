"""The stat cache believes a digest only where the file cannot have changed unseen."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from snakemake_repro.backends import statcache
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.errors import RecordError, StorageError
from snakemake_repro.records import Digest

_A, _B = Digest("a" * 64), Digest("b" * 64)
_SECOND = 1_000_000_000


def _file(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _put(cache: StatCache, path: Path, digest: Digest = _A) -> None:
    """Put as if the file had been hashed a second from now: it is old enough then."""
    cache.put(path.stat(), digest, time.time_ns() + _SECOND)


def test_a_file_that_was_not_touched_is_known(tmp_path: Path) -> None:
    cache = StatCache()
    path = _file(tmp_path / "x")
    assert cache.get(path.stat()) is None
    _put(cache, path)
    assert cache.get(path.stat()) == _A


def test_a_file_that_was_written_too_shortly_before_is_not_trusted(tmp_path: Path) -> None:
    cache = StatCache()
    stat = _file(tmp_path / "x").stat()
    changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    cache.put(stat, _A, changed + 19_000_000)
    assert cache.get(stat) is None
    cache.put(stat, _A, changed + 20_000_000)
    assert cache.get(stat) == _A


def test_a_time_stamp_set_back_does_not_hide_a_recent_change(tmp_path: Path) -> None:
    cache = StatCache()
    path = _file(tmp_path / "x")
    os.utime(path, (1, 1))
    cache.put(path.stat(), _A, time.time_ns())
    assert cache.get(path.stat()) is None


def test_a_file_changed_to_the_same_size_and_time_is_another_file(tmp_path: Path) -> None:
    cache = StatCache()
    path = _file(tmp_path / "x", b"one")
    before = path.stat()
    _put(cache, path)
    time.sleep(0.02)
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.get(path.stat()) is None


def test_another_file_under_the_same_name_is_another_file(tmp_path: Path) -> None:
    cache = StatCache()
    path = _file(tmp_path / "x")
    _put(cache, path)
    _file(tmp_path / "y").replace(path)
    assert cache.get(path.stat()) is None


def test_an_output_that_snakemake_touched_stays_known(tmp_path: Path) -> None:
    cache = StatCache()
    path = _file(tmp_path / "x")
    _put(cache, path)
    os.utime(path)
    assert cache.get(path.stat()) is None
    cache.refresh(path, _A, 1)
    assert cache.get(path.stat()) == _A


def test_an_output_of_another_size_or_gone_is_not_refreshed(tmp_path: Path) -> None:
    cache = StatCache()
    path = _file(tmp_path / "x")
    cache.refresh(path, _A, 2)
    cache.refresh(tmp_path / "gone", _A, 1)
    assert len(cache) == 0


def test_entries_travel_to_another_process(tmp_path: Path) -> None:
    cache = StatCache()
    one, two = _file(tmp_path / "one"), _file(tmp_path / "two")
    _put(cache, one, _A)
    _put(cache, two, _B)
    sent = json.loads(json.dumps(cache.select([one, tmp_path / "gone"])))
    other = StatCache.from_json(sent)
    assert (other.get(one.stat()), other.get(two.stat())) == (_A, None)
    other.merge(cache.to_json())
    assert other.get(two.stat()) == _B


def test_nothing_to_merge_is_no_error() -> None:
    cache = StatCache()
    cache.merge(None)
    assert cache.to_json() == []


def test_files_of_a_directory_travel_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = StatCache()
    for name in ("d/one", "d/sub/two", "elsewhere"):
        _put(cache, _file(tmp_path / name))
    assert len(cache.select([tmp_path / "d"])) == 2
    monkeypatch.setattr(statcache, "MAX_DIRECTORY_FILES", 1)
    assert cache.select([tmp_path / "d"]) == []


@pytest.mark.parametrize(
    "row", [[1, 2, 3, 4, 5], [1, 2, 3, 4, "5", "a" * 64], [1, 2, 3, 4, 5, "short"], "text", [True]]
)
def test_entries_that_make_no_sense_are_refused(row: object) -> None:
    with pytest.raises(RecordError, match="expected"):
        StatCache.from_json([row])


def test_the_cache_is_found_again_on_disk(tmp_path: Path) -> None:
    path = _file(tmp_path / "x")
    cache = StatCache()
    _put(cache, path)
    cache.save(tmp_path / "cache" / "files.json")
    assert StatCache.load(tmp_path / "cache" / "files.json").get(path.stat()) == _A
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["files.json"]


def test_two_processes_add_to_the_same_file(tmp_path: Path) -> None:
    place = tmp_path / "files.json"
    one, two = _file(tmp_path / "one"), _file(tmp_path / "two")
    first, second = StatCache.load(place), StatCache.load(place)
    _put(first, one, _A)
    first.save(place)
    _put(second, two, _B)
    second.save(place)
    both = StatCache.load(place)
    assert (both.get(one.stat()), both.get(two.stat())) == (_A, _B)


def test_the_oldest_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statcache, "MAX_ENTRIES", 2)
    cache = StatCache()
    paths = [_file(tmp_path / name) for name in ("one", "two", "three")]
    for path in paths:
        _put(cache, path)
    _put(cache, paths[0])
    cache.save(tmp_path / "files.json")
    kept = StatCache.load(tmp_path / "files.json")
    assert [kept.get(path.stat()) for path in paths] == [_A, None, _A]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json\n",
        b'{"format":"snakemake-repro stat cache","version":2}\n',
        b'{"format":"snakemake-repro stat cache","version":1}\n[1,2,3\n',
        b'{"format":"snakemake-repro stat cache","version":1}\n[1,2,3]\n',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_file_counts_as_empty_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    place = _file(tmp_path / "files.json", content)
    cache = StatCache.load(place)
    assert len(cache) == 0
    path = _file(tmp_path / "x")
    _put(cache, path)
    cache.save(place)
    assert StatCache.load(place).get(path.stat()) == _A


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    _file(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot write the stat cache"):
        StatCache().save(tmp_path / "file" / "files.json")
