"""Tables go into ROOT files and come back as they were."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wrapperjobs import Job, Recorder

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.roots import from_parquet, to_parquet

SHOWERS = pa.table(
    {
        "run": pa.array([1, 1, 2], pa.int32()),
        "primary": ["p", "", "Fé"],
        "energy": [1.5, 2.5, float("inf")],
        "above": [True, False, True],
        "muon": [[1.0, 2.0], [], [3.0]],
    }
)


def to_root(folder: Path, table: pa.Table, name: str = "x.root", **params: Any) -> Recorder:
    pq.write_table(table, folder / "in.parquet")
    job = Job(
        {"data": str(folder / "in.parquet")},
        {"root": str(folder / name)},
        {"tree": "showers"} | params,
    )
    run = Recorder()
    from_parquet(job, run)
    return run


def back(folder: Path, **params: Any) -> pa.Table:
    job = Job({"root": str(folder / "x.root")}, {"data": str(folder / "out.parquet")}, params)
    to_parquet(job, Recorder())
    return pq.read_table(folder / "out.parquet")


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_a_table_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    run = to_root(tmp_path, SHOWERS, format=kind)
    assert run.metrics == {"rows": [3], "columns": [5]}
    table = back(tmp_path)
    assert table.to_pydict() == SHOWERS.to_pydict()
    assert table.schema.types[:-1] == SHOWERS.schema.types[:-1]
    assert table.schema.types[-1].value_type == pa.float64()
    assert table.schema.metadata is None
    with uproot.open(tmp_path / "x.root") as file:
        assert file.classnames(cycle=False) == {
            "showers": "TTree" if kind == "ttree" else "ROOT::RNTuple"
        }


numbers = st.floats(width=32, allow_nan=False)
rows = st.fixed_dictionaries(
    {
        "i8": st.integers(-128, 127),
        "u64": st.integers(0, 2**64 - 1),
        "f": numbers,
        "b": st.booleans(),
        "s": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
        "l": st.lists(numbers, max_size=3),
    }
)
SCHEMA = pa.schema(
    [
        ("i8", pa.int8()),
        ("u64", pa.uint64()),
        ("f", pa.float32()),
        ("b", pa.bool_()),
        ("s", pa.string()),
        ("l", pa.list_(pa.float64())),
    ]
)


@given(rows=st.lists(rows, max_size=4), kind=st.sampled_from(["ttree", "rntuple"]))
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_rows_come_back(rows: list[dict[str, Any]], kind: str, tmp_path: Path) -> None:
    to_root(tmp_path, pa.Table.from_pylist(rows, SCHEMA), format=kind)
    assert back(tmp_path).to_pylist() == rows


@pytest.mark.parametrize("kind", ["ttree", "rntuple"])
def test_how_the_table_is_packed_and_what_the_file_is_called_does_not_count(
    tmp_path: Path, kind: str
) -> None:
    to_root(tmp_path, SHOWERS, "x.root", format=kind)
    shuffled = pa.concat_tables([SHOWERS.slice(0, 1), SHOWERS.slice(1)])
    pq.write_table(shuffled, tmp_path / "in.parquet", row_group_size=1, compression="gzip")
    job = Job(
        {"data": str(tmp_path / "in.parquet")},
        {"root": str(tmp_path / "another name.root")},
        {"tree": "showers", "format": kind},
    )
    from_parquet(job, Recorder())
    assert (tmp_path / "x.root").read_bytes() == (tmp_path / "another name.root").read_bytes()


def test_columns_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    to_root(tmp_path, SHOWERS, columns=["muon", "run", "energy"])
    assert back(tmp_path).column_names == ["muon", "run", "energy"]
    assert back(tmp_path, columns=["energy", "muon"]).column_names == ["energy", "muon"]


def test_the_lengths_of_lists_are_read_when_asked_for(tmp_path: Path) -> None:
    to_root(tmp_path, SHOWERS)
    assert back(tmp_path, columns=["nmuon"]).to_pydict() == {"nmuon": [2, 0, 1]}


def test_a_tree_has_a_title(tmp_path: Path) -> None:
    to_root(tmp_path, SHOWERS, title="Showers of iron")
    with uproot.open(tmp_path / "x.root") as file:
        assert file["showers"].title == "Showers of iron"


def test_categories_lists_of_fixed_length_and_slices_are_plain_columns(tmp_path: Path) -> None:
    table = pa.table(
        {
            "class": pa.array(["a", "b", "a", "c"]).dictionary_encode(),
            "pair": pa.array([[1, 2], [3, 4], [5, 6], [7, 8]], pa.list_(pa.int16(), 2)),
            "long": pa.array([[1.0], [], [2.0], []], pa.large_list(pa.float64())),
        }
    ).slice(1)
    to_root(tmp_path, table)
    assert back(tmp_path).to_pydict() == table.to_pydict()


def test_an_rntuple_holds_lists_of_lists_and_of_text(tmp_path: Path) -> None:
    table = pa.table({"words": [["a", ""], []], "deep": [[[1.0], []], []]})
    to_root(tmp_path, table, format="rntuple")
    assert back(tmp_path).to_pydict() == table.to_pydict()


@pytest.mark.parametrize(
    ("table", "params", "message"),
    [
        ({"x": [1, None]}, {}, "expected a value everywhere in column 'x', got 1 missing of 2"),
        ({"x": [[1], [None]]}, {}, "expected a value everywhere in column 'x'"),
        ({"x": [{"y": 1}]}, {}, r"expected numbers, text or lists of them in column 'x', got stru"),
        ({"x": pa.array([1], pa.timestamp("ns"))}, {}, "in column 'x', got timestamp"),
        ({"x": pa.array(np.array([1], np.float16))}, {}, "in column 'x', got halffloat"),
        ({"x": [["a"]]}, {}, "'x': expected lists of numbers for a TTree, got var . string"),
        ({"x": [[[1.0]]]}, {}, "'x': expected lists of numbers for a TTree"),
        ({"x": [[1.0]], "nx": [1]}, {}, "'nx': a TTree keeps the lengths of the lists in 'x'"),
        ({"x": [1]}, {"columns": ["y"]}, r"expected a column 'y' \(columns\), got x"),
        ({"x": [1]}, {"columns": "x"}, "expected a list of different column names as columns="),
        ({"x": [1]}, {"format": "csv"}, "expected one of ttree, rntuple as format=, got 'csv'"),
        ({"x": [1]}, {"tree": ""}, "expected a name as tree=, got ''"),
        ({"x": [1]}, {"title": 7}, "expected a title as title=, got 7"),
        ({"x": [1]}, {"format": "rntuple", "title": "t"}, "expected title= only with format="),
        (
            {"x": [1]},
            {"branch": "t"},
            "root/from-parquet has no parameter 'branch': expected one of",
        ),
        ({}, {}, "expected at least one column, got none"),
    ],
)
def test_what_a_tree_cannot_hold_is_one_clear_error(
    tmp_path: Path, table: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrapperError, match=message):
        to_root(tmp_path, pa.table(table), **params)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(WrapperError, match="expected columns of different names, got x, x"):
        to_root(tmp_path, table)


def test_what_is_no_parquet_file_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_text("run,energy\n")
    job = Job(
        {"data": str(tmp_path / "in.parquet")},
        {"root": str(tmp_path / "x.root")},
        {"tree": "showers"},
    )
    with pytest.raises(WrapperError, match="expected a Parquet file, got a file that begins with"):
        from_parquet(job, Recorder())


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A folder with a file of two trees and a histogram."""
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mktree("run/showers", {"energy": "f8"}).extend({"energy": np.arange(3.0)})
        file.mktree("muons", {"pt": "f4"}).extend({"pt": np.arange(2.0, dtype="f4")})
        file["spectrum"] = np.histogram([1, 2])
    return tmp_path


