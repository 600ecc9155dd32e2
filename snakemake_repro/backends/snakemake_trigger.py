"""A moved lock as a reason for Snakemake to run jobs again.

Snakemake keeps a hash of each output's software environment and runs a job again when it differs.
Environments count there only when Snakemake itself deploys them, which is never the case with this
executor. So the hash is extended by what the locks name, in every process that has the plugin:
``-n``, ``--cores`` and ``--executor ray`` then agree about what is up to date (decision 8).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_METHOD = "_software_stack_hash"


def watch_locks() -> None:
    """Extend Snakemake's hash, if Snakemake is loaded; a second call changes nothing.

    Snakemake loads its plugins after the module that is changed here. Where somebody imports the
    plugin alone there is nothing to extend, and nothing is loaded for it: this runs at each start.
    """
    module = sys.modules.get("snakemake.persistence")
    base = getattr(module, "PersistenceBase", None)
    original = getattr(base, _METHOD, None)
    if base is not None and original is not None and not hasattr(original, "__wrapped__"):
        setattr(base, _METHOD, _extended(original))


@functools.cache
def lock_of(env_file: Path) -> str | None:
    """Return the identity of an environment file's lock, read once in a run.

    ``None`` where there is no lock that fits the file: what was made with one is then not up to
    date, and what was made without one is.
    """
    from snakemake_repro.backends.environments.lockfile import resolve_spec
    from snakemake_repro.errors import EnvironmentSpecError
    from snakemake_repro.logic.locks import lock_digest

    try:
        return str(lock_digest(resolve_spec(env_file, Path.cwd())))
    except EnvironmentSpecError:
        return None


@functools.cache
def image_of(address: str, snakefile: Path) -> str | None:
    """Return the identity of a container image, by its digest or the workflow's lock.

    ``None`` for what is not locked, for a Dockerfile that changed since, and for what is no image.
    """
    from snakemake_repro.backends.environments.imagelock import image_lock_path, read_image_lock
    from snakemake_repro.errors import ReproError
    from snakemake_repro.logic.builds import is_dockerfile
    from snakemake_repro.logic.images import ImageName

    try:
        if is_dockerfile(address):
            return _built(address, snakefile)
        image = ImageName.parse(address)
        if image.digest is not None:
            return str(image.digest)
        lock = read_image_lock(image_lock_path(snakefile))
    except ReproError:
        return None
    if lock is None or image.text not in lock.images:
        return None
    return lock.only(image.text).to_text()


def _built(address: str, snakefile: Path) -> str | None:
    """Return the identity of the image of a Dockerfile, by the workflow's lock."""
    from snakemake_repro.backends.containers.context import BuildContext
    from snakemake_repro.backends.environments.imagelock import image_lock_path, read_image_lock

    lock = read_image_lock(image_lock_path(snakefile))
    context = BuildContext(address, snakefile)
    build = None if lock is None else lock.builds.get(context.name)
    if build is None or not build.made_from(context.dockerfile, context.digest):
        return None
    return build.identity


def forget_locks() -> None:
    """Read locks anew: some have just been made."""
    lock_of.cache_clear()
    image_of.cache_clear()


def _extended(original: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    @functools.wraps(original)
    def stack_hash(self: Any, job: Any) -> str:
        found = original(self, job)
        if self.dag.workflow.deployment_settings.deployment_method:
            return found  # Snakemake realises environments itself, and looks at no lock of ours
        locks = list(_locks(job, self.dag.workflow))
        if not locks:
            return found
        import hashlib

        return hashlib.md5("\0".join([found, *locks]).encode(), usedforsecurity=False).hexdigest()

    return stack_hash


def _locks(job: Any, workflow: Any) -> Iterator[str]:
    """Yield the identities of what a job's rule names in ``conda:`` and ``container:``."""
    from snakemake_repro.backends.snakemake_environments import environment_file

    path, address = environment_file(job), job.container_img_url
    found = [
        None if path is None else lock_of(path),
        image_of(str(address), Path(workflow.main_snakefile)) if address else None,
    ]
    yield from filter(None, found)
