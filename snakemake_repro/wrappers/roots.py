"""What the ``root`` wrappers do: tables from Parquet into ROOT files, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snakemake_repro.canonical import reproducible_root
from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers import tables
from snakemake_repro.wrappers.files import write_bytes
from snakemake_repro.wrappers.problems import WrapperError, listed, suggest

_FORMATS = ("ttree", "rntuple")
_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
_COUNTER = "n"
"""What uproot puts before the name of a branch of lists, for the branch with their lengths."""


def from_parquet(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``root/from-parquet`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: Input or parameters make no sense.
    """
    params = requests.known_params(
        "root/from-parquet", snakemake.params, ("tree", "format", "columns", "title")
    )
    name = requests.text(params, "tree", "name")
    kind = requests.choice(params, "format", _FORMATS)
    if kind == "rntuple" and params.get("title") is not None:
        raise WrapperError('params: expected title= only with format="ttree", got it with rntuple')
    title = requests.text(params, "title", "title") if params.get("title") is not None else ""
    path = requests.required_path(snakemake.input, "data", "input")
    place = requests.required_path(snakemake.output, "root", "output")
    table = _read(path, params)
    arrays = {n: _array(table[n].combine_chunks(), n, path) for n in table.column_names}
    _check(arrays, kind, path)
    with reproducible_root(place) as file:
        if kind == "ttree":
            types = {n: _branch(array) for n, array in arrays.items()}
            tree = file.mktree(name, types, title=title, counter_name=lambda n: f"{_COUNTER}{n}")
        else:
            types = {n: array.type.content for n, array in arrays.items()}
            tree = file.mkrntuple(name, types)
        tree.extend(arrays)
    run.log_metrics({"rows": table.num_rows, "columns": table.num_columns})


