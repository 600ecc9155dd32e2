"""Where hermetic jobs in containers run: the image, what the rule declares, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.environments.container import ContainerEnvironment
from snakemake_repro.backends.settingsfiles import HOME
from snakemake_repro.backends.staging import Stage
from snakemake_repro.logic.containers import Bind, Cage, script_binds
from snakemake_repro.logic.violations import few, wrote
from snakemake_repro.operations.rooms import FIXED, PRIVATE, open_devices, room_tmpdir
from snakemake_repro.records import Isolation
from snakemake_repro.records.tasks import Task

_CLOSED = (
    "files",
    "network",
    "processes",
    "variables",
    "host name",
    "locale",
    "time zone",
    "umask",
)
_OF_NETWORK = ("network", "host name")
_LOG = f"{PRIVATE}/log"
_USAGE = "usage"


class Cell:
    """A closed container; like ``Room``.

    Nobody watches what runs in it, so that an undeclared read has no name: it shows in the job's
    own failure.
    """

    def __init__(
        self,
        task: Task,
        environment: ContainerEnvironment,
        *,
        stage: Stage,
        scratch: Path,
        packages: Mapping[str, str],
    ) -> None:
        assert task.isolation is not None
        self._task = task
        self._request = task.isolation
        self._engine = environment.engine.facts.name
        self._stage = stage
        self._packages = packages
        self.environ = {**FIXED, "HOME": HOME}
        self.tmpdir = room_tmpdir(task.command)
        self.shared = (scratch / "shared", PRIVATE)
        self.shared[0].mkdir()
        self.linked = stage.linked

    @property
    def isolation(self) -> Isolation:
        """How the job is closed off; below it lies the image, which is in the environment."""
        network = self._request.network
        return Isolation(
            mode=self._request.mode,
            means=self._engine,
            closed=tuple(name for name in _CLOSED if not (network and name in _OF_NETWORK)),
            open=("clock", "user", *(_OF_NETWORK if network else ()), *open_devices(self._task)),
        )

    @property
    def cage(self) -> Cage:
        """What the container sees, and where it finds what passes between it and this process."""
        log = Path(self._task.workdir, self._task.log)
        binds = [
            Bind(source=mount.source, target=mount.target, read_only=not mount.writable)
            for mount in self._stage.mounts
        ]
        binds.append(Bind(source=str(self.shared[0]), target=PRIVATE, read_only=False))
        binds.append(Bind(source=str(log), target=_LOG, read_only=False))
        return Cage(
            binds=(*binds, *script_binds(self._packages)),
            log=_LOG,
            usage=f"{PRIVATE}/{_USAGE}",
            usage_here=str(self.shared[0] / _USAGE),
            network=self._request.network,
            closed=True,
        )

    def place_of(self, path: str) -> str:
        """Return where a file of the rule is written that the job does not write itself."""
        return self._stage.place_of(path)

    def leave(self, *, succeeded: bool) -> tuple[str, ...]:
        """Keep what the rule declares; return what the job did beyond that."""
        found = (wrote(path, self._task.workdir) for path in self._stage.undeclared())
        violations = few(tuple(found))
        self._stage.promote(outputs=succeeded and not violations)
        return violations
