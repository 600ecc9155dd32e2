TARGETS += ["out/ruleorder/out.txt", "out/multiext/out.txt", "out/unpack/out.txt", "out/ancient/out.txt"]
TARGETS += ["out/source_path/out.txt", "out/source_path/run.txt"]

ruleorder: preferred > deferred

rule deferred:
    output: "out/ruleorder/{name}.txt"
    shell: "echo deferred > {output}"

rule preferred:
    output: "out/ruleorder/{name}.txt"
    shell: "echo preferred > {output}"

rule extended:
    output: multiext("out/multiext/plain", ".fai", ".dict")
    shell: "echo fai > {output[0]}; echo dict > {output[1]}"

rule extended_by_name:
    input: multiext("out/multiext/plain", ".fai", ".dict")
    output: multiext("out/multiext/named", text=".text", index=".index")
    run:
        shell("cat {input} > {output.text}")
        Path(output.index).write_text(f"{output.index}\n")

rule from_extended:
    input: multiext("out/multiext/named", text=".text", index=".index")
    output: "out/multiext/out.txt"
    shell: "cat {input.index} {input.text} > {output}"

def both(wildcards):
    return {"one": "config.yaml", "many": ["beside.py", "config.yaml"]}

rule unpacked:
    input: unpack(both), last="beside.py"
    output: "out/unpack/out.txt"
    shell: "echo {input} > {output}; cat {input.one} {input.many} {input.last} >> {output}"

rule aged:
    input: ancient("config.yaml"), named=ancient(["beside.py"])
    output: "out/ancient/out.txt"
    shell: "cat {input[0]} {input.named} > {output}"

rule located:
    output: "out/source_path/out.txt"
    params: path=workflow.source_path("scripts/work.sh")
    shell: "cat {params.path} > {output}"

rule located_in_run:
    output: "out/source_path/run.txt"
    run:
        text = Path(workflow.source_path("scripts/work.sh")).read_text()
        Path(output[0]).write_text(text)
