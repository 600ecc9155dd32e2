"""What differs between two attempts at a job: every part of the job key that is not the same."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence

from snakemake_repro.logic.canonical import canonical_json, digest_of, job_key
from snakemake_repro.logic.change import Change, ChangeKind, FileChange
from snakemake_repro.logic.environment_changes import environment_changes
from snakemake_repro.logic.history import RunHistory
from snakemake_repro.records import (
    CodeText,
    Digest,
    EnvironmentRecord,
    FileRecord,
    JobRecord,
    JobSpec,
    Json,
)

_COMMAND_FOLLOWS = frozenset(
    (
        ChangeKind.RULE,
        ChangeKind.CODE,
        ChangeKind.PARAM,
        ChangeKind.WILDCARDS,
        ChangeKind.OUTPUTS,
        ChangeKind.THREADS,
    )
)
"""Changes of which a changed command is the consequence."""

_HOST_FIELDS = ("os", "machine", "cpu", "gpus", "libraries")
_COMPARED = frozenset(("environment", "config", "source_name"))
"""Fields of a spec that are compared by what they stand for, or do not count."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """An attempt with the run that tells what its digests stand for."""

    record: JobRecord
    history: RunHistory

    @property
    def spec(self) -> JobSpec:
        """What determined the result."""
        return self.record.spec

    @property
    def environment(self) -> tuple[Digest | None, EnvironmentRecord | None]:
        """Identity of the environment, and what is known of it."""
        digest = self.spec.environment
        return digest, self.history.environment(digest)

    def code(self, digest: Digest | None) -> CodeText | None:
        """Return the text of code, where it was kept."""
        return None if digest is None else self.history.codes.get(str(digest))


def changes(old: Side, new: Side) -> tuple[Change, ...]:
    """Return every difference between what determined two results.

    Where the job keys differ there is at least one, except where the environment of a side is not
    known.
    """
    found = [
        *_rule(old.spec, new.spec),
        *_code(old, new),
        *_named(ChangeKind.PARAM, _params(old.spec), _params(new.spec)),
        *_named(ChangeKind.WILDCARDS, old.spec.wildcards, new.spec.wildcards),
        *_inputs(old.spec.inputs, new.spec.inputs),
        *_outputs(old.spec, new.spec),
        *environment_changes(old.environment, new.environment),
        *_config(old, new),
    ]
    if old.spec.threads != new.spec.threads:
        found.append(Change(kind=ChangeKind.THREADS, old=old.spec.threads, new=new.spec.threads))
    if old.spec.command != new.spec.command and not any(_moves_command(one) for one in found):
        found.append(Change(kind=ChangeKind.COMMAND, old=old.spec.command, new=new.spec.command))
    return tuple(found) or tuple(_others(old.spec, new.spec))


def unexplained(old: Side, new: Side) -> tuple[Change, ...]:
    """Return what differs beside the job key, for the same key with other bytes."""
    seeds = _named(ChangeKind.SEED, old.record.seeds, new.record.seeds)
    return (*seeds, *_hosts(old, new))


def files_that_differ(
    old: Sequence[FileRecord], new: Sequence[FileRecord]
) -> tuple[FileChange, ...]:
    """Return every file that is not the same in both."""
    before, after = ({file.path: file.digest for file in files} for files in (old, new))
    return tuple(
        FileChange(path=path, old=before.get(path), new=after.get(path))
        for path in dict.fromkeys((*after, *before))
        if before.get(path) != after.get(path)
    )


def identity(change: Change) -> Digest:
    """Return what is the same for the same change of several jobs."""
    return digest_of("Change/1", [change.kind.value, change.name, change.old, change.new])


def _moves_command(change: Change) -> bool:
    paths = change.kind is ChangeKind.INPUT and None in (change.old, change.new)
    return paths or change.kind in _COMMAND_FOLLOWS


def _rule(old: JobSpec, new: JobSpec) -> Iterator[Change]:
    if old.rule != new.rule:
        yield Change(kind=ChangeKind.RULE, name="name", old=old.rule, new=new.rule)
    if old.kind != new.kind:
        yield Change(kind=ChangeKind.RULE, name="kind", old=old.kind, new=new.kind)


def _code(old: Side, new: Side) -> Iterator[Change]:
    name = new.spec.source_name or new.spec.rule
    if old.spec.code != new.spec.code:
        yield _code_change(name, old, old.spec.code, new, new.spec.code)
    modules = sorted(old.spec.modules.keys() | new.spec.modules.keys())
    for module in modules:
        before, after = old.spec.modules.get(module), new.spec.modules.get(module)
        if before != after:
            yield _code_change(module, old, before, new, after)


def _code_change(
    name: str, old: Side, before: Digest | None, new: Side, after: Digest | None
) -> Change:
    return Change(
        kind=ChangeKind.CODE,
        name=name,
        old=None if before is None else str(before),
        new=None if after is None else str(after),
        text=_text(name, old.code(before), new.code(after)),
    )


def _text(name: str, old: CodeText | None, new: CodeText | None) -> tuple[str, ...]:
    if old is None or new is None:
        return ()
    before, after = old.text.splitlines(), new.text.splitlines()
    return tuple(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm=""))


def _params(spec: JobSpec) -> dict[str, Json]:
    """Return parameters by name, those in mappings by dotted name, unnamed ones by position."""
    return dict(pair for name, value in spec.named_params.items() for pair in _flat(name, value))


def _flat(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), item)
    else:
        yield name, value


def _named(kind: ChangeKind, old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Change]:
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name), new.get(name)
        if _differ(before, after) or (name in old) != (name in new):
            yield Change(kind=kind, name=name, old=before, new=after)


def _inputs(old: Sequence[FileRecord], new: Sequence[FileRecord]) -> Iterator[Change]:
    before, after = ({file.path: file for file in files} for files in (old, new))
    some = False
    for path in dict.fromkeys((*after, *before)):
        a, b = _content(before.get(path)), _content(after.get(path))
        if a != b:
            some = True
            yield Change(kind=ChangeKind.INPUT, name=path, old=a, new=b)
    shown_old, shown_new = _shown(old), _shown(new)
    if not some and shown_old != shown_new:
        yield Change(kind=ChangeKind.INPUT, name="names and order", old=shown_old, new=shown_new)


def _shown(files: Sequence[FileRecord]) -> list[str]:
    """Return paths, with their names where they have some."""
    return [file.path if file.name is None else f"{file.name}={file.path}" for file in files]


def _content(file: FileRecord | None) -> str | None:
    """Return what a file holds, in words where nobody knows."""
    if file is None:
        return None
    return file.kind.value if file.digest is None else str(file.digest)


def _outputs(old: JobSpec, new: JobSpec) -> Iterator[Change]:
    before, after = _shown(old.outputs), _shown(new.outputs)
    if before != after:
        yield Change(kind=ChangeKind.OUTPUTS, old=before, new=after)


def _config(old: Side, new: Side) -> Iterator[Change]:
    before, after = old.spec.config, new.spec.config
    if before == after:
        return
    visible = tuple(
        _named(
            ChangeKind.CONFIG,
            dict(_flat("", old.history.run.config)),
            dict(_flat("", new.history.run.config)),
        )
    )
    if visible and before is not None and after is not None:
        yield from visible
        return
    yield Change(
        kind=ChangeKind.CONFIG,
        old=None if before is None else str(before),
        new=None if after is None else str(after),
    )


def _hosts(old: Side, new: Side) -> Iterator[Change]:
    before, after = (side.history.hosts.get(side.record.host or "") for side in (old, new))
    if before is None or after is None:
        return
    a, b = before.to_dict(), after.to_dict()
    for field in _HOST_FIELDS:
        if a.get(field) != b.get(field):
            yield Change(kind=ChangeKind.HOST, name=field, old=a.get(field), new=b.get(field))


def _others(old: JobSpec, new: JobSpec) -> Iterator[Change]:
    """Yield what is in the key and was not named yet: nothing may be passed over in silence."""
    if job_key(old) == job_key(new):
        return
    a, b = old.to_dict(), new.to_dict()
    for field in sorted(a.keys() | b.keys()):
        if field not in _COMPARED and _differ(a.get(field), b.get(field)):
            yield Change(kind=ChangeKind.OTHER, name=field, old=a.get(field), new=b.get(field))


def _differ(old: Json, new: Json) -> bool:
    """Tell whether JSON data differ; Python takes 1, 1.0 and true for the same."""
    return canonical_json(old) != canonical_json(new)
