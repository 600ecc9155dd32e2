"""From CORSIKA's own files to one ROOT tree per primary."""

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
