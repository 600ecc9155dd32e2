"""Process trees: how one is started so that it can be ended completely, and how it is ended.

A job runs in a session of its own, below a process that is the *child subreaper* of all it starts
(``prctl(2)``, Linux 3.4), so that a descendant which daemonises itself is still found; and it asks
the kernel to be killed when its parent dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from resource import struct_rusage

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_START_FIELD = 19
"""Of ``/proc/<pid>/stat`` after the command name: start time in clock ticks, see proc(5)."""

_CLOCK_SLACK_S = 60.0
"""The time of boot is whole seconds, and moves when the clock is set."""

_HANDLED_HERE = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_LOADER_VARIABLES = {"LD_AUDIT", "LD_LIBRARY_PATH", "LD_PRELOAD"}
"""What is meant for the job's program may not fit the one that starts it."""

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Make orphaned descendants children of this process.

    Raises:
        OSError: The kernel refuses.
    """
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(body: Callable[[], int], *, cwd: str, env: Mapping[str, str], log_fd: int) -> int:
    """Fork a process that runs ``body`` in its own session and exits with what it returns.

    Standard input is ``/dev/null``, output and error go to ``log_fd``. To be called from a
    single-threaded process only.

    Returns:
        The process id, which is also its process group and session.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        die_with_parent()
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        for signum in _HANDLED_HERE:
            signal.signal(signum, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        status = body()
    except OSError as exc:
        message = f"cannot start the job: {exc.strerror}: {exc.filename or cwd}\n"
        os.write(2, message.encode("utf-8", "backslashreplace"))
    except KeyboardInterrupt:
        status = 130
    finally:
        os._exit(status)


def execute(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], log_fd: int) -> int:
    """Start a program in its own session; see ``spawn``.

    Where the system has a program that asks the kernel what ``die_with_parent`` asks, nothing of
    this process is copied: that takes longer than a short job does.
    """
    launcher = () if _LOADER_VARIABLES & env.keys() else _launcher()
    program = shutil.which(argv[0], path=env.get("PATH"))
    if launcher and program and Path(program).is_absolute():
        with contextlib.suppress(OSError):  # who tries below says why it cannot be started
            return _launch([*launcher, *argv], cwd=cwd, env=env, log_fd=log_fd)

    def replace() -> int:
        for signum in _IGNORED_BY_PYTHON:
            signal.signal(signum, signal.SIG_DFL)
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - no shell is the point

    return spawn(replace, cwd=cwd, env=env, log_fd=log_fd)


@functools.cache
def _launcher() -> tuple[str, ...]:
    """Return how a program is started that dies with its parent; empty if not from outside."""
    path = shutil.which("setpriv", path=os.defpath)
    if path is None:
        return ()
    launcher = (path, "--pdeathsig", "KILL", "--")
    knows = subprocess.run(
        [*launcher, path, "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return launcher if knows.returncode == 0 else ()


def _launch(argv: list[str], *, cwd: str, env: Mapping[str, str], log_fd: int) -> int:
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(cwd)  # posix_spawn(3) knows no other way
        return os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log_fd, 1),
                (os.POSIX_SPAWN_DUP2, log_fd, 2),
            ],
            setsid=True,
            setsigdef=[*_HANDLED_HERE, *_IGNORED_BY_PYTHON],
        )
    finally:
        os.fchdir(here)
        os.close(here)


def children() -> list[int]:
    """Return the processes whose parent is this one."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += map(int, (task / "children").read_text().split())
    return found


def kill_group(pid: int, signum: int) -> None:
    """Send a signal to a process group; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def kill_rest(*, patience: float = 2.0) -> list[struct_rusage]:
    """Kill and reap every child of this process, and what they leave behind.

    Args:
        patience: Seconds after which a process that survives SIGKILL is given up.

    Returns:
        What each of them used.
    """
    uses: list[struct_rusage] = []
    deadline = time.monotonic() + patience
    while rest := children():
        for pid in rest:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        found = len(uses)
        for pid in rest:
            with contextlib.suppress(ChildProcessError):
                done, _, use = os.wait4(pid, os.WNOHANG)
                uses += [use] if done else []
        if time.monotonic() > deadline:
            break
        if len(uses) - found < len(rest):
            time.sleep(0.001)
    return uses


def own_umask() -> str:
    """Return the umask of this process in octal; asking the system would change it meanwhile."""
    status = Path("/proc/self/status").read_text()
    return status.partition("\nUmask:")[2].split()[0]


def alive(pid: int) -> bool:
    """Tell whether a process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def alive_since(pid: int, moment: float) -> bool:
    """Tell whether a process exists, is not a zombie, and began before a moment.

    A process that began later only has the same id as another one that did.

    Args:
        pid: Its id.
        moment: Seconds since the epoch.
    """
    try:
        boot = Path("/proc/stat").read_text().partition("\nbtime ")[2].split()[0]
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return False
    began = int(boot) + int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
    return fields[0] not in ("Z", "X") and began < moment + _CLOCK_SLACK_S
