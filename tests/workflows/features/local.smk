TARGETS += ["out/local/out.txt", "out/local/handed_over.txt", "out/local/yte.txt", "out/local/jinja.txt"]

localrules: local

rule local:
    output: "out/local/out.txt"
    shell: "echo local > {output}"

rule handed_over:
    input: "out/local/out.txt"
    output: "out/local/handed_over.txt"
    handover: True
    resources: mem_mb=10  # without any, Snakemake gives it all cores, which only --cores names
    shell: "cat {input} > {output}"

rule yte:
    input: "template.yte.yaml"
    output: "out/local/yte.txt"
    params: p="a parameter"
    template_engine: "yte"

rule jinja:
    input: "template.jinja.txt"
    output: "out/local/jinja.txt"
    params: p="a parameter"
    template_engine: "jinja2"
