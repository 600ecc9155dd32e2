"""Run a notebook with parameters."""

from snakemake_repro import track
from snakemake_repro.wrappers.notebooks.running import run_notebook
from snakemake_repro.wrappers.problems import one_line

with one_line("notebook"), track(snakemake):
    run_notebook(snakemake)
