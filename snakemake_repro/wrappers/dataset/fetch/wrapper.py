"""Fetch a file of a known digest, or members of an archive."""

from snakemake_repro import track
from snakemake_repro.wrappers.fetching import fetch
from snakemake_repro.wrappers.problems import one_line

# nothing is drawn here; a seed says so in the record
with one_line("dataset/fetch"), track(snakemake, seed=0) as run:
    fetch(snakemake, run)
