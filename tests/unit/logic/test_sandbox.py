"""The plan of a hermetic job: which directories stand in for the real ones."""

from __future__ import annotations

from typing import Any

import pytest

from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.sandbox import Sandbox, ZoneKind, lies_in, parents, plan

INPUTS, OUTPUTS, TEMPORARY = ZoneKind.INPUTS, ZoneKind.OUTPUTS, ZoneKind.TEMPORARY


def _plan(**values: Any) -> Sandbox:
    asked: dict[str, Any] = {
        "rule": "one",
        "workdir": "/w",
        "inputs": (),
        "outputs": (),
        "logs": (),
        "system": ("/usr",),
        "environment": (),
        "temporary": ("/tmp",),
    }
    return plan(**{**asked, **values})


def _zones(sandbox: Sandbox) -> dict[str, ZoneKind]:
    return {zone.target: zone.kind for zone in sandbox.zones}


def test_inputs_of_the_working_directory_share_one_zone() -> None:
    sandbox = _plan(inputs=["/w/a", "/w/b/c", "/w/b/d"], outputs=["/w/out/x"], logs=["/w/logs/l"])
    assert _zones(sandbox) == {
        "/tmp": TEMPORARY,
        "/w": INPUTS,
        "/w/out": OUTPUTS,
        "/w/logs": OUTPUTS,
    }


def test_outer_zones_come_before_inner_ones() -> None:
    sandbox = _plan(inputs=["/w/a/b/c/in"], outputs=["/w/a/b/x", "/w/y", "/w/a/b/c/d/z"])
    targets = [zone.target for zone in sandbox.zones]
    assert targets == ["/tmp", "/w", "/w/a/b", "/w/a/b/c", "/w/a/b/c/d"]
    assert _zones(sandbox)["/w/a/b/c"] is INPUTS


def test_what_lies_deep_in_a_writable_directory_is_read_only() -> None:
    sandbox = _plan(inputs=["/w/data/a", "/w/data/sub/b", "/w/beside"], outputs=["/w/x"])
    assert _zones(sandbox) == {"/tmp": TEMPORARY, "/w": OUTPUTS, "/w/data": INPUTS}
    zone = sandbox.zone_of("/w/beside")
    assert zone is not None
    assert zone.kind is OUTPUTS


def test_inputs_elsewhere_stand_in_their_own_directories() -> None:
    sandbox = _plan(inputs=["/data/ref/a", "/data/b", "/c", "/tmp/d"])
    assert _zones(sandbox) == {
        "/tmp": TEMPORARY,
        "/w": INPUTS,
        "/data": INPUTS,
        "/data/ref": INPUTS,
    }
    assert sandbox.zone_of("/c") is None


def test_what_the_system_or_the_environment_shows_needs_nothing() -> None:
    sandbox = _plan(
        inputs=["/usr/share/dict/words", "/env/lib/x", "/w/.venv/lib/y"],
        environment=["/env", "/env/bin", "/usr/local/python", "/w/.venv", "/w"],
    )
    assert sandbox.inputs == ()
    assert sandbox.readable == ("/env", "/w/.venv")


def test_an_environment_around_the_working_directory_does_not_show_it() -> None:
    sandbox = _plan(workdir="/conda/w", inputs=["/conda/w/a", "/conda/b"], environment=["/conda"])
    assert sandbox.readable == ("/conda",)
    assert sandbox.inputs == ("/conda/w/a",)
    assert _zones(sandbox)["/conda/w"] is INPUTS


def test_an_environment_in_the_working_directory_is_shown_there() -> None:
    environment = ["/c", "/c/lib", "/c/w/.venv", "/c/w/.venv/lib", "/c/w/pkg"]
    sandbox = _plan(workdir="/c/w", environment=environment, outputs=["/c/w/out/x"])
    assert sandbox.readable == ("/c", "/c/w/.venv", "/c/w/pkg")


def test_a_path_may_lead_through_directories_that_are_otherwise_not_there() -> None:
    sandbox = _plan(inputs=["/w/rules/deep/../../scripts/a", "/w/b"])
    assert sandbox.inputs == ("/w/b", "/w/scripts/a")
    assert sandbox.ways == ("/w/rules", "/w/rules/deep")


def test_a_directory_that_is_read_and_written_is_refused() -> None:
    with pytest.raises(IsolationError, match="rule one cannot run hermetically: the directory"):
        _plan(inputs=["/w/data"], outputs=["/w/data/x"])


def test_what_lies_in_a_declared_directory_is_declared() -> None:
    sandbox = _plan(outputs=["/w/out/dir"], logs=["/w/log"])
    assert sandbox.declares("/w/out/dir/deep/x")
    assert sandbox.declares("/w/log")
    assert not sandbox.declares("/w/out/directory")


def test_lying_in_a_directory_is_a_matter_of_whole_names() -> None:
    assert lies_in("/a/b", "/a")
    assert lies_in("/a", "/")
    assert not lies_in("/ab", "/a")
    assert not lies_in("/a", "/a")


def test_directories_above_a_path_end_at_the_root() -> None:
    assert list(parents("/a/b")) == ["/a", "/"]
    assert list(parents("//a/b")) == ["//a", "//"]
    assert list(parents("/")) == []


def test_a_shadow_is_writable_as_a_whole_and_shows_its_inputs() -> None:
    sandbox = _plan(
        inputs=["/w/a", "/w/data/sub/b", "/w/out/deep/c", "/data/d", "/tmp/sub/e"],
        outputs=["/w/out/x"],
        shadow=True,
    )
    assert sandbox.shadow
    assert _zones(sandbox) == {
        "/tmp": TEMPORARY,
        "/w": OUTPUTS,
        "/data": INPUTS,
        "/w/out": OUTPUTS,
        "/tmp/sub": INPUTS,
    }
