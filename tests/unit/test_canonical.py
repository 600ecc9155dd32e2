"""Files of equal content become equal bytes, and go on saying what they said."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snakemake_repro.canonical import canonicalise, reproducible_root
from snakemake_repro.errors import RecordError, StorageError, UsageError

DATA = Path(__file__).parents[1] / "data"
CONTENT = {"b.txt": b"beta\n" * 100, "a.txt": b"alpha\n", "deep/c.txt": b"", "ünï.txt": b"\0\1"}
EARLY, LATE = 1_000_000_000, 1_600_000_001


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def planted(folder: Path, when: int) -> Path:
    """Return a folder with the content, written in an order and at a time of its own."""
    names = sorted(CONTENT, reverse=when == EARLY)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[name])
        os.utime(path, (when, when))
    return folder


def make_gzip(path: Path, when: int) -> None:
    with gzip.GzipFile(path, "wb", mtime=when) as file:
        file.write(CONTENT["b.txt"])


def make_tar(path: Path, when: int) -> None:
    folder = planted(path.parent / "content", when)

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = when % 1000
        member.uname = f"user{when}"
        return member

    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name in sorted(CONTENT, reverse=when == EARLY):
            archive.add(folder / name, name, filter=owned)


def make_zip(path: Path, when: int) -> None:
    folder = planted(path.parent / "content", when)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(CONTENT, reverse=when == EARLY):
            archive.write(folder / name, name)


def make_keras(path: Path, when: int) -> None:
    """Copy one of two models that Keras saved, from the same code and with the same seed."""
    shutil.copy(DATA / "keras" / ("first.keras" if when == EARLY else "second.keras"), path)


def make_figure(path: Path, when: int) -> None:
    """Let Matplotlib draw what it names after random numbers: in another process, at its time."""
    script = """
