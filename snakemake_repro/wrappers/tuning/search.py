"""A search from its first trial to its end, in batches or asynchronous."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Self

from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.batches import Batches
from snakemake_repro.wrappers.tuning.flow import Flow
from snakemake_repro.wrappers.tuning.journal import Journal
from snakemake_repro.wrappers.tuning.order import Order
from snakemake_repro.wrappers.tuning.runner import Runner
from snakemake_repro.wrappers.tuning.study import Study
from snakemake_repro.wrappers.tuning.trials import Found, best_of, by_number


class Search:
    """A search under way; a context, which ends what runs when it is left."""

    def __init__(self, order: Order) -> None:
        """Prepare it.

        Raises:
            WrapperError: It cannot be done as ordered.
        """
        self._order = order
        self._study = Study(order)
        self._journal = Journal(order)
        self._runner = Runner(order, self._journal)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what runs."""
        self._runner.close()

    def run(self) -> Found:
        """Run it to its end.

        Raises:
            WrapperError: No trial came to its end, or the recorded order does not fit.
        """
        kind = Flow if self._order.asynchronous else Batches
        search = kind(self._order, self._study, self._journal, self._runner)
        with ThreadPoolExecutor(self._runner.width) as pool:
            try:
                course = search.run(pool)
            except BaseException:
                self._runner.close()  # threads wait for their trials
                raise
        tried = by_number(course.tried)
        best = best_of(self._order.objectives, tried)
        if not best:
            raise WrapperError(
                f"expected at least one of {len(tried)} trials to end with a value, got none; the "
                f"last: {tried[-1].problem or tried[-1].state}",
                hint="the job's log has what the trials printed",
            )
        return Found(tried=tried, best=best, study=self._study.optuna, course=course)

    def done(self) -> None:
        """Forget the trials: the results are written."""
        self._journal.remove()
