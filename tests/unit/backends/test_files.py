"""Files and directories are known by their content, and by nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snakemake_repro.backends import files
from snakemake_repro.backends.files import hash_file, observe, recorded_path
from snakemake_repro.backends.maphash import hash_apart, hash_mapped
from snakemake_repro.backends.statcache import StatCache
from snakemake_repro.errors import StorageError
from snakemake_repro.records import Digest, FileKind, FileRecord

_CONTENT = b"energy,zenith\n1e15,0.1\n"
_SHA256 = Digest(hashlib.sha256(_CONTENT).hexdigest())


def _write(path: Path, content: bytes = _CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _tree(root: Path) -> Path:
    _write(root / "a.txt", b"one")
    _write(root / "sub" / "b.txt", b"two!")
    (root / "empty").mkdir()
    (root / "link").symlink_to("a.txt")
    return root


def _tree_digest(root: Path) -> Digest:
    digest = observe(root, root=root.parent).digest
    assert digest is not None
    return digest


def test_a_file_has_the_digest_that_sha256sum_gives(tmp_path: Path) -> None:
    assert hash_file(_write(tmp_path / "x.csv")) == (_SHA256, len(_CONTENT))


@pytest.mark.parametrize("pages", [0, 0.1, 1, 1.5, 2, 5.2])
def test_a_large_file_has_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: float
) -> None:
    monkeypatch.setattr(files, "_LARGE", 0)
    content = os.urandom(int(pages * mmap.PAGESIZE))
    path = _write(tmp_path / "x.bin", content)
    digest = hashlib.sha256(content).hexdigest()
    assert hash_file(path) == (Digest(digest), len(content))
    with path.open("rb") as file:
        assert hash_mapped(file.fileno(), part=2 * mmap.PAGESIZE) == digest


def test_what_cannot_be_mapped_is_left_to_who_reads_it(tmp_path: Path) -> None:
    _write(tmp_path / "x.bin")
    with (tmp_path / "x.bin").open("ab") as only_written:
        assert hash_apart(only_written.fileno()) is None


def test_a_file_that_is_cut_short_while_it_is_mapped_ends_only_the_process_that_maps_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(64 << 30)  # takes long enough, and no room
    found: list[str | None] = []

    def hash_it() -> None:
        with path.open("rb") as file:
            found.append(hash_apart(file.fileno()))

    thread = threading.Thread(target=hash_it)
    thread.start()
    time.sleep(0.5)
    os.truncate(path, 0)
    thread.join(60)
    assert found == [None]


def test_a_file_is_recorded_by_its_place_below_the_working_directory(tmp_path: Path) -> None:
    path = _write(tmp_path / "results" / "x.csv")
    assert observe(path, root=tmp_path, name="table", flags=("temp",)) == FileRecord(
        path="results/x.csv", digest=_SHA256, size=len(_CONTENT), name="table", flags=("temp",)
    )


def test_a_path_elsewhere_is_recorded_absolute_and_normalised(tmp_path: Path) -> None:
    path = tmp_path / "work" / ".." / "data" / "x.csv"
    assert recorded_path(path, tmp_path / "work") == (tmp_path / "data" / "x.csv").as_posix()
    assert recorded_path(tmp_path / "work" / "." / "x", tmp_path / "work") == "x"


def test_a_link_is_followed_and_recorded_by_its_own_name(tmp_path: Path) -> None:
    _write(tmp_path / "elsewhere" / "x.csv")
    link = tmp_path / "work" / "x.csv"
    link.parent.mkdir()
    link.symlink_to("../elsewhere/x.csv")
    found = observe(link, root=tmp_path / "work")
    assert (found.path, found.kind, found.digest) == ("x.csv", FileKind.FILE, _SHA256)


@pytest.mark.parametrize("path", ["nothing", "file/below", "dangling"])
def test_what_is_not_there_is_missing(tmp_path: Path, path: str) -> None:
    _write(tmp_path / "file")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert observe(tmp_path / path, root=tmp_path) == FileRecord(path=path, kind=FileKind.MISSING)


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert observe(tmp_path / "pipe", root=tmp_path).kind is FileKind.PIPE
    with pytest.raises(StorageError, match="expected a regular file"):
        hash_file(tmp_path / "pipe")


def test_a_device_is_not_read() -> None:
    found = observe(Path("/dev/zero"), root=Path("/"))
    assert (found.kind, found.digest) == (FileKind.UNOBSERVED, None)


@contextlib.contextmanager
def _no_root() -> Iterator[None]:
    """Act as nobody, if as root, who may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_may_not_be_read_is_an_error() -> None:
    # not below pytest's directories, which are closed themselves
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        path = _write(root / "x.csv")
        path.chmod(0)
        with _no_root():
            with pytest.raises(StorageError, match=r"cannot read .*x\.csv: Permission denied"):
                observe(path, root=root)
            assert observe(root / "y.csv", root=root).kind is FileKind.MISSING


def test_a_read_that_fails_is_an_error() -> None:
    with pytest.raises(StorageError, match="cannot read /proc/self/mem: Input/output error"):
        observe(Path("/proc/self/mem"), root=Path("/"))


def test_links_that_lead_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match=r"cannot read .*/a: Too many levels"):
        observe(tmp_path / "a", root=tmp_path)


