"""Describe each shower's muon bundle by a few numbers and deal the runs out to folds.

The folds are made of whole runs: showers of one run never stand on both sides of a split. Only
what arrives at the ground enters the features; the primary's energy does not.
"""

from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

snakemake: Any


def bundle(muons: ak.Array) -> dict[str, np.ndarray]:
    """Return the features of showers with at least two muons each.

    Energies in GeV and distances to the shower axis in m, as decadic logarithms.
    """
    energy = np.log10(muons.energy_gev)
    radius = np.hypot(muons.x_m, muons.y_m)
    ordered = ak.sort(radius)
    count = ak.num(radius)
    low = ordered[ak.singletons((count - 1) // 2)]
    high = ordered[ak.singletons(count // 2)]
    features = {
        "log10_muons": np.log10(count),
        "log10_energy_sum": np.log10(ak.sum(muons.energy_gev, axis=1)),
        "log10_energy_max": ak.max(energy, axis=1),
        "log10_energy_mean": ak.mean(energy, axis=1),
        "log10_energy_spread": ak.std(energy, axis=1),
        "log10_radius_median": np.log10((low[:, 0] + high[:, 0]) / 2),
        "log10_radius_rms": np.log10(np.sqrt(ak.mean(radius**2, axis=1))),
        "log10_radius_max": np.log10(ak.max(radius, axis=1)),
        "log10_pt_mean": np.log10(ak.mean(muons.pt_gev, axis=1)),
    }
    return {name: ak.to_numpy(values).astype(np.float64) for name, values in features.items()}


def deal(runs: np.ndarray, folds: int, name: str) -> np.ndarray:
    """Return the fold of each shower: the runs of a primary are dealt out in turn.

    Raises:
        SystemExit: There are fewer runs than folds.
    """
    distinct = np.unique(runs)
    if len(distinct) < folds:
        raise SystemExit(
            f"features: {name}: expected at least {folds} runs for {folds} folds, found "
            f"{len(distinct)}. Give a smaller number of folds, or add runs."
        )
    return np.searchsorted(distinct, runs) % folds


def table_of(path: str, label: str, min_muons: int, folds: int) -> tuple[pa.Table, np.ndarray]:
    """Return the features of one primary's showers and their folds."""
    with uproot.open(path) as file:
        tree = file["showers"].arrays()
    fold = deal(ak.to_numpy(tree.run), folds, path)
    enough = ak.to_numpy(tree.nmuon >= min_muons)
    tree, fold = tree[enough], fold[enough]
    muons = ak.zip({name: tree[f"muon_{name}"] for name in ("energy_gev", "pt_gev", "x_m", "y_m")})
    columns: dict[str, Any] = {
        "run": ak.to_numpy(tree.run),
        "shower": ak.to_numpy(tree.shower),
        "class": [label] * len(tree),
        "primary": ak.to_numpy(tree.primary),
    }
    return pa.table(columns | bundle(muons)), fold


def main() -> None:
    """Write the tables of the rule ``features``."""
    folds = len(snakemake.output.test)
    labels = [label for label, names in snakemake.params.classes.items() for _ in names]
    parts = [
        table_of(path, label, snakemake.params.min_muons, folds)
        for path, label in zip(snakemake.input, labels, strict=True)
    ]
    table = pa.concat_tables([part for part, _ in parts]).combine_chunks()
    fold = np.concatenate([numbers for _, numbers in parts])
    for number in range(folds):
        pq.write_table(table.filter(fold != number), snakemake.output.train[number])
        pq.write_table(table.filter(fold == number), snakemake.output.test[number])


if __name__ == "__main__":
    main()