def test_a_tree_is_found_below_directories(several: Path) -> None:
    assert back(several, tree="run/showers").to_pydict() == {"energy": [0.0, 1.0, 2.0]}


@pytest.mark.parametrize(
    ("params", "message", "hint"),
    [
        ({}, "expected one tree, or the name of one as tree=, got run/showers, muons", "add tree"),
        ({"tree": "shower"}, "expected a tree 'shower', got run/showers, muons", "run/showers"),
        ({"tree": "spectrum"}, "expected a tree 'spectrum', got run/showers, muons", "correct"),
        ({"tree": "muons", "columns": ["pz"]}, r"expected a column 'pz' \(columns\), got pt", "co"),
        ({"format": "ttree"}, "root/to-parquet has no parameter 'format'", ""),
    ],
)
def test_what_is_not_in_the_file_is_an_error_that_lists_what_is(
    several: Path, params: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(WrapperError, match=message) as caught:
        back(several, **params)
    assert hint in (caught.value.hint or "")
    assert not (several / "out.parquet").exists()


def test_branches_of_branches_are_columns_by_their_own_names(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "x.root") as file:
        tree = file.mktree("t", {"muon": {"pt": np.dtype("f8"), "code": np.dtype("i4")}})
        tree.extend({"muon": {"pt": np.arange(2.0), "code": np.arange(2, dtype="i4")}})
    assert back(tmp_path).to_pydict() == {"muon_pt": [0.0, 1.0], "muon_code": [0, 1]}


@pytest.mark.parametrize("data", [b"", b"PAR1 and so on", b"root"], ids=["empty", "other", "cut"])
def test_what_is_no_root_file_is_told_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.root").write_bytes(data)
    with pytest.raises(WrapperError, match=r"x.root: expected a complete ROOT file, got: "):
        back(tmp_path)


def test_a_root_file_cut_short_is_told_so(tmp_path: Path) -> None:
    to_root(tmp_path, SHOWERS)
    path = tmp_path / "x.root"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        WrapperError, match=r"x.root: expected a complete ROOT file of [\d,]+ bytes"
    ):
        back(tmp_path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WrapperError, match=r"x.root: expected a ROOT file, found nothing"):
        back(tmp_path)
    job = Job({"data": "no.parquet"}, {"root": str(tmp_path / "x.root")}, {"tree": "t"})
    with pytest.raises(WrapperError, match=r"no.parquet: expected a Parquet file, found nothing"):
        from_parquet(job, Recorder())


def test_without_uproot_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to_root(tmp_path, SHOWERS)
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(WrapperError, match="expected uproot to be installed") as caught:
        back(tmp_path)
    assert re.search(r"\[root\]", caught.value.hint or "")
