"""What an engine gets to build an image of: a Dockerfile, and the files beside it."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import IO

from snakemake_repro.backends.containers.layers import add_entry
from snakemake_repro.backends.files import hash_file
from snakemake_repro.errors import EnvironmentSpecError, StorageError
from snakemake_repro.records import Digest

_IGNORE = ".dockerignore"
_NEVER = (".git", ".snakemake", ".repro", "containers.lock.yml", "**/containers.lock.yml")
"""What version control and runs write, and the lock itself: the image would never be up to date."""


class BuildContext:
    """The directory of a Dockerfile as a tar, the same for the same files."""

    def __init__(self, address: str, snakefile: Path) -> None:
        """Look what there is.

        Args:
            address: As the rule names the Dockerfile, relative to the directory of the Snakefile.
            snakefile: The workflow's.

        Raises:
            EnvironmentSpecError: There is no such file.
            StorageError: Something cannot be read.
        """
        folder = snakefile.absolute().parent
        path = Path(os.path.normpath(folder / address))
        self.name = build_name(address, snakefile)
        self.file = path.name
        if not path.is_file():
            raise EnvironmentSpecError(
                f"the container {address} cannot be built: there is no file {path}",
                hint="A Dockerfile in `container:` is named relative to the directory of the "
                "workflow's Snakefile.",
            )
        self._root = path.parent
        self.dockerfile: Digest = hash_file(path)[0]
        sink = _Sink()
        self.write(sink)
        self.digest = Digest(sink.hash.hexdigest())

    def write(self, out: IO[bytes] | io.RawIOBase) -> None:
        """Write the tar.

        Raises:
            StorageError: A file cannot be read.
        """
        try:
            with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:
                for name in self._names():
                    add_entry(archive, self._root / name, name, plain=True)
        except OSError as exc:
            raise StorageError(
                f"what the container {self.name} is built from cannot be read: "
                f"{exc.strerror or exc}",
                hint=f"Mend the permissions, or name it in {_IGNORE}.",
            ) from exc

    def _names(self) -> list[str]:
        from docker.utils.build import exclude_paths

        patterns = [*self._patterns(), *_NEVER]
        return sorted(exclude_paths(str(self._root), patterns, dockerfile=self.file))

    def _patterns(self) -> list[str]:
        own = self._root / f"{self.file}{_IGNORE}"
        path = own if own.exists() else self._root / _IGNORE
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def build_name(address: str, snakefile: Path) -> str:
    """Return what a lock calls a Dockerfile: its path from the directory of the Snakefile."""
    folder = snakefile.absolute().parent
    return Path(os.path.relpath(folder / address, folder)).as_posix()


class _Sink(io.RawIOBase):
    """Takes a file to make a digest of it."""

    def __init__(self) -> None:
        super().__init__()
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        content = memoryview(data)  # type: ignore[arg-type]
        self.hash.update(content)
        return content.nbytes
