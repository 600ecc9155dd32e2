"""Which of Snakemake's jobs the direct tier can run, and how it is to close them off."""

from __future__ import annotations

import dataclasses
from typing import Any

from snakemake_repro.backends.snakemake_modules import modules_of
from snakemake_repro.backends.snakemake_values import flags_of
from snakemake_repro.errors import IsolationError
from snakemake_repro.logic.resources import gpus_of
from snakemake_repro.records import IsolationMode
from snakemake_repro.records.tasks import IsolationRequest

TESTED_VERSIONS = ("9.27",)
"""Minor versions of Snakemake whose job internals the direct tier was tested with."""

TBD = "<TBD>"
"""Snakemake's stand-in for what only a node knows."""

RESOURCE = "hermetic"
"""By which a rule decides for itself."""


class IndirectError(Exception):
    """The direct tier cannot run this job exactly; the message says why."""


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

    def request(self, job: Any, workflow: Any, *, fork_only: bool) -> IsolationRequest | None:
        """Return what a node needs to know to close a job off, ``None`` if it is not to.

        Raises:
            IsolationError: It is to be, and takes the fork tier.
        """
        modes = [self.mode(member) for member in (job if job.is_group() else [job])]
        wanted = next((mode for mode in modes if mode is not None), None)
        if wanted is None:
            return None
        try:
            require_direct(job, workflow, fork_only=fork_only)
        except IndirectError as exc:
            raise not_hermetic(job, f"it takes the fork tier ({exc})") from exc
        if gpus_of(dict(job.resources.items())):
            raise not_hermetic(job, "it uses a GPU")
        if modules_of(job, workflow):
            raise not_hermetic(job, "it uses environment modules")
        return IsolationRequest(
            mode=wanted,
            network=bool(job.output) and all(map(_is_fixed, job.output)),
            base=self.base,
            trace=self.trace,
        )


def tested() -> bool:
    """Tell whether the direct tier knows this version of Snakemake."""
    from snakemake.common import __version__

    return any(str(__version__).startswith(f"{version}.") for version in TESTED_VERSIONS)


def require_direct(job: Any, workflow: Any, *, fork_only: bool) -> None:
    """Make sure that a job has none of the features that only Snakemake itself handles.

    Raises:
        IndirectError: It has one.
    """
    rule = None if job.is_group() else job.rule
    reasons = {
        "--ray-tier fork": fork_only,
        "a group": rule is None,
        "an untested version of Snakemake": not tested(),
    }
    if rule is not None:
        reasons |= {
            "neither shell nor script nor wrapper": not (
                job.is_shell or job.is_script or job.is_wrapper
            ),
            "shadow": job.is_shadow,
            "benchmark": bool(job.benchmark),
            "between-workflow cache": workflow.workflow_settings.cache is not None
            and rule.cache.output,
            "storage": any(f.is_storage for f in (*job.input, *job.output, *job.log)),
            "updated output": any(flags_of(f) & {"update", "pipe", "service"} for f in job.output),
            "pipe input": any(job.is_pipe_or_service_input(f) for f in job.input),
            "a Snakefile that is not a local file": not rule.basedir.is_local,
            "a value that is known on the node only": TBD in repr(list(job.params)),
        }
    for reason, applies in reasons.items():
        if applies:
            raise IndirectError(reason)


def not_hermetic(job: Any, reason: str) -> IsolationError:
    """Return the refusal of a job that nothing here closes off."""
    rules = sorted({member.rule.name for member in (job if job.is_group() else [job])})
    return IsolationError(
        f"rule {', '.join(rules)} cannot run hermetically: {reason}, and that is nothing this "
        "version can close off",
        hint="Let it run open with `resources: hermetic=False`, or run without --ray-hermetic.",
    )


def _is_fixed(file: Any) -> bool:
    """Tell whether ``ensure()`` fixes the content of an output."""
    ensured = (getattr(file, "flags", None) or {}).get("ensure") or {}
    return ensured.get("checksum_algorithm") == "sha256" and bool(ensured.get("checksum"))
