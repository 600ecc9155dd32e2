"""Container images made offline from Debian packages, and a registry on loopback to serve them.

A layer is a tar of the packages' own payloads with fixed order, owner and time: no base image, no
builder. Security updates change the packages and with them every digest, so no test names one.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from processes import ancestors, children
from servers import free_port

from snakemake_repro.backends.containers import owners
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.environments.indexes import indexes
from snakemake_repro.backends.uv import run_uv

_WORKER = re.compile(r"/popen-(gw\d+)/")
"""In the paths of temporary directories where tests run side by side."""
_SHEBANG = re.compile(rb"\A#!/\S+/python\S*")
_MTIME = 1_700_000_000
_MERGED = ("bin", "sbin", "lib", "lib64")
_SKIPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/icu",
)
PYTHON = "3.11"
"""Of the images that have one."""
_PYTHON_PACKAGES = (
    *("busybox-static", "bash-static", "libc6", "python3.11-minimal", "libpython3.11-minimal"),
    *("libpython3.11-stdlib", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0"),
    *("liblzma5", "libuuid1", "libcrypt1"),
)
_PACKAGES = {
    "busybox": ("busybox-static", "bash-static"),
    "python": _PYTHON_PACKAGES,
    "wheels": (*_PYTHON_PACKAGES, "libgcc-s1", "libstdc++6", "libgomp1", "libsqlite3-0"),
    "r": (
        *("busybox-static", "bash-static", "libc6", "r-base-core", "libblas3", "liblapack3"),
        *("libgfortran5", "libquadmath0", "libgomp1", "libgcc-s1", "libstdc++6", "libicu72"),
        *("libpcre2-8-0", "liblzma5", "libbz2-1.0", "zlib1g", "libreadline8", "libtinfo6"),
        *("libtirpc3", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libcom-err2"),
        *("libkrb5support0", "libkeyutils1"),
    ),
}
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LINKS = {
    "busybox": {},
    "python": {"usr/bin/python": f"python{PYTHON}"},
    "wheels": {"usr/bin/python": f"python{PYTHON}"},
    # what Debian makes when it installs them
    "r": {
        f"{_LIBRARIES}/libblas.so.3": "blas/libblas.so.3",
        f"{_LIBRARIES}/liblapack.so.3": "lapack/liblapack.so.3",
        "usr/lib/R/etc/Renviron": "Renviron.ucf",
    },
}
_APPLETS = [
    "awk",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "echo",
    "env",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "nc",
    "ping",
    "printf",
    "ps",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "wc",
    "wget",
    "which",
    "xargs",
]
_DIRECTORIES = ("usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "dev", "etc", "proc", "sys")
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
USER, PASSWORD = "lab", "lab-password"
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuL/Ej5MNdcjasz4Sr7bjTMIxZn.WGpgG\n"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """An image that no engine has seen yet."""

    layers: tuple[bytes, ...]
    config: bytes

    @property
    def id(self) -> str:
        """What an engine will call it."""
        return digest(self.config)


def digest(content: bytes) -> str:
    """Return a digest as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@functools.cache
def make_image(
    kind: str, *, label: str = "", architecture: str = "amd64", locks: tuple[Path, ...] = ()
) -> Image:
    """Make an image of busybox and bash, or of these and a language.

    Args:
        kind: ``busybox``, ``python``, ``wheels``, whose Python can run compiled packages, or ``r``.
        label: Stands in ``/etc/label`` and in the variable ``LABEL``, and makes images differ.
        architecture: What the image says it is for.
        locks: Requirements with hashes that its Python is to have.
    """
    layers = (_layer(kind, label), *([_wheels(locks)] if locks else []))
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": "2023-11-14T22:13:20Z",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/usr/sbin", f"LABEL={label}"],
            "Cmd": ["/bin/bash"],
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    return Image(layers=layers, config=json.dumps(config, sort_keys=True).encode())


def save_image(image: Image, path: Path) -> Path:
    """Write an image as `docker save` does."""
    layers = {f"{number}/layer.tar": layer for number, layer in enumerate(image.layers)}
    saved = [{"Config": "config.json", "RepoTags": None, "Layers": list(layers)}]
    manifest = json.dumps(saved).encode()
    _write_tar(path, {"config.json": image.config, **layers, "manifest.json": manifest})
    return path


def save_layout(image: Image, path: Path) -> Path:
    """Write an image as a layout of the Open Container Initiative, compressed, in a tar."""
    layers = [gzip.compress(layer, 1, mtime=0) for layer in image.layers]
    described = [{"digest": digest(layer)} for layer in layers]
    manifest = json.dumps({"config": {"digest": image.id}, "layers": described}).encode()
    machine = json.loads(image.config)["architecture"]
    entry = {"digest": digest(manifest), "platform": {"architecture": machine, "os": "linux"}}
    blobs = {digest(blob): blob for blob in (*layers, image.config, manifest)}
    index = json.dumps({"manifests": [entry]}).encode()
    places = {f"blobs/{name.replace(':', '/')}": blob for name, blob in blobs.items()}
    _write_tar(path, {**places, "index.json": index, "oci-layout": b"{}"})
    return path


