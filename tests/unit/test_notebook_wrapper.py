"""The wrapper ``notebook``: parameters into a cell, the same bytes out, one line where it fails."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from wrapperjobs import Job

from snakemake_repro.wrappers.notebooks.cleaning import clean, identify
from snakemake_repro.wrappers.notebooks.parameters import inject, language_of, source_of
from snakemake_repro.wrappers.notebooks.running import run_notebook
from snakemake_repro.wrappers.problems import WrapperError

DATA = {
    "text": "a \"quoted\" 'one' $x \\ é 😀\n",
    "whole": 3,
    "large": 2**40,
    "number": 0.1,
    "endless": -math.inf,
    "none": None,
    "true": True,
    "list": [1, "b", [None]],
    "mapping": {"a b": 1, "c": {"d": False}},
}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, of a job that is recorded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts").mkdir()
    monkeypatch.setenv("REPRO_JOB", "{}")
    monkeypatch.setenv("REPRO_METRICS", str(tmp_path / "metrics.jsonl"))
    monkeypatch.setenv("REPRO_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path


def notebook(*sources: str, language: str = "python", tagged: str | None = None) -> Any:
    cells = [new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources)]
    if tagged is not None:
        cells.insert(0, new_code_cell(tagged, id="p", metadata={"tags": ["parameters"]}))
    cells.insert(0, new_markdown_cell("# Title", id="t"))
    return new_notebook(cells=cells, metadata={"language_info": {"name": language}})


def saved(made: Any, path: str = "n.ipynb") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(nbformat.writes(made))
    return path


def job(made: Any, **params: Any) -> Job:
    return Job(
        {"notebook": saved(made), "data": "in.txt"},
        {"notebook": "out.ipynb", "result": "out.txt"},
        params,
        {"fold": "3"},
        {"notebook": "log.ipynb"},
    )


# ----- parameters --------------------------------------------------------------------------------


def test_python_reads_what_is_written_for_it() -> None:
    found: dict[str, Any] = {}
    exec(source_of(DATA, "python"), found)  # noqa: S102 - it is our own text
    assert {name: found[name] for name in DATA} == DATA
    exec(source_of({"x": math.nan}, "python"), found)  # noqa: S102
    assert math.isnan(found["x"])


@pytest.mark.skipif(not Path("/usr/bin/Rscript").exists(), reason="needs R")
def test_r_reads_what_is_written_for_it(work: Path) -> None:
    import subprocess

    checks = """
    stopifnot(identical(text, "a \\"quoted\\" 'one' $x \\\\ \\u00e9 \\U0001F600\\n"))
    stopifnot(identical(whole, 3L), large == 2^40, number == 0.1, endless == -Inf, is.null(none))
    stopifnot(true, identical(list, base::list(1L, "b", base::list(NULL))))
    stopifnot(mapping[["a b"]] == 1, !mapping$c$d)
    """
    (work / "t.R").write_text(source_of(DATA, "r") + checks, encoding="utf-8")
    command = ["/usr/bin/Rscript", "--vanilla", "--encoding=UTF-8", "t.R"]
    subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})


def test_julia_is_written_as_julia_has_it() -> None:
    assert source_of(DATA, "julia").splitlines()[1:] == [
        'text = "a \\"quoted\\" \'one\' \\$x \\\\ é 😀\\n"',
        "whole = 3",
        "large = 1099511627776",
        "number = 0.1",
        "endless = -Inf",
        "none = nothing",
        "true = true",
        'list = [1, "b", [nothing]]',
        'mapping = Dict("a b" => 1, "c" => Dict("d" => false))',
    ]


def test_the_cell_comes_after_the_one_that_is_tagged_or_at_the_top() -> None:
    made = notebook("x", tagged="depth = 1")
    assert inject(made, {"depth": 3}, ["depth"]) == 2
    assert inject(made, {"depth": 4}, ["depth"]) == 2  # in place of the earlier one
    assert [cell.id for cell in made.cells] == ["t", "p", "injected-parameters", "c0"]
    assert made.cells[2].source == "# given by the rule\ndepth = 4"
    bare = notebook("x")
    assert inject(bare, {"depth": 3}, ["depth"]) == 0


def test_a_misspelt_parameter_is_told_so() -> None:
    made = notebook(tagged="depth: int = 1\nrate, size = 2, 3")
    inject(made, {"rate": 3}, ["rate", "size", "depth"])
    with pytest.raises(
        WrapperError, match="no parameter 'dpth': its cell tagged parameters sets"
    ) as c:
        inject(made, {"dpth": 3}, ["dpth"])
    assert c.value.hint == "did you mean 'depth'?"
    inject(notebook(tagged="%magic\n"), {"dpth": 3}, ["dpth"])


def test_other_languages_are_refused() -> None:
    assert language_of(notebook(language="R")) == "r"
    with pytest.raises(WrapperError, match="one of python, r, julia, got one in scala"):
        language_of(notebook(language="scala"))


# ----- cleaning ----------------------------------------------------------------------------------


def test_what_differs_from_run_to_run_goes() -> None:
    made = notebook("x")
    made.metadata.update({"widgets": {}, "papermill": {"start_time": "now"}})
    cell = made.cells[1]
    cell.metadata["execution"] = {"iopub.execute_input": "2020"}
    here = "/ho/me/study"
    cell.outputs = [
        new_output("stream", name="stderr", text="10%\r20%\rfull\n"),
        new_output("stream", name="stdout", text="one\n"),
        new_output(
            "stream", name="stderr", text=f"/tmp/ipykernel_31/12.py:1: Warning in {here}/a\n"
        ),
        new_output("stream", name="stdout", text="two\r\n"),
        new_output(
            "display_data",
            {"text/plain": "<X at 0x7f0011223344>", "application/vnd.jupyter.widget-view+json": {}},
        ),
        new_output("stream", name="stdout", text="/ho/me/study2 /ho/me"),
        new_output("error", ename="E", evalue=f"no {here}/b", traceback=[f"File {here}/b"]),
    ]
    clean(made, {"/ho/me": "~", here: "."})
    assert set(made.metadata) == {"language_info"}
    assert cell.metadata == {}
    assert [dict(output) for output in cell.outputs] == [
        {"output_type": "stream", "name": "stdout", "text": "one\ntwo\n"},
        {"output_type": "stream", "name": "stderr", "text": "full\ncell 12:1: Warning in ./a\n"},
        {"output_type": "display_data", "data": {"text/plain": "<X at 0x0>"}, "metadata": {}},
        {"output_type": "stream", "name": "stdout", "text": "~/study2 ~"},
        {"output_type": "error", "ename": "E", "evalue": "no ./b", "traceback": ["File ./b"]},
    ]


def test_cells_without_an_id_get_one_by_their_place() -> None:
    new: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5, "cells": [{"id": "x"}, {}]}
    identify(new)
    assert new["cells"] == [{"id": "x"}, {"id": "cell-2"}]
    old: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 4, "cells": [{}]}
    identify(old)
    assert old["cells"] == [{}]


# ----- running -----------------------------------------------------------------------------------

WORK = """
import os, sys, warnings
import helper, psutil
# ipykernel's own, for what processes that a cell starts print
assert {c.laddr.ip for c in psutil.Process().net_connections(kind="inet")} <= {"127.0.0.1"}
from snakemake_repro import job

