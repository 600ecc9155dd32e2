"""Run programs as a user that is not root, although root alone may read what they are made of."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

UID = 1000


def as_user(argv: Sequence[str]) -> list[str]:
    """Return the command that runs another one as a plain user.

    It runs in a mount namespace of its own, in which that user reaches the interpreter, its
    packages and this repository, also where they lie in root's home.
    """
    lines = ["set -e"]
    needed = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1]}
    needed |= {Path(path) for path in sys.path if Path(path).is_dir()}
    for number, closed in enumerate(sorted({c for path in needed for c in _closed(path)})):
        below = sorted(path for path in needed if path.is_relative_to(closed))
        inside = [p for p in below if not any(p != q and p.is_relative_to(q) for q in below)]
        aside = f"/run/repro-aside-{os.getpid()}-{number}"
        lines += [f"mkdir -p {aside}", f"mount --rbind {shlex.quote(str(closed))} {aside}"]
        lines += [f"mount -t tmpfs -o mode=755 repro {shlex.quote(str(closed))}"]
        for path in inside:
            source = shlex.quote(f"{aside}/{path.relative_to(closed)}")
            target = shlex.quote(str(path))
            lines += [f"mkdir -p {target}", f"mount --rbind {source} {target}"]
        lines += [f"umount -l {aside}", f"rmdir {aside}"]
    user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"]
    lines.append(shlex.join(["exec", *user, "--", *argv]))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)]


def possible() -> bool:
    """Tell whether this machine lets us do so."""
    if os.getuid() != 0:
        return False
    done = subprocess.run(as_user(["true"]), capture_output=True, check=False)
    return done.returncode == 0


def _closed(path: Path) -> Iterator[Path]:
    """Yield the outermost directory on the way to a path that others may not enter."""
    for directory in reversed((path, *path.parents)):
        if not directory.stat().st_mode & 0o001:
            yield directory
            return