def unpack_image(image: Image, directory: Path) -> Path:
    """Unpack the root file system of an image."""
    for layer in image.layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            archive.extractall(directory, filter="tar")
    return directory


class Registry:
    """``docker-registry`` on a free port of the loopback interface; it may go away and come back."""

    def __init__(self, root: Path, *, private: bool = False, auth: str = "") -> None:
        """Choose a port; nothing is started yet.

        Args:
            root: Where it keeps everything.
            private: It asks for ``USER`` and ``PASSWORD``.
            auth: Whom else it asks for what, as its configuration has it; then it takes no images.
        """
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._private = private
        self._auth = auth
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        config = self._root / "registry.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._root / 'data'}}}}}\n"
            f"http: {{addr: '{self.host}'}}\n"
            f"{self._auth}"
        )
        if self._private:
            passwords = self._root / "htpasswd"
            passwords.write_text(_HTPASSWD)
            with config.open("a") as file:
                file.write(f"auth: {{htpasswd: {{realm: lab, path: {passwords}}}}}\n")
        with (self._root / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self._root / "registry.log").read_text()
            assert time.monotonic() < deadline, "the registry does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it without notice."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def push(self, image: Image, name: str, tag: str) -> str:
        """Upload an image; return its manifest's digest."""
        layers = [gzip.compress(layer, 1, mtime=0) for layer in image.layers]
        for blob in (image.config, *layers):
            self._upload(name, blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(image.config), "digest": image.id},
            "layers": [
                {"mediaType": _LAYER, "size": len(layer), "digest": digest(layer)}
                for layer in layers
            ],
        }
        return self._tag(name, tag, manifest)

    def push_index(self, name: str, tag: str, manifests: Mapping[str, str]) -> str:
        """Tag an index of manifests that were pushed, architecture -> digest; return its digest."""
        entries = []
        for architecture, one in manifests.items():
            status, body, _ = self._ask("GET", f"/v2/{name}/manifests/{one}", kind=MANIFEST)
            assert status == http.client.OK
            platform = {"architecture": architecture, "os": "linux"}
            entry = {"mediaType": MANIFEST, "size": len(body), "digest": one, "platform": platform}
            entries.append(entry)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        return self._tag(name, tag, index)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _upload(self, name: str, content: bytes) -> None:
        status, _, place = self._ask("POST", f"/v2/{name}/blobs/uploads/")
        assert status == http.client.ACCEPTED
        parts = urlsplit(place)
        query = f"{parts.query}&digest={digest(content)}"
        status, body, _ = self._ask("PUT", f"{parts.path}?{query}", content)
        assert status == http.client.CREATED, body

    def _tag(self, name: str, tag: str, manifest: Mapping[str, Any]) -> str:
        content = json.dumps(manifest, sort_keys=True).encode()
        path = f"/v2/{name}/manifests/{tag}"
        status, body, _ = self._ask("PUT", path, content, kind=manifest["mediaType"])
        assert status == http.client.CREATED, body
        return digest(content)

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        kind: str = "application/octet-stream",
    ) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Type": kind, "Accept": kind, "Authorization": f"Basic {BASIC}"}
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Location") or ""
        finally:
            connection.close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            expected = http.client.UNAUTHORIZED if self._auth else http.client.OK
            return self._ask("GET", "/v2/")[0] == expected
        return False


@contextlib.contextmanager
def registry(root: Path, *, private: bool = False) -> Iterator[Registry]:
    """Run a registry; skip the test where the program for it is not installed."""
    if shutil.which("docker-registry") is None:
        pytest.skip("needs the program docker-registry")
    with Registry(root, private=private) as running:
        yield running


def ours(engine: Engine) -> list[str]:
    """Return the ids of the containers of jobs, but for those of tests that run beside this one."""
    found = engine.client.containers.list(
        all=True, filters={"label": owners.LABEL}, ignore_removed=True
    )
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    beside = set() if worker is None else children(os.getppid()) - {os.getpid()}
    mine = []
    for container in found:
        owner = int(container.labels[owners.LABEL].split(":")[2])
        seen = set(_WORKER.findall(json.dumps(container.attrs)))
        if beside.isdisjoint((owner, *ancestors(owner))) and seen <= {worker}:
            mine.append(container.id)
    return mine


def _write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


_Entries = dict[str, tuple[tarfile.TarInfo, bytes | None]]


