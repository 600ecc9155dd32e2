"""``@job``: parameters by name from a rule, the call or the command line; results on record."""

from __future__ import annotations

import ast
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards

from snakemake_repro import job, jobfunction
from snakemake_repro.jobfunction import JobError
from snakemake_repro.jobfunction.commandline import parse
from snakemake_repro.logic.metrics import Report
from snakemake_repro.logic.metrics import parse as parse_metrics

SOURCES = sorted(Path(jobfunction.__file__).parent.glob("*.py"))


@pytest.fixture(autouse=True)
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a job of our executor writes to, with its artifacts beside."""
    (tmp_path / "artifacts").mkdir()
    path = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("REPRO_JOB", '{"id": "x"}')
    monkeypatch.setenv("REPRO_METRICS", str(path))
    monkeypatch.setenv("REPRO_ARTIFACTS", str(tmp_path / "artifacts"))
    return path


def report(path: Path) -> Report:
    return parse_metrics(path.read_bytes().splitlines(), now_ms=0)


def rule(**parts: Any) -> SimpleNamespace:
    """Return Snakemake's object of a rule, of Snakemake's own types."""
    return SimpleNamespace(
        rule="fit",
        input=InputFiles(fromdict=parts.get("input", {})),
        output=OutputFiles(fromdict=parts.get("output", {})),
        params=Params(fromdict=parts.get("params", {})),
        wildcards=Wildcards(fromdict=parts.get("wildcards", {})),
        log=Log(fromdict=parts.get("log", {})),
        threads=parts.get("threads", 2),
        resources=ResourceList(fromdict={"_cores": 1, "mem_mb": 100}),
        config=parts.get("config", {}),
    )


def called(function: Any, snakemake: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a decorated function as the script of a rule that Snakemake started does."""
    scope = function.__wrapped__.__globals__
    scope["snakemake"] = snakemake
    try:
        return function(*args, **kwargs)
    finally:
        del scope["snakemake"]


# ----- inside Snakemake --------------------------------------------------------------------------


def test_every_part_of_a_rule_is_bound_by_name() -> None:
    seen = {}

    @job
    def main(  # noqa: PLR0917
        data: Path,
        parts: list[Path],
        model: str,
        depth: int,
        fold: int,
        say: str,
        threads: int,
        mem_mb: int,
        rate: float,
        x: int = 3,
    ) -> None:
        seen.update(locals())

    snakemake = rule(
        input={"data": "in.csv", "parts": ["a", "b"], "code": "helper.py"},
        output={"model": "out/m"},
        params={"depth": 4},
        wildcards={"fold": "7"},
        log={"say": "l.txt"},
        config={"rate": 0.5, "depth": 9},
    )
    called(main, snakemake)
    assert seen == {
        "data": Path("in.csv"),
        "parts": [Path("a"), Path("b")],
        "model": "out/m",
        "depth": 4,
        "fold": 7,
        "say": "l.txt",
        "threads": 2,
        "mem_mb": 100,
        "rate": 0.5,
        "x": 3,
        "seen": seen,
    }


def test_a_part_may_be_asked_for_whole() -> None:
    @job
    def main(input: Path, output: list[str], params: Any, snakemake: Any, log: Any) -> None:  # noqa: A002
        assert input == Path("one")
        assert list(output) == ["a", "b"]
        assert params.depth == 4
        assert snakemake.rule == "fit"
        assert list(log) == []

    made = rule(params={"depth": 4})
    made.input, made.output = InputFiles(["one"]), OutputFiles(["a", "b"])
    called(main, made)


@pytest.mark.parametrize(
    ("fold", "expected"), [(0, 3), (None, "3"), ("x", "3"), (0.5, 3.0)], ids=str
)
def test_a_wildcard_without_annotation_is_read_as_its_default(fold: Any, expected: Any) -> None:
    def main(fold: Any = fold) -> Any:
        return {"found": str(fold)}

    main.__annotations__.clear()
    found = called(job(main), rule(wildcards={"fold": "3"}))
    assert found == {"found": str(expected)}


def test_a_param_that_hands_on_a_wildcard_is_no_contradiction() -> None:
    @job
    def main(kind: str) -> dict[str, Any]:
        return {"kind": kind}

    both = {"params": {"kind": "p"}, "wildcards": {"kind": "p"}}
    assert called(main, rule(**both)) == {"kind": "p"}


def test_what_the_call_gives_comes_first() -> None:
    @job
    def main(depth: int, rate: float) -> dict[str, Any]:
        return {"depth": depth, "rate": rate}

    made = rule(params={"depth": 4, "rate": 0.1})
    assert called(main, made, 5) == {"depth": 5, "rate": 0.1}