import sys
import matplotlib as mpl
mpl.use("agg")
from matplotlib import pyplot as plt
figure, axes = plt.subplots(figsize=(3, 2))
axes.plot([1, 2, 3], marker="o", label="line")
axes.scatter([1, 2], [2, 1], s=[9, 90])
axes.fill_between([0, 1], [0, 1], hatch="/")
axes.imshow([[0, 1], [1, 0]], extent=(0, 1, 0, 1))
axes.set_title("muons $N_\\\\mu$")
figure.savefig(sys.argv[1])
"""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(when)}
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=environ)


def read_gzip(path: Path) -> Any:
    return gzip.decompress(path.read_bytes())


def read_tar(path: Path) -> Any:
    with tarfile.open(path) as archive:
        return {m.name: (archive.extractfile(m).read(), m.mode) for m in archive}  # type: ignore[union-attr]


def read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {m.filename: (archive.read(m), m.external_attr) for m in archive.infolist()}


def read_keras(path: Path) -> Any:
    """Return weights and configuration, and what shares an object with what."""
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
        shared = re.findall(r'"shared_object_id": (\d+)', config)
        order = [shared.index(number) for number in shared]
        said = json.loads(archive.read("metadata.json"))["keras_version"]
        config = re.sub(r'"shared_object_id": \d+', "", config)
        assert archive.testzip() is None
        return archive.read("model.weights.h5"), json.loads(config.replace(", }", "}")), order, said


def read_svg(path: Path) -> Any:
    """Return the picture with what it names followed, so that a broken reference shows."""
    text = re.sub(r"<dc:date>.*?</dc:date>", "", path.read_text())
    names = re.findall(r'\bid="([^"]+)"', text)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(names)
    for number, name in enumerate(names):
        text = re.sub(rf'(\bid="|#){re.escape(name)}(?![\w.-])', rf"\g<1>name{number}", text)
    return "".join(text.split())


def read_pdf(path: Path) -> Any:
    """Return everything but dates, reading the objects at the places that the table says."""
    data = path.read_bytes()
    table = int(re.search(rb"startxref\s+(\d+)", data)[1])  # type: ignore[index]
    assert data[table:].startswith(b"xref")
    places = [int(entry) for entry in re.findall(rb"(\d{10}) \d{5} n", data[table:])]
    assert all(re.match(rb"\d+ \d+ obj", data[place:]) for place in places)
    return re.sub(rb"\(D:[^)]*\)", b"", data)


Make, Read = Callable[[Path, int], None], Callable[[Path], Any]
KINDS: dict[str, tuple[str, Make, Read]] = {
    "gzip": ("table.csv.gz", make_gzip, read_gzip),
    "tar": ("runs.tar", make_tar, read_tar),
    "tar.gz": ("runs.tar.gz", make_tar, read_tar),
    "tgz": ("runs.TGZ", make_tar, read_tar),
    "zip": ("runs.zip", make_zip, read_zip),
    "keras": ("model.keras", make_keras, read_keras),
    "svg": ("figure.svg", make_figure, read_svg),
    "pdf": ("figure.pdf", make_figure, read_pdf),
}


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, scratch: Path) -> tuple[Path, Path, Read]:
    """The same content written twice: in two places, at two times, in two orders."""
    name, make, read = KINDS[request.param]
    paths = []
    for when in (EARLY, LATE):
        folder = scratch / request.param / str(when)
        folder.mkdir(parents=True)
        make(folder / name, when)
        paths.append(folder / name)
    return paths[0], paths[1], read


def test_what_was_written_twice_becomes_the_same_bytes(
    pair: tuple[Path, Path, Read], tmp_path: Path
) -> None:
    first, second, read = pair
    assert first.read_bytes() != second.read_bytes()
    copies = [Path(shutil.copy(p, tmp_path / f"{n}{p.name}")) for n, p in enumerate(pair[:2])]
    for copy, original in zip(copies, (first, second), strict=True):
        canonicalise(copy)
        assert read(copy) == read(original)
    assert copies[0].read_bytes() == copies[1].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in copies)


def test_a_second_time_changes_nothing(pair: tuple[Path, Path, Read], tmp_path: Path) -> None:
    path = Path(shutil.copy(pair[0], tmp_path))
    canonicalise(path)
    once = path.read_bytes()
    canonicalise(str(path))
    assert path.read_bytes() == once


def test_a_damaged_file_is_named_and_stays_as_it_is(
    pair: tuple[Path, Path, Read], tmp_path: Path
) -> None:
    whole = pair[0].read_bytes()
    path = tmp_path / pair[0].name
    for data in (
        b"",
        b"\x1f\x8bnonsense",
        whole[: len(whole) // 2],
        whole[: len(whole) // 3],
        whole[:30],
    ):
        path.write_bytes(data)
        with pytest.raises(RecordError, match=re.escape(f"{path}: expected a")):
            canonicalise(path)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["table.parquet", "gz", "archive.tar.xz", "zip.txt"])
def test_an_unknown_kind_is_an_error_that_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match=r"expected a file that ends in one of .tar.gz, .tgz, .t"):
        canonicalise(tmp_path / name)


def test_a_root_file_is_sent_to_its_writer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be rewritten") as caught:
        canonicalise(tmp_path / "x.root")
    assert "reproducible_root()" in str(caught.value.hint)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot rewrite .*x.gz: No such file"):
        canonicalise(tmp_path / "x.gz")


def test_a_link_and_permissions_stay(tmp_path: Path) -> None:
    make_gzip(tmp_path / "real.gz", EARLY)
    (tmp_path / "real.gz").chmod(0o640)
    (tmp_path / "link.gz").symlink_to("real.gz")
    canonicalise(tmp_path / "link.gz")
    assert (tmp_path / "link.gz").is_symlink()
    assert (tmp_path / "real.gz").read_bytes()[4:8] == bytes(4)
    assert stat.S_IMODE((tmp_path / "real.gz").stat().st_mode) == 0o640


def rewritten(name: str, data: bytes, scratch: Path) -> bytes:
    path = scratch / name
    path.write_bytes(data)
    canonicalise(path)
    return path.read_bytes()


# ----- gzip --------------------------------------------------------------------------------------


@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    times=st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8),
    names=st.lists(st.sampled_from(["", "a", "b" * 300]), min_size=8, max_size=8),
    padding=st.integers(0, 600),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_members_of_a_gzip_file_lose_times_and_names(
    parts: list[bytes], times: list[int], names: list[str], padding: int, scratch: Path
) -> None:
    made = []
    for shift in (0, 4):
        buffer = io.BytesIO()
        for number, part in enumerate(parts):
            when, name = times[shift + number], names[shift + number]
            with gzip.GzipFile(name, "wb", fileobj=buffer, mtime=when) as file:
                file.write(part)
        buffer.write(bytes(padding * shift))
        made.append(rewritten("any.gz", buffer.getvalue(), scratch))
    assert made[0] == made[1]
    assert gzip.decompress(made[0]) == b"".join(parts)


def test_blocks_with_an_index_stay_where_they_are(scratch: Path) -> None:
    """BGZF: each block says its length in an extra field, and an index its place."""
    blocks = b""
    for part in (b"one" * 50, b"two" * 60, b""):
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(part) + packer.flush()
        extra = b"BC\x02\x00" + (len(body) + 25).to_bytes(2, "little")
        head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + b"\x06\x00" + extra
        ends = zlib.crc32(part).to_bytes(4, "little") + len(part).to_bytes(4, "little")
        blocks += head + body + ends
    assert rewritten("table.bgz.gz", blocks, scratch) == blocks


def test_comments_and_sums_of_a_header_go(scratch: Path) -> None:
    bare = gzip.compress(b"content", mtime=0)
    head = b"\x1f\x8b\x08\x1a" + b"\1\2\3\4" + bare[8:10] + b"name\0comment\0"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    made = rewritten("x.gz", head + bare[10:], scratch)
    assert made == rewritten("x.gz", bare, scratch)


@pytest.mark.parametrize(
    ("place", "message"),
    [(-5, "its checksum is another"), (12, "a damaged one"), (3, "unknown flags"), (0, "got one")],
)
def test_a_flipped_byte_of_a_gzip_file_is_found(scratch: Path, place: int, message: str) -> None:
    data = bytearray(gzip.compress(bytes(range(256)) * 3, mtime=0))
    data[place] ^= 0xFF
    with pytest.raises(RecordError, match=message):
        rewritten("x.gz", bytes(data), scratch)


def test_what_follows_a_gzip_file_is_no_part_of_it(scratch: Path) -> None:
    with pytest.raises(RecordError, match="after 1 complete members"):
        rewritten("x.gz", gzip.compress(b"content") + b"\0\0\0more", scratch)


# ----- archives ----------------------------------------------------------------------------------

names = st.text(st.sampled_from("abc/é"), min_size=1, max_size=120).filter(
    lambda name: not name.startswith("/") and not name.endswith("/") and "//" not in name
)


@given(content=st.dictionaries(names, st.binary(max_size=200), max_size=5), data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_the_order_of_an_archive_and_its_times_do_not_count(
    suffix: str, content: dict[str, bytes], data: st.DataObject, scratch: Path
) -> None:
    made = []
    for when in (EARLY, LATE):
        buffer = io.BytesIO()
        order = data.draw(st.permutations(sorted(content)))
        if suffix == "tar":
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                for name in order:
                    member = tarfile.TarInfo(name)
                    member.size, member.mtime, member.uid = len(content[name]), when, when % 7
                    archive.addfile(member, io.BytesIO(content[name]))
        else:
            with zipfile.ZipFile(buffer, "w") as packed:
                for name in order:
                    packed.writestr(
                        zipfile.ZipInfo(name, (1990 + when % 7, 1, 1, 1, 1, 1)), content[name]
                    )
        made.append(rewritten(f"any.{suffix}", buffer.getvalue(), scratch))
    assert made[0] == made[1]
    read = read_tar if suffix == "tar" else read_zip
    assert {k: v[0] for k, v in read(scratch / f"any.{suffix}").items()} == content


@pytest.mark.parametrize("order", [*itertools.permutations("abc")], ids="".join)
def test_hard_links_stay_linked_whichever_was_packed_first(
    order: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("b")
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for name in order:
            archive.add(tmp_path / name, name)
    canonicalise(path)
    with tarfile.open(path) as archive:
        found = {m.name: (m.type, m.linkname) for m in archive}
        assert archive.extractfile("b").read() == b"content"  # type: ignore[union-attr]
    assert found == {
        "a": (tarfile.REGTYPE, ""),
        "b": (tarfile.LNKTYPE, "a"),
        "c": (tarfile.SYMTYPE, "b"),
    }


def tar_of(*members: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a", tarfile.REGTYPE, "")] * 2, "expected every name once"),
        ([("a", tarfile.LNKTYPE, "b")], "'a' is a link to 'b', which is not in the archive"),
        ([("a", tarfile.LNKTYPE, "a")], "'a' is a link to 'a', which is not in the archive"),
        (
            [("d", tarfile.DIRTYPE, ""), ("a", tarfile.LNKTYPE, "d")],
            "'a' is a link to 'd', which is no regular file",
        ),
    ],
)
def test_a_tar_archive_that_cannot_be_sorted_is_refused(
    scratch: Path, members: list[tuple[str, bytes, str]], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        rewritten("x.tar", tar_of(*members), scratch)


def test_extended_attributes_are_content_and_other_headers_are_not(scratch: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.pax_headers = {"SCHILY.xattr.user.x": "y", "atime": "1.5", "comment": "me"}
        archive.addfile(member)
    rewritten("x.tar", buffer.getvalue(), scratch)
    with tarfile.open(scratch / "x.tar") as archive:
        assert archive.getmember("a").pax_headers == {"SCHILY.xattr.user.x": "y"}


def test_a_tar_archive_cut_between_two_members_is_damaged(scratch: Path) -> None:
    data = tar_of(("a", tarfile.REGTYPE, ""), ("b", tarfile.REGTYPE, ""))
    with pytest.raises(RecordError, match="the beginning of one"):
        rewritten("x.tar", data[: tarfile.BLOCKSIZE], scratch)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_archive_with_a_name_twice_is_refused(scratch: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    with pytest.raises(RecordError, match="expected every name once"):
        rewritten("x.zip", buffer.getvalue(), scratch)


def test_an_encrypted_zip_archive_is_refused(scratch: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "1")
    data = bytearray(buffer.getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(RecordError, match="'a' is encrypted"):
        rewritten("x.zip", bytes(data), scratch)


@pytest.mark.parametrize(
    ("members", "message"),
    [({"x": "{}"}, "without config.json"), ({"config.json": "{"}, "damaged JSON")],
)
def test_what_is_no_keras_model_is_told_so(
    scratch: Path, members: dict[str, str], message: str
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    with pytest.raises(RecordError, match=message):
        rewritten("x.keras", buffer.getvalue(), scratch)


# ----- documents ---------------------------------------------------------------------------------


def test_an_svg_keeps_names_that_are_not_random(scratch: Path) -> None:
    text = b"""<svg xmlns="http://www.w3.org/2000/svg"><path id="p0123456789" fill="#ma42bf"/>
    <use href="#p0123456789"/><g id="p0123456789-own"/><use href="#p0123456789-own"/></svg>"""
    expected = text.replace(b'"p0123456789"', b'"p0000000000"')
    expected = expected.replace(b'"#p0123456789"', b'"#p0000000000"')
    assert rewritten("x.svg", text, scratch) == expected


def test_xml_that_is_no_picture_is_told_so(scratch: Path) -> None:
    with pytest.raises(RecordError, match="XML with the root html"):
        rewritten("x.svg", b"<html></html>", scratch)


def pdf_of(*objects: bytes, trailer: bytes = b"") -> bytes:
    """Return a document of objects, with the table of their places."""
    text, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(text))
        text += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<< %s >>\nstartxref\n%d\n%%%%EOF\n" % (trailer, len(text))
    return text + head + table + end


XMP = b"""<< /Type /Metadata /Length 9 >>
stream
<xmp:CreateDate>%s</xmp:CreateDate><xmpMM:InstanceID>uuid:%s</xmpMM:InstanceID>
endstream"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            pdf_of(b"<< /CreationDate (D:20200131235959+01'00') /ModDate(D:2020) >>"),
            pdf_of(b"<< /CreationDate (D:20261126180242-05'30') /ModDate(D:2021) >>"),
        ),
        (pdf_of(trailer=b"/ID [<00ff> <00ff>]"), pdf_of(trailer=b"/ID [<1234> <ABCD>]")),
        (
            pdf_of(XMP % (b"2020-01-31T23:59:59.5-01:00", b"01ab-cd")),
            pdf_of(XMP % (b"2026-11-26T18:02:42.7+05:30", b"98fe-dc")),
        ),
    ],
    ids=["dates", "identifier", "metadata"],
)
def test_dates_and_identifiers_of_a_document_are_overwritten_in_their_places(
    scratch: Path, first: bytes, second: bytes
) -> None:
    made = [rewritten("x.pdf", data, scratch) for data in (first, second)]
    assert made[0] == made[1] == rewritten("x.pdf", made[0], scratch)
    assert len(made[0]) == len(first)
    assert read_pdf(scratch / "x.pdf")


