"""Export an environment as a container image: the same lock and base give the same image."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from snakemake_repro.backends.containers.archive import write_archive
from snakemake_repro.backends.containers.bases import Base, open_base
from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.containers.layers import write_layer
from snakemake_repro.backends.environments import conda, conda_image
from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import default_root, workshop
from snakemake_repro.errors import EnvironmentSpecError, StorageError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.logic.image_archives import architecture, image_config
from snakemake_repro.logic.images import SCHEME, ImageName
from snakemake_repro.records import Digest, EnvironmentKind, EnvironmentRecord

_TAG = "CondaImage/1"
_LABEL = "snakemake-repro.environment"
_VARIABLES = {"PYTHONNOUSERSITE": "1"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An image that was written.

    Attributes:
        path: The archive.
        id: Digest of the image's configuration: what engines call it.
        digest: Of its manifest, as registries have it that store its layers as they are.
        size: Of the archive, in bytes.
        environment: What the environment in it consists of.
    """

    path: Path
    id: Digest
    digest: Digest
    size: int
    environment: EnvironmentRecord


def export(
    file: Path,
    out: Path,
    *,
    workdir: Path,
    store: Path | None = None,
    platform: str | None = None,
    base: str | None = None,
    tag: str | None = None,
    engine: Callable[[], Engine] = Engine,
) -> Exported:
    """Write an image with the environment of an environment file's lock.

    Args:
        file: The environment file, or a conda lock.
        out: Where to write it.
        workdir: Where names of files begin.
        store: Where packages are kept; ``None`` for the user's store.
        platform: As conda names it; by default this one.
        base: What the image is built on: see ``open_base``.
        tag: What an engine is to call the image when it loads it.
        engine: Connects to an engine, which is asked for a base that is an image by its digest.

    Raises:
        EnvironmentSpecError: The file has no lock that fits, or of another kind; the base does not
            fit; or there is none and the environment needs one.
        EnvironmentBuildError: The environment cannot be made from the lock.
        StorageError: The image cannot be written.
    """
    name = None if tag is None else ImageName.parse(SCHEME + tag.removeprefix(SCHEME)).text
    spec = resolve_spec(file, workdir)
    if spec.kind is not EnvironmentKind.CONDA:
        raise EnvironmentSpecError(
            f"{spec.name} asks for packages of pip alone, which are installed beside the Python of "
            "a node: an image has none",
            hint="Name a channel and a conda package in it, such as a python of one version.",
        )
    record, files, _ = conda.plan(spec, platform)
    machine = architecture(record.platform)
    root = store or default_root()
    key = digest_of(_TAG, [str(record.digest), str(conda_image.PLACE)])
    with _folder(out) as folder:
        below = Base()
        if base is not None:
            below = open_base(base, workdir, machine, folder, engine=engine)
        layer = folder / "environment.tar"
        with workshop(root, key, record.name) as (prefix, cache, lock):
            conda_image.fill(prefix, record.name, files, cache=cache, lock=lock)
            if base is None:
                _require_nothing_below(prefix, record.name)
            blob = write_layer(prefix, layer, place=str(conda_image.PLACE))
            activation = conda_image.changes(prefix, record.name)
        layers = [*below.layers, (layer, blob)]
        config = image_config(
            [known for _, known in layers],
            machine=machine,
            path=activation.path,
            variables={**activation.variables, **_VARIABLES},
            labels={_LABEL: str(record.digest)},
            base=below.config,
        )
        known, manifest = write_archive(out, config, layers, tag=name, folder=folder)
    return Exported(
        path=out,
        id=known.digest,
        digest=manifest.digest,
        size=out.stat().st_size,
        environment=record,
    )


@contextlib.contextmanager
def _folder(out: Path) -> Iterator[Path]:
    try:
        made = tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as exc:
        raise StorageError(
            f"cannot write the image {out}: {exc.strerror}",
            hint="Name a directory that is there and that you may write to.",
        ) from exc
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made)


def _require_nothing_below(prefix: Path, name: str) -> None:
    if found := conda_image.wanting(prefix):
        program, needed = found
        raise EnvironmentSpecError(
            f"the image of {name} needs a base: {program} is started by {needed}, which no conda "
            "package brings",
            hint="--base names what has libc and a shell: a directory with an unpacked root file "
            "system, an archive of an image, or an image by its digest.",
        )