@job
def main(depth: int) -> dict:
    return {"depth": depth, "kind": helper.KIND}

with open(result, "w") as file:
    print(data, fold, depth, file=file)
main(depth=depth)
"""
NOISE = "print('out'); print('err', file=sys.stderr); warnings.warn('W'); print(os.getcwd()); [object(), {*'abcdefgh'}]"


def test_a_notebook_runs_with_its_parameters_and_comes_out_the_same(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = notebook(WORK, NOISE, tagged="depth = 1")
    made.metadata["kernelspec"] = {"name": "mine", "display_name": "Mine", "language": "python"}
    asked = job(made, depth=4)
    asked.input.notebook = saved(made, "books/n.ipynb")
    Path("books/helper.py").write_text("KIND = 'k'\n")
    startup = work / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "a.py").write_text("raise SystemExit('a setting of the user')\n")
    monkeypatch.setenv("IPYTHONDIR", str(work / "ipython"))
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    written = []
    for _ in range(2):
        run_notebook(asked)
        written.append(Path("out.ipynb").read_bytes())
    assert written[0] == written[1] == Path("log.ipynb").read_bytes()
    assert Path("out.txt").read_text() == "in.txt 3 4\n"
    lines = [json.loads(line) for line in Path("metrics.jsonl").read_text().splitlines()]
    assert {"$tags": {"kind": "k"}} in lines
    assert [line["depth"] for line in lines if "depth" in line] == [4.0, 4.0]
    text = written[0].decode()
    for private in (str(work), str(Path.home()), "ipykernel_", "0x7f", 'execution"'):
        assert private not in text
    done = nbformat.reads(text, as_version=4)
    nbformat.validate(done)
    assert [cell.get("execution_count") for cell in done.cells] == [None, 1, 2, 3, 4]
    assert [output.output_type for output in done.cells[4].outputs] == [
        "stream", "stream", "execute_result",
    ]  # fmt: skip
    assert done.cells[4].outputs[0].text == "out\n.\n"


def test_the_cell_that_fails_is_named_and_the_log_has_it() -> None:
    failing = notebook("x = 1", "\n1 / 0\n", "never", tagged="depth = 1")
    with pytest.raises(WrapperError) as caught:
        run_notebook(job(failing, depth=2))
    assert (
        caught.value.message
        == "n.ipynb: cell 4 (1 / 0) failed: ZeroDivisionError: division by zero"
    )
    assert not Path("out.ipynb").exists()
    log = nbformat.reads(Path("log.ipynb").read_text(), as_version=4)
    assert log.cells[4].outputs[0].ename == "ZeroDivisionError"
    assert log.cells[5].execution_count is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import os; os._exit(9)",
            r"n.ipynb: cell 2 \(import os; os._exit\(9\)\): the kernel died",
        ),
        ("import sys; sys.exit(3)", r"n.ipynb: cell 2 \(.*\) failed: SystemExit: 3"),
        ("input()", r"n.ipynb: cell 2 \(input\(\)\) failed: StdinNotImplementedError"),
    ],
)
def test_a_notebook_that_ends_itself_is_told_so(source: str, message: str) -> None:
    with pytest.raises(WrapperError, match=message):
        run_notebook(job(notebook(source)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"data": 3}, "expected one value for 'data', got 'in.txt' in input and 3 in params"),
        ({"fold": "3", "class": 1}, "params: expected the name of a variable, got 'class'"),
        ({"x": object()}, "params: expected plain data as x="),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_so(params: dict[str, Any], message: str) -> None:
    with pytest.raises(WrapperError, match=message):
        run_notebook(job(notebook("x"), **params))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"nbformat": 4, "cells": 3}'])
def test_what_is_no_notebook_is_told_so(text: str) -> None:
    asked = job(notebook("x"))
    Path("n.ipynb").write_text(text)
    with pytest.raises(WrapperError, match=r"n\.ipynb: expected a Jupyter notebook, got: "):
        run_notebook(asked)


def test_a_kernel_that_is_not_there_is_told_so() -> None:
    made = notebook("x", language="R")
    made.metadata["kernelspec"] = {"name": "no-such-ir", "display_name": "R", "language": "R"}
    with pytest.raises(
        WrapperError, match=r"n\.ipynb: expected the kernel 'no-such-ir' of the noteb"
    ):
        run_notebook(job(made))


def test_a_kernel_that_does_not_start_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(WrapperError, match=r"n\.ipynb: expected the kernel to start, got: "):
        run_notebook(job(notebook("x")))
