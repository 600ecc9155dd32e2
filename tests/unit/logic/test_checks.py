"""Each debt is found where it is, named with its jobs, and not found elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from recordings import CLEAN, LOOSE, Recording, study, study_again

from snakemake_repro.backends.index import open_index
from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.logic.debts import Debt
from snakemake_repro.operations.report import report
from snakemake_repro.records import Comparator, ComparatorKind, GitState, Origin


def _debts(run: Recording) -> dict[str, Debt]:
    return {debt.code: debt for debt in report(open_index(run.root), run.id).debts}


def test_a_pinned_clean_seeded_run_owes_nothing(tmp_path: Path) -> None:
    run_id = study(tmp_path)
    assert report(open_index(tmp_path), run_id).debts == ()


@pytest.mark.parametrize(
    ("git", "code", "words"),
    [
        pytest.param(None, "not-under-git", "not under version control", id="no git"),
        pytest.param(GitState(commit=None), "no-commit", "has no commit", id="no commit"),
        pytest.param(
            dataclasses.replace(CLEAN, dirty=True, diff="+x", diff_digest=digest_of_text("+x")),
            "dirty-tree",
            "the difference is in the record",
            id="dirty",
        ),
        pytest.param(
            dataclasses.replace(CLEAN, dirty=True, diff_digest=digest_of_text("+x")),
            "dirty-tree",
            "only the difference's digest is kept",
            id="dirty, too large",
        ),
        pytest.param(
            dataclasses.replace(CLEAN, dirty=True, note="git refuses"),
            "dirty-tree",
            "is not known: git refuses",
            id="unknown",
        ),
    ],
)
def test_code_that_cannot_be_had_again(
    tmp_path: Path, git: GitState | None, code: str, words: str
) -> None:
    run = Recording(tmp_path, git=git)
    run.job("r", writes={"a": "1"})
    run.end()
    [debt] = _debts(run).values()
    assert debt.code == code
    assert words in debt.message
    assert debt.remedy


def test_jobs_outside_of_pinned_environments(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    for number in range(5):
        run.job("r", wildcards={"n": str(number)}, writes={f"{number}": "1"}, environment=LOOSE)
    run.job("pinned", writes={"p": "1"})
    run.end()
    [debt] = _debts(run).values()
    assert debt.code == "unpinned-environment"
    assert debt.message == "5 jobs ran with the host's own packages, not pinned"
    assert (debt.jobs, debt.examples) == (5, ("r n=0", "r n=1", "r n=2"))


def test_jobs_in_environments_nobody_recorded(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"}, origin=Origin.LOCAL, environment=None)
    run.end()
    [debt] = _debts(run).values()
    assert debt.message == "1 job ran in an environment that is not recorded"


def test_metrics_without_a_seed(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("unseeded", writes={"a": "1"}, metrics={"auc": 0.5})
    run.job("tracked", writes={"b": "1"}, metrics={"auc": 0.5}, seeds={"numpy": 0})
    run.job("declared", writes={"c": "1"}, metrics={"auc": 0.5}, params=[("random_state", 4)])
    run.job("silent", writes={"d": "1"})
    run.end()
    [debt] = _debts(run).values()
    assert (debt.code, debt.examples) == ("no-seed", ("unseeded",))


def test_tolerances_without_a_cause(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    loose = Comparator(kind=ComparatorKind.JSON, rtol=1e-6)
    explained = dataclasses.replace(loose, cause="sums of threads")
    run.job("explained", writes={"a": "1"}, comparators={"a": explained})
    run.job("loose", writes={"b": "1"}, comparators={"b": loose})
    run.end()
    [debt] = _debts(run).values()
    assert (debt.code, debt.examples) == ("unexplained-tolerance", ("loose",))
    assert "within json(rtol=1e-06) only, and it is not said why" in debt.message


def test_files_that_changed_between_the_job_that_made_and_the_job_that_read_them(
    tmp_path: Path,
) -> None:
    run = Recording(tmp_path)
    run.job("make", writes={"a": "1"})
    (tmp_path / "a").write_text("meddled")
    run.job("use", reads=["a"], writes={"b": "1"})
    run.end()
    [debt] = _debts(run).values()
    assert (debt.code, debt.examples) == ("foreign-bytes", ("use",))


def test_findings_of_the_workers_are_passed_on(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"}, integrity=["input x changed while the job ran"])
    run.end()
    [debt] = _debts(run).values()
    assert "input x changed while the job ran" in debt.message


def test_what_no_rule_declares_is_a_debt(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job(
        "r", writes={"a": "1"}, violations=["read config/extra.yaml, which it does not declare"]
    )
    run.end()
    [debt] = _debts(run).values()
    assert debt.code == "undeclared"
    assert "rule r read config/extra.yaml, which it does not declare" in debt.message


def test_an_incomplete_record_says_what_is_missing(tmp_path: Path) -> None:
    run = Recording(tmp_path, completeness=["jobs without a wrapper are not seen"])
    run.job("r", writes={"a": "1"}, verdict=None)
    run.end()
    [debt] = _debts(run).values()
    assert debt.message == "the record is incomplete: jobs without a wrapper are not seen"


def test_jobs_whose_acceptance_is_unknown(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"}, verdict=None)
    run.close()
    assert _debts(run)["incomplete-record"].examples == ("r",)


def test_files_that_nobody_could_hash(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.end()
    text = run.worker_file.read_text()
    digest = open_index(tmp_path).makers("a")[0].file.digest
    run.worker_file.write_text(text.replace(f'"digest":"{digest}",', '"kind":"unobserved",'))
    assert "not hashed" in _debts(run)["incomplete-record"].message


def test_reused_results_bring_their_debts_along(tmp_path: Path) -> None:
    first = study(tmp_path, git=None)
    second = study_again(tmp_path)
    [debt] = report(open_index(tmp_path), second).debts
    assert (debt.code, debt.run_id) == ("not-under-git", first)
