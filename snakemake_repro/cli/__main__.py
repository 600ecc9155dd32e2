"""``python -m snakemake_repro.cli`` is ``repro``."""

from __future__ import annotations

from snakemake_repro.cli import main

if __name__ == "__main__":
    main(prog_name="repro")
