import os

import helper

with open(snakemake.output.text, "w") as f:
    for name in snakemake.input:
        f.write(open(name).read())
    for value in (
        dict(snakemake.params.items()),
        snakemake.params[0],
        dict(snakemake.wildcards.items()),
        snakemake.input.first,
        list(snakemake.input.many),
        snakemake.threads,
        snakemake.rule,
        snakemake.resources.mem_mb,
        snakemake.config,
        list(snakemake.log),
        helper.VALUE,
        __file__.endswith("scripts/work.py"),
        os.environ["OMP_NUM_THREADS"],
        os.path.isdir(snakemake.resources.tmpdir),
        os.path.basename(snakemake.scriptdir),
    ):
        print(repr(value), type(value).__name__, file=f)
with open(snakemake.log[0], "w") as f:
    f.write("logged")
