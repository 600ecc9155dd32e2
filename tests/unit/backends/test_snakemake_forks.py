"""What a fork tells Snakemake of the environments of its jobs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.benchmark import BenchmarkRecord
from snakemake.exceptions import WorkflowError

from snakemake_repro.backends.snakemake_forks import Surroundings, check_seams, put_figures
from snakemake_repro.records.tasks import Inside

_INSIDE = Inside(rule="a", wildcards={"x": "1"}, name="envs/a.yaml", digest="sha256:0")


def _job(rule: str, **wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards=wildcards)


def test_this_snakemake_is_built_as_forks_need_it() -> None:
    check_seams()


def test_a_job_has_the_environment_that_the_worker_named(tmp_path: Path) -> None:
    host = Inside(rule="b", name="host", digest="sha256:1", host=True)
    surroundings = Surroundings([_INSIDE, host], tmp_path)
    assert surroundings.of(_job("a", x="1")) == _INSIDE
    assert surroundings.of(_job("b")) is None


def test_a_job_that_nobody_named_is_refused_and_not_run_on_the_host(tmp_path: Path) -> None:
    surroundings = Surroundings([_INSIDE], tmp_path)
    for stranger in (_job("a", x="2"), _job("c")):
        with pytest.raises(WorkflowError, match="in which environment"):
            surroundings.of(stranger)


def test_a_benchmark_shows_a_dash_for_what_a_cgroup_does_not_count() -> None:
    record = BenchmarkRecord()
    record.running_time = 2.0
    put_figures(record, cpu_s=3.0, peak_mb=12.5)
    assert record.to_tsv(extended_fmt=False) == "2.00\t0:00:02\t12.50\t-\t-\t-\t-\t-\t150.00\t3.00"
