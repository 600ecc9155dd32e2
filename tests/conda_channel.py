"""A small, real conda channel, made offline in a second: no compiler, no conda.

It has the CPython that runs the tests, packages for it, a tool without Python in two versions, a
package whose activation sets variables, and the same for a platform that is not this one. Two runs
make the same bytes. Packages are ``.conda`` archives (CEP 16: a zip of two zstd-compressed tars).
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import hashlib
import http.server
import io
import json
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_EPOCH = 1_700_000_000
_HERE, OTHER = "linux-64", "linux-aarch64"
PYTHON = ".".join(map(str, sys.version_info[:3]))
_MINOR = "python" + ".".join(map(str, sys.version_info[:2]))
_LEFT_OUT = re.compile(
    r"(^|/)(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|site-packages|dist-packages"
    r"|__pycache__|config-[^/]*)(/|$)|(_test[^/]*\.so|_xxtest[^/]*|\.pyc|sitecustomize\.py)$"
)


@dataclasses.dataclass(kw_only=True)
class Package:
    """One package: what the index says of it, and its files."""

    name: str
    version: str
    build: str = "0"
    subdir: str = "noarch"
    depends: tuple[str, ...] = ()
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    info: dict[str, bytes] = dataclasses.field(default_factory=dict)
    files: dict[str, tuple[bytes, int]] = dataclasses.field(default_factory=dict)
    links: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.files[path] = (data, mode)

    def write(self, channel: Path) -> Path:
        stem = f"{self.name}-{self.version}-{self.build}"
        path = channel / self.subdir / f"{stem}.conda"
        path.parent.mkdir(parents=True, exist_ok=True)
        index = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": 0,
            "subdir": self.subdir,
            "depends": list(self.depends),
            "license": "test",
            "timestamp": _EPOCH * 1000,
            **self.more,
        }
        entries = [
            {
                "_path": name,
                "path_type": "hardlink",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_in_bytes": len(data),
            }
            for name, (data, _) in sorted(self.files.items())
        ]
        entries += [{"_path": name, "path_type": "softlink"} for name in sorted(self.links)]
        info = {
            "info/index.json": _json(index),
            "info/paths.json": _json({"paths": entries, "paths_version": 1}),
            "info/about.json": _json({"summary": "for tests"}),
            **self.info,
        }
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in (
                ("metadata.json", b'{"conda_pkg_format_version": 2}'),
                (f"pkg-{stem}.tar.zst", _tar(self.files, self.links)),
                (f"info-{stem}.tar.zst", _tar({n: (d, 0o644) for n, d in info.items()}, {})),
            ):
                archive.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 0, 0, 0)), data)
        return path


def make_channel(channel: Path) -> Path:
    """Make the channel; return its directory."""
    packages = [_python(), *map(_greet, ("1.0", "2.0")), *map(_tool, ("1.0", "2.0"))]
    packages += [_activated(), _linked(), _many(), _rscript()]
    for name, version in (("python", PYTHON), ("tool", "2.0")):
        stub = Package(name=name, version=version, subdir=OTHER)
        stub.add(f"share/{name}", "of another platform\n")
        packages.append(stub)
    for package in packages:
        package.write(channel)
    index(channel)
    return channel


def index(channel: Path) -> None:
    """Make the index of a channel anew; without the moment at which that happens."""
    script = (
        "import asyncio, os, sys; from rattler.index import index_fs\n"
        "asyncio.run(index_fs(sys.argv[1], write_zst=False, write_shards=False, force=True))\n"
        "os._exit(0)\n"  # an interpreter that is finalised now may crash in py-rattler's threads
    )
    subprocess.run([sys.executable, "-c", script, str(channel)], check=True)
    for repodata in channel.glob("*/repodata.json"):
        text = repodata.read_text()
        moment = f'"indexed_timestamp":{_EPOCH * 1000}'
        repodata.write_text(re.sub(r'"indexed_timestamp":\s*\d+', moment, text))


@contextlib.contextmanager
def serve(channel: Path, *, password: str | None = None) -> Iterator[str]:
    """Serve a channel on the loopback interface; yield its address.

    Args:
        channel: Its directory.
        password: Of the user ``alice``; without it nobody is asked for one.
    """
    wanted = None if password is None else base64.b64encode(f"alice:{password}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if wanted is not None and self.headers.get("Authorization") != f"Basic {wanted}":
                self.send_error(401)
                return
            super().do_GET()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Handler, directory=str(channel))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _python() -> Package:
    """Return this interpreter as a package that works at any prefix of this machine."""
    base = Path(sys.base_prefix)
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    if not stdlib.is_relative_to(base):
        stdlib = base / "lib" / _MINOR
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    debian = any("dist-packages" in path for path in site.getsitepackages([str(base)]))
    packages = f"lib/{_MINOR}/{'dist' if debian else 'site'}-packages"
    package = Package(
        name="python",
        version=PYTHON,
        build="0_cpython",
        subdir=_HERE,
        more={"python_site_packages_path": packages},
    )
    package.add(f"bin/{_MINOR}", _relocated(executable.read_bytes(), base), 0o755)
    package.links = {"bin/python": _MINOR, "bin/python3": _MINOR}
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        name = str(sysconfig.get_config_var("INSTSONAME"))
        library = Path(str(sysconfig.get_config_var("LIBDIR"))) / name
        package.add(f"lib/{name}", _relocated(_stripped(library), base), 0o755)
    for path in sorted(stdlib.rglob("*")):
        inner = path.relative_to(stdlib).as_posix()
        if path.is_file() and not _LEFT_OUT.search(inner):
            mode = 0o755 if inner.endswith(".so") else 0o644
            package.add(f"lib/{_MINOR}/{inner}", path.read_bytes(), mode)
    package.add(f"{packages}/README.txt", "packages of Python\n")
    return package


def _relocated(data: bytes, base: Path) -> bytes:
    """Let an executable find its library beside itself: its search path is written over."""
    old, new = f"{base / 'lib'}\0".encode(), b"$ORIGIN/../lib"
    return data.replace(old, new.ljust(len(old), b"\0"), 1) if len(new) < len(old) else data


def _stripped(library: Path) -> bytes:
    if shutil.which("strip") is None:
        return library.read_bytes()
    with tempfile.NamedTemporaryFile() as stripped:
        command = ["strip", "--strip-debug", "-o", stripped.name, str(library)]
        subprocess.run(command, capture_output=True, check=True)
        return Path(stripped.name).read_bytes()


def _noarch_python(name: str, version: str, module: str, script: str | None = None) -> Package:
    package = Package(
        name=name,
        version=version,
        build="py_0",
        depends=("python >=3.8",),
        more={"noarch": "python"},
    )
    package.add(f"site-packages/{name}.py", module)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    package.add(f"site-packages/{name}-{version}.dist-info/METADATA", metadata)
    entry_points = [] if script is None else [script]
    link = {"noarch": {"type": "python", "entry_points": entry_points}}
    package.info["info/link.json"] = _json({**link, "package_metadata_version": 1})
    return package


def _greet(version: str) -> Package:
    module = f"__version__ = {version!r}\ndef main():\n    print('greet', __version__)\n"
    return _noarch_python("greet", version, module, "greet = greet:main")


def _tool(version: str) -> Package:
    package = Package(name="tool", version=version, subdir=_HERE, build="h0_0")
    package.add("bin/tool", f"#!/bin/sh\necho tool {version}\n", 0o755)
    return package


def _rscript() -> Package:
    """Return an R that says that it is the environment's; it is the system's."""
    package = Package(name="rscript", version="1.0", subdir=_HERE, build="h0_0")
    script = '#!/bin/sh\nR_OF=environment exec /usr/bin/Rscript "$@"\n'
    package.add("bin/Rscript", script, 0o755)
    return package


def _activated() -> Package:
    package = Package(name="activated", version="1.0", more={"noarch": "generic"})
    activate = 'export ACTIVATED_HOME="$CONDA_PREFIX/share/activated"\n'
    package.add("etc/conda/activate.d/activated.sh", activate)
    package.add("etc/conda/env_vars.d/activated.json", '{"ACTIVATED_FLAG": "on"}\n')
    package.add("share/activated/README", "activated\n")
    return package


def _linked() -> Package:
    """Return a package with a script for the time after it was linked."""
    package = Package(name="linked", version="1.0", more={"noarch": "generic"})
    script = '#!/bin/sh\necho "ran" > "$PREFIX/linked.txt"\n'
    package.add("bin/.linked-post-link.sh", script, 0o755)
    package.add("share/linked/README", "linked\n")
    return package


def _many() -> Package:
    """Return a package with many files."""
    package = Package(name="many", version="1.0", more={"noarch": "generic"})
    for number in range(1_200):
        package.add(f"share/many/{number // 100}/{number}.txt", f"{number}\n" * 20)
    return package


def _tar(files: dict[str, tuple[bytes, int]], links: dict[str, str]) -> bytes:
    import zstandard

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (data, mode) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), mode, _EPOCH
            archive.addfile(member, io.BytesIO(data))
        for name, target in sorted(links.items()):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mtime = tarfile.SYMTYPE, target, _EPOCH
            archive.addfile(member)
    return bytes(zstandard.ZstdCompressor(level=3).compress(buffer.getvalue()))


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode()
