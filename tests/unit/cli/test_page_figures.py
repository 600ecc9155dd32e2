"""The figures of the report's page: what they say, and that all of it lies within them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recordings import Recording, crowd, study, study_again

from snakemake_repro.backends.index import open_index
from snakemake_repro.cli._page_charts import PLOT_HEIGHT, PLOT_WIDTH, clock, plots
from snakemake_repro.cli._page_graph import graph
from snakemake_repro.logic.atlas import Atlas
from snakemake_repro.logic.plots import spreads
from snakemake_repro.logic.timeline import timeline
from snakemake_repro.operations.report import report_with_atlas
from snakemake_repro.records import JobStatus


def _atlas(root: Path, run_id: str) -> Atlas:
    return report_with_atlas(open_index(root), run_id)[1]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    root = tmp_path_factory.mktemp("large")
    return _atlas(root, crowd(root))


def test_a_box_says_how_many_jobs_a_rule_has_and_how_they_came_out(tmp_path: Path) -> None:
    study(tmp_path)
    drawn = graph(_atlas(tmp_path, study_again(tmp_path)))
    boxes = {node.title: node for node in drawn.nodes}
    assert list(boxes) == ["inputs", "read_run", "features", "train", "evaluate", "summary"]
    assert (boxes["inputs"].detail, boxes["inputs"].place) == ("2 files", "inputs")
    train = boxes["train"]
    assert (train.detail, train.place) == ("2 jobs", "rule-2")
    assert [part.mood for part in train.parts] == ["good", "old"]
    assert train.parts[0].width == train.parts[1].width
    ends = {(drawn.nodes[c.start].title, drawn.nodes[c.end].title) for c in drawn.curves}
    assert ("inputs", "read_run") in ends
    assert ("features", "evaluate") in ends


def test_long_names_are_cut_and_kept(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("a_rule_with_a_remarkably_long_name", writes={"a": "1"})
    run.end()
    [node] = graph(_atlas(tmp_path, run.id)).nodes
    assert node.title == "a_rule_with_a_remarkably_long_name"
    assert node.label == "a_rule_with_a_remarkably_\N{HORIZONTAL ELLIPSIS}"


def test_2000_jobs_make_no_more_boxes_than_rules(large: Atlas) -> None:
    drawn = graph(large)
    assert len(drawn.nodes) == 1 + len(large.rules) == 8
    assert [node.parts[0].mood for node in drawn.nodes if node.title == "publish"] == ["bad"]


def test_the_timeline_of_many_shows_how_many_ran(large: Atlas) -> None:
    drawn = clock(large, timeline(large))
    assert [row.label for row in drawn.rows][:3] == ["simulate", "find_hits", "reconstruct_energy"]
    assert drawn.rows[0].detail == "12 at a time at most"
    assert all(row.path and not row.rods for row in drawn.rows)
    assert [tick.label for tick in drawn.ticks] == ["0 s", "30 min", "1 h", "1 h 30 min", "2 h"]
    numbers = [float(n) for row in drawn.rows for n in re.findall(r"H([\d.]+)", row.path)]
    assert max(numbers) <= drawn.width


def test_the_timeline_of_few_shows_each(tmp_path: Path) -> None:
    run = Recording(tmp_path)
    run.job("r", wildcards={"x": "1"}, status=JobStatus.FAILED, verdict="rejected")
    run.job("r", wildcards={"x": "1"}, writes={"a": "1"}, attempt=2)
    run.end()
    found = _atlas(tmp_path, run.id)
    [row] = clock(found, timeline(found)).rows
    assert [rod.mood for rod in row.rods] == ["bad", "good"]
    assert [rod.title for rod in row.rods] == ["r x=1: 1.5 s"] * 2
    assert row.path == ""


def test_plots_hold_their_points(large: Atlas) -> None:
    drawn = {plot.metric: plot for plot in plots(large, spreads(large))}
    assert drawn["hits"].detail == "660 jobs, median 87.5"
    assert (drawn["hits"].few, drawn["auc"].few, drawn["loss"].lines) == (False, True, True)
    assert drawn["loss"].detail == "by step, 9 jobs"
    for plot in drawn.values():
        points = re.findall(r"[ML]([\d.]+) ([\d.]+)", plot.path)
        assert all(float(x) <= PLOT_WIDTH and float(y) <= PLOT_HEIGHT for x, y in points)
        assert plot.up
