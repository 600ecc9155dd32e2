"""Networks: perceptrons for the tasks, and autoencoders that see no classes."""


rule train_keras:
    input:
        **LEARNING,
    output:
        **written("keras"),
    params:
        **learned("keras"),
    wrapper:
        repro("keras/train")


rule train_pytorch:
    input:
        **LEARNING,
    output:
        **written("pytorch"),
    params:
        **learned("pytorch"),
    wrapper:
        repro("pytorch/train")


rule train_fastai:
    input:
        **LEARNING,
    output:
        **written("fastai"),
    params:
        **learned("fastai"),
    wrapper:
        repro("fastai/train")


for kind, parameters in config["autoencoders"].items():

    rule:
        name:
            kind
        input:
            train="results/features/{task}/fold0.train.parquet",
            valid="results/features/{task}/fold0.test.parquet",
        output:
            model=f"results/latent/{{task}}/{kind}.keras",
            metrics=f"results/latent/{{task}}/{kind}.json",
            latent=f"results/latent/{{task}}/{kind}.parquet",
        params:
            kind=kind,
            features=features_of,
            group=group_of,
            keep=["class"],
            seed=config["seed"],
            **parameters,
        wrapper:
            repro("keras/train")