def to_parquet(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``root/to-parquet`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: Input or parameters make no sense.
    """
    params = requests.known_params("root/to-parquet", snakemake.params, ("tree", "columns"))
    path = requests.required_path(snakemake.input, "root", "input")
    place = requests.required_path(snakemake.output, "data", "output")
    with _opened(path) as file:
        tree = _tree(file, params, path)
        known = _fields(tree)
        wanted = _wanted(params, known, path)
        if wanted is None:
            lengths = (getattr(field, "count_branch", None) for field in known.values())
            # a branch without branches below it is false
            counters = {branch.name for branch in lengths if branch is not None}
            wanted = tuple(n for n in known if n not in counters)
        table = pa.table({n: _column(known[n], n, path) for n in wanted})
    write_bytes(place, tables.to_parquet(table))
    run.log_metrics({"rows": table.num_rows, "columns": table.num_columns})


# ----- Parquet -> ROOT ---------------------------------------------------------------------------


def _read(path: str, params: Mapping[str, Any]) -> pa.Table:
    with tables.parquet(path):
        file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    wanted = _wanted(params, names, path)
    with tables.parquet(path):
        table = file.read(columns=None if wanted is None else list(wanted))
    if len(set(table.column_names)) != table.num_columns:
        raise WrapperError(f"{path}: expected columns of different names, got {listed(names)}")
    return table if wanted is None else table.select(list(wanted))


def _wanted(params: Mapping[str, Any], known: Any, path: str) -> tuple[str, ...] | None:
    """Return the columns that the rule asks for; ``None`` for all."""
    if params.get("columns") is None:
        return None
    wanted = requests.names(params, "columns")
    for name in wanted:
        if name not in known:
            raise WrapperError(
                f"{path}: expected a column {name!r} (columns), got {listed(known)}",
                hint=suggest(name, known) or "correct params: columns=",
            )
    return wanted


def _array(data: Any, name: str, path: str) -> Any:
    """Return a column as an awkward array without missing values."""
    import awkward as ak

    if data.null_count:
        raise WrapperError(
            f"{path}: expected a value everywhere in column {name!r}, got {data.null_count} "
            f"missing of {len(data)}",
            hint="fill them in, or leave these rows out of the table",
        )
    kind = data.type
    if pa.types.is_dictionary(kind):
        return _array(data.dictionary_decode(), name, path)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.list_value_length(data).to_numpy(zero_copy_only=False)
        return ak.unflatten(_array(data.flatten(), name, path), lengths)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        # Arrow's own word that values may be missing, which awkward believes
        return ak.drop_none(ak.from_arrow(data))
    number = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if number or pa.types.is_boolean(kind):
        return ak.Array(data.to_numpy(zero_copy_only=False))
    raise WrapperError(
        f"{path}: expected numbers, text or lists of them in column {name!r}, got {kind}",
        hint="cast it, or leave it out with params: columns=",
    )


def _check(arrays: Mapping[str, Any], kind: str, path: str) -> None:
    """Check that a tree can hold the columns as they are."""
    if not arrays:
        raise WrapperError(f"{path}: expected at least one column, got none")
    if kind == "rntuple":
        return
    for name, array in arrays.items():
        if array.ndim == 1:
            continue
        if array.ndim > 2 or _is_text(array[0:0].layout.content):  # noqa: PLR2004 - rows and list
            raise WrapperError(
                f"{path}: column {name!r}: expected lists of numbers for a TTree, got "
                f"{array.type.content}",
                hint='say format="rntuple", or leave it out with params: columns=',
            )
        if f"{_COUNTER}{name}" in arrays:
            raise WrapperError(
                f"{path}: column {_COUNTER + name!r}: a TTree keeps the lengths of the lists in "
                f"{name!r} under that name",
                hint='say format="rntuple", or leave it out with params: columns=',
            )


def _is_text(layout: Any) -> bool:
    return bool(layout.parameter("__array__") == "string")


def _branch(array: Any) -> Any:
    """Return the type of a branch in uproot's words."""
    import awkward as ak

    return ak.type(array) if array.ndim > 1 or _is_text(array.layout) else array.layout.dtype


# ----- ROOT -> Parquet ---------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        import uproot
    except ImportError as exc:
        raise WrapperError(
            f"cannot read {path}: expected uproot to be installed: {exc}",
            hint="pip install 'snakemake-executor-plugin-ray[root]'",
        ) from exc
    try:
        with uproot.open(path) as file:
            size, whole = Path(path).stat().st_size, file.file.fEND
            if size < whole:
                raise WrapperError(
                    f"{path}: expected a complete ROOT file of {whole:,} bytes, got {size:,}"
                )
            yield file
    except FileNotFoundError:
        raise WrapperError(f"{path}: expected a ROOT file, found nothing") from None
    except (OSError, ValueError, uproot.DeserializationError) as exc:
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise WrapperError(f"{path}: expected a complete ROOT file, got: {reason}") from exc


def _tree(file: Any, params: Mapping[str, Any], path: str) -> Any:
    """Return the tree that the rule names, or the only one."""
    kinds = file.classnames(cycle=False)
    trees = [name for name, kind in kinds.items() if kind in _TREES]
    wanted = params.get("tree")
    if wanted is None:
        if len(trees) == 1:
            return file[trees[0]]
        raise WrapperError(
            f"{path}: expected one tree, or the name of one as tree=, got {listed(trees)}",
            hint="add tree=... to the rule's params",
        )
    if wanted not in trees:
        raise WrapperError(
            f"{path}: expected a tree {wanted!r}, got {listed(trees)}",
            hint=suggest(str(wanted), trees) or "correct params: tree=",
        )
    return file[wanted]


def _fields(tree: Any) -> dict[str, Any]:
    """Return what holds the columns: the branches that have none below them, or the fields."""
    if tree.classname == "ROOT::RNTuple":
        return {name: tree[name] for name in tree.keys(recursive=False)}
    return {branch.name: branch for branch in tree.itervalues() if not branch.branches}


def _column(field: Any, name: str, path: str) -> Any:
    """Return a column as Arrow has it."""
    import awkward as ak

    try:
        array = field.array(library="ak")
        return ak.to_arrow(array, list_to32=True, string_to32=True, extensionarray=False)
    except (TypeError, NotImplementedError) as exc:
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise WrapperError(
            f"{path}: column {name!r} cannot be a column of a table: {reason}",
            hint="leave it out with params: columns=",
        ) from exc
