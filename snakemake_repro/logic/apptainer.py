"""A job's container as Apptainer starts it: its command line, and its variables."""

from __future__ import annotations

from collections.abc import Mapping

from snakemake_repro.logic.containers import Bind, ContainerJob

_PREFIXES = ("APPTAINERENV_", "SINGULARITYENV_")
_VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
_AT_HOME = 'HOME=$1; export HOME; shift; exec "$@"'
"""Sets what can be set from inside only."""


def command_line(program: str, image: str, job: ContainerJob) -> list[str]:
    """Return the command that runs a job.

    Variables are not in it: everybody may read the arguments of a process.

    Args:
        program: Apptainer's.
        image: The file that it made of the image.
        job: What is to run, and what it sees.
    """
    command = [
        *(program, "exec", "--containall", "--cleanenv", "--no-home", "--no-privs", "--no-eval"),
        *("--pwd", job.workdir),
    ]
    for bind in job.binds:
        command += ["--mount", _mount(bind)]
    if job.network != "host":
        command += ["--net", "--network", "none"]
    if job.hostname is not None:
        command += ["--hostname", job.hostname]
    if job.gpus:
        command.append("--nv")
    home = job.variables.get("HOME")
    inside = ["sh", "-c", _AT_HOME, "sh", home] if home else []
    return [*command, image, *inside, *job.command]


def process_environment(job: ContainerJob, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Apptainer itself, from which it makes that of the job.

    Args:
        job: Whose variables it gets.
        base: Variables of this process; what they would set inside is left out.
    """
    kept = {name: value for name, value in base.items() if not name.startswith(_PREFIXES)}
    wanted = {name: value for name, value in job.variables.items() if name != "HOME"}
    if job.gpus:  # inside are all devices, numbered as outside
        wanted[_VISIBLE_GPUS] = ",".join(job.gpus)
    return kept | {
        f"{prefix}{name}": value for name, value in wanted.items() for prefix in _PREFIXES
    }


def _mount(bind: Bind) -> str:
    """Describe a bind as a line of comma-separated values, in which paths may have anything."""
    fields = ["type=bind", f"source={bind.source}", f"destination={bind.target}"]
    return ",".join(map(_quoted, [*fields, *(["ro"] if bind.read_only else [])]))


def _quoted(field: str) -> str:
    if not set(field) & set(',"\n'):
        return field
    return '"' + field.replace('"', '""') + '"'
