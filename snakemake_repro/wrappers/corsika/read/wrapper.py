"""Read the showers of a CORSIKA file and their muons."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.showers import read

# nothing is drawn here; a seed says so in the record
with one_line("corsika/read"), track(snakemake, seed=0) as run:
    read(snakemake, run)
