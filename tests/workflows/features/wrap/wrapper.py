with open(snakemake.output[0], "w") as f:
    f.write(open(snakemake.input[0]).read() + snakemake.params.greeting)
