"""Write a tree of a ROOT file as a Parquet table."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.roots import to_parquet

# nothing is drawn here; a seed says so in the record
with one_line("root/to-parquet"), track(snakemake, seed=0) as run:
    to_parquet(snakemake, run)
