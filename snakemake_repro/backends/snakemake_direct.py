"""Which of Snakemake's jobs the direct tier can run, and how it is to close them off."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends.snakemake_containers import NETWORK, wants_network
from snakemake_repro.backends.snakemake_modules import modules_of
from snakemake_repro.backends.snakemake_values import flags_of, members_of
from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.plain import NotPlainError
from snakemake_repro.logic.relocation import mentions
from snakemake_repro.records import IsolationMode
from snakemake_repro.records.tasks import APPTAINER, Benchmark, Command, IsolationRequest

TESTED_VERSIONS = ("9.27",)
"""Minor versions of Snakemake whose job internals the direct tier was tested with."""

TBD = "<TBD>"
"""Snakemake's stand-in for what only a node knows."""

_MOVED = ("path", "basedir", "sourcecache_path", "runtime_sourcecache_path")
"""Of a call: what is made to fit the node."""

RESOURCE = "hermetic"
"""By which a rule decides for itself."""


class IndirectError(Exception):
    """The direct tier cannot run this job exactly; the message says why."""


class UndecidedError(IndirectError):
    """It cannot with what is known of a value; when the job's inputs are there, that may change."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("a value that is known on the node only")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Hermetic:
    """How the jobs of a run are closed off.

    Attributes:
        default: ``off``, ``enforce`` or ``report``, for rules that do not say it themselves.
        base: Directory with the root file system that jobs see; ``None`` for the node's own.
        trace: Name undeclared reads where a node can.
    """

    default: str = "off"
    base: str | None = None
    trace: bool = True

    def mode(self, job: Any) -> IsolationMode | None:
        """Return how strictly a job is closed off, ``None`` if it is not."""
        asked = job.resources.get(RESOURCE)
        if job.is_norun or (self.default == "off" if asked is None else not asked):
            return None
        return IsolationMode.ENFORCE if self.default == "off" else IsolationMode(self.default)

    def request(
        self, job: Any, workflow: Any, *, fork_only: bool, engine: Callable[[Any], str | None]
    ) -> IsolationRequest | None:
        """Return what a node needs to know to close a job off, ``None`` if it is not to.

        Args:
            job: Snakemake's; maybe a group.
            workflow: Likewise.
            fork_only: It takes the fork tier in any case.
            engine: Gives who runs a job's container; ``None`` where it has none.

        Raises:
            IsolationError: It is to be, and cannot; or it is to have no network, and nothing here
                takes that from it.
        """
        members = members_of(job)
        wanted = next(filter(None, map(self.mode, members)), None)
        if wanted is not IsolationMode.ENFORCE:
            _refuse_network(member for member in members if engine(member) is None)
        if wanted is None:
            return None
        engines = set(map(engine, members)) - {None}
        if engines and wanted is IsolationMode.REPORT:
            raise not_hermetic(job, "`report` watches what jobs do, and it runs in a container")
        if APPTAINER in engines:
            raise not_hermetic(job, "Apptainer runs its container")
        try:
            require_direct(job, workflow, fork_only=fork_only, shadowed=self.shadows(job))
        except IndirectError as exc:
            if not isinstance(exc, UndecidedError):  # then its translation decides
                raise not_enclosed(job, exc) from exc
        if modules_of(job, workflow):
            raise not_hermetic(job, "it uses environment modules")
        return IsolationRequest(
            mode=wanted,
            network=wants_network(job, default=True)
            and bool(job.output)
            and all(map(_is_fixed, job.output)),
            base=self.base,
            trace=self.trace,
            shadow=job.is_shadow,
        )

    def shadows(self, job: Any) -> bool:
        """Tell whether a job runs in a shadow directory: staged ones take its place."""
        members = members_of(job)
        return any(m.is_shadow and self.mode(m) is not IsolationMode.ENFORCE for m in members)


def tested() -> bool:
    """Tell whether the direct tier knows this version of Snakemake."""
    from snakemake.common import __version__

    return any(str(__version__).startswith(f"{version}.") for version in TESTED_VERSIONS)


def require_direct(job: Any, workflow: Any, *, fork_only: bool, shadowed: bool) -> None:
    """Make sure that a job has none of the features that only Snakemake itself handles.

    Args:
        job: Snakemake's; maybe a group.
        workflow: Likewise.
        fork_only: It is to handle all jobs.
        shadowed: The job runs in a shadow directory.

    Raises:
        IndirectError: It has one.
    """
    rule = None if job.is_group() else job.rule
    reasons = {
        "--ray-tier fork": fork_only,
        "a group": rule is None or job.group is not None,
        "an untested version of Snakemake": not tested(),
    }
    if rule is not None:
        reasons |= {
            "neither shell nor script nor notebook nor wrapper": not (
                job.is_shell or job.is_script or job.is_notebook or job.is_wrapper
            ),
            # elsewhere than below the working directory is perhaps not seen by all nodes
            "a shadow directory of the node": shadowed and not _shares_shadows(workflow),
            "between-workflow cache": workflow.workflow_settings.cache is not None
            and rule.cache.output,
            "storage": any(f.is_storage for f in _files(job)),
            "updated output": any(flags_of(f) & {"update", "pipe", "service"} for f in job.output),
            "pipe input": any(job.is_pipe_or_service_input(f) for f in job.input),
            "a Snakefile that is not a local file": not rule.basedir.is_local,
        }
    for reason, applies in reasons.items():
        if applies:
            raise IndirectError(reason)
    if TBD in repr(list(job.params)):
        raise UndecidedError


def require_portable(command: Command, workdir: Path, *, shadowed: bool) -> None:
    """Make sure that nothing of a job names the driver's working directory.

    Where scripts are is known to move with them.

    Args:
        command: Of the job.
        workdir: The directory.
        shadowed: The job runs in a shadow directory.

    Raises:
        IndirectError: Something does; only the Snakefile, read again on the node, knows better.
    """
    if shadowed:
        raise IndirectError("a shadow directory, which nodes do not share")
    call = command.call if isinstance(command.call, dict) else {}
    values = {name: value for name, value in call.items() if name not in _MOVED}
    if mentions([command.text, values], str(workdir)):
        raise IndirectError("a value that names the working directory, which nodes do not share")


def benchmark_of(job: Any, workflow: Any) -> Benchmark | None:
    """Return the benchmark that a job's rule asks for."""
    if not job.benchmark:
        return None
    return Benchmark(
        path=str(Path(job.benchmark).absolute()),
        repeats=job.benchmark_repeats,
        extended=workflow.output_settings.benchmark_extended,
    )


