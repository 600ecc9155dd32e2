"""Jobs that are Snakemake's own code: a script, notebook or wrapper, or itself in a fork.

The call is the very function that Snakemake's local executor reaches through the rule's compiled
body, with the same arguments; only the Snakefile is not parsed again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from snakemake_repro.agent import programs, scripts
from snakemake_repro.backends.snakemake_forks import Surroundings, put_figures
from snakemake_repro.logic import plain

_SIGNAL_BASE = 128


def preload() -> bool:
    """Import what forked children need; tell whether that happened just now."""
    if "snakemake.cli" in sys.modules:
        return False
    import snakemake.cli
    import snakemake.notebook
    import snakemake.script
    import snakemake.wrapper

    # Snakemake imports every plugin when it builds its parser: once here, not in each fork
    snakemake.cli.get_argument_parser()
    return True


def run(request: dict[str, Any]) -> int:
    """Run the job of a request in this forked process, or plan a call; return its exit code."""
    command = request["command"]
    if request["python"] is not None:
        scripts.use_python(request["python"], request["search_path"])
    if request["plan"] is not None:
        scripts.only_plan(request["plan"], ask=request["programs"] is None)
    if request["programs"] is not None:
        scripts.use_programs(request["programs"])
    try:
        if request["members"] is not None:
            Surroundings.read(Path(request["members"])).install()
        if command["kind"] == "benchmark":
            _benchmark(command)
            return 0
        if command["kind"] == "call":
            _call(command["call"], _arguments(command["call"]))
            return 0
        return _snakemake(command["argv"])
    except scripts.MissingInterpreterError as exc:
        print(exc, file=sys.stderr)  # noqa: T201 - into the job's log
        return scripts.NOT_FOUND
    except subprocess.CalledProcessError as exc:
        # what the program itself printed is above; a traceback of Snakemake adds nothing
        code = exc.returncode
        return code if code > 0 else _SIGNAL_BASE - code
    except Exception:  # noqa: BLE001 - this is the job's outermost frame: the log is its terminal
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _benchmark(command: dict[str, Any]) -> None:
    """Run a job as often as a benchmark is to repeat it, and write the file.

    Where containers have run already, what they used is given, and only the file is written.
    """
    from snakemake.benchmark import BenchmarkRecord, write_benchmark_records

    wanted, call = command["benchmark"], command["call"]
    arguments = _arguments(call)
    measured = wanted.get("measured")
    records = [BenchmarkRecord() for _ in range(wanted.get("repeats", 1))]
    for iteration, record in enumerate(records):
        if measured is not None:
            record.running_time, cpu_s, peak_mb = measured[iteration]
            put_figures(record, cpu_s=cpu_s, peak_mb=peak_mb)
        elif wanted.get("programs") is not None:
            programs.run(wanted["programs"][iteration], record)
        elif command.get("text") is not None:
            programs.run([command["executable"], "-c", command["text"]], record)
        else:
            measuring = {"bench_record": record, "bench_iteration": iteration}
            _call(call, {**arguments, **measuring})
    for record in records:
        record.jobid, record.rule_name = arguments["jobid"], arguments["rulename"]
        for name in ("wildcards", "params", "resources", "input", "threads"):
            setattr(record, name, arguments[name])
    write_benchmark_records(records, wanted["path"], wanted.get("extended", False))


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    """Decode what Snakemake's functions are called with."""
    from snakemake.deployment.env_modules import EnvModules
    from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards
    from snakemake.shell import shell

    shell._process_args = dict(call["shell"]["args"])  # noqa: SLF001 - the class has no setter
    shell._process_prefix = call["shell"]["prefix"]  # noqa: SLF001
    shell._process_suffix = call["shell"]["suffix"]  # noqa: SLF001
    resources = _named(ResourceList, call["resources"])
    if "TMPDIR" in os.environ and "tmpdir" in resources.keys():  # noqa: SIM118 - a Namedlist
        _set_tmpdir(resources, os.environ["TMPDIR"])
    return {
        "input": _named(InputFiles, call["input"]),
        "output": _named(OutputFiles, call["output"]),
        "params": _named(Params, call["params"]),
        "wildcards": _named(Wildcards, call["wildcards"]),
        "threads": call["threads"],
        "resources": resources,
        "log": _named(Log, call["log"]),
        "config": plain.decode(call["config"]),
        "rulename": call["rule"],
        "conda_env": None,
        "conda_base_path": None,
        "container_img": None,
        "singularity_args": "",
        "env_modules": EnvModules(*call["modules"]) if call["modules"] else None,
        "bench_record": None,
        "jobid": call["jobid"],
        "bench_iteration": call.get("bench_iteration"),
        "cleanup_scripts": call["cleanup_scripts"],
        "shadow_dir": None,
        "sourcecache_path": call["sourcecache_path"],
        "runtime_sourcecache_path": call["runtime_sourcecache_path"],
    }


def _call(call: dict[str, Any], arguments: dict[str, Any]) -> None:
    if call["function"] == "script":
        from snakemake.script import script

        script(call["path"], call["basedir"], **arguments, runtime_paths=[])
    elif call["function"] == "notebook":
        from snakemake.notebook import notebook

        # the last parameter is named local_storage_prefix and used as runtime_paths
        notebook(call["path"], call["basedir"], **arguments, edit=None, local_storage_prefix=[])
    else:
        from snakemake.wrapper import wrapper

        # likewise
        wrapper(call["path"], **arguments, prefix=call["prefix"], local_storage_prefix=[])


def _named(kind: Any, data: dict[str, Any]) -> Any:
    """Rebuild one of Snakemake's named lists."""
    named = kind()
    named.extend(plain.decode(item) for item in data["items"])
    named._take_names(  # noqa: SLF001 - Namedlist has no other way in
        [(name, (start, end)) for name, start, end in data["names"]]
    )
    return named


def _set_tmpdir(resources: Any, path: str) -> None:
    """Give the resource ``tmpdir`` this node's value; the driver could not know it."""
    names = dict(resources._get_names())  # noqa: SLF001
    start, end = names["tmpdir"]
    resources[start] = path
    resources._set_name("tmpdir", start, end)  # noqa: SLF001


def _snakemake(argv: list[str]) -> int:
    import snakemake.cli

    sys.argv = ["snakemake", *argv]
    try:
        snakemake.cli.main(argv)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    return 0
