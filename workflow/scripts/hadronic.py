"""Simulate first interactions in the air with one hadronic model, and keep what matters for muons.

A process can hold one instance of a model, and the models print to standard output.
"""

import json
from pathlib import Path
from typing import Any

import chromo
import numpy as np
from chromo.kinematics import CompositeTarget, FixedTarget

snakemake: Any

# argon, the remaining hundredth of the air, is no target that Sibyll knows
AIR = (("N", 0.78), ("O", 0.22))
PIONS, KAONS = (211,), (321, 130, 310)
EDGES = np.arange(0, 401, 10)
"""Of the distribution of the charged multiplicity."""


def model_of(name: str, projectile: str, energy: float, seed: int) -> Any:
    """Return a model of chromo, ready to collide a projectile with air.

    Raises:
        SystemExit: There is no such model, or its tables cannot be had.
    """
    kind = getattr(chromo.models, name, None)
    if kind is None:
        raise SystemExit(
            f"hadronic: expected the name of one of chromo's models, got {name}. Correct `models` "
            "under `hadronic` in the configuration."
        )
    try:
        return kind(FixedTarget(energy, projectile, CompositeTarget(AIR)), seed=seed)
    except OSError as exc:
        raise SystemExit(
            f"hadronic: {name}: its tables cannot be fetched: {exc}. Sibyll needs none; for the "
            "others chromo needs the network once."
        ) from None


def simulate(model: Any, events: int, energy: float) -> dict[str, np.ndarray]:
    """Return what happened in each event.

    Energies as shares of the projectile's: of charged pions, of kaons, and of the most energetic
    particle. A muon's ancestors are the charged pions and the kaons.
    """
    found: dict[str, list[float]] = {"charged": [], "pions": [], "kaons": [], "leading": []}
    for event in model(events):
        final = event.final_state()
        share, kind = final.en / energy, np.abs(final.pid)
        found["charged"].append(np.count_nonzero(final.charge))
        found["pions"].append(share[np.isin(kind, PIONS)].sum())
        found["kaons"].append(share[np.isin(kind, KAONS)].sum())
        found["leading"].append(share.max())
    return {name: np.array(values, np.float64) for name, values in found.items()}


def main() -> None:
    """Write the file of the rule ``hadronic``."""
    params, wildcards = snakemake.params, snakemake.wildcards
    model = model_of(wildcards.hadronic, params.projectile, params.energy_gev, params.seed)
    found = simulate(model, params.events, params.energy_gev)
    counts, _ = np.histogram(np.minimum(found["charged"], EDGES[-1] - 1), EDGES)
    report = {
        "model": wildcards.hadronic,
        "projectile": wildcards.projectile,
        "energy_gev": params.energy_gev,
        "events": params.events,
        "production_cross_section_mb": float(model.cross_section().prod),
        "charged_multiplicity": {"edges": EDGES.tolist(), "counts": counts.tolist()},
        "means": {
            name: {
                "value": float(values.mean()),
                # standard error of the mean
                "error": float(values.std(ddof=1) / np.sqrt(len(values))),
            }
            for name, values in found.items()
        },
    }
    Path(snakemake.output[0]).write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