def format_roots(template: str) -> set[str]:
    """Return the names that a format string starts its fields with.

    Raises:
        IndirectError: A field that only Snakemake's own frame can resolve.
    """
    found = set()
    for _, field, spec, _ in string.Formatter().parse(template):
        if field is None:
            continue
        root = field.replace("[", ".", 1).partition(".")[0]
        if not root or root.isdigit() or (spec and "{" in spec) or field == "resources":
            raise IndirectError(f"the command has the field {{{field}}}")
        found.add(root)
    return found


def not_enclosed(job: Any, why: Exception) -> IsolationError:
    """Return the refusal of a job that takes the fork tier."""
    reason = f"a value of type {why}" if isinstance(why, NotPlainError) else why
    return not_hermetic(job, f"it takes the fork tier ({reason})")


def not_hermetic(job: Any, reason: str) -> IsolationError:
    """Return the refusal of a job that nothing here closes off."""
    rules = sorted({member.rule.name for member in members_of(job)})
    return IsolationError(
        f"rule {', '.join(rules)} cannot run hermetically: {reason}, and that is nothing this "
        "version can close off",
        hint="Let it run open with `resources: hermetic=False`, or run without --ray-hermetic.",
    )


def together(refusals: Sequence[IsolationError]) -> IsolationError:
    """Return the refusals of several rules as one."""
    messages = dict.fromkeys(refusal.message for refusal in refusals)
    return IsolationError("\n".join(messages), hint=refusals[0].hint)


def _refuse_network(members: Iterable[Any]) -> None:
    """Refuse rules that are to have no network."""
    for job in members:
        if not job.is_norun and not wants_network(job, default=True):
            raise IsolationError(
                f"rule {job.rule.name} is to have no network (`resources: {NETWORK}=False`), and "
                "it is neither in a container nor closed off",
                hint="Give it a `container:`, or `hermetic=True` with --ray-hermetic enforce.",
            )


def _shares_shadows(workflow: Any) -> bool:
    persistence = workflow.persistence
    return Path(persistence.shadow_path).parent == Path(persistence.path)


def _files(job: Any) -> Iterator[Any]:
    yield from (*job.input, *job.output, *job.log)
    if job.benchmark:
        yield job.benchmark


def _is_fixed(file: Any) -> bool:
    """Tell whether ``ensure()`` fixes the content of an output."""
    ensured = (getattr(file, "flags", None) or {}).get("ensure") or {}
    return ensured.get("checksum_algorithm") == "sha256" and bool(ensured.get("checksum"))
