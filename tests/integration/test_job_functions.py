"""Functions, scripts and notebooks of users: on record under any executor, and outside of Snakemake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import Workspace

from snakemake_repro.records import EnvironmentKind, JobRecord, JobStatus

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[2] / "snakemake_repro" / "wrappers"

SNAKEFILE = """
    from snakemake_repro import wrapper as repro

    rule fit:
        input: data="in.txt"
        output: model="{kind}.json"
        params: seed=7, depth=2
        script: "scripts/fit.py"
    rule count:
        input: script="count.sh", data="showers.csv"
        output: counts="count.json"
        params: args=["Fe"]
        log: "count.log"
        wrapper: repro("script")
    rule book:
        input: notebook="summary.ipynb", showers="showers.csv"
        output: notebook="{primary}.ipynb", summary="summary/{primary}.json"
        wrapper: repro("notebook")
    """
FIT = """
    import json
    import random
    from pathlib import Path

    from snakemake_repro import job


    @job
    def main(data: Path, model: Path, kind: str, depth: int = 1, seed: int = 0, rate=0.5):
        Path(model).write_text(json.dumps([data.read_text(), kind, depth, random.random()]))
        return {"loss": [0.5, 0.25], "auc": 0.75, "model": Path(model)}


    if __name__ == "__main__":
        main()
    """


def _prepare(workspace: Workspace) -> None:
    workspace.write("Snakefile", SNAKEFILE)
    workspace.write("scripts/fit.py", FIT)
    workspace.write("in.txt", "input")
    for name in ("script/test/count.sh", "script/test/showers.csv", "notebook/test/summary.ipynb"):
        shutil.copy(FOLDER / name, workspace.root)


def _values(record: JobRecord) -> list[tuple[str, float]]:
    return [(metric.name, metric.value) for metric in record.metrics]


def _check_fit(record: JobRecord) -> None:
    assert _values(record) == [("loss", 0.5), ("loss", 0.25), ("auc", 0.75)]
    assert record.seeds["random"] == 7
    assert [file.path for file in record.artifacts] == ["model.json"]


def test_a_function_is_recorded_beside_snakemake_and_without_it(lonely: Workspace) -> None:
    _prepare(lonely)
    lonely.ok("a.json", executor="local")
    record = lonely.job("fit").record
    _check_fit(record)
    assert record.params_reported == {"rate": 0.5}
    first = json.loads((lonely.root / "a.json").read_text())
    assert first[:3] == ["input", "a", 2]

    (lonely.root / "other").mkdir()
    options = "--data ../in.txt --model b.json --kind a --depth 2 --seed 7 --rate 1"
    subprocess.run(
        [sys.executable, "../scripts/fit.py", *options.split()],
        cwd=lonely.root / "other",
        env=lonely.environ,
        check=True,
    )
    assert json.loads((lonely.root / "other/b.json").read_text()) == first
    [history] = Workspace(lonely.root / "other").histories()
    [alone] = [job.record for job in history.jobs]
    _check_fit(alone)
    assert alone.spec.rule == "fit"
    assert alone.params_reported["depth"] == 2

    snakefile = lonely.root / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("depth=2", "dpth=2"))
    done = lonely.fails("a.json", "--force", executor="local")
    assert (
        "fit.py: params: main() has no parameter dpth: it takes data, model, kind, depth, seed, rate "
        "(did you mean depth?)"
    ) in done.output.splitlines()
    assert lonely.job("fit").record.status is JobStatus.FAILED


def test_a_failing_cell_is_one_line(lonely: Workspace) -> None:
    _prepare(lonely)
    book = lonely.root / "summary.ipynb"
    book.write_text(book.read_text().replace("pd.read_csv(showers)", "pd.read_csv('gone.csv')"))
    done = lonely.fails("Fe.ipynb", executor="local")
    [line] = [line for line in done.output.splitlines() if line.startswith("notebook: ")]
    assert line == (
        "notebook: summary.ipynb: cell 3 (import json) failed: FileNotFoundError: [Errno 2] No such "
        "file or directory: 'gone.csv'"
    )


def test_all_of_them_run_on_a_cluster_in_their_environments(workspace: Workspace) -> None:
    _prepare(workspace)
    workspace.ok("a.json", "count.json", "Fe.ipynb")
    _check_fit(workspace.job("fit").record)
    count, book = workspace.job("count").record, workspace.job("book").record
    assert _values(count) == [("count", 2.0)]
    assert [file.path for file in count.artifacts] == ["counted.csv"]
    assert (workspace.root / "count.log").read_text() == "counted Fe\n"
    assert sorted(_values(book)) == [("mean", 14.0), ("showers", 2.0)]
    environments = workspace.history.environments
    for record in (count, book):
        assert environments[str(record.spec.environment)].kind is EnvironmentKind.PYPI
    assert str(workspace.root).encode() not in (workspace.root / "Fe.ipynb").read_bytes()
