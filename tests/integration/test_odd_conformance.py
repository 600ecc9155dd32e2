"""What is unusual, but works with Snakemake's own executor, gives the same files with ours."""

from __future__ import annotations

import pytest
from pairs import Pair

from snakemake_repro.records import Tier

pytestmark = pytest.mark.integration

DIRECT, FORK = Tier.DIRECT, Tier.FORK


def test_names_may_hold_any_character(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        r"""
        NAMES = ["a b", "it's", 'say "x"', "ü→日本", "$HOME", "a;b&c", "-dash", "tab\tbed", "back\\slash", "*", "per%cent", "a=b,c", "`x`", "~", "#hash"]
        # a `run:` or shadow rule cannot have these with Snakemake's own executor, which passes them on a command line
        RUN = [name for name in NAMES if not set(name) & set('"\t=,\\')]
        rule all:
            input:
                [f"shell/{name}.txt" for name in NAMES],
                [f"run/{name}.txt" for name in RUN],
                [f"script/{name}.txt" for name in NAMES],
                [f"bash/{name}.txt" for name in NAMES],
                [f"shadow/{name}.txt" for name in RUN],
                "-plain.txt", "tab\tand space"
        rule source:
            output: "in/{name}.txt"
            log: "logs/{name}.log"
            benchmark: "bench/{name}.tsv"
            params: name=lambda wildcards: wildcards.name
            shell: "printf '%s' {params.name:q} > {output:q} 2> {log:q}"
        rule s:
            input: "in/{name}.txt"
            output: "shell/{name}.txt"
            shell: "cat -- {input:q} > {output:q}; printf '%s' {wildcards.name:q} >> {output:q}"
        rule r:
            input: "in/{name}.txt"
            output: "run/{name}.txt"
            run:
                with open(output[0], "w") as file:
                    file.write(wildcards.name + open(input[0]).read())
        rule p:
            input: "in/{name}.txt"
            output: "script/{name}.txt"
            script: "script.py"
        rule b:
            input: "in/{name}.txt"
            output: "bash/{name}.txt"
            script: "script.sh"
        rule w:
            input: "in/{name}.txt"
            output: "shadow/{name}.txt"
            shadow: "minimal"
            shell: "cat {input:q} > {output:q}"
        rule spaced:
            output: "tab\tand space"
            shell: "echo {output} > {output:q}"
        rule dash:
            output: "-plain.txt"
            shell: "echo dash > {output}"
        """,
    )
    pair.write(
        "script.py",
        "with open(snakemake.output[0], 'w') as f:\n"
        "    f.write(snakemake.wildcards.name + open(snakemake.input[0]).read())\n",
    )
    pair.write(
        "script.sh",
        'printf "%s" "${snakemake_wildcards[name]}" > "${snakemake_output[0]}"\n'
        'cat "${snakemake_input[0]}" >> "${snakemake_output[0]}"\n',
    )
    pair.ok("--jobs", "8")
    assert pair.tiers == {
        "source": DIRECT,
        "s": DIRECT,
        "r": FORK,
        "p": DIRECT,
        "b": DIRECT,
        "w": DIRECT,
        "spaced": DIRECT,
        "dash": DIRECT,
    }


