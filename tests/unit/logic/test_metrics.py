"""What jobs say of themselves is taken where it makes sense and reported where it does not."""

from __future__ import annotations

import pytest

from snakemake_repro.logic.metrics import parse, redacted
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import Metric, Trial, TrialState


def test_metrics_params_seeds_and_tags_are_read() -> None:
    report = parse(
        [
            b'{"auc": 0.97, "step": 3}\n',
            b'{"$params": {"lr": 0.1}, "$seeds": {"numpy": 7}, "$tags": {"kind": "x"}}\n',
            b"\n",
            b'{"n": 2, "timestamp": 5}\n',
        ],
        now_ms=1,
    )
    assert report.metrics == (
        Metric(name="auc", value=0.97, step=3, timestamp=1),
        Metric(name="n", value=2.0, step=0, timestamp=5),
    )
    assert report.params == {"lr": 0.1}
    assert report.seeds == {"numpy": 7}
    assert report.tags == {"kind": "x"}
    assert report.problems == ()


def test_trials_are_read_and_the_last_word_on_each_counts() -> None:
    report = parse(
        [
            b'{"$trial": {"number": 1, "state": "pruned", "metrics": [{"loss": 2, "step": 5}]}}',
            b'{"$trial": {"number": 0, "params": {"depth": 2}}}',
            b'{"$trial": {"number": 0, "params": {"depth": 3}, "metrics": [{"loss": 1}]}}',
        ],
        now_ms=7,
    )
    assert report.problems == ()
    assert report.metrics == ()
    assert report.trials == (
        Trial(
            number=0,
            params={"depth": 3},
            metrics=(Metric(name="loss", value=1.0, timestamp=7),),
        ),
        Trial(
            number=1,
            state=TrialState.PRUNED,
            metrics=(Metric(name="loss", value=2.0, step=5, timestamp=7),),
        ),
    )


def test_a_secret_among_the_parameters_of_a_trial_is_replaced() -> None:
    [trial] = redacted(
        [Trial(number=0, params={"key": "s3cr3t-value"})], Redactor({"KEY": "s3cr3t-value"})
    )
    assert trial.params == {"key": "<redacted KEY>"}


@pytest.mark.parametrize(
    "line",
    [
        b"auc=1",
        b"[1]",
        b'{"auc": "high"}',
        b'{"auc": NaN}',
        b'{"auc": true}',
        b"\xff",
        b'{"$seeds": 3}',
        b'{"$trial": 3}',
        b'{"$trial": {"state": "complete"}}',
        b'{"$trial": {"number": 0, "state": "tired"}}',
        b'{"$trial": {"number": 0, "metrics": [{"loss": "low"}]}}',
    ],
)
def test_a_line_that_makes_no_sense_is_a_problem_not_an_error(line: bytes) -> None:
    report = parse([line, b'{"good": 1}'], now_ms=0)
    assert [metric.name for metric in report.metrics] == ["good"]
    assert len(report.problems) == 1
    assert report.problems[0].startswith("metrics line 1:")


def test_many_problems_are_counted_not_listed() -> None:
    report = parse([b"x"] * 100, now_ms=0)
    assert len(report.problems) == 6
    assert report.problems[-1] == "and 95 more metrics lines that cannot be read"
