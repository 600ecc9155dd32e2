"""What a job did that its rule does not declare, in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from snakemake_repro.logic.sandbox import plan
from snakemake_repro.logic.trace import Access, Connection
from snakemake_repro.logic.violations import attempts, deeds, few

SANDBOX = plan(
    rule="one",
    workdir="/w",
    inputs=["/w/in", "/w/data"],
    outputs=["/w/out/x", "/w/out/dir"],
    logs=["/w/logs/l"],
    system=["/usr"],
    environment=["/env"],
    temporary=["/tmp"],
)
OUTSIDE = {"/w/extra": "file", "/w/config": "directory", "/etc/passwd": "file", "/ref": "file"}


def _outside(path: str) -> str | None:
    return OUTSIDE.get(path, "file" if path.startswith("/w/.git/") else None)


def _use(path: str, error: str | None, *, writes: bool = False, opens: bool = True) -> Access:
    return Access(path, writes, opens, error)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (_use("/w/extra", "ENOENT"), "read extra, which it does not declare"),
        (_use("/w/extra", "ENOENT", opens=False), "read extra, which it does not declare"),
        (_use("/w/config", "ENOENT"), "read config, which it does not declare"),
        (_use("/ref", "ENOENT"), "read /ref, which it does not declare"),
        (_use("/w/in", "EROFS", writes=True), "tried to write in, which it does not declare"),
        (_use("/w/new", "EROFS", writes=True), "tried to write new, which it does not declare"),
        (
            _use("/w/extra", "ENOENT", writes=True),
            "tried to write extra, which it does not declare",
        ),
        (Connection("10.1.2.3", 443, "ENETUNREACH"), "tried to reach 10.1.2.3, port 443"),
        (_use("/w/config", "ENOENT", opens=False), None),
        (_use("/w/nowhere", "ENOENT"), None),
        (_use("/w/extra", None), None),
        (_use("/w/out/x", "ENOENT"), None),
        (_use("/w/out/dir/deep/y", "EACCES", writes=True), None),
        (_use("/w/data/deep", "ENOENT"), None),
        (_use("/env/lib/x", "ENOENT"), None),
        (_use("/etc/passwd", "ENOENT"), None),
        (_use("/w/.git/config", "ENOENT"), None),
        (_use("/tmp/x", "EACCES", writes=True), None),
        (Connection("127.0.0.1", 80, "ECONNREFUSED"), None),
    ],
    ids=str,
)
def test_what_an_enclosed_job_tried(use: Access | Connection, said: str | None) -> None:
    assert attempts([use, use], SANDBOX, _outside) == (() if said is None else (said,))


@pytest.mark.parametrize(
    ("uses", "said"),
    [
        ([_use("/w/extra", None)], "read extra, which it does not declare"),
        ([_use("/w/extra", None, writes=True)], "wrote extra, which it does not declare"),
        (
            [_use("/w/extra", None, writes=True), _use("/w/extra", None)],
            "wrote extra, which it does not declare",
        ),
        ([Connection("10.1.2.3", 443, "EINPROGRESS")], "reached 10.1.2.3, port 443"),
        ([_use("/w/gone", None, writes=True), _use("/w/gone", None)], None),
        ([_use("/w/config", None, writes=True)], None),
        ([_use("/tmp/x", None, writes=True), _use("/tmp/x", None)], None),
        ([_use("/w/in", None), _use("/w/out/x", None, writes=True)], None),
        ([_use("/w/extra", "ENOENT")], None),
        ([_use("/dev/null", None, writes=True)], None),
        ([Connection("127.0.0.1", 80, None), Connection("::1", 80, None)], None),
        ([Connection("10.1.2.3", 443, "ECONNREFUSED")], None),
    ],
    ids=str,
)
def test_what_a_watched_job_did(uses: list[Access | Connection], said: str | None) -> None:
    assert deeds(uses, SANDBOX, _outside) == (() if said is None else (said,))


def test_thousands_of_declared_files_cost_little() -> None:
    paths = [f"/w/many/{index}" for index in range(20_000)]
    sandbox = plan(
        rule="one",
        workdir="/w",
        inputs=paths,
        outputs=[],
        logs=[],
        system=[],
        environment=[],
        temporary=[],
    )
    looked: list[str] = []
    kind: Callable[[str], str | None] = looked.append  # type: ignore[assignment]
    assert deeds((_use(path, None) for path in paths), sandbox, kind) == ()
    assert looked == []


def test_of_very_many_violations_some_are_named_and_the_rest_counted() -> None:
    found = few(tuple(f"wrote {index}" for index in range(120)))
    assert len(found) == 51
    assert found[-1] == "did 70 more things of this kind"
    assert few(("one",)) == ("one",)