def test_further_params_go_to_a_function_that_takes_any() -> None:
    @job
    def main(depth: int, **others: Any) -> None:
        assert others == {"gamma": 0.5}

    called(main, rule(params={"depth": 4, "gamma": 0.5}, wildcards={"fold": "1"}))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param(
            {"params": {"depht": 3}, "input": {"data": "d"}, "config": {"seed": 1}},
            "main(): rule fit has nothing called depth: it has input data; params depht; resources "
            "mem_mb; config seed (did you mean depht?)",
            id="missing",
        ),
        pytest.param(
            {"params": {"depth": 3, "rat": 1}, "input": {"data": "d"}},
            "params: main() has no parameter rat: it takes data, depth, rate (did you mean rate?)",
            id="unknown",
        ),
        pytest.param(
            {"params": {"depth": 3, "data": "x"}, "input": {"data": "d"}},
            "data: expected one value, got 'd' in input, 'x' in params; rename one of them, or take "
            "input and params whole",
            id="ambiguous",
        ),
        pytest.param(
            {"params": {"depth": "deep"}, "input": {"data": "d"}},
            "expected a whole number as depth (params), got 'deep'",
            id="no-number",
        ),
        pytest.param(
            {"params": {"depth": 3}, "input": {"data": "d"}, "output": {"rate": "r"}},
            "expected a number as rate (output), got 'r'",
            id="file-for-number",
        ),
    ],
)
def test_a_rule_that_does_not_fit_is_one_clear_error(parts: dict[str, Any], message: str) -> None:
    @job
    def main(data: str, depth: int, rate: float = 0.1) -> None:
        raise AssertionError("it does not run")

    with pytest.raises(JobError) as caught:
        called(main, rule(**parts))
    assert str(caught.value) == message


def test_names_of_whole_parts_are_taken() -> None:
    @job
    def main(threads: int, output: str) -> None:
        raise AssertionError("it does not run")

    with pytest.raises(JobError, match="got the rule's threads and one of its params of that name"):
        called(main, rule(params={"threads": 3}))
    made = rule()
    made.output = OutputFiles(["a", "b"])
    with pytest.raises(JobError, match="output: expected one file, as it is annotated, got 2"):
        called(main, made)


def test_a_module_called_snakemake_is_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    import snakemake

    @job
    def main(depth: int = 1) -> dict[str, Any]:
        return {"depth": depth}

    monkeypatch.setitem(main.__wrapped__.__globals__, "snakemake", snakemake)
    assert main(depth=2) == {"depth": 2}


def test_a_function_of_an_imported_module_finds_the_script_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @job
    def main(depth: int) -> dict[str, Any]:
        return {"depth": depth}

    monkeypatch.setattr(sys.modules["__main__"], "snakemake", rule(params={"depth": 6}), False)
    assert main() == {"depth": 6}


# ----- what is recorded --------------------------------------------------------------------------


def test_what_is_returned_is_recorded(metrics: Path, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    (tmp_path / "rows.csv").write_text("a\n")

    @job
    def main() -> dict[str, Any]:
        return {
            "auc": np.float32(0.5),
            "rows": 3,
            "loss": [3, 2.0, np.float64(1.0)],
            "rate": {10: 0.1, 20: 0.05},
            "curve": np.array([1.0, 2.0]),
            "kind": "baseline",
            "roc": Figure(),
            "plots/pr.svg": Figure(),
            "table": tmp_path / "rows.csv",
        }

    assert set(main()) >= {"auc", "loss"}
    found = report(metrics)
    assert [(m.name, m.value, m.step) for m in found.metrics] == [
        ("auc", 0.5, 0),
        ("rows", 3.0, 0),
        ("loss", 3.0, 0),
        ("loss", 2.0, 1),
        ("loss", 1.0, 2),
        ("rate", 0.1, 10),
        ("rate", 0.05, 20),
        ("curve", 1.0, 0),
        ("curve", 2.0, 1),
    ]
    assert found.tags == {"kind": "baseline"}
    kept = tmp_path / "artifacts"
    assert sorted(p.relative_to(kept).as_posix() for p in kept.rglob("*.*")) == [
        "plots/pr.svg", "roc.png", "table.csv",
    ]  # fmt: skip
    assert (kept / "roc.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_kept_as_one(metrics: Path, tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    @job
    def main() -> dict[str, Any]:
        return {"line": LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])}

    main()
    assert report(metrics).models == {"line": {"flavour": "sklearn"}}
    assert (tmp_path / "artifacts/line/MLmodel").is_file()


def test_all_that_can_be_recorded_is_before_the_rest_is_complained_of(metrics: Path) -> None:
    @job
    def main() -> dict[Any, Any]:
        return {"bad": object(), "gone": Path("gone.csv"), "auc": 0.5, 3: 1.0, "$x": 2}

    with pytest.raises(JobError) as caught:
        main()
    said = str(caught.value)
    assert said.startswith("main(): cannot record the result 'bad': expected a number, a series of")
    assert "got builtins.object; 'gone': there is no " in said
    assert "; 3: expected a text as name; '$x': expected a metric name" in said
    assert [m.name for m in report(metrics).metrics] == ["auc"]


def test_what_is_no_mapping_is_told_so() -> None:
    @job
    def main() -> Any:
        return 0.5

    with pytest.raises(JobError, match=r"main\(\): expected a mapping .* got builtins.float"):
        main()


