"""Write a Parquet table as a tree of a ROOT file."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.roots import from_parquet

# nothing is drawn here; a seed says so in the record
with one_line("root/from-parquet"), track(snakemake, seed=0) as run:
    from_parquet(snakemake, run)
