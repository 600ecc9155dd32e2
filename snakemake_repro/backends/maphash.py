"""SHA-256 of a file that is mapped into memory, which spares the copy that reading makes.

A process of its own does that: a file that is cut short meanwhile ends it (``SIGBUS``, mmap(2)),
and so does a disk that fails.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import subprocess
import sys

_PART = 16 * 1024 * 1024
"""Bytes mapped at once, while the system reads what comes next."""


def hash_apart(fd: int) -> str | None:
    """Return the SHA-256 of an open regular file in hexadecimal digits.

    Returns:
        Nothing if it cannot be mapped, or changed in size meanwhile: it has to be read.
    """
    try:
        done = subprocess.run(
            # -I -S: nothing of the user's is imported
            [sys.executable, "-I", "-S", __file__],
            stdin=fd,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout.decode()


def hash_mapped(fd: int, part: int = _PART) -> str:
    """Return the SHA-256 of an open regular file in hexadecimal digits.

    Args:
        fd: Its descriptor.
        part: Bytes mapped at once; a multiple of ``mmap.ALLOCATIONGRANULARITY``.

    Raises:
        OSError: It cannot be mapped.
    """
    sha = hashlib.sha256()
    size = os.fstat(fd).st_size
    for start in range(0, size, part):
        os.posix_fadvise(fd, start + part, part, os.POSIX_FADV_WILLNEED)
        with mmap.mmap(
            fd,
            min(part, size - start),
            flags=mmap.MAP_SHARED | mmap.MAP_POPULATE,
            prot=mmap.PROT_READ,
            offset=start,
        ) as mapped:
            sha.update(mapped)
    return sha.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(hash_mapped(0))
