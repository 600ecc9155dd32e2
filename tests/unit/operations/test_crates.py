"""A crate is opened for what it is, and a damaged one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snakemake_repro.errors import RecordError, ReproError, UsageError
from snakemake_repro.operations.crates import is_crate, open_crate

NOTE = {"schema": 1, "run": "0" * 32, "commit": "1" * 40, "prefix": ""}


def _crate(root: Path, **note: object) -> Path:
    (root / ".repro").mkdir(parents=True)
    (root / ".repro/crate.json").write_text(json.dumps({**NOTE, **note}))
    return root


def test_only_what_was_exported_is_a_crate(tmp_path: Path) -> None:
    assert is_crate(_crate(tmp_path / "crate"))
    assert not is_crate(tmp_path)
    assert not is_crate(tmp_path / "nowhere")
    (tmp_path / "file").write_text("PK")
    assert not is_crate(tmp_path / "file")


@pytest.mark.parametrize(
    ("note", "error", "message"),
    [
        ({"schema": 2}, RecordError, "has schema 2, expected 1"),
        ({"run": "../x"}, RecordError, "does not say which run"),
        ({"commit": "--upload-pack=x"}, RecordError, "does not say which run"),
        ({"prefix": "../x"}, RecordError, "does not say which run"),
        ({"prefix": "/x"}, RecordError, "does not say which run"),
        ({"commit": None}, UsageError, "holds no commit"),
        ({}, ReproError, "does not hold commit 111111111111"),
    ],
)
def test_a_damaged_crate_is_refused(
    tmp_path: Path, note: dict[str, object], error: type[ReproError], message: str
) -> None:
    crate = _crate(tmp_path / "crate", **note)
    with pytest.raises(error, match=message), open_crate(crate):
        pass
