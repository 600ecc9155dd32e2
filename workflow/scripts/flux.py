"""Say how much each shower counts if cosmic rays arrive with the flux of the model H3a.

CORSIKA drew the energies from a spectrum with the index -1, as many in each decade; nature's
spectrum falls much faster. The weight of a shower is the flux at its energy (per m2 s sr GeV) over
the density with which its primary was simulated there (per GeV), so that the sum of weights is the
rate of vertical showers per m2 s sr between the limits of energy.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from crflux.models import HillasGaisser2012

snakemake: Any


def weights(primary: int, energies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the weight of each shower of one primary.

    Args:
        primary: CORSIKA's code; the nearest of H3a's five groups of masses is taken.
        energies: In GeV, (n,).
        low: Lowest energy that was simulated, in GeV.
        high: Highest one, in GeV.
    """
    flux = np.ravel(HillasGaisser2012(model="H3a").nucleus_flux(primary, energies))
    density = len(energies) / (energies * np.log(high / low))
    return flux / density


def main() -> None:
    """Write the table of the rule ``flux``."""
    low, high = snakemake.params.energies_gev
    table = pa.concat_tables([pq.read_table(path) for path in snakemake.input])
    table = table.select(["run", "shower", "primary", "energy_gev", "muons"])
    primaries, energies = table["primary"].to_numpy(), table["energy_gev"].to_numpy()
    outside = (energies < low) | (energies > high)
    if outside.any():
        raise SystemExit(
            f"flux: expected energies from {low:g} to {high:g} GeV, got {energies[outside][0]:g}. "
            "Correct `energies_gev` in the configuration."
        )
    weight = np.zeros(len(table))
    for primary in np.unique(primaries):
        chosen = primaries == primary
        weight[chosen] = weights(int(primary), energies[chosen], low, high)
    pq.write_table(table.append_column("weight", pa.array(weight)), snakemake.output[0])


if __name__ == "__main__":
    main()
