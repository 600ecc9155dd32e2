"""Stands in for Apptainer, which Debian does not have: as much of it as we call, by bubblewrap.

What it calls an image's file is the archive of the image's one layer. That the options mean the
same to Apptainer itself is not tested by it.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

_SWITCHES = ("--containall", "--cleanenv", "--no-home", "--no-privs", "--no-eval", "--net")
_PREFIX = "APPTAINERENV_"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def install(directory: Path) -> Path:
    """Put a program of that name into a directory; return the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "apptainer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{Path(__file__)}" "$@"\n')
    program.chmod(0o755)
    return directory


def _pull(arguments: list[str]) -> None:
    *options, file, address = arguments
    assert options == ["--disable-cache", "--no-https"], options
    place, _, digest = address.removeprefix("docker://").partition("@")
    parts = urlsplit(f"//{place}")
    root = f"http://{parts.netloc}/v2{parts.path}"
    request = Request(f"{root}/manifests/{digest}", headers={"Accept": _MANIFEST})  # noqa: S310
    with urlopen(request) as answer:  # noqa: S310
        [layer] = json.load(answer)["layers"]
    with urlopen(f"{root}/blobs/{layer['digest']}") as answer:  # noqa: S310
        Path(file).write_bytes(gzip.decompress(answer.read()))


def _exec(arguments: list[str]) -> int:
    view = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--clearenv"]
    while (name := arguments.pop(0)).startswith("--"):
        if name in _SWITCHES:
            continue
        value = arguments.pop(0)
        if name == "--mount":
            [fields] = csv.reader([value])
            kind = "--ro-bind" if "ro" in fields else "--bind"
            named = dict(field.partition("=")[::2] for field in fields)
            view += [kind, named["source"], named["destination"]]
        elif name == "--network":
            view.append(f"--unshare-{'net' if value == 'none' else value}")
        else:
            view += {"--pwd": ["--chdir", value], "--hostname": ["--hostname", value]}[name]
    image = name
    for name, value in os.environ.items():
        if name.startswith(_PREFIX):
            view += ["--setenv", name.removeprefix(_PREFIX), value]
    with tempfile.TemporaryDirectory() as root:
        with tarfile.open(image) as archive:
            archive.extractall(root, filter="fully_trusted")  # noqa: S202 - our own image
        system = ["--bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        path = ["--setenv", "PATH", "/usr/bin"]
        command = ["bwrap", *system, *view, *path, "--", *arguments]
        return subprocess.run(command, check=False).returncode


def main() -> None:
    """Do what the arguments say."""
    task, *arguments = sys.argv[1:]
    if task == "--version":
        print("apptainer version 1.3.0")
    elif task == "pull":
        _pull(arguments)
    else:
        sys.exit(_exec(arguments))


if __name__ == "__main__":
    main()
