"""Files whose bytes depend on their content alone: no time, no address, no order of a directory.

::

    from snakemake_repro.canonical import canonicalise

    figure.savefig(snakemake.output.figure)
    canonicalise(snakemake.output.figure)

Nothing but the standard library is imported, so that scripts may use it in any environment with
Python 3.11.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from snakemake_repro.backends.wholefiles import replacing
from snakemake_repro.canonical import gzips, pdf, svg, tars, zips
from snakemake_repro.canonical.root import reproducible_root
from snakemake_repro.errors import RecordError, StorageError, UsageError

__all__ = ["canonicalise", "reproducible_root"]

Rewrite = Callable[[IO[bytes], IO[bytes]], None]
"""Read a file, write it anew; a `RecordError` says what is wrong with it, without its name."""

_KINDS: dict[str, Rewrite] = {
    ".tar.gz": tars.rewrite_gzipped,
    ".tgz": tars.rewrite_gzipped,
    ".tar": tars.rewrite,
    ".gz": gzips.rewrite,
    ".zip": zips.rewrite,
    ".keras": zips.rewrite_keras,
    ".svg": svg.rewrite,
    ".pdf": pdf.rewrite,
}
"""The first suffix that fits counts."""


def canonicalise(path: str | Path) -> None:
    """Rewrite a file so that equal content gives equal bytes.

    The suffix says what the file is: ``.gz``, ``.tar``, ``.tar.gz``, ``.tgz``, ``.zip``,
    ``.keras``, ``.svg``, ``.pdf``. The file is replaced as a whole, or stays as it is. Doing it
    twice changes nothing more.

    Args:
        path: The file; of a symbolic link, what it points to.

    Raises:
        UsageError: The suffix is none of these.
        RecordError: The file is damaged, or not what its suffix says, or holds something that
            cannot be rewritten without harm.
        StorageError: It cannot be read or written.
    """
    rewrite = _kind(Path(path))
    try:
        place = Path(path).resolve(strict=True)
        with place.open("rb") as source:
            mode = stat.S_IMODE(place.stat().st_mode)
            with replacing(place, mode) as target:
                rewrite(source, target)
    except RecordError as exc:
        raise RecordError(f"{path}: {exc.message}", hint=exc.hint) from exc
    except OSError as exc:
        raise StorageError(f"cannot rewrite {path}: {exc.strerror or exc}") from exc


def _kind(path: Path) -> Rewrite:
    name = path.name.lower()
    for suffix, rewrite in _KINDS.items():
        if name.endswith(suffix):
            return rewrite
    if name.endswith(".root"):
        raise UsageError(
            f"{path}: the name of a ROOT file is woven into it, it cannot be rewritten",
            hint="Write it within snakemake_repro.canonical.reproducible_root().",
        )
    raise UsageError(
        f"{path}: expected a file that ends in one of {', '.join(_KINDS)}",
        hint="What other kinds hold besides content is not known here; "
        "snakemake_repro.comparators compares some of them by content.",
    )
