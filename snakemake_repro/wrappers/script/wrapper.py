"""Run a script of any language."""

from snakemake_repro import track
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.scripting import run_script

with one_line("script"), track(snakemake):
    run_script(snakemake)
