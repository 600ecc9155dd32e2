"""Slots where trials run: one process for all functions and wrappers, one for each script."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.backends import processtree
from snakemake_repro.logic.resources import THREAD_VARIABLES
from snakemake_repro.wrappers.interpreters import interpreter_of, python_path, text_of
from snakemake_repro.wrappers.problems import WrapperError

_TICK_S = 0.01
"""How often a running script's metrics are looked at: small beside what starting one costs."""
_PATIENCE_S = 2.0

Report = Callable[[int, float], bool]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """One trial, ready to run.

    Attributes:
        kind: ``function``, ``script`` or ``wrapper``.
        what: File, function, or name of a wrapper.
        objectives: Names of what is measured.
        data: Files that can be mapped into memory, by the input's name.
        model: Where its model goes.
    """

    number: int
    kind: str
    what: str
    params: Mapping[str, Any]
    objectives: tuple[str, ...]
    seed: int
    search_seed: int
    threads: int
    inputs: Mapping[str, str]
    data: Mapping[str, str]
    directory: Path
    model: Path
    timeout_s: float | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        paths = {"directory": str(self.directory), "model": str(self.model)}
        return dataclasses.asdict(self) | paths

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Assignment:
        """Return what ``to_json`` made into that."""
        fields = {**data, "objectives": tuple(data["objectives"])}
        return cls(**fields | {name: Path(data[name]) for name in ("directory", "model")})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a trial ended: with a number for each objective, or with a problem."""

    values: tuple[float, ...] | None = None
    problem: str | None = None


class Slot:
    """Runs one trial at a time.

    A process that ran too long, was pruned from outside or died is replaced by a new one.

    Attributes:
        devices: GPUs of this slot; ``None`` leaves what the job has.
    """

    def __init__(self, devices: Sequence[str] | None, *, tied: bool = False) -> None:
        """Set it up; processes start with the first trial.

        Args:
            devices: GPUs of this slot; ``None`` leaves what the job has.
            tied: Its processes are killed with this one. The kernel looks at the thread that starts
                them, so this is for a process whose main thread runs the trials.
        """
        self.devices = devices
        self._before = processtree.die_with_parent if tied else None
        self._worker: subprocess.Popen[bytes] | None = None
        self._script: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def run(self, trial: Assignment, report: Report) -> Ending:
        """Run a trial to its end."""
        (trial.directory / "artifacts").mkdir(parents=True)
        metrics = _Metrics(trial.directory / "metrics.jsonl", trial.objectives)
        (trial.directory / "params.json").write_text(json.dumps(dict(trial.params)))
        if trial.kind == "script":
            return self._run_script(trial, metrics, report)
        return self._run_warm(trial, metrics, report)

    def close(self) -> None:
        """End what runs."""
        for process in (self._worker, self._script):
            if process is not None:
                _end(process)

    def _environ(self, trial: Assignment) -> dict[str, str]:
        ours = {
            "REPRO_METRICS": str(trial.directory / "metrics.jsonl"),
            "REPRO_ARTIFACTS": str(trial.directory / "artifacts"),
            "REPRO_PARAMS": str(trial.directory / "params.json"),
            "REPRO_MODEL": str(trial.model),
            "REPRO_TRIAL": str(trial.number),
            "REPRO_SEED": str(trial.seed),
            # a trial reports to the search, whether or not anybody records the job
            "REPRO_JOB": os.environ.get("REPRO_JOB") or json.dumps({"rule": "tune"}),
        }
        ours |= dict.fromkeys(THREAD_VARIABLES, str(trial.threads))
        if self.devices is not None:
            ours["CUDA_VISIBLE_DEVICES"] = ",".join(self.devices)
        return ours

    def _run_script(self, trial: Assignment, metrics: _Metrics, report: Report) -> Ending:
        script = Path(trial.what)
        values = {f"REPRO_PARAM_{name}": text_of(value) for name, value in trial.params.items()}
        values |= {f"REPRO_INPUT_{name}": path for name, path in trial.inputs.items()}
        try:
            self._script = process = subprocess.Popen(
                [*interpreter_of(script), str(script.resolve())],
                env={**os.environ, **self._environ(trial), **values},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                start_new_session=True,
                preexec_fn=self._before,  # noqa: PLW1509 - it calls the kernel, and no more
            )
        except OSError as exc:
            raise WrapperError(f"{script}: cannot be started: {exc.strerror}") from exc
        deadline = _deadline(trial)
        while process.poll() is None:
            if metrics.follow(report):
                _end(process)
                return Ending()
            if time.monotonic() > deadline:
                _end(process)
                return _overrun(trial)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TICK_S)
        _end(process)  # what it left in its session
        if metrics.follow(report):
            return Ending()
        if process.returncode:
            return Ending(problem=f"it ended with exit code {process.returncode}")
        return metrics.ending()

    def _run_warm(self, trial: Assignment, metrics: _Metrics, report: Report) -> Ending:
        worker = self._warm(trial)
        self._send(worker, trial.to_json() | {"environ": self._environ(trial)})
        deadline = _deadline(trial)
        while True:
            reply = self._reply(worker)
            if reply is None:
                if trial.kind == "wrapper" and metrics.follow(report):
                    self._drop()
                    return Ending()
                if time.monotonic() > deadline:
                    self._drop()
                    return _overrun(trial)
                continue
            if not reply:
                self._drop()
                return Ending(problem=f"its process died with exit code {worker.returncode}")
            if "report" in reply:
                self._send(worker, {"prune": report(*reply["report"])})
            elif "problem" in reply:
                return Ending(problem=reply["problem"])
            elif trial.kind == "function":
                return _returned(reply["ended"], trial.objectives)
            else:
                metrics.follow(report)
                return metrics.ending()

    def _warm(self, trial: Assignment) -> subprocess.Popen[bytes]:
        if self._worker is None:
            self._buffer = b""
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "snakemake_repro.wrappers.tuning.worker"],
                # libraries read these when they are imported
                env={**os.environ, **self._environ(trial), "PYTHONPATH": python_path()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=self._before,  # noqa: PLW1509 - it calls the kernel, and no more
            )
        return self._worker

    def _drop(self) -> None:
        if self._worker is not None:
            _end(self._worker)
        self._worker = None

    def _send(self, worker: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
        assert worker.stdin is not None
        # one that died is noticed when it is read from
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(json.dumps(message).encode() + b"\n")
            worker.stdin.flush()

    def _reply(self, worker: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        """Return the next reply, ``None`` where there is none yet, an empty one at the end."""
        assert worker.stdout is not None
        while b"\n" not in self._buffer:
            if not select.select([worker.stdout], [], [], _TICK_S)[0]:
                return None
            chunk = os.read(worker.stdout.fileno(), 1 << 16)
            if not chunk:
                worker.wait()
                return {}
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply


class _Metrics:
    """What a trial writes to ``$REPRO_METRICS``, read while it is written."""

    def __init__(self, path: Path, objectives: tuple[str, ...]) -> None:
        self._path = path
        self._objectives = objectives
        self._read = 0
        self._last: dict[str, float] = {}

    def follow(self, report: Report) -> bool:
        """Read what is new; return whether the trial is pruned for it."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return False
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        return any(self._take(line, report) for line in whole.splitlines())

    def ending(self) -> Ending:
        """Return the last value of each objective."""
        return _returned(self._last, self._objectives)

    def _take(self, line: bytes, report: Report) -> bool:
        try:
            entry = json.loads(line)
        except ValueError:
            return False  # as the record does with lines that are not JSON
        if not isinstance(entry, dict):
            return False
        for name in self._objectives:
            value = entry.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._last[name] = float(value)
        step, value = entry.get("step"), entry.get(self._objectives[0])
        if len(self._objectives) > 1 or not isinstance(step, int) or isinstance(step, bool):
            return False
        return isinstance(value, int | float) and report(step, float(value))


