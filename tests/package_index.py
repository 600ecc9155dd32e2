"""A package index on loopback with wheels and source archives made on the spot."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, str] | None = None,
    written_version: str | None = None,
    needs: str | None = None,
) -> Path:
    """Make a wheel of one module, or of these files; its metadata may spell the version anew."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    contents = dict(files or {f"{name}.py": f"version = {version!r}\ntag = {tag!r}\n"})
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {written_version or version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else "")
    )
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    record = "".join(f"{path},{_recorded(text)}\n" for path, text in contents.items())
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


_BACKEND = """
import base64, hashlib, zipfile
{needs}
def build_wheel(out, config_settings=None, metadata_directory=None):
    wheel, info = "{name}-{version}-py3-none-any.whl", "{name}-{version}.dist-info"
    contents = {{
        "{name}.py": "built = True\\n",
        info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    rows = []
    with zipfile.ZipFile(f"{{out}}/{{wheel}}", "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows.append(f"{{path}},sha256={{digest.rstrip(b'=').decode()}},{{len(text)}}")
        archive.writestr(info + "/RECORD", "\\n".join([*rows, info + "/RECORD,,", ""]))
    return wheel
"""


def make_sdist(folder: Path, name: str, version: str, *, needs: str | None = None) -> Path:
    """Make a source archive of one module; to build it another package may have to be there."""
    folder.mkdir(parents=True, exist_ok=True)
    requires = [needs] if needs else []
    imported = f"import {needs}" if needs else ""
    contents = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": f"[build-system]\nrequires = {requires}\n"
        'build-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": _BACKEND.format(name=name, version=version, needs=imported),
    }
    sdist = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for path, text in contents.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return sdist


def sha256(path: Path) -> str:
    """Return a file's digest as locks have it."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def write_simple_pages(folder: Path) -> Path:
    """Write the pages of a simple index for the packages in a folder; return its root."""
    root = folder / "simple"
    for project in {_project(file) for file in _files(folder)}:
        page = root / project / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(folder, project, "../../"))
    return root


@contextlib.contextmanager
def serve_index(folder: Path, *, credentials: str | None = None) -> Iterator[str]:
    """Serve the packages in a folder as a simple index; yield its URL, without credentials."""
    expected = f"Basic {base64.b64encode((credentials or '').encode()).decode()}"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if credentials and self.headers.get("Authorization") != expected:
                self.send_error(401)
            elif parts[0] == "simple" and (page := _page(folder, parts[-1], "/files/")):
                self._send(page.encode(), "text/html")
            elif parts[0] == "files" and (folder / parts[-1]).is_file():
                self._send((folder / parts[-1]).read_bytes(), "application/octet-stream")
            else:
                self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _send(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


def _page(folder: Path, project: str, prefix: str) -> str:
    files = [file for file in _files(folder) if _project(file) == project]
    return "".join(
        f'<a href="{prefix}{file.name}#{sha256(file).replace(":", "=")}">{file.name}</a><br>\n'
        for file in files
    )


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])


def _project(file: Path) -> str:
    return file.name.partition("-")[0].replace("_", "-").lower()


def _recorded(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    value = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return f"sha256={value},{len(text.encode())}"
