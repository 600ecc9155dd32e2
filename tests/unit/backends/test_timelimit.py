"""A limit ends what takes too long, and nothing after it."""

from __future__ import annotations

import signal
import time

import pytest

from snakemake_repro.backends.timelimit import OverrunError, time_limit

pytestmark = pytest.mark.timeout(120, method="thread")  # the other method is this very alarm


def test_what_takes_too_long_is_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(OverrunError), time_limit(0.05):
        time.sleep(60)
    assert time.monotonic() - began < 30


def test_what_is_in_time_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_without_a_limit_no_clock_runs() -> None:
    with time_limit(None):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
