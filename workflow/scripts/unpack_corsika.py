"""Take the CORSIKA files out of the source archive; nothing else in it is unpacked."""

import shutil
import tarfile
from pathlib import Path
from typing import Any

snakemake: Any

FOLDER = "corsika_panama-1.0.4/tests/files"


def unpack(archive: tarfile.TarFile, targets: list[Path]) -> None:
    """Write the members that are named like the targets to the targets.

    Where a member goes is never taken from the archive, so that it cannot point elsewhere.

    Raises:
        SystemExit: The archive has no such regular file.
    """
    for target in targets:
        name = f"{FOLDER}/{target.name}"
        try:
            member = archive.getmember(name)
        except KeyError:
            member = None
        source = archive.extractfile(member) if member is not None and member.isreg() else None
        if source is None:
            raise SystemExit(
                f"unpack_corsika: {archive.name}: expected a regular file {name}, found none. "
                "Remove the archive, so that it is fetched again."
            )
        with source, target.open("wb") as file:
            shutil.copyfileobj(source, file)


def main() -> None:
    """Unpack the files for the rule ``unpack_corsika``."""
    path = snakemake.input[0]
    try:
        with tarfile.open(path, "r:gz") as archive:
            unpack(archive, [Path(name) for name in snakemake.output])
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise SystemExit(
            f"unpack_corsika: {path}: expected a complete gzipped tar archive, got: {exc}. "
            "Remove the archive, so that it is fetched again."
        ) from None


if __name__ == "__main__":
    main()
