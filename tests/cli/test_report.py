"""`repro report` says what a person wants to know, on 80 columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from recordings import CLEAN, LOOSE, PINNED, Recording, study, study_again

from snakemake_repro.logic import checks
from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.logic.debts import CODES
from snakemake_repro.records import Comparator, ComparatorKind, GitState, JobStatus, Origin

Repro = Callable[..., Result]


def test_it_says_who_what_when_and_with_what(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    result = repro("report")
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout
    assert text.startswith(f"Run {run_id[:8]} succeeded after 33 s, ")
    assert "8 jobs: 8 executed, 0 reused, 0 failed." in text
    assert "No reproducibility debt was found." in text
    assert re.search(r"started +2026-03-02 .* by alice on node1 \(Debian GNU/Linux 12\)", text)
    assert re.search(r"command +snakemake --executor ray", text)
    assert re.search(r"code +commit 4e98fde01234 on main, clean", text)
    assert "https://example.org/lab/showers.git" in text
    assert "experiment showers at sqlite:///mlflow.db" in text
    assert re.search(r"evaluate +auc  accuracy *\n  model=svm +0\.8312     0\.771", text)
    assert re.search(r"data/p\.dat +13 B +[0-9a-f]{12} +read_run", text)
    assert re.search(r"envs/learn\.yaml +pypi +[0-9a-f]{12} +pinned +8  3\.11\.7 +2", text)
    assert re.search(r"train +2 +3\.0 s +2\.6 s +180\.5 MiB", text)
    assert re.search(r"results/summary\.txt +[0-9a-f]{12} +this run\s+summary, learn", text)


def test_nothing_is_wider_than_the_terminal(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path, command=["snakemake", *["--config", "x=" + "y" * 70] * 4])
    deep = "/".join(["directory-with-a-long-name"] * 6)
    run.job("a_rule_with_a_remarkably_long_name", writes={f"{deep}/out": "1"}, metrics={"m": 1})
    run.job("b", wildcards={"w": "v" * 90}, reads=[f"{deep}/out"], status=JobStatus.FAILED,
            verdict="rejected", error="e" * 200)  # fmt: skip
    run.end("failed")
    for args in (("report",), ("report", "--all"), ("lineage", f"{deep}/out"), ("verify", "--all")):
        lines = repro(*args).stdout.splitlines()
        assert max(map(len, lines)) <= 80, args
    assert "a_rule_with_a_remarkably_long_name" in repro("report").stdout.replace("\n", "")


def test_after_one_parameter_changed_the_report_tells_old_from_new(
    repro: Repro, tmp_path: Path
) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    text = repro("report", "--all").stdout
    assert text.startswith(f"Run {second[:8]} succeeded")
    assert "3 executed, 5 reused, 0 failed" in text
    assert re.search(r"results/svm\.json +[0-9a-f]{12} +this run", text)
    assert re.search(rf"results/xgboost\.json +[0-9a-f]{{12}} +{first[:8]}, \d+ \w+ ago", text)
    assert re.search(rf"model=xgboost +0\.8312 +0\.771  {first[:8]}", text)
    summed = repro("report").stdout
    assert re.search(r"train +2 +16 B +1 +1 ", summed)


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        ("succeeded", "succeeded", 0),
        ("failed", "failed", 1),
        ("interrupted", "was interrupted", 1),
        (None, "has no end on record", 2),
    ],
)
def test_the_exit_code_says_how_the_run_ended(
    repro: Repro, tmp_path: Path, status: str | None, words: str, code: int
) -> None:
    run = Recording(tmp_path)
    run.job("r", writes={"a": "1"})
    run.close() if status is None else run.end(status)
    result = repro("report")
    assert result.exit_code == code
    assert result.stdout.startswith(f"Run {run.id[:8]} {words}")


def test_failures_come_first_with_error_and_log(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("bad", status=JobStatus.FAILED, verdict="rejected", error="exit status 1")
    run.job("bad", attempt=2, status=JobStatus.FAILED, verdict="rejected", error="exit status 2")
    run.end("failed")
    text = repro("report").stdout
    assert re.search(r"Not done\n  bad  failed after 2 attempts: exit status 2 *\n", text)
    assert "log: .snakemake/ray/bad/2.log" in text
    assert "1 failed; 1 retried." in text


def test_debts_are_listed_with_how_to_pay_them(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path, git=GitState(commit=CLEAN.commit, dirty=True, diff="+x"))
    run.job("fit", writes={"a": "1"}, metrics={"auc": 0.5}, environment=LOOSE)
    run.end()
    text = repro("report").stdout
    assert "3 reproducibility debts, see the end." in text
    assert "the code differed from commit 4e98fde01234; the difference is in the record" in text
    assert "1 job ran with the host's own packages, not pinned (fit)" in text
    assert "1 job reported metrics, but no seed (fit)" in text
    assert "repro lock" in text
    assert "on main, dirty" not in text
    assert "commit 4e98fde01234, dirty" in text
    assert "not pinned" in text


def test_outside_of_git_it_says_so(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path, git=None)
    run.job("r", writes={"a": "1"})
    run.end()
    assert re.search(r"code +not under git", repro("report").stdout)


def test_a_run_is_chosen_by_id_prefix_file_or_digest(repro: Repro, tmp_path: Path) -> None:
    first, second = study(tmp_path), study_again(tmp_path)
    for name, expected in ((first, first), (first[:8], first), ("results/xgboost.json", first),
                           ("results/svm.json", second), ("latest", second)):  # fmt: skip
        data = json.loads(repro("report", name, "--json").stdout)
        assert data["report"]["run_id"] == expected


def test_json_holds_every_field_always(repro: Repro, tmp_path: Path) -> None:
    first = study(tmp_path)
    result = repro("report", "--json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["schema"], result.stderr) == (0, 1, "")
    report = data["report"]
    assert set(report) == {
        "run_id", "name", "verdict", "started", "finished", "duration_s", "user", "host",
        "command", "executor", "snakefile", "targets", "versions", "experiment", "tracking_uri",
        "sources", "planned", "jobs", "failures", "rules", "environments", "inputs", "outputs",
        "metrics", "tolerances", "debts",
    }  # fmt: skip
    assert report["run_id"] == first
    assert report["verdict"] == "succeeded"
    assert report["planned"] is None
    assert report["jobs"]["executed"] == 8
    output = next(file for file in report["outputs"] if file["path"] == "results/svm.json")
    assert output["environment_digest"] == str(PINNED.digest)
    assert (output["age"], output["final"], output["run_id"]) == ("new", False, first)
    assert output["digest"].startswith("sha256:")


def test_two_thousand_jobs_stay_readable(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    (tmp_path / "in").write_text("in")
    for number in range(2000):
        name = f"{number:04}"
        run.job(
            "simulate" if number % 2 else "draw",
            wildcards={"n": name},
            reads=["in"],
            writes={f"out/{name}": name},
            metrics={"energy": number},
            seeds={"numpy": number},
        )
    run.end()
    result = repro("report")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) < 60
    assert re.search(r"simulate +1,000 +3\.9 KiB +1,000 +0 +out/0001", result.stdout)
    assert re.search(r"draw +energy +1,000 +0 +999 +1998", result.stdout)
    assert len(repro("report", "--all").stdout.splitlines()) > 4000


def test_results_nobody_recorded_are_called_so(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    run = Recording(tmp_path)
    run.job("make", writes={"old": None}, origin=Origin.REUSED, environment=None)
    run.end()
    assert re.search(r"old +[0-9a-f]{12} +not recorded", repro("report").stdout)


def test_many_metrics_of_a_job_are_wrapped_between_pairs(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path)
    metrics = {f"a_metric_with_number_{number}": number / 7 for number in range(12)}
    run.job("fit", writes={"a": "1"}, metrics=metrics, seeds={"numpy": 1})
    run.end()
    text = repro("report").stdout
    for number in range(1, 7):
        assert re.search(rf"a_metric_with_number_{number}=0\.{str(number / 7)[2:5]}", text)
    assert max(map(len, text.splitlines())) <= 80


def test_it_ends_with_the_paragraph_and_the_commands(repro: Repro, tmp_path: Path) -> None:
    run_id = study(tmp_path)
    text = " ".join(repro("report").stdout.split())
    assert "Methods to paste into a paper The workflow showers (commit 4e98fde" in text
    assert text.endswith(f"git checkout {CLEAN.commit} && snakemake --executor ray")
    data = json.loads(repro("report", run_id, "--json").stdout)
    assert data["methods"].startswith("The workflow showers")
    assert data["rerun"].startswith("git checkout")


def test_a_debt_can_fail_the_command(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    assert repro("report", "--fail-on", "any").exit_code == 0
    loose = Recording(tmp_path, minutes=60)
    loose.job("a", writes={"a": "1"}, environment=LOOSE)
    loose.end()
    for debt in ("unpinned-environment", "any"):
        result = repro("report", "--fail-on", "no-seed", "--fail-on", debt)
        assert result.exit_code == 1
        assert "debts that --fail-on names: unpinned-environment." in result.stderr
    assert repro("report", "--fail-on", "no-seed").exit_code == 0
    assert repro("report").exit_code == 0
    assert repro("report", "--fail-on", "nothing-of-that-name").exit_code == 2


def test_outputs_that_are_compared_by_content_are_listed(repro: Repro, tmp_path: Path) -> None:
    loose = Comparator(kind=ComparatorKind.JSON, rtol=1e-6)
    told = Comparator(kind=ComparatorKind.TEXT, ignore=("<at>",), cause="it holds <b>the time</b>")
    run = Recording(tmp_path)
    run.job("fit", writes={"a": "1", "b": "2"}, comparators={"a": loose, "b": loose})
    run.job("log", writes={"c": "3"}, comparators={"c": told})
    run.end()
    text = " ".join(repro("report").stdout.split())
    assert "fit 2 json(rtol=1e-06) not said" in text
    assert "log 1 text(ignore=['<at>']) it holds <b>the time</b>" in text
    assert "| `fit` | 2 | `json(rtol=1e-06)` | not said |" in repro("report", "--md").stdout
    [first, _] = json.loads(repro("report", "--json").stdout)["report"]["tolerances"]
    assert first == {"rule": "fit", "comparator": "json(rtol=1e-06)", "cause": None, "files": 2}
    page = tmp_path / "page.html"
    assert repro("report", "--html", page).exit_code == 0
    html = page.read_text()
    assert "json(rtol=1e-06)" in html
    assert "it holds &lt;b&gt;the time&lt;/b&gt;" in html


def test_every_kind_of_debt_can_be_named() -> None:
    source = Path(checks.__file__).read_text()
    written = set(re.findall(r'code="([a-z-]+)"', source))
    written |= set(re.findall(r'_about\(\s*\w+,\s*"([a-z-]+)"', source))
    assert written == set(CODES)


def test_markdown_holds_names_in_code_spans(repro: Repro, tmp_path: Path) -> None:
    run = Recording(tmp_path, command=["snakemake", "`x`"])
    run.job("[bold]", writes={"a|b `c`": "1", "<script>": "2"}, metrics={"m_1": 0.5})
    run.job("use", reads=["in"], writes={"o": "3"}, environment=LOOSE)
    run_id = run.end()
    result = repro("report", "--md")
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith(f"# Run `{run_id[:8]}` of showers\n\n**Succeeded** after ")
    digest = digest_of_text("1").value
    assert f"| `` a\\|b `c` `` | `{digest}` | `[bold]` | `envs/learn.yaml` | this run |" in text
    assert "| `[bold]` | `m_1` | 0.5 |" in text
    assert "- **unpinned-environment**: 1 job ran with the host's own packages" in text
    assert "\n## Run it again\n\n```bash\ngit checkout " in text
    outside = re.sub(r"(`+).*?\1", "", text, flags=re.DOTALL)
    assert "<script>" not in outside
