"""From the histories of two runs to their comparison."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from snakemake_repro.logic.change import Change, ChangeKind, FileChange
from snakemake_repro.logic.changes import Side, changes, files_that_differ, identity, unexplained
from snakemake_repro.logic.comparison import (
    Comparison,
    Finding,
    Following,
    Likeness,
    MetricChange,
    NotDone,
    RunHead,
)
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.logic.made import Age, Made, last_metrics
from snakemake_repro.logic.outcomes import outcomes
from snakemake_repro.records import Digest


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A run to compare, with the attempts that really made its results."""

    history: RunHistory
    made: tuple[Made, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Difference:
    """What differs of one job.

    Attributes:
        own: What does not follow from other jobs.
        follows: Whether inputs differ that other jobs made.
        outputs: What it wrote that is not the same.
        tolerated: What it wrote that counts as the same.
    """

    job: str
    rule: str
    own: tuple[Change, ...]
    follows: bool
    outputs: tuple[FileChange, ...]
    tolerated: tuple[FileChange, ...] = ()
    beside: tuple[Change, ...] = ()


def compare(
    old: Compared, new: Compared, judge: Callable[[Made, FileChange], FileChange] | None = None
) -> Comparison:
    """Return how two runs differ.

    Args:
        old: A run.
        new: Another one, perhaps its repeat.
        judge: Asks the comparator that a job declares about an output whose bytes differ.
    """
    pairs, not_done = _matched(old, new)
    written = [_written(run.made) for run in (old, new)]
    differences = [_difference(a, b, written[0], written[1], judge) for a, b in pairs]
    found = [one for one in differences if one.own or one.follows or one.outputs]
    not_compared = tuple(b.job.label for a, b in pairs if _unhashed(a) or _unhashed(b))
    differs = bool(not_done) or any(one.outputs for one in found)
    tolerated = tuple(file for one in differences for file in one.tolerated)
    changed = bool(found or tolerated)
    return Comparison(
        likeness=_likeness(differs=differs, changed=changed, blind=bool(not_compared)),
        old=_head(old.history),
        new=_head(new.history),
        same=len(differences) - len(found),
        findings=tuple(_findings(found)),
        following=tuple(_following(found)),
        not_done=tuple(not_done),
        not_compared=not_compared,
        tolerated=tolerated,
        metrics=tuple(_metrics(old.made, new.made)),
    )


def _likeness(*, differs: bool, changed: bool, blind: bool) -> Likeness:
    if differs:
        return Likeness.DIFFERENT
    if blind:
        return Likeness.UNDECIDED
    return Likeness.SAME_RESULTS if changed else Likeness.IDENTICAL


def _head(history: RunHistory) -> RunHead:
    git = history.run.git
    return RunHead(
        run_id=history.run.id,
        started=history.run.started,
        status=None if history.end is None else history.end.status,
        commit=None if git is None else git.commit,
        dirty=None if git is None else git.dirty,
        versions=history.run.versions,
    )


def _matched(old: Compared, new: Compared) -> tuple[list[tuple[Made, Made]], list[NotDone]]:
    """Pair jobs by rule and wildcards, what is left by outputs; return the rest as not done."""
    before = {item.job.label: item for item in old.made}
    after = {item.job.label: item for item in new.made}
    by_path = {
        file.path: label
        for label, item in before.items()
        if label not in after
        for file in item.job.files
    }
    pairs: list[tuple[Made, Made]] = []
    taken: set[str] = set()
    for label, item in after.items():
        other = label if label in before else _first(by_path, item)
        if other is not None and other not in taken:
            taken.add(other)
            pairs.append((before[other], item))
    paired = {b.job.label for _, b in pairs}
    results = [{job.label: job.result for job in outcomes(run.history)} for run in (old, new)]
    not_done = [
        NotDone(job=label, old=results[0].get(label), new=results[1].get(label))
        for label in dict.fromkeys((*after, *before))
        if label not in paired and label not in taken
    ]
    return pairs, not_done


def _first(by_path: Mapping[str, str], item: Made) -> str | None:
    return next((by_path[file.path] for file in item.job.files if file.path in by_path), None)


def _written(made: Sequence[Made]) -> dict[str, Digest | None]:
    return {file.path: file.digest for item in made for file in item.job.files}


def _difference(
    old: Made,
    new: Made,
    before: Mapping[str, Digest | None],
    after: Mapping[str, Digest | None],
    judge: Callable[[Made, FileChange], FileChange] | None,
) -> _Difference:
    a, b = (Side(record=item.record, history=item.history) for item in (old, new))
    label, rule = new.job.label, new.job.rule
    if old.record.id == new.record.id:
        return _Difference(job=label, rule=rule, own=(), follows=False, outputs=())
    found = changes(a, b)
    following = [one for one in found if _made_elsewhere(one, before, after)]
    own = tuple(one for one in found if one not in following)
    files = files_that_differ(old.job.files, new.job.files)
    if judge is not None:
        files = tuple(judge(old, file) for file in files)
    outputs = tuple(file for file in files if not file.tolerated)
    beside: tuple[Change, ...] = ()
    if outputs and not found:
        own = (_unaccounted(old, new),)
        beside = unexplained(a, b)
    return _Difference(
        job=label,
        rule=rule,
        own=own,
        follows=bool(following),
        outputs=outputs,
        tolerated=tuple(file for file in files if file.tolerated),
        beside=beside,
    )


def _unaccounted(old: Made, new: Made) -> Change:
    """Return why bytes differ although nothing that determines them does."""
    if Age.UNRECORDED in (old.age, new.age):
        return Change(kind=ChangeKind.UNRECORDED, name=new.job.rule)
    return Change(kind=ChangeKind.NONDETERMINISM, name=new.job.rule)


def _made_elsewhere(
    change: Change,
    before: Mapping[str, Digest | None],
    after: Mapping[str, Digest | None],
) -> bool:
    """Tell whether a change of an input is what other jobs of the runs made of it."""
    path = change.name
    if change.kind is not ChangeKind.INPUT or path is None:
        return False
    sides = ((change.old, before.get(path)), (change.new, after.get(path)))
    made = [wrote is not None and read == str(wrote) for read, wrote in sides]
    gone = [read is None and wrote is None for read, wrote in sides]
    return any(made) and all(m or g for m, g in zip(made, gone, strict=True))


def _unhashed(item: Made) -> bool:
    return any(file.digest is None for file in item.job.files)


def _findings(differences: Sequence[_Difference]) -> Iterator[Finding]:
    """Yield each own change once, with all jobs that have it."""
    having: dict[Digest, list[tuple[Change, _Difference]]] = {}
    for difference in differences:
        for change in difference.own:
            having.setdefault(identity(change), []).append((change, difference))
    for found in having.values():
        yield Finding(
            change=found[0][0],
            jobs=tuple(difference.job for _, difference in found),
            outputs=tuple(file for _, difference in found for file in difference.outputs),
            beside=tuple({identity(one): one for _, item in found for one in item.beside}.values()),
        )


def _following(differences: Sequence[_Difference]) -> Iterator[Following]:
    only = [difference for difference in differences if difference.follows and not difference.own]
    jobs = Counter(difference.rule for difference in only)
    differing = Counter(difference.rule for difference in only if difference.outputs)
    for rule, number in jobs.items():
        yield Following(rule=rule, jobs=number, differing=differing[rule])


def _metrics(old: Sequence[Made], new: Sequence[Made]) -> Iterator[MetricChange]:
    before, after = (
        {
            (item.job.label, metric.name): metric.value
            for item in made
            for metric, _ in last_metrics(item.record.metrics)
        }
        for made in (old, new)
    )
    for job, name in dict.fromkeys((*after, *before)):
        a, b = before.get((job, name)), after.get((job, name))
        if a != b:
            yield MetricChange(job=job, name=name, old=a, new=b)
