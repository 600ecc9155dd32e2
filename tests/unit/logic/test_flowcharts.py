"""Lineage as DOT and Mermaid: every file and job once, arrows with the data, labels inert."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.flowcharts import dot, flowchart, mermaid
from snakemake_repro.logic.lineage import Cut, FileNode, JobNode, More, Step
from snakemake_repro.records import Digest, JobState, JobStatus, Origin

A, B = Digest("a" * 64), Digest("b" * 64)
DOT_LINE = re.compile(
    r'digraph lineage \{|  rankdir=LR;|\}|  n\d+ -> n\d+;|  n\d+ \[label="(?:[^"\\]|\\.)*", '
    r"shape=(?:note|plaintext|box, style=rounded)\];"
)
MERMAID_LINE = re.compile(
    r'flowchart LR|  n\d+ --> n\d+|  n\d+(?:\(\[|\[)"(?:[^"<>`]|<br/>)*"(?:\]\)|\])'
)


def _step(name: str = "train") -> Step:
    return Step(
        id=f"id of {name}",
        run_id="0123456789abcdef",
        rule=name,
        wildcards={"m": "svm"},
        origin=Origin.RAY,
        status=JobStatus.SUCCEEDED,
        state=JobState.ACCEPTED,
        at="1",
        environment=B,
        environment_name="envs/x.yaml",
        commit="c" * 40,
        dirty=True,
    )


TREE = FileNode(
    path="out",
    digest=A,
    jobs=(
        JobNode(
            step=_step(),
            files=(
                FileNode(path="in", digest=B, altered=True),
                FileNode(path="mid", digest=B, jobs=(JobNode(step=_step(), cut=Cut.REPEATED),)),
            ),
            more=(More(rule="split", count=3), More(rule=None, count=1)),
        ),
    ),
)


def test_arrows_point_the_way_that_data_flows() -> None:
    up = flowchart([TREE], downstream=False)
    assert (f"file {B} in", "job id of train") in up.edges
    assert ("job id of train", f"file {A} out") in up.edges
    down = flowchart([TREE], downstream=True)
    assert {(b, a) for a, b in up.edges} == set(down.edges)


def test_dot_says_what_each_node_is() -> None:
    text = dot(flowchart([TREE, TREE], downstream=False))
    assert text.count("train m=svm") == 1
    label = r"train m=svm\nrun 01234567\ncommit cccccccccccc + changes\nenvs/x.yaml bbbbbbbbbbbb"
    assert f'[label="{label}", shape=box, style=rounded]' in text
    assert r'[label="in\nbbbbbbbbbbbb\nno recorded job wrote these bytes", shape=note]' in text
    assert '[label="3 more files of split", shape=plaintext]' in text
    assert '[label="1 more file", shape=plaintext]' in text


def test_mermaid_says_the_same() -> None:
    text = mermaid(flowchart([TREE], downstream=False))
    assert text.startswith('flowchart LR\n  n0["out<br/>aaaaaaaaaaaa"]\n')
    assert text.count("-->") == 6


@given(st.text(), st.text())
def test_no_name_can_be_anything_but_a_label(path: str, rule: str) -> None:
    tree = FileNode(path=path, digest=A, jobs=(JobNode(step=_step(rule)),))
    chart = flowchart([tree], downstream=True)
    assert all(map(DOT_LINE.fullmatch, dot(chart).split("\n")))
    assert all(map(MERMAID_LINE.fullmatch, mermaid(chart).split("\n")))
