"""The one part of a shell command that only the node knows: its temporary directory.

The driver formats the command with stand-ins, the node puts its own path in their place.
"""

from __future__ import annotations

import shlex

TMPDIR_TOKEN = "__REPRO_NODE_TMPDIR__"  # noqa: S105 - a stand-in, not a secret
QUOTED_TOKEN = "__REPRO_NODE_TMPDIR_QUOTED__"  # noqa: S105


def quote(text: str) -> str:
    """Quote for the shell as ``shlex.quote`` does; a stand-in is quoted when it is filled.

    Adjacent quoted parts are one word to a shell, so ``a b<tmpdir>/c`` becomes
    ``'a b'<quoted tmpdir>/c``.
    """
    parts = text.split(TMPDIR_TOKEN)
    if len(parts) == 1:
        return shlex.quote(text)
    return QUOTED_TOKEN.join(shlex.quote(part) if part else "" for part in parts)


def fill(text: str, tmpdir: str) -> str:
    """Put the node's temporary directory in the place of the stand-ins."""
    return text.replace(QUOTED_TOKEN, shlex.quote(tmpdir)).replace(TMPDIR_TOKEN, tmpdir)
