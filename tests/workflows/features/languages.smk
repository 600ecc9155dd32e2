import shutil
from pathlib import Path

LANGUAGES = ["python", "bash", "run", "wrapped", "unplain"] + ["R"] * bool(shutil.which("Rscript"))
LANGUAGES += ["julia"] * bool(shutil.which("julia")) + ["rust"] * bool(shutil.which("rust-script"))
TARGETS += expand("out/languages/{language}.txt", language=LANGUAGES)

rule python:
    input: first="config.yaml", many=["beside.py", "config.yaml"]
    output: text="out/languages/python.txt"
    params: "positional", deep={"a": [1, (2, 3)], "b": None}, number=0.5, flag=True
    log: "out/languages/python.log"
    resources: mem_mb=50
    threads: 2
    script: "scripts/work.py"

rule unplain:
    output: "out/languages/unplain.txt"
    params: path=Path("config.yaml"), kinds={1, 2}, object=complex(1, 2)
    script: "scripts/unplain.py"

rule bash:
    input: "config.yaml"
    output: "out/languages/bash.txt"
    params: p="two words"
    script: "scripts/work.sh"

rule R:
    input: "config.yaml"
    output: "out/languages/R.txt"
    params: p="two words", n=3
    script: "scripts/work.R"

rule julia:
    output: "out/languages/julia.txt"
    script: "scripts/work.jl"

rule rust:
    output: "out/languages/rust.txt"
    script: "scripts/work.rs"

rule run:
    input: "out/languages/python.txt"
    output: "out/languages/run.txt"
    params: p=[1, 2]
    threads: 2
    run:
        text = f"{beside.tripled(GREETING)} {params.p} {threads} {rules.python.output.text} {config['name']}"
        Path(output[0]).write_text(text)
        shell("wc -l < {input} >> {output}; echo {GREETING:q} {config[name]} {text:q} >> {output}")

rule wrapped:
    input: "config.yaml"
    output: "out/languages/wrapped.txt"
    params: greeting="hi"
    wrapper: f"file://{workflow.basedir}/wrap"
