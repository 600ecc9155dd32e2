"""Container images of a workflow: lock what their names mean, and give each by its digest."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from snakemake_repro.backends.containers.context import BuildContext, build_name
from snakemake_repro.backends.containers.node import connect
from snakemake_repro.backends.environments.imagelock import (
    image_lock_path,
    lock_record,
    read_image_lock,
    write_image_lock,
)
from snakemake_repro.backends.environments.store import default_root
from snakemake_repro.backends.files import recorded_path
from snakemake_repro.backends.snakemake_workflow import find_snakefile, read_workflow
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.interfaces import ContainerEngine
from snakemake_repro.logic.builds import is_dockerfile
from snakemake_repro.logic.images import SCHEME, ImageLock, ImageName, moved
from snakemake_repro.operations.builds import build_locked, fits
from snakemake_repro.operations.lock import Locked, LockState
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec
from snakemake_repro.records.tasks import ENGINES


class WorkflowImages:
    """The images of one run."""

    def __init__(
        self,
        path: Path,
        root: Path,
        *,
        snakefile: Path,
        engine: Callable[[], ContainerEngine],
        frozen: bool,
        say: Callable[[str], None],
    ) -> None:
        """Remember the collaborators; nothing is read yet.

        Args:
            path: The lock.
            root: Working directory of the run.
            snakefile: The workflow's.
            engine: Connects to this machine's engine, which asks registries and builds.
            frozen: Make no lock.
            say: Tells the user.
        """
        self._path = path
        self._root = root
        self._snakefile = snakefile
        self._engine = functools.cache(engine)
        self._frozen = frozen
        self._say = say
        self._specs: dict[str, EnvironmentSpec] = {}

    def spec(self, address: str) -> EnvironmentSpec:
        """Return the pinned image for the address of a container, locking it on first use.

        Raises:
            EnvironmentSpecError: It is no image of a registry, or not locked and cannot be.
            EnvironmentBuildError: It is to be locked, and no engine answers.
            StorageError: The lock cannot be read or written.
        """
        if address not in self._specs:
            self._specs[address] = self._spec(address)
        return self._specs[address]

    def _spec(self, address: str) -> EnvironmentSpec:
        if is_dockerfile(address):
            return self._built(address)
        image = ImageName.parse(address)
        found = pinned(address, image, self._path, self._root)
        if found is None:
            self._lock(image)
            found = pinned(address, image, self._path, self._root)
            assert found is not None
        return found

    def _built(self, address: str) -> EnvironmentSpec:
        context = BuildContext(address, self._snakefile)
        lock = read_image_lock(self._path) or ImageLock()
        if not fits(lock, context):
            place = recorded_path(self._path, self._root)
            if self._frozen:
                known = "changed since its image was built" if context.name in lock.builds else ""
                raise EnvironmentSpecError(
                    f"the container {context.name} {known or 'is not built'}, and "
                    f"--ray-locks frozen makes no lock: see {place}",
                    hint="`repro lock` builds it; commit the lock with the workflow.",
                )
            self._say(f"Building the container {context.name}.")
            lock = build_locked(lock, context, engine=self._engine)
            write_image_lock(self._path, lock)
            found = ", ".join(str(one.id) for one in lock.builds[context.name].images.values())
            self._say(f"Built the container {context.name} as {found}: see {place}.")
        return EnvironmentSpec(
            kind=EnvironmentKind.CONTAINER,
            name=context.name,
            lock=lock_record(self._path, self._root),
            lock_text=lock.only_build(context.name).to_text(),
        )

    def _lock(self, image: ImageName) -> None:
        place = recorded_path(self._path, self._root)
        if self._frozen:
            raise EnvironmentSpecError(
                f"the container {image.text} is not locked: it is not in {place}, and "
                "--ray-locks frozen makes no lock",
                hint="`repro lock` makes it; commit the lock with the workflow.",
            )
        platforms = self._engine().resolve(image)
        lock = read_image_lock(self._path) or ImageLock()
        write_image_lock(self._path, lock.with_image(image.text, platforms))
        digests = ", ".join(sorted({str(digest) for digest in platforms.values()}))
        self._say(f"Locked the container {image.text} as {digests} in {place}.")


def pinned(address: str, image: ImageName, path: Path, root: Path) -> EnvironmentSpec | None:
    """Return an image by its own digest or as it is locked; ``None`` where it is not.

    Args:
        address: As the rule names it.
        image: What that means.
        path: The lock.
        root: Working directory of the run.

    Raises:
        EnvironmentSpecError: The lock is none, or of a newer version.
        StorageError: It cannot be read.
    """
    if image.digest is not None:
        return EnvironmentSpec(
            kind=EnvironmentKind.CONTAINER, name=address, image=image.at(image.digest)
        )
    lock = read_image_lock(path)
    if lock is None or image.text not in lock.images:
        return None
    return EnvironmentSpec(
        kind=EnvironmentKind.CONTAINER,
        name=address,
        lock=lock_record(path, root),
        lock_text=lock.only(image.text).to_text(),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImagesLocked:
    """What became of the container images that a workflow's rules name.

    Attributes:
        locked: Of their lock; ``None`` where no rule names an image by a tag.
        names: The names to upgrade that meant one of the images.
        unread: Why the workflow could not be read, if it could not: then nothing was done.
    """

    locked: Locked | None = None
    names: frozenset[str] = frozenset()
    unread: EnvironmentSpecError | None = None


def lock_workflow_images(
    workdir: Path,
    *,
    engine: str = ENGINES[0],
    check: bool = False,
    upgrade: bool = False,
    upgrade_names: Collection[str] = (),
    push: str | None = None,
) -> ImagesLocked:
    """Bring the lock of the images up to date that the workflow of a directory names.

    A workflow that cannot be read without further options is passed over, if it has no images
    locked.

    Args:
        workdir: Where the workflow is.
        engine: Which kind of engine asks registries.
        check: Change nothing, only look whether every image is locked.
        upgrade: Ask anew what every name means.
        upgrade_names: Ask anew for these.
        push: Place of a registry for images that are built here.

    Raises:
        EnvironmentSpecError: A name is no image, its registry does not have it, or the workflow
            has a lock and cannot be read.
        EnvironmentBuildError: No engine answers, or an image cannot be built or pushed.
        StorageError: The lock cannot be read or written.
    """
    snakefile = find_snakefile(workdir)
    if snakefile is None:
        return ImagesLocked()
    path = image_lock_path(snakefile)
    try:
        asked = read_workflow(snakefile, workdir)
    except EnvironmentSpecError as exc:
        if path.exists():
            raise
        return ImagesLocked(unread=exc)
    meant = {name: named_images(name, asked.containers, snakefile) for name in upgrade_names}
    locked = lock_images(
        asked.containers,
        path,
        source=snakefile,
        engine=functools.partial(connect, engine, default_root()),
        check=check,
        upgrade=upgrade,
        upgrade_names=frozenset().union(*meant.values()),
        push=push,
    )
    return ImagesLocked(locked=locked, names=frozenset(name for name in meant if meant[name]))


def lock_images(
    addresses: Iterable[str],
    path: Path,
    *,
    source: Path,
    engine: Callable[[], ContainerEngine],
    check: bool = False,
    upgrade: bool = False,
    upgrade_names: Collection[str] = (),
    push: str | None = None,
) -> Locked | None:
    """Bring the lock of a workflow's images up to date.

    A name that is locked stays so until it is upgraded, the image of a Dockerfile until the file
    changes or one that it is built with. What no rule names any more stays as well: a rule may
    compute the name of its image.

    Args:
        addresses: What the rules name; a digest needs no lock.
        path: The lock.
        source: The workflow.
        engine: Connects to an engine, which asks registries and builds.
        check: Change nothing, only look whether every image is locked.
        upgrade: Ask anew what every name means, and build every image anew.
        upgrade_names: Likewise for these, named as in the lock.
        push: Push images that are built here below this place of a registry.

    Returns:
        What became of the lock; ``None`` where there is nothing to lock.

    Raises:
        EnvironmentSpecError: A name is no image of a registry, or the registry does not have it.
        EnvironmentBuildError: No engine answers, or an image cannot be built or pushed.
        StorageError: The lock cannot be read or written.
    """
    images, contexts = _sorted(addresses, source)
    old = read_image_lock(path)
    if not images and not contexts:
        return None if old is None else Locked(source=source, lock=path, state=LockState.UNCHANGED)
    known = old or ImageLock()
    missing = images.keys() - known.images.keys()
    if check:
        current = not missing and all(fits(known, context) for context in contexts)
        state = LockState.UNCHANGED if current else LockState.STALE
        state = LockState.MISSING if old is None else state
        return Locked(source=source, lock=path, state=state)
    connected = functools.cache(engine)
    again = {text for text in images if upgrade or text in upgrade_names}
    new = known
    for text in sorted(missing | again):
        new = new.with_image(text, connected().resolve(images[text]))
    for context in contexts:
        anew = upgrade or context.name in upgrade_names
        new = build_locked(new, context, engine=connected, anew=anew, place=push)
    if old == new:
        return Locked(source=source, lock=path, state=LockState.UNCHANGED)
    write_image_lock(path, new)
    state = LockState.CREATED if old is None else LockState.CHANGED
    return Locked(source=source, lock=path, state=state, moved=moved(known, new))


def named_images(name: str, addresses: Collection[str], snakefile: Path) -> frozenset[str]:
    """Return the images that a name means: an address, or what stands in it, also without tag."""
    dockerfiles = {build_name(a, snakefile) for a in addresses if is_dockerfile(a)}
    found = {image.text: image for image in _names(addresses)}
    bare = name.removeprefix(SCHEME)
    meant = {text for text, image in found.items() if bare in (text, image.repository)}
    return frozenset(meant | ({build_name(name, snakefile)} & dockerfiles))


def _sorted(
    addresses: Iterable[str], snakefile: Path
) -> tuple[dict[str, ImageName], list[BuildContext]]:
    """Return the images to look up, by name, and what is to be built."""
    found = list(addresses)
    images = {image.text: image for image in _names(found) if image.digest is None}
    dockerfiles = sorted({a for a in found if is_dockerfile(a)})
    return images, [BuildContext(address, snakefile) for address in dockerfiles]


def _names(addresses: Iterable[str]) -> list[ImageName]:
    return [ImageName.parse(address) for address in addresses if not is_dockerfile(address)]
