"""Files of a known digest arrive whole or not at all, from servers, folders and package indexes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from package_index import make_sdist, make_wheel, serve_index, sha256, write_simple_pages
from wrapperjobs import Job, Recorder

from snakemake_repro.wrappers import downloads
from snakemake_repro.wrappers.fetching import fetch
from snakemake_repro.wrappers.problems import WrapperError

DATA = b"energy,primary\n" * 1000


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(downloads, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [n for n in os.environ if n.startswith(("PIP_", "UV_")) or n.endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@dataclasses.dataclass(kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        content: What it has, by path.
        falter: What it does before it answers, in turn: a status, or ``cut`` for half the content.
        asked: Paths and credentials that it was asked for.
    """

    url: str = ""
    content: dict[str, bytes] = dataclasses.field(default_factory=dict)
    falter: list[int | str] = dataclasses.field(default_factory=list)
    asked: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(content={"/table.csv": DATA})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, self.headers.get("Authorization")))
            trouble = found.falter.pop(0) if found.falter else None
            body = found.content.get(self.path)
            if isinstance(trouble, int):
                self.send_error(trouble)
            elif trouble == "hang up":
                self.close_connection = True
            elif body is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if trouble == "cut" else body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        found.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            running.shutdown()
            thread.join()


def get(folder: Path, data: Any = "out.csv", **params: Any) -> Recorder:
    """Fetch as a rule would, into a folder."""
    (folder / "out").mkdir(exist_ok=True)
    places = [data] if isinstance(data, str) else data
    paths = [str(folder / "out" / place) for place in places]
    run = Recorder()
    fetch(Job({}, {"data": paths if len(paths) > 1 else paths[0]}, params), run)
    return run


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


def test_a_file_arrives_and_says_where_it_is_from(tmp_path: Path, server: Server) -> None:
    run = get(
        tmp_path,
        url=f"{server.url}/table.csv",
        sha256=digest_of(DATA).upper(),
        licence="CC0-1.0",
        source="doi:10.1/x",
    )
    assert results(tmp_path) == {"out.csv": DATA}
    assert run.metrics == {"fetched_bytes": [len(DATA)]}
    assert run.params["licence"] == "CC0-1.0"
    assert run.params["source"] == "doi:10.1/x"


def test_a_second_time_needs_no_server(tmp_path: Path, server: Server) -> None:
    for _ in range(2):
        get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    assert len(server.asked) == 1
    (kept,) = (tmp_path / "cache" / "snakemake-repro" / "datasets").iterdir()
    assert (kept.name, kept.read_bytes()) == (digest_of(DATA), DATA)


def test_a_file_of_the_cache_that_was_changed_is_fetched_again(
    tmp_path: Path, server: Server
) -> None:
    get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    kept = tmp_path / "cache" / "snakemake-repro" / "datasets" / digest_of(DATA)
    kept.write_bytes(b"other")
    get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    assert results(tmp_path) == {"out.csv": DATA}
    assert kept.read_bytes() == DATA
    assert len(server.asked) == 2


