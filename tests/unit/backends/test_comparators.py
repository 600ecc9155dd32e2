"""Files compared as what they hold."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from snakemake_repro import comparators
from snakemake_repro.backends.comparators import difference
from snakemake_repro.errors import UsageError
from snakemake_repro.records import Comparator


@pytest.mark.parametrize(
    ("name", "texts", "comparator", "found"),
    [
        ("a.json", ('{"x": 1.0}', '{ "x": 1.0001 }'), comparators.json(rtol=1e-3), None),
        ("a.json", ('{"x": 1}', '{"x": 2}'), comparators.json(), "x: 1 -> 2"),
        ("a.json", ('{"x": 1}', "{"), comparators.json(), "cannot be read as json: "),
        ("a.jsonl", ('{"x": 1}\n', '{"x": 1}\n\n'), comparators.json(), None),
        ("a.csv", ("a,b\n1,2\n", 'a,b\r\n1,"2.0"\r\n'), comparators.csv(), None),
        ("a.tsv", ("a\tb\n1\t2\n", "a\tb\n1\t3\n"), comparators.csv(), "row 1, column b: 2 -> 3"),
        ("a.txt", ("a;b\n1;2\n", "a;b\n1;3\n"), comparators.csv(separator=";", ignore=["b"]), None),
        ("a.log", ("at 9\nx\n", "at 10\nx\n"), comparators.text(ignore=[r"^at \d+"]), None),
        ("a.log", ("x\n", "y\n"), comparators.text(), "line 1: x -> y"),
    ],
)
def test_texts_are_compared(
    tmp_path: Path, name: str, texts: tuple[str, str], comparator: Comparator, found: str | None
) -> None:
    paths = []
    for side, text in zip(("old", "new"), texts, strict=True):
        path = tmp_path / side / name
        path.parent.mkdir()
        path.write_bytes(text.encode())
        paths.append(path)
    said = difference(comparator, *paths)
    assert said == found or (found is not None and said is not None and said.startswith(found))
    packed = []
    for path in paths:
        packed.append(path.with_name(f"{path.name}.gz"))
        packed[-1].write_bytes(gzip.compress(path.read_bytes()))
    assert difference(comparator, *packed) == said, "compressed as well"


def _table(path: Path, **columns: object) -> None:
    parquet.write_table(pa.table(columns), path, compression="none" if "new" in path.name else None)


@pytest.mark.parametrize(
    ("columns", "comparator", "found"),
    [
        ({"x": [1.0, 2.0005], "n": ["a", None]}, comparators.parquet(rtol=1e-3), None),
        ({"x": [1.0, 2.1], "n": ["a", None]}, comparators.parquet(), "column x, row 1: 2.0 -> 2.1"),
        ({"x": [1.0, 2.1], "n": ["a", None]}, comparators.parquet(ignore=["x"]), None),
        ({"x": [1.0, 2.0], "n": ["a", "b"]}, comparators.parquet(), "column n, row 1: None -> 'b'"),
        ({"x": [1.0], "n": ["a"]}, comparators.parquet(), "2 rows -> 1 rows"),
        ({"x": [1, 2], "n": ["a", None]}, comparators.parquet(), "column x: double -> int64"),
        ({"x": [1.0, 2.0]}, comparators.parquet(), "columns: x, n -> x"),
    ],
)
def test_parquet_files_are_compared(
    tmp_path: Path, columns: dict[str, object], comparator: Comparator, found: str | None
) -> None:
    old, new = tmp_path / "old.parquet", tmp_path / "new.parquet"
    _table(old, x=[1.0, 2.0], n=["a", None])
    _table(new, **columns)
    assert difference(comparator, old, new) == found


def _save(path: Path, *arrays: np.ndarray) -> None:
    with path.open("wb") as file:
        if len(arrays) == 1:
            np.save(file, arrays[0])
        else:
            np.savez(file, *arrays)


@pytest.mark.parametrize(
    ("old", "new", "comparator", "found"),
    [
        ([np.array([1.0, np.nan])], [np.array([1.0001, np.nan])], comparators.npy(rtol=1e-3), None),
        ([np.array([1.0])], [np.array([1.1])], comparators.npy(), "0: 1.0 -> 1.1"),
        ([np.eye(2)], [np.ones((2, 2))], comparators.npy(), "[0, 1]: 0.0 -> 1.0"),
        ([np.ones(1)], [np.ones(2)], comparators.npy(), "float64(1,) -> float64(2,)"),
        ([np.uint8([0])], [np.uint8([255])], comparators.npy(atol=1), "0: 0 -> 255"),
        ([np.array([2**60])], [np.array([2**60 + 1])], comparators.npy(), f"0: {2**60} -> {2**60 + 1}"),
        ([np.array(["a"])], [np.array(["b"])], comparators.npy(atol=9), "0: a -> b"),
        ([np.ones(1)] * 2, [np.ones(1), np.zeros(1)], comparators.npy(), "arr_1 0: 1.0 -> 0.0"),
        ([np.ones(1)] * 2, [np.ones(1), np.zeros(1)], comparators.npy(ignore=["arr_1"]), None),
        ([np.ones(1)], [np.ones(1)] * 2, comparators.npy(), "arrays:  -> arr_0, arr_1"),
    ],
)  # fmt: skip
def test_arrays_are_compared(
    tmp_path: Path,
    old: list[np.ndarray],
    new: list[np.ndarray],
    comparator: Comparator,
    found: str | None,
) -> None:
    a, b = tmp_path / "old.npz", tmp_path / "new.npz"
    _save(a, *old)
    _save(b, *new)
    assert difference(comparator, a, b) == found


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{}]), allow_pickle=True)
    assert "cannot be read as npy" in str(difference(comparators.npy(), path, path))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda image: image, None),
        (lambda image: image.point(lambda value: value + 2), None),
        (lambda image: image.point(lambda value: value + 3), "[0, 0, 0]: 7 -> 10"),
        (lambda image: image.convert("L"), "mode RGB -> L"),
        (lambda image: image.resize((2, 1)), "uint8(2, 2, 3) -> uint8(1, 2, 3)"),
    ],
)
def test_pictures_are_compared_by_pixels(
    tmp_path: Path, change: Callable[[Image.Image], Image.Image], found: str | None
) -> None:
    picture = Image.new("RGB", (2, 2), (7, 7, 7))
    picture.save(tmp_path / "old.png", compress_level=1)
    change(picture).save(tmp_path / "new.png", compress_level=9)
    said = difference(comparators.image(atol=2), tmp_path / "old.png", tmp_path / "new.png")
    assert said == found


def test_what_is_no_picture_differs(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    said = difference(comparators.image(), tmp_path / "a.png", tmp_path / "a.png")
    assert said is not None
    assert said.startswith("cannot be read as image: ")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: comparators.json(rtol=-1), "json(rtol=-1): expected 0 or a positive number"),
        (lambda: comparators.csv(atol=float("nan")), "csv(atol=nan): expected"),
        (lambda: comparators.json(ignore="time"), "json(ignore='time'): expected a list"),
        (lambda: comparators.text(ignore=["("]), "'(' is no regular expression"),
        (lambda: comparators.csv(separator="||"), "the separator is '||'"),
        (lambda: comparators.compare("a.json", {"rtol": 1}), "expected a comparator"),
    ],
)
def test_what_cannot_be_meant_is_refused(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        declare()
    assert message in str(caught.value)


def test_a_comparator_is_told_as_the_snakefile_spells_it() -> None:
    assert str(comparators.json(rtol=1e-6, ignore=["t"])) == "json(rtol=1e-06, ignore=['t'])"
    assert str(comparators.csv(separator=";")) == "csv(separator=';')"
    assert str(comparators.image()) == "image()"
