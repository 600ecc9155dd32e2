"""What differs between two environments: which package, which image."""

from __future__ import annotations

from collections.abc import Iterator

from snakemake_repro.logic.change import Change, ChangeKind
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentRecord, Package


def environment_changes(
    old: tuple[Digest | None, EnvironmentRecord | None],
    new: tuple[Digest | None, EnvironmentRecord | None],
) -> tuple[Change, ...]:
    """Return the differences between two environments, given as identity and what is known.

    An environment without identity is unknown (Snakemake found the results up to date): that is
    no difference.
    """
    (old_digest, before), (new_digest, after) = old, new
    if old_digest is None or new_digest is None or old_digest == new_digest:
        return ()
    found: tuple[Change, ...] = ()
    if before is not None and after is not None:
        found = tuple(_differences(before, after))
    return found or (
        Change(
            kind=ChangeKind.ENVIRONMENT,
            name=None if after is None else after.name,
            old=str(old_digest),
            new=str(new_digest),
        ),
    )


def _differences(old: EnvironmentRecord, new: EnvironmentRecord) -> Iterator[Change]:
    if old.kind is not new.kind:
        kinds = [f"{one.kind.value} {one.name}" for one in (old, new)]
        yield Change(kind=ChangeKind.ENVIRONMENT, name="kind", old=kinds[0], new=kinds[1])
        return
    if old.platform != new.platform:
        yield Change(
            kind=ChangeKind.ENVIRONMENT, name="platform", old=old.platform, new=new.platform
        )
    if new.kind is EnvironmentKind.CONTAINER:
        yield Change(kind=ChangeKind.IMAGE, name=new.name, old=_image(old), new=_image(new))
        return
    before, after = ({one.name: one for one in record.packages} for record in (old, new))
    if old.python != new.python and "python" not in before.keys() & after.keys():
        yield Change(kind=ChangeKind.PACKAGE, name="python", old=old.python, new=new.python)
    for name in sorted(before.keys() | after.keys()):
        a, b = before.get(name), after.get(name)
        if a != b:
            yield Change(kind=ChangeKind.PACKAGE, name=name, old=_shown(a, b), new=_shown(b, a))


def _image(record: EnvironmentRecord) -> str:
    return record.image or record.image_id or str(record.digest)


def _shown(package: Package | None, other: Package | None) -> str | None:
    """Return a version, with as much more as tells it from the other one."""
    if package is None:
        return None
    if other is None or package.version != other.version:
        return package.version
    if package.build != other.build:
        return f"{package.version} {package.build}"
    if package.channel != other.channel:
        return f"{package.version} from {package.channel}"
    files = ", ".join(digest.short for digest in package.digests)
    return f"{package.version} ({files or 'no digest'})"
