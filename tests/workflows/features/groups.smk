TARGETS += ["out/group/second.txt", "out/group/third.txt", "out/pipe/out.txt", "out/service/out.txt"]
TARGETS += expand("out/group/{i}.txt", i=range(3))

rule first:
    output: "out/group/first.txt"
    group: "g"
    shell: "echo first > {output}"

rule second:
    input: "out/group/first.txt"
    output: "out/group/second.txt"
    group: "g"
    run:
        Path(output[0]).write_text(Path(input[0]).read_text() + GREETING)

rule third:
    input: "out/group/second.txt"
    output: "out/group/third.txt"
    group: "g"
    script: "scripts/copy.py"

rule grouped_by_flag:
    output: "out/group/{i}.txt"
    shell: "echo {wildcards.i} > {output}"

rule producer:
    output: pipe("out/pipe/pipe")
    shell: "echo through a pipe > {output}"

rule consumer:
    input: "out/pipe/pipe"
    output: "out/pipe/out.txt"
    shell: "cat {input} > {output}"

rule server:
    output: service("out/service/socket")
    shell: "trap 'rm -f {output}; exit' TERM; echo serving > {output}; while true; do sleep 0.1; done"

rule client:
    input: "out/service/socket"
    output: "out/service/out.txt"
    shell: "cat {input} > {output}"
