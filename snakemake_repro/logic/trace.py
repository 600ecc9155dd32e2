"""What a job did with files and the network, from strace's account of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from posixpath import isabs, join, normpath

OPTIONS = ("-f", "-qq", "-y", "-e", "trace=%file,connect", "-e", "signal=none")
"""Of strace; the lines below are what it writes then."""

ONLY_FAILED = "-Z"
"""Likewise, where what succeeds is of no interest."""

_CALL = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"\) += (?P<value>-?\d+|\?)[^ ]*(?: (?P<error>E[A-Z0-9]+))?")
_PATH = re.compile(
    r'(?:(?:AT_FDCWD|\d+)<(?P<directory>(?:[^>\\]|\\.)*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"'
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "a": "\a", "b": "\b"}
_ADDRESS = re.compile(
    r'htons\((?P<port>\d+)\).*?(?:inet_addr\("(?P<v4>[^"]+)"\)|AF_INET6, "(?P<v6>[^"]+)")'
)
_OPENING = ("open", "openat", "openat2", "creat")
_TO_WRITE = re.compile(r"\bO_(?:WRONLY|RDWR|CREAT|TRUNC)\b")
_WRITING = frozenset(
    (
        "chmod", "chown", "creat", "fchmodat", "fchmodat2", "fchownat", "lchown", "link", "linkat",
        "mkdir", "mkdirat", "mknod", "mknodat", "removexattr", "rename", "renameat", "renameat2",
        "rmdir", "setxattr", "symlink", "symlinkat", "truncate", "unlink", "unlinkat", "utime",
        "utimensat", "utimes",
    )
)  # fmt: skip
_BOTH = ("link", "linkat", "rename", "renameat", "renameat2")
_LAST = ("symlink", "symlinkat")


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """One use of a path.

    Attributes:
        path: Absolute and normal.
        writes: It changes the file or its directory.
        opens: It is more than a look at what is there.
        error: ``None`` where it succeeded.
    """

    path: str
    writes: bool
    opens: bool
    error: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """One attempt to reach another host."""

    address: str
    port: int
    error: str | None


def parse(lines: Iterable[str], workdir: str) -> Iterator[Access | Connection]:
    """Yield what strace saw, in the order in which the calls ended.

    Args:
        lines: Of its output.
        workdir: Where the job began.
    """
    places: dict[str, str] = {}
    begun: dict[str, str] = {}
    for line in lines:
        call = _CALL.match(line)
        if call is None:
            resumed = _RESUMED.match(line)
            if resumed is None or (start := begun.pop(resumed["pid"], None)) is None:
                continue
            pid, name, rest = resumed["pid"], resumed["name"], start + resumed["rest"]
        else:
            pid, name, rest = call["pid"], call["name"], call["rest"]
            if rest.rstrip().endswith(_UNFINISHED.strip()):
                begun[pid] = rest.rstrip().removesuffix(_UNFINISHED.strip())
                continue
        yield from _uses(name, rest, pid, places, workdir)


def without_network(uses: Iterable[Access | Connection]) -> Iterator[Access | Connection]:
    """Leave out the network, for a job that may use it."""
    return (use for use in uses if isinstance(use, Access))


def through_shadow(
    uses: Iterable[Access | Connection], shadow: str, workdir: str, real: Callable[[str], str]
) -> Iterator[Access | Connection]:
    """Name what a job used through its shadow directory; what lies there itself is its own.

    Args:
        uses: What it did.
        shadow: The directory, absolute.
        workdir: Whose shadow it is, absolute.
        real: Follows the links of a path.
    """
    for use in uses:
        if isinstance(use, Connection) or not f"{use.path}/".startswith(f"{shadow}/"):
            yield use
        elif not f"{real(use.path)}/".startswith(f"{real(shadow)}/"):
            yield dataclasses.replace(use, path=workdir + use.path[len(shadow) :])


def _uses(
    name: str, rest: str, pid: str, places: dict[str, str], workdir: str
) -> Iterator[Access | Connection]:
    result = list(_RESULT.finditer(rest))
    if not result:
        return
    error = result[-1]["error"]
    if name == "connect":
        if address := _ADDRESS.search(rest):
            yield Connection(address["v4"] or address["v6"], int(address["port"]), error)
        return
    found = []
    for path in _PATH.finditer(rest):
        directory = path["directory"]
        if directory is not None and path[0].startswith("AT_FDCWD"):
            places[pid] = _plain(directory)
        base = places.get(pid, workdir) if directory is None else _plain(directory)
        found.append(_absolute(_plain(path["path"]), base))
        if name not in _BOTH and name not in _LAST:
            break
    if name in _LAST:
        found = found[-1:]
    if name == "chdir" and error is None and found:
        places[pid] = found[0]
    opens = name in _OPENING or name.startswith("exec")
    writes = name in _WRITING or (name in _OPENING and bool(_TO_WRITE.search(rest)))
    for path_found in found:
        yield Access(path_found, writes, opens, error)


def _absolute(path: str, directory: str) -> str:
    found = normpath(path if isabs(path) else join(directory, path))
    return found[1:] if found.startswith("//") else found  # which normpath leaves


def _plain(text: str) -> str:
    """Undo strace's way to write a text, which counts bytes."""
    if "\\" not in text:
        return text

    def letter(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return chr(int(match[1], 16) if match[1] else int(match[2], 8) & 0xFF)
        return _LETTERS.get(match[3], match[3])

    return _ESCAPE.sub(letter, text).encode("latin-1", "replace").decode("utf-8", "surrogateescape")
