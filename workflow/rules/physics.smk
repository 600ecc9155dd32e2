"""What the air and the sky add: hadronic models side by side, and the flux of cosmic rays."""

HADRONIC = config["hadronic"]


rule hadronic:
    output:
        "results/hadronic/{hadronic}.{projectile}.json",
    params:
        projectile=lambda wildcards: HADRONIC["projectiles"][wildcards.projectile],
        energy_gev=HADRONIC["energy_gev"],
        events=HADRONIC["events"],
        seed=config["seed"],
    conda:
        "../../envs/hadronic.yaml"
    script:
        "../scripts/hadronic.py"


rule flux:
    input:
        expand("results/runs/{run}.showers.parquet", run=RUNS),
    output:
        "results/flux.parquet",
    params:
        energies_gev=config["energies_gev"],
    conda:
        "../../envs/hadronic.yaml"
    script:
        "../scripts/flux.py"
