TARGETS += ["out/checkpoint/out.txt", "out/scatter/out.txt", "out/cache/out.txt", "out/pathvars/out.txt"]

checkpoint many:
    output: directory("out/checkpoint/many")
    shell: "mkdir {output}; for i in 1 2 3; do echo $i > {output}/$i.txt; done"

def collected(wildcards):
    folder = checkpoints.many.get().output[0]
    return expand(f"{folder}/{{i}}.copy", i=sorted(glob_wildcards(f"{folder}/{{i}}.txt").i))

rule copied:
    input: "out/checkpoint/many/{i}.txt"
    output: "out/checkpoint/many/{i}.copy"
    shell: "cp {input} {output}"

rule collect:
    input: collected
    output: "out/checkpoint/out.txt"
    shell: "cat {input} > {output}"

rule scatter:
    output: scatter.split("out/scatter/{scatteritem}.txt")
    run:
        for path in output:
            Path(path).write_text(path)

rule gather:
    input: gather.split("out/scatter/{scatteritem}.txt")
    output: "out/scatter/out.txt"
    shell: "cat {input} > {output}"

rule cached:
    input: "config.yaml"
    output: "out/cache/out.txt"
    params: p="a parameter"
    cache: True
    shell: "echo {params.p} > {output}"

rule pathvar:
    output: "<mine>/<own>.txt"
    pathvars: own="out"
    shell: "echo {output} > {output}"
