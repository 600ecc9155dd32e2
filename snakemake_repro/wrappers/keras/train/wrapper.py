"""Train a perceptron or an autoencoder with Keras."""

from snakemake_repro import track
from snakemake_repro.wrappers.autoencoding import autoencode
from snakemake_repro.wrappers.families.autoencoders import KINDS
from snakemake_repro.wrappers.families.keras import PERCEPTRON, Keras, KerasAutoencoders
from snakemake_repro.wrappers.families.keras_models import BACKENDS
from snakemake_repro.wrappers.problems import one_line
from snakemake_repro.wrappers.request import choice, named_params, seed_of
from snakemake_repro.wrappers.training import train

with one_line("keras/train"), track(snakemake, seed=seed_of(snakemake)) as run:
    params = named_params(snakemake.params)
    backend = choice(params, "backend", BACKENDS)
    if choice(params, "kind", (PERCEPTRON, *KINDS)) == PERCEPTRON:
        train(snakemake, run, Keras(backend))
    else:
        autoencode(snakemake, run, KerasAutoencoders(backend))
