"""Read the showers of a CORSIKA file and their muons."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.showers import read

with one_line("corsika/read"), track(snakemake) as run:
    read(snakemake, run)
