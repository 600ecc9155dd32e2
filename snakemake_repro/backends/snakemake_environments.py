"""Which environments the rules of a workflow ask for, pinned by their locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.snakemake_containers import chosen_image
from snakemake_repro.backends.snakemake_modules import modules_of
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.records import EnvironmentKind, EnvironmentSpec

HOST = EnvironmentSpec(kind=EnvironmentKind.HOST, name="host")


class RuleEnvironments:
    """The environments of one run."""

    def __init__(
        self,
        workflow: Any,
        root: Path,
        *,
        image: Callable[[str], EnvironmentSpec] | None,
        link_scripts: bool = False,
        preferred: EnvironmentKind | None = None,
    ) -> None:
        """Remember the collaborators; nothing is read yet.

        Args:
            workflow: Snakemake's.
            root: Working directory of the run.
            image: Gives the pinned image for the address of a container. ``None`` runs every rule
                on the host, as the user asked explicitly.
            link_scripts: Run the link scripts of conda packages.
            preferred: What counts where a rule asks for both a container and a conda environment;
                ``None`` where the user has not said.
        """
        self._workflow = workflow
        self._root = root
        self._image = image
        self._link_scripts = link_scripts
        self._preferred = preferred
        self._specs: dict[Path, EnvironmentSpec] = {}

    def of(self, job: Any) -> EnvironmentSpec:
        """Return the environment of a job.

        Raises:
            EnvironmentSpecError: It cannot be given.
        """
        if self._image is None or job.is_norun or modules_of(job, self._workflow):
            return HOST
        address = chosen_image(job, self._workflow, self._preferred)
        if address is not None:
            return self._image(address)
        asked = job.conda_env_spec
        if asked is None:
            return HOST
        path = environment_file(job)
        if path is None:
            source = getattr(asked, "file", None)
            raise EnvironmentSpecError(
                f"rule {job.rule.name} asks for the conda environment {asked.__class__.__name__} "
                f"{source or getattr(asked, 'name', None) or getattr(asked, 'path', '')}; "
                "only environment files beside the workflow can be locked",
                hint="Name a file in `conda:`, or use `--ray-environments host`.",
            )
        if path not in self._specs:
            self._specs[path] = resolve_spec(path, self._root, link_scripts=self._link_scripts)
        return self._specs[path]

    def files(self, members: Sequence[Any]) -> Iterator[Path]:
        """Yield the environment files in whose environment jobs are to run.

        Raises:
            EnvironmentSpecError: A rule asks for a container and for a conda environment.
        """
        for job in members if self._image else ():
            if modules_of(job, self._workflow):
                continue
            contained = chosen_image(job, self._workflow, self._preferred)
            path = None if contained else environment_file(job)
            if path is not None:
                yield path


def environment_file(job: Any) -> Path | None:
    """Return the local environment file that a job's rule names in ``conda:``."""
    source = None if job.is_norun else getattr(job.conda_env_spec, "file", None)
    if source is None or not source.is_local:
        return None
    return Path(source.get_path_or_uri(secret_free=True))