def test_the_call_and_the_defaults_are_recorded_where_nothing_else_does(metrics: Path) -> None:
    @job
    def main(run: Any, depth: int, rate: float = 0.1) -> None:
        run.log_metric("depth", depth)

    main(depth=3)
    assert report(metrics).params == {"depth": 3, "rate": 0.1}
    metrics.unlink()
    called(main, rule(params={"depth": 3}, config={"rate": 0.2}))
    assert report(metrics).params == {"rate": 0.2}
    assert [m.value for m in report(metrics).metrics] == [3.0]


def test_the_seed_is_the_one_of_that_name(metrics: Path) -> None:
    drawn = []

    @job
    def main(seed: int = 7) -> None:
        drawn.append(np.random.random())  # noqa: NPY002

    main()
    assert report(metrics).seeds["numpy"] == 7
    main(seed=8)
    called(main, rule(params={"seed": 7}))
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_seed_may_stand_in_the_decorator(metrics: Path) -> None:
    @job(seed=5)
    def main() -> None:
        """Do nothing."""

    main()
    assert report(metrics).seeds["random"] == 5
    assert main.__doc__ == "Do nothing."
    with pytest.raises(TypeError, match="expected one seed"):
        job(lambda seed: None, seed=5)


def test_every_parameter_needs_a_name() -> None:
    with pytest.raises(TypeError, match="expected parameters that can be given by name, got args"):
        job(lambda *args: None)


def test_an_ordinary_call_complains_like_one() -> None:
    @job
    def main(depth: int) -> None:
        """Do nothing."""

    with pytest.raises(JobError, match=r"main\(\): expected a value for depth"):
        main()
    with pytest.raises(JobError, match=r"main\(\): got an unexpected keyword argument 'x'"):
        main(x=3)


# ----- the command line --------------------------------------------------------------------------


def takes(
    data: Path,
    depth: int = 3,
    learning_rate: float = 0.1,
    sizes: list[int] | None = None,
    *,
    fast: bool = False,
    tags=("a",),  # noqa: ANN001 - what has no annotation is the point
    x=None,  # noqa: ANN001
    run: Any = None,
) -> None:
    """Take all kinds of 100% fine values.

    And no more.
    """


def test_a_command_line_gives_what_the_annotations_say() -> None:
    line = "--data d.csv --depth 4 --learning-rate 1 --sizes 1 2 --fast --tags b c --x 0.5"
    found = parse(takes, line.split())
    assert found == {
        "data": Path("d.csv"), "depth": 4, "learning_rate": 1.0, "sizes": [1, 2], "fast": True,
        "tags": ["b", "c"], "x": 0.5,
    }  # fmt: skip
    assert isinstance(found["learning_rate"], float)
    assert parse(takes, ["--data", "d", "--no-fast", "--learning_rate", "2"]) == {
        "data": Path("d"), "fast": False, "learning_rate": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the following arguments are required: --data"),
        ("--data d --depth x", "argument --depth: expected a whole number as depth, got 'x'"),
        ("--data d --dept 3", "unrecognized arguments: --dept 3"),
    ],
)
def test_a_wrong_command_line_is_told_so(
    capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(takes, line.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_help_says_what_it_is_and_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(takes, ["--help"])
    said = capsys.readouterr().out
    assert "Take all kinds of 100% fine values." in said
    assert "And no more" not in said
    assert "default: 0.1" in said
    assert "--run" not in said


SCRIPT = """
from snakemake_repro import job

@job
def main(depth: int, other=1):
    return {"depth": depth} if depth else depth

if __name__ == "__main__":
    main()
"""


def test_a_script_takes_its_command_line(
    tmp_path: Path, metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "fit.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(sys, "argv", ["fit.py", "--depth", "3"])
    runpy.run_path(str(script), run_name="__main__")
    assert report(metrics).params == {"depth": 3, "other": 1}
    assert [m.value for m in report(metrics).metrics] == [3.0]
    monkeypatch.setattr(sys, "argv", ["fit.py", "--depth", "0"])
    with pytest.raises(SystemExit, match=r"^fit.py: main\(\): expected a mapping"):
        runpy.run_path(str(script), run_name="__main__")


def test_it_needs_nothing_but_old_python_and_its_standard_library(tmp_path: Path) -> None:
    for source in SOURCES:
        ast.parse(source.read_text(encoding="utf-8"), feature_version=(3, 7))
    package = tmp_path / "alone" / "snakemake_repro"
    shutil.copytree(SOURCES[0].parent, package / "jobfunction")
    for name in ("__init__.py", "client.py"):
        shutil.copy(SOURCES[0].parents[1] / name, package)
    script = tmp_path / "alone" / "fit.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(script), "--depth", "2"],
        capture_output=True,
        text=True,
        check=False,
        env={"REPRO_JOB": "{}", "REPRO_METRICS": str(tmp_path / "alone/m.jsonl")},
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "alone/m.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["depth"] == 2.0
