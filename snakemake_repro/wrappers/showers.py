"""What the ``corsika/read`` wrapper does: tables of showers, and of their muons at the ground."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from snakemake_repro.wrappers import request as requests
from snakemake_repro.wrappers.files import write_bytes
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tables import to_parquet

MUONS = (5, 6)
"""CORSIKA's particle codes for muons of either charge. 75 and 76 are not muons at the ground but
additional information on where these were born."""

MUON_MASS = 0.1056583755
"""GeV"""

SHOWERS = pa.schema(
    [
        ("run", pa.int32()),
        ("shower", pa.int32()),
        ("primary", pa.int32()),
        ("energy_gev", pa.float64()),
        ("zenith_rad", pa.float64()),
        ("first_interaction_m", pa.float64()),
        ("observation_level_m", pa.float64()),
        ("corsika", pa.float64()),
        ("high_energy_model", pa.int32()),
        ("low_energy_model", pa.int32()),
        ("seed_1", pa.int64()),
        ("seed_2", pa.int64()),
        ("muons", pa.int32()),
    ]
)
MUON_TABLE = pa.schema(
    [
        ("run", pa.int32()),
        ("shower", pa.int32()),
        ("code", pa.int32()),
        ("energy_gev", pa.float64()),
        ("pt_gev", pa.float64()),
        ("x_m", pa.float64()),
        ("y_m", pa.float64()),
        ("t_ns", pa.float64()),
    ]
)


def read(snakemake: Any, run: Any) -> None:
    """Do what a rule with the ``corsika/read`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.
        run: What ``track`` gave.

    Raises:
        WrapperError: The rule makes no sense, or the file is no complete CORSIKA file.
    """
    requests.known_params("corsika/read", snakemake.params, ())
    path = requests.required_path(snakemake.input, "run", "input")
    place = requests.required_path(snakemake.output, "showers", "output")
    muons_place = requests.path_of(snakemake.output, "muons")
    showers, columns = [], []
    for event in events(Path(path)):
        found = muons_of(event)
        columns.append(pa.table(found, schema=MUON_TABLE))
        showers.append(shower_of(event, len(found["run"])))
    muons = pa.concat_tables(columns) if columns else MUON_TABLE.empty_table()
    write_bytes(place, to_parquet(pa.Table.from_pylist(showers, schema=SHOWERS)))
    if muons_place is not None:
        write_bytes(muons_place, to_parquet(muons.combine_chunks()))
    run.log_metrics({"showers": len(showers), "muons": muons.num_rows})


def events(path: Path) -> Iterator[Any]:
    """Yield the showers of a file, checking that it is complete.

    Raises:
        WrapperError: The file is not a complete, unthinned CORSIKA particle file.
    """
    from corsikaio import CorsikaParticleFile

    count = 0
    try:
        with CorsikaParticleFile(path) as file:
            for event in file:
                count += 1
                yield event
            # one row, or an array of one row once the end has been iterated over
            announced = int(np.atleast_1d(file.run_end)["n_events"][0])
    except (OSError, ValueError, struct.error, IndexError, StopIteration, RuntimeError) as exc:
        # StopIteration inside a generator would arrive as a RuntimeError without a message
        reason = str(exc) or type(exc).__name__
        raise _not_corsika(path, f"after {count} showers: {reason}") from None
    if count != announced:
        raise _not_corsika(path, f"{count} of the {announced} showers it announces")


def _not_corsika(path: Path, got: str) -> WrapperError:
    return WrapperError(
        f"{path}: expected a complete CORSIKA particle file without thinning, got {got}",
        hint="copy or simulate this run again, or take it out of the folder",
    )


def shower_of(event: Any, muons: int) -> dict[str, Any]:
    """Return the row of a shower, lengths in m.

    CORSIKA gives the height of the first interaction a minus sign where it tracked the primary from
    the top of the atmosphere; the sign says nothing of the shower.
    """
    header = event.header
    seeds = header["random_seeds"]
    return {
        "run": int(header["run_number"]),
        "shower": int(header["event_number"]),
        "primary": int(header["particle_id"]),
        "energy_gev": float(header["total_energy"]),
        "zenith_rad": float(header["zenith"]),
        "first_interaction_m": abs(float(header["first_interaction_height"])) / 100,
        "observation_level_m": float(header["observation_height"][0]) / 100,
        "corsika": round(float(header["version"]), 4),
        "high_energy_model": int(header["high_energy_hadron_model"]),
        "low_energy_model": int(header["low_energy_hadron_model"]),
        "seed_1": int(seeds[0][0]),
        "seed_2": int(seeds[1][0]),
        "muons": muons,
    }


def muons_of(event: Any) -> dict[str, np.ndarray]:
    """Return the columns of a shower's muons at the ground."""
    # the description is 1000 * code + 10 * hadronic generation + observation level
    codes = event.particles["particle_description"].astype(np.int64) // 1000
    chosen = event.particles[np.isin(codes, MUONS)]
    px, py, pz = (chosen[name].astype(np.float64) for name in ("px", "py", "pz"))
    return {
        "run": np.full(len(chosen), event.header["run_number"], np.int32),
        "shower": np.full(len(chosen), event.header["event_number"], np.int32),
        "code": codes[np.isin(codes, MUONS)].astype(np.int32),
        "energy_gev": np.sqrt(px**2 + py**2 + pz**2 + MUON_MASS**2),
        "pt_gev": np.hypot(px, py),
        "x_m": chosen["x"].astype(np.float64) / 100,
        "y_m": chosen["y"].astype(np.float64) / 100,
        "t_ns": chosen["t"].astype(np.float64),
    }
