"""Write a tree of a ROOT file as a Parquet table."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.roots import to_parquet

with one_line("root/to-parquet"), track(snakemake) as run:
    to_parquet(snakemake, run)
