with open(snakemake.output[0], "w") as f:
    for value in (snakemake.params.path, sorted(snakemake.params.kinds), snakemake.params.object):
        print(repr(value), file=f)
