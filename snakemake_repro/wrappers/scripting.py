"""What the ``script`` wrapper does: run a script of any language, and say how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from snakemake_repro.wrappers.interpreters import interpreter_of, python_path, text_of
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.reporting import named_files, plain_params, reporting
from snakemake_repro.wrappers.request import required_path

_OWN = ("args", "interpreter")
_SCRIPT = "script"
_LAST_LINES = 3


def run_script(snakemake: Any) -> None:
    """Do what a rule with the ``script`` wrapper asks for.

    Args:
        snakemake: Snakemake's object.

    Raises:
        WrapperError: The rule makes no sense, or the script failed.
    """
    script = Path(required_path(snakemake.input, _SCRIPT, "input"))
    params = plain_params(snakemake.params)
    arguments = _words(params, "args")
    wanted = params.get("interpreter")
    words = [wanted] if isinstance(wanted, str) and wanted else _words(params, "interpreter")
    try:
        command = [*interpreter_of(script, words), str(script.resolve()), *arguments]
    except OSError as exc:
        raise WrapperError(f"{script}: cannot be read: {exc.strerror}") from exc
    own = {name: value for name, value in params.items() if name not in _OWN}
    with (
        reporting() as places,
        tempfile.TemporaryDirectory(prefix="repro-") as scratch,
        _streams(snakemake.log) as (stdout, stderr, log),
    ):
        file = Path(scratch, "params.json")
        file.write_text(json.dumps(own), encoding="utf-8")
        variables = {**places, "REPRO_PARAMS": str(file), **_variables(snakemake, own)}
        if command[0] == sys.executable:
            variables["PYTHONPATH"] = python_path()
        _run(command, variables, (stdout, stderr), script, log)


def _words(params: Mapping[str, Any], name: str) -> list[str]:
    """Return a parameter that is a list of words; numbers become text."""
    value = params.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
        raise WrapperError(
            f"params: expected a list of words as {name}=, got {value!r}",
            hint=f'for instance {name}=["--depth", 3]; no shell reads them',
        )
    return [text_of(word) for word in value]


def _variables(snakemake: Any, own: Mapping[str, Any]) -> dict[str, str]:
    found = {f"REPRO_PARAM_{name}": text_of(value) for name, value in own.items()}
    for part, values in (
        ("INPUT", named_files(snakemake.input)),
        ("OUTPUT", named_files(snakemake.output)),
        ("WILDCARD", {name: str(value) for name, value in snakemake.wildcards.items()}),
    ):
        found |= {f"REPRO_{part}_{name}": text_of(value) for name, value in values.items()}
    return found


@contextlib.contextmanager
def _streams(log: Any) -> Iterator[tuple[int | IO[bytes], int | IO[bytes], str | None]]:
    """Give where standard output and error go, and the log's name for messages.

    A log takes both; logs named ``stdout`` and ``stderr`` one each. Without one they go where
    those of the job go.
    """
    with contextlib.ExitStack() as stack:

        def opened(path: str) -> IO[bytes]:
            return stack.enter_context(Path(path).open("wb"))

        named = dict(log.items())
        if "stdout" in named or "stderr" in named:
            out = opened(str(named["stdout"])) if "stdout" in named else sys.stderr.fileno()
            error = opened(str(named["stderr"])) if "stderr" in named else sys.stderr.fileno()
            yield out, error, str(named.get("stderr") or named["stdout"])
        elif len(log):
            yield opened(str(log[0])), subprocess.STDOUT, str(log[0])
        else:
            yield sys.stderr.fileno(), subprocess.STDOUT, None


def _run(
    command: list[str],
    variables: Mapping[str, str],
    streams: tuple[int | IO[bytes], int | IO[bytes]],
    script: Path,
    log: str | None,
) -> None:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=streams[0],
            stderr=streams[1],
            check=False,
        )
    except OSError as exc:
        raise WrapperError(
            f"{script}: cannot be started: {exc.strerror}",
            hint="name what runs it with params: interpreter=",
        ) from exc
    if done.returncode:
        raise WrapperError(f"{script}: {_ending(done.returncode)}", hint=_said(log))


def _ending(status: int) -> str:
    if status > 0:
        return f"ended with exit code {status}"
    name = signal.Signals(-status).name
    more = "; the machine may have run out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by {name}{more}"


def _said(log: str | None) -> str:
    """Return what was said last, for a message that has one line."""
    if log is None:
        return "what it printed stands above"
    lines = Path(log).read_text(encoding="utf-8", errors="replace").split("\n")
    last = [line.strip() for line in lines if line.strip()][-_LAST_LINES:]
    return f"its log is {log}" + (f", which ends with: {' / '.join(last)}" if last else "")
