"""From features to models, tuned where asked, evaluations, the summary and its page."""


def features_of(wildcards) -> list[str]:
    """Return the columns that a task learns from."""
    return MAGIC_FEATURES if wildcards.task == MAGIC else config["features"]


def group_of(wildcards) -> str | None:
    """Return the column of what must not be torn apart; MAGIC's images have none."""
    return None if wildcards.task == MAGIC else "run"


def adapted(model: str, task: str) -> dict:
    """Return the parameters of a model for a task."""
    return config["parameters"].get(model, {}) | config["adapted"].get(task, {}).get(model, {})


def trial_of(model: str):
    """Return a function that says what is tried: the family's wrapper with what is not searched."""
    family, space = FAMILIES[model], config["spaces"][model]

    def trial(wildcards) -> dict:
        parameters = adapted(model, wildcards.task)
        own = {name: value for name, value in parameters.items() if name not in space}
        learning = {
            "target": "class",
            "features": features_of(wildcards),
            "group": group_of(wildcards),
            "folds": config["inner_folds"].get(wildcards.task, config["inner_folds"]["default"]),
        }
        return {"wrapper": family.wrapper, "params": learning | family.fixed | own}

    return trial


def tuned(model: str) -> bool:
    """Return whether the parameters of a model are searched."""
    return bool(config["trials"].get(model))


def model_of(model: str) -> str:
    """Return the file of a model, with wildcards for the task and the fold."""
    folder = "tuned" if tuned(model) else "models"
    return f"results/{folder}/{{task}}/{model}.fold{{fold}}.{FAMILIES[model].suffix}"


LEARNING = {
    "train": "results/features/{task}/fold{fold}.train.parquet",
    "valid": "results/features/{task}/fold{fold}.test.parquet",
}


def written(model: str) -> dict[str, str]:
    """Return what the training of a model writes."""
    stem = f"results/models/{{task}}/{model}.fold{{fold}}"
    return {"model": f"{stem}.{FAMILIES[model].suffix}", "metrics": f"{stem}.json"}


def learned(model: str) -> dict:
    """Return what the training of a model is told."""
    told = {"target": "class", "features": features_of, "group": group_of, "seed": config["seed"]}
    own = {
        name: lambda wildcards, name=name: adapted(model, wildcards.task)[name]
        for name in config["parameters"].get(model, {})
    }
    return told | FAMILIES[model].fixed | own


# Snakemake looks at the name of a wrapper when the job runs, so that a loop will not do
rule train_svm:
    input:
        **LEARNING,
    output:
        **written("svm"),
    params:
        **learned("svm"),
    wrapper:
        repro("sklearn/train")


rule train_xgboost:
    input:
        **LEARNING,
    output:
        **written("xgboost"),
    params:
        **learned("xgboost"),
    wrapper:
        repro("xgboost/train")


rule train_lightgbm:
    input:
        **LEARNING,
    output:
        **written("lightgbm"),
    params:
        **learned("lightgbm"),
    wrapper:
        repro("lightgbm/train")


for model in filter(tuned, config["models"]):

    rule:
        name:
            f"tune_{model}"
        input:
            data=LEARNING["train"],
        output:
            model=model_of(model),
            best=f"results/tuned/{{task}}/{model}.fold{{fold}}.json",
            trials=f"results/tuned/{{task}}/{model}.fold{{fold}}.trials.parquet",
        params:
            trial=trial_of(model),
            space=config["spaces"][model],
            metric="cv_roc_auc",
            direction="maximize",
            trials=config["trials"][model],
            parallel=2,
            seed=config["seed"],
        conda:
            FAMILIES[model].tuning
        wrapper:
            repro("tune")


rule evaluate:
    input:
        model=lambda wildcards: expand(
            model_of(wildcards.model), task=wildcards.task, fold=FOLDS
        ),
        data=expand("results/features/{{task}}/fold{fold}.test.parquet", fold=FOLDS),
    output:
        metrics="results/evaluation/{task}/{model}.json",
        predictions="results/evaluation/{task}/{model}.parquet",
        figure="results/evaluation/{task}/{model}.png",
    params:
        target="class",
        group=group_of,
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


SEARCHES = [
    (task, model, fold)
    for task in config["tasks"]
    for model in config["models"]
    if tuned(model)
    for fold in FOLDS
]
LATENT = [(task, kind) for task in config["tasks"] for kind in config["autoencoders"]]


rule page:
    input:
        summary="results/summary.json",
        predictions=expand(
            "results/evaluation/{task}/{model}.parquet",
            task=config["tasks"],
            model=config["models"],
        ),
        flux=["results/flux.parquet"] if SHOWER_TASKS else [],
        searches=[
            f"results/tuned/{task}/{model}.fold{fold}.trials.parquet"
            for task, model, fold in SEARCHES
        ],
        latent=[f"results/latent/{task}/{kind}.parquet" for task, kind in LATENT],
        latent_metrics=[f"results/latent/{task}/{kind}.json" for task, kind in LATENT],
        hadronic=expand(
            "results/hadronic/{hadronic}.{projectile}.json",
            projectile=HADRONIC["projectiles"],
            hadronic=HADRONIC["models"],
        ),
    output:
        "results/summary.html",
    params:
        tasks=config["tasks"],
        models=config["models"],
        titles={model: FAMILIES[model].title for model in config["models"]},
        primaries=config["primaries"],
        min_muons=config["min_muons"],
        searches=[(task, model) for task, model, _ in SEARCHES],
        latent=LATENT,
        events=HADRONIC["events"],
        energy_gev=HADRONIC["energy_gev"],
    conda:
        "../../envs/page.yaml"
    script:
        "../scripts/page.py"