def test_hashing_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*nothing: No such file"):
        hash_file(tmp_path / "nothing")


def test_a_directory_has_one_digest_whatever_the_order_it_was_written_in(tmp_path: Path) -> None:
    one = _tree(tmp_path / "one")
    two = tmp_path / "two"
    two.mkdir()
    (two / "link").symlink_to("a.txt")
    (two / "empty").mkdir()
    _write(two / "sub" / "b.txt", b"two!")
    _write(two / "a.txt", b"one").chmod(0o755)
    assert _tree_digest(one) == _tree_digest(two)
    assert observe(one, root=tmp_path).size == 7


def test_the_digest_of_a_directory_never_changes_its_meaning(tmp_path: Path) -> None:
    # a change here needs a new number in DIRECTORY_TAG
    def sha256(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    sub = sha256(f'Directory/1\0[["b.txt","file","sha256:{sha256("two!")}"]]')
    empty = sha256("Directory/1\0[]")
    rows = (
        f'[["a.txt","file","sha256:{sha256("one")}"],["empty","directory","sha256:{empty}"],'
        f'["link","link","a.txt"],["sub","directory","sha256:{sub}"]]'
    )
    expected = sha256(f"Directory/1\0{rows}")
    assert expected == "e8d8f11145e59e423abf1464738b38dfbf85f8b9f6663301af8580a56130630f"
    assert _tree_digest(_tree(tmp_path / "tree")) == Digest(expected)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: (t / "a.txt").write_bytes(b"two"), id="content"),
        pytest.param(lambda t: (t / "a.txt").rename(t / "c.txt"), id="name"),
        pytest.param(lambda t: (t / "empty").rmdir(), id="empty-directory"),
        pytest.param(lambda t: (t / "sub" / "more").mkdir(), id="new-empty-directory"),
        pytest.param(
            lambda t: ((t / "link").unlink(), (t / "link").symlink_to("./a.txt")), id="link-text"
        ),
        pytest.param(
            lambda t: ((t / "link").unlink(), shutil.copy(t / "a.txt", t / "link")),
            id="link-to-file",
        ),
        pytest.param(lambda t: (t / "sub").rename(t / "a.txt.d"), id="directory-name"),
        pytest.param(
            lambda t: (
                (t / "empty").rmdir(),
                (t / "empty").write_bytes(b""),
            ),
            id="empty-directory-to-empty-file",
        ),
    ],
)
def test_any_change_in_a_directory_shows(tmp_path: Path, change: Callable[[Path], object]) -> None:
    tree = _tree(tmp_path / "tree")
    before = _tree_digest(tree)
    change(tree)
    assert _tree_digest(tree) != before


def test_snakemakes_time_stamp_does_not_count(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree")
    before = _tree_digest(tree)
    _write(tree / ".snakemake_timestamp", b"")
    assert _tree_digest(tree) == before


def test_names_that_are_not_unicode_are_told_apart(tmp_path: Path) -> None:
    digests = set()
    for number, name in enumerate((b"\xff", b"\xfe", "\N{LATIN SMALL LETTER Y WITH DIAERESIS}")):
        tree = tmp_path / str(number)
        tree.mkdir()
        Path(os.fsdecode(os.fsencode(tree) + b"/" + os.fsencode(name))).write_bytes(b"x")
        digests.add(_tree_digest(tree))
    assert len(digests) == 3


def test_links_out_of_a_directory_are_not_followed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "up").symlink_to("..")
    (tree / "gone").symlink_to("nowhere")
    assert observe(tree, root=tmp_path).kind is FileKind.DIRECTORY


def test_a_very_deep_directory_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1_200):  # deeper than Python's stack
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(tmp_path)
    try:
        assert observe(tmp_path / "d", root=tmp_path).kind is FileKind.DIRECTORY
    finally:
        subprocess.run(["rm", "-rf", "d"], check=True)  # too deep for pytest, too


def test_a_file_is_not_read_again_while_it_looks_the_same(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.csv")
    os.utime(path, (1, 1))
    time.sleep(0.05)  # the change time cannot be set
    cache = StatCache()
    first = observe(path, root=tmp_path, cache=cache)
    assert len(cache) == 1
    wrong = Digest("0" * 64)
    cache = StatCache()
    cache.put(path.stat(), wrong, time.time_ns())
    assert observe(path, root=tmp_path, cache=cache).digest == wrong
    assert first.digest == _SHA256


def test_files_in_directories_come_from_the_cache_too(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree")
    time.sleep(0.05)
    cache = StatCache()
    before = observe(tree, root=tmp_path, cache=cache)
    assert len(cache) == 2
    assert observe(tree, root=tmp_path, cache=cache) == before


def test_a_file_that_keeps_changing_is_said_to_be_unobserved(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 64_000_000)
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")
                time.sleep(0.001)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        found = observe(path, root=tmp_path, cache=StatCache())
        assert (found.kind, found.digest, found.size) == (FileKind.UNOBSERVED, None, None)
        with pytest.raises(StorageError, match="written to each of the 3 times"):
            hash_file(path)
    finally:
        stop.set()
        writer.join()
    assert observe(path, root=tmp_path).kind is FileKind.FILE
