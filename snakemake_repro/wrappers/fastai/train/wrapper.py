"""Train a tabular model with fastai."""

from snakemake_repro import track
from snakemake_repro.wrappers.families.fastai import Fastai
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.request import seed_of
from snakemake_repro.wrappers.training import train

with one_line("fastai/train"), track(snakemake, seed=seed_of(snakemake)) as run:
    train(snakemake, run, Fastai())
