"""`repro report --html` in a real browser: at 2,000 jobs, whatever names say, for everyone."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Opened, browser
from click.testing import CliRunner
from playwright.sync_api import Browser, Error, expect
from recordings import HOST, Recording, crowd, study, study_again

from snakemake_repro.cli import main
from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.records import GitState, JobStatus

pytestmark = pytest.mark.integration

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "</style><script>alert(3)</script>",
    '"><img src=x onerror=alert(4)>',
    "'onfocus=alert(5) autofocus='",
    "<svg onload=alert(6)>",
    "javascript:alert(7)",
    "\u2028alert(8)\u2029",
    "<!--<script>",
    "]]>{{ 7 * 7 }}{% raw %}",
    "\udcff\x00\x1b[31m\u202e",
    "&lt;b&gt;&#x3c;",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    with browser() as running:
        yield running


def _write(root: Path, *args: str) -> Path:
    command = ["report", *args, "-C", str(root), "--html", "report.html"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert "Wrote report.html" in result.stdout
    return root / "report.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 2,000 jobs."""
    root = tmp_path_factory.mktemp("large")
    crowd(root)
    return _write(root)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run that reuses results of an earlier one."""
    root = tmp_path_factory.mktemp("small")
    study(root)
    study_again(root)
    return _write(root)


@contextlib.contextmanager
def _open(chromium: Browser, file: Path, **settings: Any) -> Iterator[Opened]:
    context = chromium.new_context(**settings)
    try:
        opened = Opened(context.new_page(), file)
        yield opened
        if settings.get("java_script_enabled", True):
            assert opened.minded == []
    finally:
        context.close()


def _search(opened: Opened, text: str) -> str:
    """Search, and return what is said of it."""
    opened.page.fill("#query", text)
    opened.page.press("#query", "Enter")
    return opened.text("#matches")


def _shows(opened: Opened, title: str) -> None:
    """Wait until something is chosen."""
    expect(opened.page.locator("#panel h3")).to_have_text(title)


def test_a_page_of_2000_jobs_is_small_and_opens_quickly(chromium: Browser, large: Path) -> None:
    assert large.stat().st_size < 3_000_000
    times = []
    for _ in range(3):
        with _open(chromium, large) as opened:
            timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            times.append(opened.page.evaluate(timing))
            assert opened.page.locator("#graph .node").count() == 8
            assert opened.page.evaluate("document.querySelectorAll('*').length") < 2000
    assert min(times) < 2000


def test_rules_jobs_files_and_digests_are_found(chromium: Browser, large: Path) -> None:
    digest = digest_of_text("find_hits 0042").value
    with _open(chromium, large) as opened:
        assert _search(opened, "reconstruct_energy") == "661 found"
        assert _search(opened, "shower=0042") == "3 found"
        assert _search(opened, "0042 HITS") == "2 found"
        assert _search(opened, f"sha256:{digest}") == "1 found"
        assert _search(opened, digest[:9]) == "1 found"
        assert opened.text("#found") == "file hits/0042.parquet"
        assert _search(opened, "no such thing") == "Nothing found"
        assert _search(opened, "") == ""
        assert opened.page.get_attribute("#matches", "aria-live") == "polite"


def test_a_rule_is_expanded_page_by_page(chromium: Browser, large: Path) -> None:
    with _open(chromium, large) as opened:
        page = opened.page
        page.click("#graph .node[data-place=rule-1]")
        _shows(opened, "rule find_hits")
        assert page.locator("#panel .items li").count() == 20
        assert opened.text("#panel .turn") == "Back 1 to 20 of 660 More"
        page.click("#panel >> text=More")
        assert opened.text("#panel .turn") == "Back 21 to 40 of 660 More"
        assert opened.text("#panel .items li:first-child") == "find_hits shower=0020"
        page.fill("#narrow", "0659")
        assert page.locator("#panel .items li").count() == 1
        page.click("#panel .items a")
        _shows(opened, "job find_hits shower=0659")
        assert "zenith=59" in opened.text("#panel")
        page.go_back()
        _shows(opened, "rule find_hits")


def test_a_file_tells_its_history(chromium: Browser, large: Path) -> None:
    with _open(chromium, large) as opened:
        page = opened.page
        _search(opened, "hits/0042")
        page.click("#found a")
        _shows(opened, "file hits/0042.parquet")
        facts = opened.text("#panel > .facts")
        assert digest_of_text("find_hits 0042").value[:12] in facts
        assert "Made by find_hits shower=0042" in facts
        assert "commit 4e98fde01234" in facts
        assert "envs/learn.yaml" in facts
        assert "pinned" in facts
        above, below = (page.locator("#panel section").nth(n).inner_text() for n in (0, 1))
        assert "2 jobs of 2 rules, 2 files" in above
        assert "config/detector.yaml" in above
        assert "simulate shower=0042" in above
        assert "simulate shower=0043" not in above
        assert "21 jobs of 5 rules, 20 files" in below
        assert "not pinned" in below
        assert "results/depth8.pdf" in below
        near = page.locator("#graph .node.near, #graph .node.here")
        assert near.count() == 8


def test_what_thousands_of_jobs_went_into_stays_folded(chromium: Browser, large: Path) -> None:
    with _open(chromium, large) as opened:
        page = opened.page
        _search(opened, "depth8.pdf")
        page.click("#found a")
        _shows(opened, "file results/depth8.pdf")
        assert "1,983 jobs of 6 rules" in opened.text("#panel section >> nth=0")
        folded = page.locator("#panel details")
        assert folded.locator("summary").first.inner_text() == "simulate: 660 jobs"
        assert not folded.locator("li").first.is_visible()
        folded.locator("summary").first.click()
        expect(folded.locator("li").first).to_be_visible()
        assert page.evaluate("document.querySelectorAll('#panel li').length") < 150


def test_a_reused_job_names_the_run_that_did_its_work(chromium: Browser, small: Path) -> None:
    with _open(chromium, small) as opened:
        _search(opened, "train model=xgboost")
        opened.page.click("#found a")
        _shows(opened, "job train model=xgboost")
        text = opened.text("#panel")
        assert "Came out reused" in text
        assert "Code run " in text
        assert "Environment envs/learn.yaml" in text
        assert "seed=1" in text


def test_a_file_of_another_run_names_the_job_that_made_it(
    chromium: Browser, tmp_path: Path
) -> None:
    first = Recording(tmp_path)
    first.job("prepare", wildcards={"x": "1"}, writes={"a": "1"})
    first.end()
    second = Recording(tmp_path, minutes=60)
    second.job("use", reads=["a"], writes={"b": "2"})
    second.end()
    with _open(chromium, _write(tmp_path)) as opened:
        opened.page.click("section[aria-labelledby=inputs-title] th a")
        _shows(opened, "file a")
        facts = opened.text("#panel > .facts")
        assert f"Made by prepare x=1 With run {first.id[:8]}, commit 4e98fde01234" in facts
        assert "In envs/learn.yaml" in facts
        assert f"A job of run {first.id[:8]} made it" in opened.text("#panel")


def test_a_digest_is_shown_in_full_and_copied(chromium: Browser, small: Path) -> None:
    with _open(chromium, small, permissions=["clipboard-read", "clipboard-write"]) as opened:
        button = opened.page.locator("section[aria-labelledby=results] .digest")
        whole = digest_of_text("svm 0.82, xgboost 0.84\n").value
        assert button.inner_text() == whole[:12]
        button.click()
        assert button.inner_text() == whole
        expect(opened.page.locator("#said")).to_have_text("SHA-256 copied")
        assert opened.page.evaluate("navigator.clipboard.readText()") == whole


def test_plots_and_timeline_are_drawn(chromium: Browser, large: Path) -> None:
    with _open(chromium, large) as opened:
        plots = opened.page.locator(".plots figure")
        assert [
            " ".join(text.split()) for text in plots.locator("figcaption").all_inner_texts()
        ] == [
            "loss train by step, 9 jobs",
            "hits find_hits 660 jobs, median 87.5",
            "auc train 9 jobs, median 0.84",
        ]
        for drawn in plots.locator(".dots, .lines").all():
            assert (drawn.bounding_box() or {})["width"] > 100
        assert opened.page.locator(".timeline .area").count() == 7


def test_nothing_that_a_record_says_is_run_as_code(chromium: Browser, tmp_path: Path) -> None:
    run = Recording(
        tmp_path,
        command=["snakemake", *HOSTILE],
        git=GitState(commit=HOSTILE[0], branch=HOSTILE[1], url=HOSTILE[6], dirty=True),
        host=dataclasses.replace(HOST, name=HOSTILE[3], os=HOSTILE[0]),
    )
    for number, text in enumerate(HOSTILE):
        path = f"{number}/{text}".replace("\0", "")
        run.job(
            text,
            wildcards={text: text},
            writes={path: text},
            params=[(text, text), ("deep", {text: [text]})],
            metrics={text: [number, 2.0], f"{text}2": 1.0},
            seeds={text: 1},
            command=text,
            integrity=[text],
            violations=[text],
        )
        run.job("read", wildcards={"w": text}, reads=[path], writes={f"out/{number}": "1"})
    run.job("bad", status=JobStatus.FAILED, verdict="rejected", error=" ".join(HOSTILE))
    run.end("failed")
    with _open(chromium, _write(tmp_path)) as opened:
        page = opened.page
        assert page.locator("#graph .node").count() == len(HOSTILE) + 2
        for kind, count in (("rule", len(HOSTILE)), ("job", 25), ("file", 24)):
            for number in range(count):
                page.evaluate("place => { location.hash = place }", f"{kind}-{number}")
                expect(page.locator("#panel h3 .kicker")).to_have_text(kind)
        for text in HOSTILE:
            _search(opened, text)
            page.evaluate("text => { location.hash = text }", text)
        assert _search(opened, "<script>alert(1)") == "4 found"
        assert "<script>alert(1)</script>" in opened.text("#found")
        assert (
            page.locator("img, iframe, object, embed, [onerror], [onload], [onfocus]").count() == 0
        )
        assert page.locator("script").count() == 2
        addresses = page.evaluate(
            "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        )
        assert all(address.startswith("#") for address in addresses)


def test_a_result_that_is_a_page_is_shown_without_rights_of_its_own(
    chromium: Browser, tmp_path: Path
) -> None:
    bait = "<script>parent.minded.push(1)</script><img src=x onerror='parent.minded.push(2)'>"
    inner = f'<style>h1 {{ color: rgb(1, 2, 3) }}</style><h1>"Summary" &amp; more</h1>{bait}'
    run = Recording(tmp_path)
    run.job("page", writes={"results/summary.html": inner, "results/other.html": "<p>x</p>"})
    run.end()
    (tmp_path / "results/other.html").write_text("<p>no longer what the run made</p>")
    context = chromium.new_context()
    opened = Opened(context.new_page(), _write(tmp_path))
    expect(opened.page.locator("iframe")).to_have_count(1)
    title = opened.page.frame_locator("iframe").locator("h1")
    expect(title).to_have_text('"Summary" & more')
    expect(title).to_have_css("color", "rgb(1, 2, 3)")
    assert opened.page.evaluate("window.minded") == []
    assert set(opened.requests) - set(opened.refused) == {(tmp_path / "report.html").as_uri()}
    context.close()


def test_what_is_added_to_the_file_is_neither_run_nor_loaded(
    chromium: Browser, small: Path, tmp_path: Path
) -> None:
    bait = "<script>alert(1)</script><img src='http://127.0.0.1:9/x' onerror='alert(2)'>"
    style = "<link rel='stylesheet' href='x.css'><body style='color: red'>"
    changed = tmp_path / "changed.html"
    changed.write_text(small.read_text().replace("<main>", f"<main>{bait}{style}"))
    context = chromium.new_context()
    opened = Opened(context.new_page(), changed)
    assert opened.page.evaluate("window.ran") == []
    assert len(opened.page.evaluate("window.minded")) >= 3
    assert set(opened.refused.values()) == {"csp"}
    assert set(opened.requests) - set(opened.refused) == {changed.as_uri()}
    with pytest.raises(Error, match="TrustedHTML"):
        opened.page.evaluate("document.body.innerHTML = '<b>x</b>'")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("medium", ["screen", "print"])
def test_every_text_can_be_read(chromium: Browser, large: Path, scheme: Any, medium: Any) -> None:
    with _open(chromium, large, color_scheme=scheme) as opened:
        page = opened.page
        _search(opened, "0042")
        page.evaluate("location.hash = 'file-700'")
        expect(page.locator("#panel")).to_be_visible()
        page.emulate_media(media=medium, color_scheme=scheme)
        page.evaluate("document.getElementById('graph').classList.remove('lit')")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        dark = (scheme, medium) == ("dark", "screen")
        assert (ground != "rgb(255, 255, 255)") == dark
        assert opened.poor_contrast() == []
        page.evaluate(
            "document.querySelector('h1').style.color = getComputedStyle(document.body).backgroundColor"
        )
        assert len(opened.poor_contrast()) == 2


def test_on_paper_digests_are_whole_and_controls_are_gone(chromium: Browser, large: Path) -> None:
    with _open(chromium, large) as opened:
        page = opened.page
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert not page.locator("#search").is_visible()
        first = page.locator("section[aria-labelledby=results] .digest").first
        assert len(first.inner_text()) == 64
        for region in page.locator(".table").all():
            assert region.evaluate("e => e.scrollHeight <= e.clientHeight + 1")
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_page_works_with_a_keyboard_alone(chromium: Browser, large: Path) -> None:
    with _open(chromium, large) as opened:
        page = opened.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the summary"
        page.focus("#query")
        page.keyboard.type("hits/0042")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") == "hits/0042.parquet"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#panel h3")).to_be_focused()
        page.focus("#graph .node[data-place=rule-0]")
        page.keyboard.press("Enter")
        _shows(opened, "rule simulate")
        page.keyboard.press("Enter")
        page.focus("#panel .close")
        page.keyboard.press("Enter")
        expect(page.locator("#panel")).to_be_hidden()
        expect(page.locator("#query")).to_be_focused()


def test_its_structure_can_be_heard(chromium: Browser, small: Path) -> None:
    with _open(chromium, small) as opened:
        page = opened.page
        page.evaluate("location.hash = 'job-3'")
        expect(page.locator("#panel")).to_be_visible()
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        for landmark in ("banner", "navigation", "main", "contentinfo", "search"):
            assert page.get_by_role(landmark).count() == 1, landmark
        assert page.locator("th:not([scope])").count() == 0
        assert page.locator("html[lang]").count() == 1
        assert page.get_by_label("Search rules, jobs, files and SHA-256").count() == 1
        nameless = "[...document.querySelectorAll('a, button, svg[role=img]')].filter(e => !(e.ariaLabel || e.textContent.trim())).length"
        assert page.evaluate(nameless) == 0
        doubled = "(ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(e => e.id))"
        assert page.evaluate(doubled) == 0
        references = "[...document.querySelectorAll('[aria-labelledby]')].every(e => document.getElementById(e.getAttribute('aria-labelledby')))"
        assert page.evaluate(references)


def test_without_scripts_the_report_is_all_there(chromium: Browser, small: Path) -> None:
    with _open(chromium, small, java_script_enabled=False) as opened:
        page = opened.page
        assert "succeeded" in page.inner_text("h1")
        assert page.locator("#graph .node").count() == 6
        assert "results/summary.txt" in page.inner_text("section[aria-labelledby=results]")
        assert not page.locator("#search").is_visible()


def test_it_fits_a_telephone(chromium: Browser, large: Path) -> None:
    with _open(chromium, large, viewport={"width": 375, "height": 700}) as opened:
        opened.page.evaluate("location.hash = 'file-700'")
        expect(opened.page.locator("#panel")).to_be_visible()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 375