def test_a_job_may_have_thousands_of_inputs_and_a_long_command(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        NAMES = [f"in/{'long' * 5}-{n}.txt" for n in range(2000)]
        rule all:
            input: "long.txt", "many.txt", "script.txt", "run.txt"
        rule make:
            output: NAMES
            run:
                for name in output:
                    open(name, "w").write(name)
        rule long:
            output: "long.txt"
            params: "x" * 100_000
            shell: "echo {params} > {output}"
        rule many:
            input: NAMES
            output: "many.txt"
            shell: "cat {input} > {output}"
        rule script:
            input: NAMES
            output: "script.txt"
            params: text="y" * 3_000_000
            script: "script.py"
        rule run:
            input: NAMES
            output: "run.txt"
            params: text="y" * 300_000
            run: open(output[0], "w").write(params.text + str(len(input)))
        """,
    )
    pair.write(
        "script.py",
        "open(snakemake.output[0], 'w').write(snakemake.params.text + str(len(snakemake.input)))\n",
    )
    pair.ok()
    assert pair.tiers == {
        "make": FORK,
        "long": DIRECT,
        "many": DIRECT,
        "script": DIRECT,
        "run": FORK,
    }


def test_parameters_may_be_any_object(pair: Pair) -> None:
    pytest.importorskip("pandas")
    pair.write(
        "Snakefile",
        """
        import datetime, pathlib, decimal, enum, collections
        import numpy, pandas
        Colour = enum.Enum("Colour", "RED BLUE")
        rule all:
            input: expand("{n}.txt", n=["pandas", "numpy", "plain", "odd", "shell"])
        rule pandas:
            output: "pandas.txt"
            params: table=pandas.DataFrame({"a": [1, 2]}), row=pandas.Series([1.5])
            script: "script.py"
        rule numpy:
            output: "numpy.txt"
            params: array=numpy.arange(3), one=numpy.float64(0.1), whole=numpy.int64(3)
            script: "script.py"
        rule plain:
            output: "plain.txt"
            params: t=(1, (2, [3])), s={1}, n=None, b=True, f=float("inf"), d={1: "a", (1, 2): 3}, y=b"bytes", c=1+2j
            script: "script.py"
        rule odd:
            output: "odd.txt"
            params: day=datetime.date(2020, 1, 2), path=pathlib.Path("a/b"), number=decimal.Decimal("1.10"), order=collections.OrderedDict(a=1), r=range(3)
            script: "script.py"
        rule shell:
            output: "shell.txt"
            params: array=numpy.arange(3), table=pandas.DataFrame({"a": [1, 2]}), colour=Colour.RED, tiny=numpy.float64(0.1), f=1e22, n=None, d={"a": (1,)}, nested=[[1, 2], [3]]
            shell: "echo '{params.array} {params.table} {params.table.a} {params.colour.name} {params.tiny} {params.f} {params.n} {params.d} {params.d[a]} {params.nested}' > {output}"
        """,
    )
    pair.write(
        "script.py",
        "open(snakemake.output[0], 'w').write(repr([(k, type(v), v) for k, v in snakemake.params.items()]))\n",
    )
    pair.ok()
    assert pair.tiers == {
        "pandas": FORK,
        "numpy": FORK,
        "plain": FORK,
        "odd": FORK,
        "shell": DIRECT,
    }


def test_helpers_of_the_snakefile_work(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        import pandas
        config.update(mode="b", deep={"key": "value"})
        TABLE = pandas.DataFrame({"sample": ["x", "y"], "unit": ["1", "2"]})
        wildcard_constraints: s="[a-z]"
        onstart: shell("echo start >> events; test -z '' ")
        onsuccess: shell("echo success >> events")
        onerror: shell("echo error >> events")
        rule all:
            input: collect("out/{row.sample}.txt", row=lookup(query="unit != '9'", within=TABLE)), "state.txt", "mode.txt", "folder", "flagged.txt"
        rule s:
            output: ensure("out/{s}.txt", non_empty=True)
            params: sub=subpath(output[0], basename=True), up=subpath(output[0], parent=True), strip=subpath(output[0], strip_suffix=".txt"), found=lookup(dpath="deep/key", within=config), unit=lookup(query="sample == '{s}'", cols="unit", within=TABLE)
            shell: "echo {params.sub} {params.up} {params.strip} {params.found} {params.unit} > {output}"
        rule state:
            input: before_update("state.txt"), branch(exists("there.txt"), then="there.txt", otherwise=[])
            output: update("state.txt")
            shell: "echo {input} >> {output}"
        rule mode:
            output: "mode.txt"
            params: branch(lookup(dpath="mode", within=config), cases={"a": "first", "b": "second"})
            shell: "echo {params} > {output}"
        rule folder:
            output: directory("folder"), "folder2/x"
            shell: "mkdir -p {output[0]}; echo p > {output[0]}/part; echo x > {output[1]}"
        rule flagged:
            input: flag("mode.txt", "own", 3)
            output: flag("flagged.txt", "own", 4)
            shell: "cat {input} > {output}"
        """,
    )
    pair.write("there.txt", "there\n")
    pair.write("state.txt", "old\n")
    pair.ok("--forcerun", "state")
    assert (pair.ray.root / "events").read_text() == "start\nsuccess\n"
    assert pair.tiers == {
        "s": DIRECT,
        "state": FORK,
        "mode": DIRECT,
        "folder": DIRECT,
        "flagged": DIRECT,
    }


def test_parts_of_a_workflow_can_be_chosen(pair: Pair) -> None:
    pair.write(
        "Snakefile",
        """
        rule all:
            input: expand("{n}.txt", n=range(6))
        rule a:
            output: "{n}.txt"
            shell: "echo {wildcards.n} > {output}"
        rule bad:
            output: "bad.out"
            shell: "echo half > {output}; test -e fixed"
        rule empty:
            output: ensure("empty.txt", non_empty=True)
            shell: "touch {output}"
        rule sum:
            output: ensure("sum.txt", sha256="0000")
            run: open(output[0], "w").write("x")
        """,
    )
    pair.ok("--batch", "all=1/3", "--jobs", "1")
    pair.ok("--allowed-rules", "a", "all", "--jobs", "1")
    pair.ok("--forceall", "--jobs", "1", "--prioritize", "4.txt", "--", "all")
    pair.fails("--", "empty.txt")
    pair.fails("--", "sum.txt")
    pair.fails("--keep-incomplete", "--", "bad.out")
    pair.write("fixed", "")
    pair.ok("--rerun-incomplete", "--forcerun", "bad", "--", "bad.out")
    assert set(pair.tiers.values()) == {DIRECT}
