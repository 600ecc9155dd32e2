"""`repro report --html` writes one file that holds everything and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from click.testing import Result
from recordings import LOOSE, Recording, study, study_again

from snakemake_repro.records import JobStatus

Repro = Callable[..., Result]


class _Elements(HTMLParser):
    """The elements of a page, and the text in each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:
            self.texts.append(data)


def _data(text: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def test_it_says_what_the_report_says(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    second = study_again(tmp_path)
    result = repro("report", "--html", "out/report.html")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"Wrote out/report\.html, \d+\.\d KiB\.\n", result.stdout)
    text = (tmp_path / "out" / "report.html").read_text()
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert f"Run {second[:8]} succeeded" in plain
    assert "8 jobs 3 executed 5 reused 0 failed" in plain
    assert "by alice on node1 (Debian GNU/Linux 12)" in plain
    assert "None was found." in plain
    assert "evaluate model=xgboost auc 0.8312" in plain
    assert "The workflow showers (commit 4e98fde" in plain
    assert "git checkout 4e98fde" in plain


def test_the_browser_may_do_nothing_but_show_and_run_what_is_ours(
    repro: Repro, tmp_path: Path
) -> None:
    study(tmp_path)
    repro("report", "--html", "report.html")
    page = _Elements((tmp_path / "report.html").read_text())
    [policy] = [a["content"] for tag, a in page.found if a.get("http-equiv")]
    style, _, script = page.texts
    known = [
        base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (style, script)
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{known[0]}'; script-src 'sha256-{known[1]}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    )
    for tag, attributes in page.found:
        assert not {"src", "style", "action", "srcset"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    assert "url(" not in style.replace("url(#", "")
    for written in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert written not in script


def test_names_are_text_wherever_they_stand(repro: Repro, tmp_path: Path) -> None:
    bad = "</script><script>alert('x' & \"y\")</script>\u2028\x1b[31m\u202e{{ 7 * 7 }}"
    run = Recording(tmp_path, command=["snakemake", bad])
    run.job(bad, wildcards={bad: bad}, writes={f"a{bad}": "1"}, metrics={bad: 1.0},
            params=[(bad, [bad])], command=bad, environment=LOOSE)  # fmt: skip
    run.job("b", status=JobStatus.FAILED, verdict="rejected", error=bad)
    run.end("failed")
    assert repro("report", "--html", "report.html").exit_code == 1
    text = (tmp_path / "report.html").read_text()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert [tag for tag, _ in _Elements(text).found].count("script") == 2
    assert "<script>alert" not in text
    assert "{{ 7 * 7 }}" in text
    data = _data(text)
    path = str(data["files"][0]["path"])
    assert path.startswith(r"$'a</script><script>alert(\'x\' & ")
    assert path.endswith(r"</script>\u2028\x1b[31m\u202e{{ 7 * 7 }}'")


def test_the_data_holds_every_job_and_file_with_whole_digests(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    repro("report", "--html", "report.html")
    data = _data((tmp_path / "report.html").read_text())
    assert len(data["jobs"]) == 8
    assert [file["path"] for file in data["files"] if "maker" not in file] == [
        "data/Fe.dat",
        "data/p.dat",
    ]
    assert all(len(str(file["digest"])) == 64 for file in data["files"])
    assert data["jobs"][0]["rule"] == 0


def test_json_and_the_exit_code_stay_what_they_are(repro: Repro, tmp_path: Path) -> None:
    study(tmp_path)
    loose = Recording(tmp_path, minutes=60)
    loose.job("a", writes={"a": "1"}, environment=LOOSE)
    loose.end()
    result = repro("report", "--html", "r.html", "--json", "--fail-on", "any")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["report"]["run_id"] == loose.id
    assert (tmp_path / "r.html").is_file()


def test_the_file_is_named_from_the_working_directory(repro: Repro, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    study(tmp_path / "study")
    assert repro("report", "-C", "study", "--html", "r.html").exit_code == 0
    assert (tmp_path / "study" / "r.html").is_file()


def test_a_place_that_cannot_be_written_is_an_error_that_says_so(
    repro: Repro, tmp_path: Path
) -> None:
    study(tmp_path)
    (tmp_path / "file").write_text("x")
    result = repro("report", "--html", "file/report.html")
    assert result.exit_code == 3
    assert "cannot write the report" in result.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".report")] == []


def test_a_run_without_jobs_has_a_page_too(repro: Repro, tmp_path: Path) -> None:
    Recording(tmp_path).end()
    assert repro("report", "--html", "report.html").exit_code == 0
    assert "0</b> jobs" in (tmp_path / "report.html").read_text()