def _layer(kind: str, label: str) -> bytes:
    entries: _Entries = {}
    for name in _MERGED:
        _put(entries, _link(name, f"usr/{name}"))
    for name in (*_DIRECTORIES, "tmp"):
        _put(entries, _directory(name, 0o1777 if name == "tmp" else 0o755))
    for package in _packages(kind):
        _unpack(entries, package)
    if kind == "wheels":
        _add_compiled(entries, f"usr/lib/python{PYTHON}/")
    for applet in _APPLETS:
        _put(entries, _link(f"usr/bin/{applet}", "busybox"))
    _put(entries, _link("usr/bin/bash", "bash-static"))
    for name, target in _LINKS[kind].items():
        _put(entries, _link(name, target))
    for name, text in (
        ("etc/label", f"{label}\n"),
        ("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
    ):
        _put_file(entries, name, text.encode(), 0o644)
    return _tar(entries)


def _tar(entries: _Entries) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(entries):  # parents come before what is in them
            info, content = entries[name]
            archive.addfile(info, None if content is None else io.BytesIO(content))
    return buffer.getvalue()


def _wheels(locks: Iterable[Path]) -> bytes:
    """Install locked packages where Debian's Python looks for those that are not Debian's."""
    sources = indexes(portable=False)
    entries: _Entries = {}
    with tempfile.TemporaryDirectory() as directory:
        run_uv(
            [
                *("pip", "install", "--quiet", "--target", directory, "--python-version", PYTHON),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
                *(word for lock in locks for word in ("-r", str(lock))),
                *sources.arguments,
            ],
            what="the packages of an image cannot be installed",
            variables=sources.variables,
        )
        _compile(directory, f"/usr/local/lib/python{PYTHON}/dist-packages")
        for path in Path(directory).rglob("*"):
            inner, place = path.relative_to(directory), f"lib/python{PYTHON}/dist-packages/"
            name = f"usr/local/{'' if inner.parts[0] == 'bin' else place}{inner}"
            if path.is_dir():
                _put(entries, _directory(name, 0o755))
            else:
                content = _SHEBANG.sub(b"#!/usr/bin/python", path.read_bytes())
                _put_file(entries, name, content, 0o755 if os.access(path, os.X_OK) else 0o644)
    return _tar(entries)


def _add_compiled(entries: _Entries, place: str) -> None:
    """Add compiled what is Python below a place, which Debian does when it installs a package."""
    with tempfile.TemporaryDirectory() as directory:
        for name, (info, content) in entries.items():
            if name.startswith(place) and name.endswith(".py") and info.isreg():
                path = Path(directory, name.removeprefix(place))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content or b"")
        _compile(directory, f"/{place}")
        for path in Path(directory).rglob("__pycache__"):
            _put(entries, _directory(f"{place}{path.relative_to(directory)}", 0o755))
        for path in Path(directory).rglob("*.pyc"):
            name = f"{place}{path.relative_to(directory)}"
            _put_file(entries, name, path.read_bytes(), 0o644)


def _compile(directory: str, inside: str) -> None:
    """Compile what lies in a directory, for a place in an image: jobs would do it, each again.

    A few packages hold files that no Python compiles. The times of files are those of the image.
    """
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run(
        [sys.executable, "-m", "compileall", *options, "-s", directory, "-p", inside, directory],
        check=False,
        capture_output=True,
    )


def _put_file(entries: _Entries, name: str, content: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    _put(entries, info, content)


def _put(entries: _Entries, info: tarfile.TarInfo, content: bytes | None = None) -> None:
    info.mtime, info.uid, info.gid, info.uname, info.gname = _MTIME, 0, 0, "", ""
    info.pax_headers = {}
    entries[info.name] = (info, content)


def _unpack(entries: _Entries, package: Path) -> None:
    """Add what a Debian package holds, as it is in a tree whose ``/bin`` is a link."""
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", package], check=True, stdout=subprocess.PIPE
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        for member in archive:
            name = _place(member.name)
            known = member.isdir() and name in entries
            if not name or known or name in _MERGED or name.startswith(_SKIPPED):
                continue
            source = archive.extractfile(member) if member.isreg() else None
            member.name = name
            if member.islnk():
                member.linkname = _place(member.linkname)
            _put(entries, member, None if source is None else source.read())


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info


def _link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
    return info


def _place(name: str) -> str:
    bare = name.removeprefix(".").strip("/")
    return f"usr/{bare}" if bare.partition("/")[0] in _MERGED else bare


@functools.cache
def _packages(kind: str) -> tuple[Path, ...]:
    """Download what an image is made of, once for all images of this process."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs Debian's dpkg-deb to make images")
    folder = _folder()
    missing = [name for name in _PACKAGES[kind] if not list(folder.glob(f"{name}_*.deb"))]
    if missing:
        done = subprocess.run(
            ["apt-get", "download", "-qq", *missing],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"needs Debian packages to make images: {done.stderr.strip()[-200:]}")
    return tuple(next(folder.glob(f"{name}_*.deb")) for name in _PACKAGES[kind])


@functools.cache
def _folder() -> Path:
    """Return a directory that lives as long as this process, also for ``_apt``."""
    holder = tempfile.TemporaryDirectory(prefix="repro-test-debs-")
    _HOLDERS.append(holder)
    path = Path(holder.name)
    path.chmod(0o777)
    return path


_HOLDERS: list[tempfile.TemporaryDirectory[str]] = []
