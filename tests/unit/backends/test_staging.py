"""What stands in for a job's directories, and what becomes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snakemake_repro.backends.staging import MOST_SINGLE_FILES, Stage, code_beside, staged
from snakemake_repro.logic.sandbox import plan

PRIVATE = "/run/inputs"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    (path / "out").mkdir(parents=True)
    return path


@contextmanager
def _staged(
    work: Path,
    *,
    inputs: list[str],
    outputs: list[str],
    logs: tuple[str, ...] = (),
    shadow: bool = False,
) -> Iterator[Stage]:
    def absolute(path: str) -> str:
        return os.path.normpath(work / path)

    sandbox = plan(
        rule="one",
        workdir=str(work),
        inputs=map(absolute, inputs),
        outputs=list(map(absolute, outputs)),
        logs=list(map(absolute, logs)),
        system=["/usr"],
        environment=[],
        temporary=[],
        shadow=shadow,
    )
    scratch = work.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    with staged(sandbox, work / "stage" / "run" / "task", scratch, PRIVATE) as stage:
        yield stage
    assert not (work / "stage" / "run").exists()


def _source(stage: Stage, target: Path) -> Path:
    [source] = [mount.source for mount in stage.mounts if mount.target == str(target)]
    return Path(source)


def _many(work: Path, directory: str, count: int) -> list[str]:
    (work / directory).mkdir(exist_ok=True)
    names = [f"{directory}/{index}" for index in range(count)]
    for index, name in enumerate(names):
        (work / name).write_text("x" * (index + 1))
    return names


def test_few_files_are_mounted_and_never_touched(work: Path) -> None:
    names = _many(work, "in", 3)
    before = [(work / name).stat().st_ctime_ns for name in names]
    with _staged(work, inputs=names, outputs=["out/x"]) as stage:
        assert {str(work / name) for name in names} < {mount.target for mount in stage.mounts}
        assert stage.linked == ()
        assert (_source(stage, work) / "in" / "0").read_text() == ""
    assert [(work / name).stat().st_ctime_ns for name in names] == before


def test_of_many_files_the_largest_are_mounted_and_the_rest_linked(work: Path) -> None:
    names = _many(work, "in", MOST_SINGLE_FILES + 2)
    with _staged(work, inputs=names, outputs=["out/x"]) as stage:
        assert stage.linked == (str(work / "in/0"), str(work / "in/1"))
        linked = _source(stage, work) / "in" / "0"
        assert linked.samefile(work / "in/0")
        assert len(stage.mounts) == MOST_SINGLE_FILES + 2
    assert (work / "in/0").stat().st_nlink == 1


def test_many_files_beside_the_outputs_are_links_to_a_read_only_place(work: Path) -> None:
    names = _many(work, "out", MOST_SINGLE_FILES + 1)
    with _staged(work, inputs=names, outputs=["out/x"]) as stage:
        link = _source(stage, work / "out") / "0"
        assert link.readlink().parent == Path(PRIVATE)
        place = _source(stage, Path(PRIVATE)) / link.readlink().name
        assert place.read_text() == "x"
        assert [m.writable for m in stage.mounts if m.target == PRIVATE] == [False]
        assert stage.undeclared() == []


def test_files_of_another_file_system_are_copied_when_they_are_many(work: Path) -> None:
    other = Path("/dev/shm", f"repro-test-{os.getpid()}")
    if not other.parent.is_dir() or other.parent.stat().st_dev == work.stat().st_dev:
        pytest.skip("needs a second file system")
    other.mkdir()
    try:
        names = [str(other / str(index)) for index in range(MOST_SINGLE_FILES + 1)]
        for index, name in enumerate(names):
            Path(name).write_text("x" * (index + 1))
        with _staged(work, inputs=names, outputs=["out/x"]) as stage:
            assert stage.linked == ()
            assert (_source(stage, other) / "0").read_text() == "x"
    finally:
        for path in other.iterdir():
            path.unlink()
        other.rmdir()


def test_links_and_directories_are_seen_by_the_names_that_the_rule_gives_them(work: Path) -> None:
    (work / "real").mkdir()
    (work / "real/a").write_text("a")
    (work / "link").symlink_to("real/a")
    (work / "linked").symlink_to("real")
    with _staged(work, inputs=["link", "linked", "missing"], outputs=["out/x"]) as stage:
        assert _source(stage, work / "link") == work / "real/a"
        assert _source(stage, work / "linked") == work / "real"
        assert not (_source(stage, work) / "missing").exists()


def test_outputs_are_moved_only_from_jobs_that_may_keep_them(work: Path) -> None:
    for keep in (False, True):
        with _staged(
            work, inputs=[], outputs=["out/x", "out/dir", "top"], logs=("out/log",)
        ) as stage:
            source = _source(stage, work / "out")
            (source / "x").write_text("x")
            (source / "dir/deep").mkdir(parents=True)
            (source / "dir/deep/y").write_text("y")
            (source / "log").write_text("log")
            (source / "extra").write_text("extra")
            (_source(stage, work) / "top").symlink_to("out/x")
            assert stage.undeclared() == [str(work / "out/extra")]
            stage.promote(outputs=keep)
        assert (work / "out/log").read_text() == "log"
        assert not (work / "out/extra").exists()
        assert (work / "out/x").exists() is keep
    assert (work / "out/dir/deep/y").read_text() == "y"
    assert (work / "top").read_text() == "x"


def test_what_a_job_made_inaccessible_is_removed_as_well(work: Path) -> None:
    with _staged(work, inputs=[], outputs=["out/x"]) as stage:
        closed = _source(stage, work / "out") / "closed"
        (closed / "deep").mkdir(parents=True)
        closed.chmod(0)


def test_modules_beside_a_script_are_found_and_data_is_not(tmp_path: Path) -> None:
    for name in ("work.py", "helper.py", "tool.R", "data.json", "package/__init__.py", "plain/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [Path(path).name for path in code_beside(tmp_path / "work.py")]
    assert found == ["helper.py", "tool.R", "work.py", "package"]


def test_thousands_of_files_are_staged_within_a_second(work: Path) -> None:
    names = _many(work, "in", 5_000)
    started = time.monotonic()
    with _staged(work, inputs=names, outputs=["out/x"]):
        pass
    assert time.monotonic() - started < 5, "generous: the benchmark has the limit"


def test_a_shadow_holds_links_to_many_inputs_wherever_they_lie(work: Path) -> None:
    names = _many(work, "in", MOST_SINGLE_FILES + 2)
    with _staged(work, inputs=names, outputs=["out/x"], shadow=True) as stage:
        shadow = _source(stage, work)
        smallest = [shadow / name for name in names[:2]]
        assert [str(path.readlink()) for path in smallest] == [f"{PRIVATE}/{n}" for n in (0, 1)]
        (shadow / "in" / "left").touch()
        (shadow / "out").mkdir(exist_ok=True)
        Path(stage.place_of(str(work / "out/x"))).touch()
        assert stage.undeclared() == []
        stage.promote(outputs=True)
    assert (work / "out/x").exists()
    assert not (work / "in/left").exists()
    assert [(work / name).read_text() for name in names[:2]] == ["x", "xx"]
