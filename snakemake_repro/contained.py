"""Stand in for a shell whose command is to run in a container; see ``operations.contained``.

``python -m snakemake_repro.contained SPEC USAGE DIRECTORY SHELL COMMAND [SHOWN...]``
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from snakemake_repro.errors import ReproError
from snakemake_repro.operations.contained import run_contained
from snakemake_repro.operations.planning import Plan
from snakemake_repro.records.tasks import Contained

_TERMINATED = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    """Run the command; return its exit status."""
    spec, usage, directory, shell, text, *shown = arguments
    signal.signal(signal.SIGTERM, _end)
    contained = Contained.from_dict(json.loads(Path(spec).read_text(encoding="utf-8")))
    try:
        plan = Plan(text=text, shell=shell)
        return run_contained(
            contained, plan, workdir=Path(directory), usage=Path(usage), shown=shown
        )
    except ReproError as exc:
        sys.stderr.write(f"{exc.message}\n" + (f"Hint: {exc.hint}\n" if exc.hint else ""))
        return 1


def _end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the interpreter's own form
    """Take the container with us: Snakemake ends a service like this."""
    raise SystemExit(_TERMINATED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
