"""What comes back from a node that shares no files is put into place, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_repro.backends.parcels import pack
from snakemake_repro.operations.apart import clear_arriving, receive
from snakemake_repro.records.tasks import TaskResult

NAMES = ("out/a", "out/dir", "log")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """What a job left on its node."""
    root = tmp_path / "node"
    (root / "out/dir").mkdir(parents=True)
    (root / "out/a").write_text("a" * 100_000)
    (root / "out/dir/inner").write_text("inner")
    (root / "log").write_text("said")
    (root / "undeclared").write_text("mine")
    return root


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The driver's working directory."""
    (tmp_path / "base").mkdir()
    return tmp_path / "base"


def _result(*, succeeded: bool, error: str | None = None) -> bytes:
    result = TaskResult(id="one", succeeded=succeeded, error=error)
    return b"r" + json.dumps(result.to_dict()).encode()


def _sent(node: Path, *names: str, result: bytes) -> Iterator[bytes]:
    for piece in pack({name: node / name for name in names}, chunk=1000):
        yield b"f" + piece
    yield result


def test_what_a_job_made_is_put_into_place(node: Path, base: Path) -> None:
    (base / "out/dir").mkdir(parents=True)
    (base / "out/dir/of an earlier run").write_text("old")
    payload = receive(base, NAMES, "one", _sent(node, *NAMES, result=_result(succeeded=True)))
    assert json.loads(payload)["succeeded"] is True
    assert (base / "out/a").read_text() == "a" * 100_000
    assert [path.name for path in (base / "out/dir").iterdir()] == ["inner"]
    assert (base / "log").read_text() == "said"
    assert not list((base / ".repro/arriving").iterdir())


def test_nothing_is_taken_that_the_job_does_not_declare(node: Path, base: Path) -> None:
    receive(base, NAMES, "one", _sent(node, "undeclared", result=_result(succeeded=True)))
    assert not (base / "undeclared").exists()


def test_a_result_without_files_is_a_result(base: Path) -> None:
    payload = receive(base, NAMES, "one", iter([_result(succeeded=False, error="no")]))
    assert json.loads(payload)["error"] == "no"


def test_no_result_is_a_failure(base: Path) -> None:
    payload = receive(base, NAMES, "one", iter([]))
    assert "sent no result" in json.loads(payload)["error"]


def test_files_that_end_too_early_leave_nothing_and_have_the_reason_of_the_node(
    node: Path, base: Path
) -> None:
    pieces = list(_sent(node, *NAMES, result=_result(succeeded=False, error="the disk broke")))
    payload = receive(base, NAMES, "one", iter([pieces[0][:50_000], pieces[-1]]))
    assert json.loads(payload)["error"] == "the disk broke"
    assert not (base / "out").exists()
    assert not list((base / ".repro/arriving").iterdir())


def test_what_cannot_be_put_into_place_fails_the_job(node: Path, base: Path) -> None:
    (base / "out").write_text("a file where a directory is to be")
    payload = receive(base, NAMES, "one", _sent(node, *NAMES, result=_result(succeeded=True)))
    assert json.loads(payload)["succeeded"] is False
    assert "cannot write" in json.loads(payload)["error"]
    assert not list((base / ".repro/arriving").iterdir())


def test_what_was_arriving_when_a_driver_died_is_cleared(base: Path) -> None:
    (base / ".repro/arriving/one/out").mkdir(parents=True)
    clear_arriving(base)
    clear_arriving(base)
    assert not (base / ".repro/arriving").exists()
