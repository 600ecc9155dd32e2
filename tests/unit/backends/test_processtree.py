"""What a process can tell of itself."""

from __future__ import annotations

import os

from snakemake_repro.backends.processtree import own_umask


def test_the_umask_is_read_without_changing_it() -> None:
    before = os.umask(0o027)
    try:
        assert own_umask() == "0027"
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