def test_a_job_without_a_cache_does_without(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    assert results(tmp_path) == {"out.csv": DATA}


@pytest.mark.parametrize("cache", [True, False], ids=["cache", "no cache"])
def test_another_digest_is_an_error_and_leaves_nothing(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, *, cache: bool
) -> None:
    if not cache:
        (tmp_path / "file").write_text("no directory")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    wanted = digest_of(b"other")
    message = rf"/table.csv: expected SHA-256 {wanted}, got {digest_of(DATA)}"
    with pytest.raises(WrapperError, match=message):
        get(tmp_path, url=f"{server.url}/table.csv", sha256=wanted)
    assert results(tmp_path) == {}
    assert len(server.asked) == 1
    assert not cache or not list((tmp_path / "cache" / "snakemake-repro" / "datasets").iterdir())


@pytest.mark.parametrize("trouble", [503, 429, 500, "cut", "hang up"])
def test_a_server_may_falter(tmp_path: Path, server: Server, trouble: int | str) -> None:
    server.falter = [trouble, trouble]
    get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    assert results(tmp_path) == {"out.csv": DATA}
    assert len(server.asked) == 3


def test_a_server_that_always_falters_is_given_up(tmp_path: Path, server: Server) -> None:
    server.falter = [503] * 9
    with pytest.raises(WrapperError, match=r"got status 503 .* in each of 5 attempts"):
        get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    assert len(server.asked) == 5
    assert results(tmp_path) == {}


@pytest.mark.parametrize("status", [404, 403, 410])
def test_what_will_not_change_is_not_tried_again(
    tmp_path: Path, server: Server, status: int
) -> None:
    server.falter = [status]
    with pytest.raises(WrapperError, match=rf"/table.csv: expected a file, got status {status}"):
        get(tmp_path, url=f"{server.url}/table.csv", sha256=digest_of(DATA))
    assert len(server.asked) == 1


def test_credentials_are_used_and_not_shown(tmp_path: Path, server: Server) -> None:
    url = server.url.replace("//", "//me:hush%20hush@")
    run = get(tmp_path, url=f"{url}/table.csv", sha256=digest_of(DATA))
    assert server.asked == [("/table.csv", "Basic bWU6aHVzaCBodXNo")]
    assert "hush" not in str(run.params)
    with pytest.raises(WrapperError) as caught:
        get(tmp_path, url=f"{url}/none.csv", sha256=digest_of(b""))
    assert "hush" not in str(caught.value)


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(DATA)
    uri = (tmp_path / "table.csv").as_uri()
    get(tmp_path, url=uri, sha256=digest_of(DATA))
    assert results(tmp_path) == {"out.csv": DATA}
    with pytest.raises(WrapperError, match=r"expected a file, got: .*No such file"):
        get(tmp_path, url=f"{uri}.gz", sha256=digest_of(b""))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "expected a SHA-256 in hexadecimal digits as sha256=, got nothing"),
        ({"sha256": "abc"}, "expected 64 hexadecimal digits as sha256=, got 'abc'"),
        ({"sha256": "0" * 64}, "expected either url= or package=, got neither"),
        ({"sha256": "0" * 64, "url": "u", "package": "p"}, "url= or package=, got both"),
        ({"sha256": "0" * 64, "url": "u", "version": "1"}, "version= only beside package="),
        ({"sha256": "0" * 64, "package": "p"}, "expected a version as version=, got nothing"),
        ({"sha256": "0" * 64, "url": "ftp://x/y"}, "a URL with one of https, http, file"),
        (
            {"sha256": "0" * 64, "url": "u", "member": "a", "members": ["b"]},
            "either member= or members=, got both",
        ),
        ({"sha256": "0" * 64, "url": "u", "members": "a"}, "a list of different paths within"),
        ({"sha256": "0" * 64, "url": "u", "members": ["a", "b"]}, "expected 2 files, one for each"),
        ({"sha256": "0" * 64, "uri": "u"}, "dataset/fetch has no parameter 'uri'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_one_clear_error(
    tmp_path: Path, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        get(tmp_path, **params)
    assert results(tmp_path) == {}


# ----- members -----------------------------------------------------------------------------------


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("deep/", b"")
        for name, data in members.items():
            archive.writestr(f"deep/{name}", data)
        link = zipfile.ZipInfo("deep/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def taped(mode: str) -> Callable[..., bytes]:
    def pack(**members: bytes) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
            for name, kind in (("deep", tarfile.DIRTYPE), ("deep/link", tarfile.SYMTYPE)):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, "/etc/passwd"
                archive.addfile(member)
            for name, data in members.items():
                member = tarfile.TarInfo(f"deep/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    return pack


PACKERS = {"zip": zipped, "tar": taped("w"), "tar.gz": taped("w:gz"), "tar.xz": taped("w:xz")}


@pytest.fixture(params=PACKERS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Parameters that fetch an archive of two files, a directory and a link."""
    data = PACKERS[request.param](a=DATA, b=b"beta")
    path = tmp_path / f"archive.{request.param}"
    path.write_bytes(data)
    return {"url": path.as_uri(), "sha256": digest_of(data)}


def test_members_go_where_the_rule_says(tmp_path: Path, archive: dict[str, str]) -> None:
    get(tmp_path, ["x", "y"], members=["deep/b", "deep/a"], **archive)
    assert results(tmp_path) == {"x": b"beta", "y": DATA}
    get(tmp_path, "z", member="deep/a", **archive)
    assert results(tmp_path)["z"] == DATA


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("deep/c", r"expected a member 'deep/c' in the archive, got .*deep/a"),
        ("deep/link", "expected a regular file as member 'deep/link', got a link or a directory"),
        ("../a", r"expected the path of a member within the archive, got '\.\./a'"),
        ("/etc/passwd", "expected the path of a member within the archive, got '/etc/passwd'"),
    ],
)
def test_what_is_no_file_of_the_archive_is_refused(
    tmp_path: Path, archive: dict[str, str], member: str, message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        get(tmp_path, member=member, **archive)
    assert results(tmp_path) == {}


@pytest.mark.parametrize("kind", [*PACKERS, "text"])
def test_a_damaged_archive_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    content = bytes(range(256)) * 300
    whole = PACKERS[kind](a=content) if kind != "text" else DATA
    for data in (whole[:200], whole[: len(whole) // 2]):
        (tmp_path / "archive").write_bytes(data)
        params = {"url": (tmp_path / "archive").as_uri(), "sha256": digest_of(data)}
        with pytest.raises(WrapperError, match=r"expected a (complete zip or tar archive|member)"):
            get(tmp_path, member="deep/a", **params)
        assert results(tmp_path) == {}


# ----- packages ----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the files of two versions of a package."""
    folder = tmp_path / "files"
    make_sdist(folder, "air_showers", "1.0")
    make_wheel(folder, "air_showers", "1.0", files={"air_showers/runs.csv": "run\n31\n"})
    make_wheel(folder, "air_showers", "1.0.1")
    return folder


def bare(path: Path) -> str:
    return sha256(path).removeprefix("sha256:")


@pytest.fixture(params=["pip", "uv", "folder", "links"])
def _settings(
    request: pytest.FixtureRequest, files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """The user's own settings say where packages come from."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serve_index(files, credentials="me:hush"))
        secret = url.replace("//", "//me:hush@")
        if request.param == "pip":
            config = tmp_path / "pip.conf"
            config.write_text(f"[global]\nindex-url = {secret}\n")
            monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
        elif request.param == "uv":
            monkeypatch.setenv("UV_DEFAULT_INDEX", secret)
        elif request.param == "folder":
            monkeypatch.setenv("PIP_INDEX_URL", write_simple_pages(files).as_uri())
        else:
            monkeypatch.setenv("PIP_FIND_LINKS", str(files))
            monkeypatch.setenv("PIP_NO_INDEX", "1")
        yield


@pytest.mark.usefixtures("_settings")
def test_a_wheel_is_found_and_not_installed(tmp_path: Path, files: Path) -> None:
    digest = bare(files / "air_showers-1.0-py3-none-any.whl")
    params = {"package": "Air.Showers", "version": "1.0", "sha256": digest}
    get(tmp_path, member="air_showers/runs.csv", **params)
    assert results(tmp_path) == {"out.csv": b"run\n31\n"}


@pytest.mark.usefixtures("_settings")
def test_a_source_archive_is_found_and_not_built(tmp_path: Path, files: Path) -> None:
    """Its build backend would need a package that nobody has."""
    sdist = make_sdist(files, "air_showers", "1.0", needs="nowhere_to_be_found")
    if (files / "simple").is_dir():
        write_simple_pages(files)
    get(tmp_path, package="air-showers", version="1.0", sha256=bare(sdist))
    assert results(tmp_path) == {"out.csv": sdist.read_bytes()}


@pytest.mark.usefixtures("_settings")
def test_another_digest_names_the_files_that_there_are(tmp_path: Path) -> None:
    message = (
        f"expected a file of air-showers 1.0 with SHA-256 {'0' * 64}, got files of that version "
        "with other digests: air_showers-1.0-py3-none-any.whl, air_showers-1.0.tar.gz"
    )
    with pytest.raises(WrapperError, match=re.escape(message)):
        get(tmp_path, package="air-showers", version="1.0", sha256="0" * 64)


@pytest.mark.usefixtures("_settings")
def test_a_package_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WrapperError, match=r"expected a file of nothing 1.0 .*: none"):
        get(tmp_path, package="nothing", version="1.0", sha256="0" * 64)


def test_an_index_may_be_in_json_or_say_no_digests(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/json/")
    monkeypatch.setenv("UV_INDEX", f"more={server.url}/html")
    server.content |= {
        "/json/data/": b'{"files": [{"url": "../../data-1.tar.gz", "hashes": {"sha256": "%s"}}]}'
        % digest_of(DATA).encode(),
        "/html/data/": b'<a name="x">no</a><a href="/data-2.tar.gz">data-2.tar.gz</a>',
        "/data-1.tar.gz": DATA,
        "/data-2.tar.gz": b"two",
    }
    get(tmp_path, "one", package="data", version="1", sha256=digest_of(DATA))
    get(tmp_path, "two", package="data", version="2", sha256=digest_of(b"two"))
    assert results(tmp_path) == {"one": DATA, "two": b"two"}


def test_where_nothing_is_set_pip_says_which_index_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from snakemake_repro.wrappers.packages import _settings

    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "1000"},
    )
    (index,) = _settings()["index-url"]
    assert index.startswith("https://")
    assert index in done.stdout


def test_without_pip_there_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WrapperError, match="expected pip to say where packages come from"):
        get(tmp_path, package="data", version="1", sha256="0" * 64)
