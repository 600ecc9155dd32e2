"""Locks in conda-lock's format: ours, and those that others made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_lock import (
    CondaLock,
    LockedFile,
    from_text,
    moved_files,
    parse_conda_lock,
    to_text,
)
from snakemake_repro.records import Digest

TOOL = LockedFile(
    platform="linux-64",
    manager="conda",
    name="tool",
    version="1.0",
    url="https://example.org/t/${TOKEN}/channel/linux-64/tool-1.0-h0_0.conda",
    sha256=Digest("a" * 64),
    md5="b" * 32,
    depends=(("python", ">=3.8"),),
)
SIX = LockedFile(
    platform="linux-64",
    manager="pip",
    name="six",
    version="1.16.0",
    url="https://example.org/six-1.16.0-py2.py3-none-any.whl",
    sha256=Digest("c" * 64),
)
THERE = dataclasses.replace(TOOL, platform="osx-arm64", url=TOOL.url.replace("linux-64", "osx"))
LOCK = CondaLock(
    spec=Digest("d" * 64),
    channels=("https://example.org/channel",),
    platforms=("linux-64", "osx-arm64"),
    files=tuple(sorted((TOOL, SIX, THERE))),
    sources=("x.yaml",),
)


def _changed(**entry: Any) -> dict[str, Any]:
    data = LOCK.to_data()
    data["package"][0] |= entry
    return data


def test_a_lock_is_read_as_it_was_written() -> None:
    assert parse_conda_lock(LOCK.to_data(), name="x") == LOCK
    text = to_text(LOCK.files, link_scripts=True)
    files, link_scripts = from_text(text, name="x")
    assert link_scripts
    assert files == tuple(dataclasses.replace(file, depends=()) for file in LOCK.files)
    assert to_text(LOCK.files[::-1], link_scripts=True) == text


def test_a_package_knows_its_build_and_its_channel_without_credentials() -> None:
    assert (TOOL.build, SIX.build) == ("h0_0", None)
    assert TOOL.channel == "https://example.org/channel/linux-64"
    assert SIX.channel is None


def test_a_lock_of_another_tool_does_not_say_what_it_was_made_from() -> None:
    data = LOCK.to_data()
    del data["metadata"]["custom_metadata"]
    assert parse_conda_lock(data, name="x").spec is None


def test_what_is_only_for_development_is_left_out() -> None:
    assert len(parse_conda_lock(_changed(category="dev"), name="x").files) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "expected version 1 of conda-lock's format, got None"),
        ({"version": 4}, "expected version 1 of conda-lock's format, got 4"),
        ({"version": 1}, "it is damaged"),
        ({**LOCK.to_data(), "package": [{}]}, "it is damaged"),
        (_changed(hash={"md5": "b" * 32}), r"tool \(linux-64\) has no SHA-256"),
        (_changed(hash={"sha256": "abc"}), "has the SHA-256 'abc'"),
        (_changed(manager="cargo"), "has the manager 'cargo'"),
        (
            _changed(manager="pip", url="git+https://me:secret@example.org/x"),
            "not from an index",
        ),
    ],
)
def test_what_does_not_identify_its_bytes_is_refused(data: Any, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        parse_conda_lock(data, name="envs/x.conda-lock.yml")
    assert "envs/x.conda-lock.yml" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("text", ["", "{}", '{"files": [[1]], "link_scripts": false}'])
def test_a_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(EnvironmentSpecError, match="it is damaged"):
        from_text(text, name="x")


def test_what_moved_is_named_by_versions_or_by_builds() -> None:
    newer = dataclasses.replace(TOOL, version="2.0", url=TOOL.url.replace("1.0", "2.0"))
    rebuilt = dataclasses.replace(TOOL, url=TOOL.url.replace("h0_0", "h0_1"))
    assert moved_files([TOOL, SIX], [newer]) == (("six", "1.16.0", None), ("tool", "1.0", "2.0"))
    assert moved_files([TOOL], [rebuilt]) == (
        ("tool", "1.0 (linux-64 h0_0)", "1.0 (linux-64 h0_1)"),
    )
    assert moved_files([TOOL], [TOOL]) == ()
