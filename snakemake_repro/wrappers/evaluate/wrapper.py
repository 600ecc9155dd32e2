"""Judge classifiers on rows they never saw."""

from snakemake_repro import track
from snakemake_repro.wrappers.evaluation import evaluate
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.request import seed_of

with one_line("evaluate"), track(snakemake, seed=seed_of(snakemake)) as run:
    evaluate(snakemake, run)