def slots_of(count: int, *, gpus: int, fewer: bool) -> list[Slot]:
    """Return slots that share the job's GPUs.

    Args:
        count: How many slots.
        gpus: Of one trial; 0 for none, which leaves what the job has.
        fewer: The job may have GPUs for fewer slots, if for one.

    Raises:
        WrapperError: It has too few.
    """
    if not gpus:
        return [Slot(None) for _ in range(count)]
    devices = [d for d in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if d]
    enough = len(devices) // gpus
    needed = 1 if fewer else count
    if enough < needed:
        raise WrapperError(
            f"params: gpus: expected {needed * gpus} GPUs for this job, got {len(devices)}",
            hint="ask for them with resources: gpu=, or lower parallel=",
        )
    return [Slot(devices[index * gpus : (index + 1) * gpus]) for index in range(min(count, enough))]


def _returned(value: Any, objectives: tuple[str, ...]) -> Ending:
    if isinstance(value, Mapping):
        missing = [name for name in objectives if name not in value]
        if missing:
            got = ", ".join(value) or "none"
            return Ending(problem=f"it measured no {' and no '.join(missing)}, got {got}")
        numbers = [value[name] for name in objectives]
    elif value is None:
        # a pruned trial; whoever asked for its values knows
        return Ending(problem="it returned nothing")
    else:
        numbers = value if isinstance(value, list) else [value]
    if len(numbers) != len(objectives):
        return Ending(problem=f"it returned {len(numbers)} numbers for {len(objectives)}")
    if not all(math.isfinite(number) for number in numbers):
        return Ending(problem="it measured a number that is not finite")
    return Ending(values=tuple(float(number) for number in numbers))


def _deadline(trial: Assignment) -> float:
    return time.monotonic() + (trial.timeout_s or math.inf)


def _overrun(trial: Assignment) -> Ending:
    return Ending(problem=f"it ran for longer than {trial.timeout_s:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM if process.poll() is None else signal.SIGKILL)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
