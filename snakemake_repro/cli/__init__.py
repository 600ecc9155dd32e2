"""The ``repro`` command.

Each command parses, calls one operation and renders what it returns. Whatever is heavy is
imported by the command that needs it: `repro --help` must be quick.
"""

from __future__ import annotations

import click

from snakemake_repro import __version__
from snakemake_repro.cli import _command
from snakemake_repro.cli.diff import diff
from snakemake_repro.cli.env import env
from snakemake_repro.cli.export import export
from snakemake_repro.cli.gc import gc
from snakemake_repro.cli.init import init
from snakemake_repro.cli.lineage import lineage
from snakemake_repro.cli.lock import lock
from snakemake_repro.cli.log import log
from snakemake_repro.cli.report import report
from snakemake_repro.cli.rerun import rerun
from snakemake_repro.cli.show import show
from snakemake_repro.cli.sync import sync
from snakemake_repro.cli.verify import verify
from snakemake_repro.cli.why import why


@click.group(
    cls=_command.Group,
    epilog=_command.EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 90},
)
@click.version_option(__version__, prog_name="repro")
def main() -> None:
    """Say where results come from, and whether they are still the same.

    Reads what `snakemake --executor ray` recorded in the working directory (`.repro`), or in
    MLflow.
    """


_COMMANDS = (
    report, lineage, diff, why, verify, rerun, export, log, show, sync, gc, lock, env, init,
)  # fmt: skip
for _one in _COMMANDS:
    main.add_command(_one)
