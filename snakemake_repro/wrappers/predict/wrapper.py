"""Write what a model says beside each row of a table."""

from snakemake_repro import track
from snakemake_repro.wrappers.prediction import predict
from snakemake_repro.wrappers.problems import one_line

# nothing is drawn here; a seed says so in the record
with one_line("predict"), track(snakemake, seed=0) as run:
    predict(snakemake, run)
