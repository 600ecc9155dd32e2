"""Search for hyperparameters."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.request import seed_of
from snakemake_repro.wrappers.tuning.outputs import tune

with one_line("tune"), track(snakemake, seed=seed_of(snakemake)) as run:
    tune(snakemake, run)