def test_identifiers_of_different_documents_differ(scratch: Path) -> None:
    ends = [
        rewritten("x.pdf", pdf_of(body, trailer=b"/ID [<00ff> <00ff>]"), scratch)[-60:]
        for body in (b"(one)", b"(two)")
    ]
    assert ends[0] != ends[1]


def test_dates_of_a_document_stay_valid(scratch: Path) -> None:
    made = rewritten("x.pdf", pdf_of(b"<< /ModDate (D:20261126180242-05'30') >>"), scratch)
    assert b"(D:19700101000000+00'00')" in made
    made = rewritten("x.pdf", pdf_of(XMP % (b"2026-11-26T18:02:42.7-05:30", b"0")), scratch)
    assert b">1970-01-01T00:00:00.0+00:00<" in made


def test_content_that_looks_like_a_date_stays(scratch: Path) -> None:
    body = b"<< /Length 9 >>\nstream\n(/ModDate (D:2026)) /Encrypt /ID [<00> <00>]\nendstream"
    assert rewritten("x.pdf", pdf_of(body), scratch) == pdf_of(body)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (pdf_of(trailer=b"/Encrypt 4 0 R"), "an encrypted one"),
        (pdf_of(b"<< /ByteRange [0 1 2 3] >>"), "a signed one"),
        (pdf_of(b"<< /Type /ObjStm >>\nstream\nx\nendstream"), "packed objects"),
        (
            pdf_of(b"<< /Filter /FlateDecode /Type /Metadata >>\nstream\nx\nendstream"),
            "packed metadata",
        ),
        (pdf_of(b"<< /ModDate 7 0 R >>"), "a date in an unknown form"),
        (pdf_of(trailer=b"/ID [(a) (b)]"), "an identifier in an unknown form"),
    ],
)
def test_a_document_with_dates_out_of_reach_is_refused(
    scratch: Path, document: bytes, message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        rewritten("x.pdf", document, scratch)


# ----- ROOT --------------------------------------------------------------------------------------


def fill(file: Any, *, ntuple: bool) -> None:
    columns = {"energy": np.arange(100.0), "run": np.arange(100, dtype=np.int32)}
    if ntuple:
        file["showers"] = columns
    else:
        file.mktree("showers", {name: c.dtype for name, c in columns.items()}).extend(columns)
    file["below/histogram"] = np.histogram(columns["energy"], bins=5)


@pytest.mark.parametrize("ntuple", [False, True], ids=["ttree", "rntuple"])
def test_a_root_file_depends_on_nothing_but_what_is_written(
    tmp_path: Path, *, ntuple: bool
) -> None:
    first, second = tmp_path / "a" / "Si.root", tmp_path / "b" / "iron and more.root"
    written, plain = [], []
    for path in (first, second):
        path.parent.mkdir()
        with uproot.recreate(path) as file:
            fill(file, ntuple=ntuple)
        plain.append(path.read_bytes())
        with reproducible_root(path) as file:
            fill(file, ntuple=ntuple)
        written.append(path.read_bytes())
        assert list(path.parent.iterdir()) == [path]
        with uproot.open(path) as file:
            assert file["showers"].arrays()["energy"].tolist() == list(range(100))
            assert file["below/histogram"].values().tolist() == [20.0] * 5
        # dates are whole seconds
        time.sleep(1.1)
    assert plain[0] != plain[1]
    assert written[0] == written[1]


def test_a_root_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.root"
    path.write_bytes(b"before")

    def fail() -> None:
        with reproducible_root(path) as file:
            fill(file, ntuple=False)
            raise KeyError("mistake")

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_clock_of_uproot_goes_on_afterwards(tmp_path: Path) -> None:
    before = uproot._util.datetime_to_code
    with reproducible_root(tmp_path / "a.root"), reproducible_root(tmp_path / "b.root"):
        assert uproot._util.datetime_to_code is not before
    assert uproot._util.datetime_to_code is before


def test_threads_write_root_files_one_after_another(tmp_path: Path) -> None:
    """Else the first to end would hand the clock back while others write."""
    before = uproot._util.datetime_to_code
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait()
        with reproducible_root(tmp_path / f"{number}.root") as file:
            fill(file, ntuple=number % 2 == 0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert uproot._util.datetime_to_code is before
    written = [(tmp_path / f"{number}.root").read_bytes() for number in range(4)]
    assert written[0] == written[2]
    assert written[1] == written[3]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"cannot write .*x.root: No such file"),
        reproducible_root(tmp_path / "none" / "x.root"),
    ):
        pass


def test_without_uproot_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(UsageError, match="expected uproot") as caught, reproducible_root("x.root"):
        pass
    assert "[root]" in str(caught.value.hint)
