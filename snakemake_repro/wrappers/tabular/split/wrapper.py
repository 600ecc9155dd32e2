"""Split a table into train, valid and test, whole groups at a time and class by class."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.request import seed_of
from snakemake_repro.wrappers.splitting import split

with one_line("tabular/split"), track(snakemake, seed=seed_of(snakemake)) as run:
    split(snakemake, run)
