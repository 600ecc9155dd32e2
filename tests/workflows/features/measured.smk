SHADOWS = {"full": "full", "true": True, "shallow": "shallow", "minimal": "minimal", "copy": "copy-minimal"}
TARGETS += ["out/benchmark/once.txt", "out/benchmark/thrice.txt", "out/benchmark/run.txt"]
TARGETS += expand("out/shadow/{kind}.txt", kind=SHADOWS) + ["out/shadow/script.txt"]

rule once:
    output: "out/benchmark/once.txt"
    benchmark: "out/benchmark/once.tsv"
    shell: "echo once > {output}"

rule thrice:
    output: "out/benchmark/thrice.txt"
    benchmark: repeat("out/benchmark/thrice.tsv", 3)
    shell: "echo {bench_iteration} >> {output}"

rule run_benchmark:
    output: "out/benchmark/run.txt"
    benchmark: "out/benchmark/run.jsonl"
    run: Path(output[0]).write_text("run")

for kind, value in SHADOWS.items():
    rule:
        name: f"shadow_{kind}"
        input: "config.yaml"
        output: f"out/shadow/{kind}.txt"
        log: f"out/shadow/{kind}.log"
        shadow: value
        shell:
            "touch left-behind; basename $(dirname $PWD) > {output}; cat {input} >> {output}; "
            "test -e beside.py && echo sees >> {output}; echo logged > {log}"

rule shadow_script:
    input: "config.yaml"
    output: "out/shadow/script.txt"
    shadow: "minimal"
    script: "scripts/shadow.py"
