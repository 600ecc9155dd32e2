"""Names are inert, and times, sizes and numbers read well."""

from __future__ import annotations

import datetime as dt
import enum
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.cli import _text
from snakemake_repro.cli._json import plain
from snakemake_repro.records import Digest, FileKind, FileRecord

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)


@given(ANY_TEXT)
def test_what_is_shown_holds_nothing_that_acts(text: str) -> None:
    assert _text.inert(text).isprintable()
    assert _text.name(text).isprintable()
    assert all(char.isprintable() or char in "\n\t" for char in _text.inert(text, lines=True))


@given(ANY_TEXT.filter(lambda text: text.isprintable()))
def test_what_is_printable_is_shown_as_it_is(text: str) -> None:
    assert _text.inert(text) == text
    if text == text.strip() and text:
        assert _text.name(text) == text


@given(ANY_TEXT, ANY_TEXT)
def test_two_names_that_need_quotes_never_look_the_same(one: str, other: str) -> None:
    shown = _text.name(one), _text.name(other)
    quoted = all(name.startswith("$'") for name in shown)
    if one != other and quoted and "$'" not in (one[:2], other[:2]):
        assert shown[0] != shown[1]


@pytest.mark.parametrize(
    "name", ["new\nline", "\udcff\udc80", "it's\t", "back\\slash\x07", " lead", "\x1b[31m", ""]
)
def test_a_quoted_name_means_the_same_to_a_shell(name: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"printf %s {_text.name(name)}"], capture_output=True, check=True
    )
    assert done.stdout == name.encode("utf-8", "surrogateescape")
    assert shlex.quote("safe") == _text.name("safe")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0.0 s"), (1.25, "1.2 s"), (9.94, "9.9 s"), (59.4, "59 s"),
        (60, "1 min 00 s"), (221, "3 min 41 s"), (3599.7, "1 h 00 min"), (90_000, "25 h 00 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert _text.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**20, "5.0 MiB"),
        (3 * 2**30, "3.0 GiB"), (7 * 2**40, "7.0 TiB"), (9000 * 2**40, "9,000.0 TiB"),
    ],
)  # fmt: skip
def test_sizes(size: float | None, text: str) -> None:
    assert _text.size(size) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (1.0, "1"), (-3.0, "-3"), (0.83123, "0.8312"), (12345.0, "12,345"),
        (1e300, "1e+300"), (1.5e-7, "1.5e-07"), (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_numbers(number: float, text: str) -> None:
    assert _text.value(number) == text


def test_ages_and_moments() -> None:
    now = dt.datetime.now(dt.UTC)
    assert _text.age((now + dt.timedelta(seconds=5)).isoformat()) == "just now"
    assert _text.age((now - dt.timedelta(seconds=30)).isoformat()) in ("30 s ago", "31 s ago")
    assert _text.age((now - dt.timedelta(minutes=90)).isoformat()) == "1 h ago"
    assert _text.age((now - dt.timedelta(days=400)).isoformat()) == "400 d ago"
    assert _text.age(None) == ""
    assert _text.age("no\x1btime") == r"no\x1btime"
    assert _text.age("2026-01-01T00:00:00") == "2026-01-01T00:00:00"  # of no time zone
    assert _text.moment("no time") == "no time"
    assert _text.moment("2026-01-01T12:00:00+00:00").startswith("2026-01-0")


def test_counts() -> None:
    assert _text.count(1, "job") == "1 job"
    assert _text.count(2000, "job") == "2,000 jobs"


class _Colour(enum.Enum):
    RED = "red"


def test_json_is_plain_data_with_every_field() -> None:
    digest = Digest("a" * 64)
    assert plain({_Colour.RED: (1, 2.5, float("nan"), None, digest, Path("x"))}) == {
        "red": [1, 2.5, None, None, str(digest), "x"]
    }
    assert plain(FileRecord(path="p")) == {
        "path": "p",
        "kind": FileKind.FILE.value,
        "digest": None,
        "size": None,
        "name": None,
        "flags": [],
        "comparator": None,
    }
