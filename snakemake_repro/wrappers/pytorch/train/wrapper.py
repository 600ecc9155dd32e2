"""Train a model with PyTorch and Lightning."""

from snakemake_repro import track
from snakemake_repro.wrappers.families.pytorch import PyTorch
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.request import seed_of
from snakemake_repro.wrappers.training import train

with one_line("pytorch/train"), track(snakemake, seed=seed_of(snakemake)) as run:
    train(snakemake, run, PyTorch())
