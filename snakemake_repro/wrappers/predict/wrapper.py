"""Write what a model says beside each row of a table."""

from snakemake_repro import track
from snakemake_repro.wrappers.prediction import predict
from snakemake_repro.wrappers.problems import one_line

with one_line("predict"), track(snakemake) as run:
    predict(snakemake, run)
