TARGETS += expand("out/fields/{x}.txt", x=["a", "b c"])
TARGETS += ["out/functions/out.txt", "out/tmpdir/out.txt", "out/interpreter/out.txt"]
TARGETS += ["out/log/out.txt", "out/variables/out.txt", "out/threads/out.txt"]

rule fields:
    input: one="config.yaml", many=["beside.py", "config.yaml"]
    output: "out/fields/{x}.txt"
    params: p=lambda wildcards: f"<{wildcards.x}>", q=[1, "two words"], deep={"a": [1, (2, 3)]}
    shell:
        """
        for text in {GREETING:q} {config[name]} {config[deep]} {config[deep][list]:q} {params.p:q} \
            {params.q} {params.q[1]:q} {params.deep[a][1]} {wildcards.x:q} {rule} {input.one} \
            {input.many[0]} {input[2]} {input:q} {beside.VALUE:q} {{braces}} '{output}'; do
            printf '%s\n' "$text" >> {output:q}
        done
        basename {workflow.basedir:q} >> {output:q}
        """

rule whole:
    output: "out/fields/{x}.whole"
    params: "positional", named=3
    shell: "echo {params} {wildcards} {config} {threads} {log} > {output:q}"

rule whole_resources:
    output: "out/fields/resources.txt"
    resources: mem_mb=7
    shell: "test -n '{resources}' && echo there > {output:q}"

TARGETS += ["out/fields/w.whole", "out/fields/resources.txt"]

rule functions:
    input: "config.yaml"
    output: "out/functions/out.txt"
    params:
        size=lambda wildcards, input: sum(map(os.path.getsize, input)),
        threads=lambda wildcards, threads: threads * 10,
        to=lambda wildcards, output: output[0],
        memory=lambda wildcards, resources: resources.mem_mb,
    threads: lambda wildcards, attempt: attempt + 1
    resources: mem_mb=lambda wildcards, input, threads: threads * 10, free="text", number=lambda wildcards: 3
    shell:
        "echo {params} {threads} $OMP_NUM_THREADS $MKL_NUM_THREADS {resources.mem_mb} "
        "{resources.free} {resources.number} > {output}"

rule tmpdir:
    output: "out/tmpdir/out.txt"
    shell:
        "test -d {resources.tmpdir:q} && test $TMPDIR = {resources.tmpdir:q} && test $TEMP = $TMP && "
        "echo there > {output}"

rule own_tmpdir:
    output: "out/tmpdir/own.txt"
    resources: tmpdir="own-tmpdir"
    shell: "echo {resources.tmpdir} $TMPDIR > {output}"

TARGETS += ["out/tmpdir/own.txt"]

rule interpreter:
    output: "out/interpreter/out.txt"
    resources: shell_exec="sh"
    shell: "echo $0 ${{BASH_VERSION:+bash}} $- > {output}"

rule default_interpreter:
    output: "out/interpreter/default.txt"
    shell: "echo ${{BASH_VERSION:+bash}} $- $(set -o | grep -E 'errexit|nounset|pipefail') > {output}"

TARGETS += ["out/interpreter/default.txt"]

rule log:
    output: "out/log/out.txt"
    log: first="out/log/deep/{x}.log".replace("{x}", "1"), never="out/log/never.log"
    shell: "echo done > {output}; echo said > {log.first}; echo said on standard error >&2"

rule variables:
    output: "out/variables/out.txt"
    shell: "echo $REPRO_TEST_VARIABLE > {output}"

rule threads:
    output: "out/threads/out.txt"
    threads: 2
    shell: "echo {threads} > {output}"
