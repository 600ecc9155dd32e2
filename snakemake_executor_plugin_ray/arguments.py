"""What may be left away on the command line, although Snakemake wants it of its plugins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snakemake_executor_plugin_ray.settings import HERMETIC

_FLAG = "--ray-hermetic"
_MEANT = "enforce"


def completed(argv: Sequence[str]) -> Iterator[str]:
    """Yield a command line in which ``--ray-hermetic`` alone has the value that it stands for.

    Snakemake takes a value that is left away for a flag that is not given at all, and jobs would
    silently run in the open.
    """
    for word, following in zip(argv, (*argv[1:], ""), strict=False):
        yield word
        if word == _FLAG and following not in HERMETIC:
            yield _MEANT
