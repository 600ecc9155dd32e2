"""From showers to features, models, evaluations and the summary."""


def trees_of(wildcards) -> list[str]:
    """Return the ROOT files of the primaries that a task compares."""
    names = [name for group in config["classes"][wildcards.task].values() for name in group]
    return expand("results/root/{primary}.root", primary=names)


rule features:
    input:
        trees_of,
    output:
        train=expand("results/features/{{task}}/fold{fold}.train.parquet", fold=FOLDS),
        test=expand("results/features/{{task}}/fold{fold}.test.parquet", fold=FOLDS),
    params:
        classes=lambda wildcards: config["classes"][wildcards.task],
        min_muons=config["min_muons"],
    conda:
        "../../envs/corsika.yaml"
    script:
        "../scripts/features.py"


rule train_svm:
    input:
        train="results/features/{task}/fold{fold}.train.parquet",
        valid="results/features/{task}/fold{fold}.test.parquet",
    output:
        model="results/models/{task}/svm.fold{fold}.joblib",
        metrics="results/models/{task}/svm.fold{fold}.json",
    params:
        estimator=[
            "sklearn.preprocessing.StandardScaler",
            "sklearn.kernel_approximation.Nystroem",
            "sklearn.svm.LinearSVC",
        ],
        target="class",
        features=config["features"],
        group="run",
        seed=config["seed"],
        **config["parameters"]["svm"],
    wrapper:
        repro("sklearn/train")


rule train_xgboost:
    input:
        train="results/features/{task}/fold{fold}.train.parquet",
        valid="results/features/{task}/fold{fold}.test.parquet",
    output:
        model="results/models/{task}/xgboost.fold{fold}.ubj",
        metrics="results/models/{task}/xgboost.fold{fold}.json",
    params:
        target="class",
        features=config["features"],
        group="run",
        seed=config["seed"],
        **config["parameters"]["xgboost"],
    wrapper:
        repro("xgboost/train")


rule train_lightgbm:
    input:
        train="results/features/{task}/fold{fold}.train.parquet",
        valid="results/features/{task}/fold{fold}.test.parquet",
    output:
        model="results/models/{task}/lightgbm.fold{fold}.txt",
        metrics="results/models/{task}/lightgbm.fold{fold}.json",
    params:
        target="class",
        features=config["features"],
        group="run",
        seed=config["seed"],
        **config["parameters"]["lightgbm"],
    wrapper:
        repro("lightgbm/train")


SUFFIXES = {"svm": "joblib", "xgboost": "ubj", "lightgbm": "txt"}


rule evaluate:
    input:
        model=lambda wildcards: expand(
            "results/models/{task}/{model}.fold{fold}.{suffix}",
            task=wildcards.task,
            model=wildcards.model,
            fold=FOLDS,
            suffix=SUFFIXES[wildcards.model],
        ),
        data=expand("results/features/{{task}}/fold{fold}.test.parquet", fold=FOLDS),
    output:
        metrics="results/evaluation/{task}/{model}.json",
        predictions="results/evaluation/{task}/{model}.parquet",
        figure="results/evaluation/{task}/{model}.png",
    params:
        target="class",
        group="run",
        positive=lambda wildcards: config["positive"][wildcards.task],
        bootstrap=config["bootstrap"],
        seed=config["seed"],
    wrapper:
        repro("evaluate")


rule summary:
    input:
        metrics=expand(
            "results/evaluation/{task}/{model}.json", task=config["tasks"], model=config["models"]
        ),
    output:
        json="results/summary.json",
        csv="results/summary.csv",
        markdown="results/summary.md",
    params:
        tasks=config["tasks"],
        models=config["models"],
    conda:
        "../../envs/corsika.yaml"
    script:
        "../scripts/summary.py"
