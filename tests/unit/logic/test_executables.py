"""What starts a program."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from snakemake_repro.logic.executables import interpreter_of


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"#!/bin/sh\necho\n", "/bin/sh"),
        (b"#! /usr/bin/env python\n", "/usr/bin/env"),
        (b"#!\n", None),
        (b"", None),
        (b"text", None),
        (b"\x7fELF", None),
        (b"\x7fELF\x01\x01" + bytes(100), None),
        (b"\x7fELF\x02\x01" + bytes(100), None),
    ],
)
def test_a_head_says_what_starts_the_file(head: bytes, found: str | None) -> None:
    assert interpreter_of(head) == found


def test_the_loader_of_a_real_program_is_found() -> None:
    with Path(sys.executable).resolve().open("rb") as file:
        loader = interpreter_of(file.read(4096))
    assert loader is not None
    assert Path(loader).exists()


def test_a_table_that_ends_too_early_is_no_error() -> None:
    head = b"\x7fELF\x02\x01" + bytes(26) + struct.pack("<Q14xHH", 60, 56, 9) + bytes(6)
    assert interpreter_of(head) is None
