with open(snakemake.output[0], "w") as f:
    print(open(snakemake.input[0]).read(), snakemake.config, snakemake.rule, file=f)
