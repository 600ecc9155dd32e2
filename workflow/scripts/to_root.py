"""Write the showers of one primary with their muons as a ROOT tree, byte for byte reproducible."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import uproot
import uproot._util

snakemake: Any

ROOT_EPOCH = dt.datetime(1995, 1, 1)  # noqa: DTZ001 - ROOT's dates have no time zone
"""The first date that a ROOT file can hold."""

SHOWER_BRANCHES = ("run", "shower", "primary", "energy_gev", "zenith_rad", "first_interaction_m")
MUON_BRANCHES = ("code", "energy_gev", "pt_gev", "x_m", "y_m", "t_ns")


@contextmanager
def no_clock() -> Iterator[None]:
    """Let uproot write a fixed date: it stamps every object with the time of writing."""
    encode = uproot._util.datetime_to_code  # noqa: SLF001 - no public way to set the dates
    uproot._util.datetime_to_code = lambda _now: encode(ROOT_EPOCH)  # noqa: SLF001
    try:
        yield
    finally:
        uproot._util.datetime_to_code = encode  # noqa: SLF001


def read(paths: list[str]) -> pa.Table:
    """Return the rows of all files, in the order of run and shower."""
    table = pa.concat_tables([pq.read_table(path) for path in paths])
    # a stable sort keeps the muons of a shower in the order in which CORSIKA wrote them
    order = np.lexsort((table["shower"].to_numpy(), table["run"].to_numpy()))
    return table.take(order)


def check(showers: pa.Table, primary: int) -> None:
    """Check that there is something to write and that no shower is there twice.

    Raises:
        SystemExit: It is not so.
    """
    keys = showers["run"].to_numpy().astype(np.int64) << 32 | showers["shower"].to_numpy()
    keys, counts = np.unique(keys, return_counts=True)
    if (counts > 1).any():
        key = int(keys[counts > 1][0])
        raise SystemExit(
            f"to_root: shower {key & 0xFFFFFFFF} of run {key >> 32}: expected once, found "
            f"{counts.max()} times. Take out the files that hold the same run twice."
        )
    found = showers["primary"].unique().to_pylist()
    if primary not in found:
        raise SystemExit(
            f"to_root: primary {snakemake.wildcards.primary}: expected showers with CORSIKA's "
            f"particle code {primary}, found only {', '.join(map(str, sorted(found))) or 'none'}. "
            "Correct `primaries` in the configuration, or add such runs."
        )


def main() -> None:
    """Write the file of the rule ``to_root``."""
    primary = snakemake.params.primary
    showers = read(snakemake.input.showers)
    check(showers, primary)
    muons = read(snakemake.input.muons)
    # both are in the same order, so the counts cut the muons into showers
    jagged = ak.unflatten(
        ak.zip({name: muons[name].to_numpy() for name in MUON_BRANCHES}),
        showers["muons"].to_numpy(),
    )
    chosen = pc.equal(showers["primary"], primary)
    branches: dict[str, Any] = {
        name: showers.filter(chosen)[name].to_numpy() for name in SHOWER_BRANCHES
    }
    branches["muon"] = jagged[chosen.to_numpy()]
    with (
        no_clock(),
        uproot.recreate(snakemake.output[0], uuid_function=lambda: uuid.UUID(int=0)) as file,
    ):
        tree = file.mktree(
            "showers",
            {
                name: ak.type(array) if name == "muon" else array.dtype
                for name, array in branches.items()
            },
            title=f"CORSIKA showers of {snakemake.wildcards.primary}",
        )
        tree.extend(branches)


if __name__ == "__main__":
    main()
