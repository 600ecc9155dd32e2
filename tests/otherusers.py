"""Run programs as a user that is not root, although root alone may read what they are made of."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from processes import wait_for, with_environment
from runs import Workspace

UID = 1000


def as_user(argv: Sequence[str], *, groups: Sequence[int] = ()) -> list[str]:
    """Return the command that runs another one as a plain user.

    It runs in a mount namespace of its own, in which that user reaches the interpreter, its
    packages and this repository, also where they lie in root's home.

    Args:
        argv: The other one.
        groups: Further groups of the user.
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
    others = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", others, "--inh-caps=-all"]
    lines.append(shlex.join(["exec", *user, "--", *argv]))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)]


class OthersWorkspace(Workspace):
    """A working directory of that user, whose runs start a cluster of their own."""

    def __init__(self, home: Path, *, groups: Sequence[int] = ()) -> None:
        root = home / "work"
        root.mkdir()
        super().__init__(root)
        self.environ |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
        self._home = home
        self._groups = groups

    def start(
        self,
        *args: str,
        executor: str = "ray",
        env: Mapping[str, str] | None = None,
        through: Callable[[list[str]], list[str]] = list,
    ) -> subprocess.Popen[str]:
        """Start a run as that user, to whom all files here are given first."""
        for path in (self._home, *self._home.rglob("*")):
            os.chown(path, UID, UID, follow_symlinks=False)
        return super().start(
            *args,
            executor=executor,
            env=env,
            through=lambda argv: as_user(through(argv), groups=self._groups),
        )


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """Make a directory that every user may enter, for as long as anything runs with it."""
    path = Path(tempfile.mkdtemp(prefix="repro-users-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    wait_for(lambda: not with_environment(str(path)), what="the end of the delivery to MLflow")
    shutil.rmtree(path)


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
