"""Jobs that are Snakemake's own code: a script or wrapper call, or Snakemake itself in a fork.

The call is the very function that Snakemake's local executor reaches through the rule's compiled
body, with the same arguments; only the Snakefile is not parsed again.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from snakemake_repro.logic import plain

_SIGNAL_BASE = 128


def preload() -> bool:
    """Import what forked children need; tell whether that happened just now."""
    if "snakemake.cli" in sys.modules:
        return False
    import snakemake.cli
    import snakemake.script
    import snakemake.wrapper

    # Snakemake imports every plugin when it builds its parser: once here, not in each fork
    snakemake.cli.get_argument_parser()
    return True


def run(
    command: dict[str, Any], python: str | None, search_path: str | None, plan: str | None
) -> int:
    """Run a job in this forked process, or plan a call; return its exit code."""
    if python is not None:
        _use_python(python, search_path)
    if plan is not None:
        _only_plan(plan)
    try:
        if command["kind"] == "call":
            _call(command["call"])
            return 0
        return _snakemake(command["argv"])
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


def _use_python(python: str, search_path: str | None) -> None:
    """Make Python scripts run in a pinned environment's interpreter.

    Snakemake starts scripts with ``sys.executable`` and appends its own site-packages to their
    search path; the latter would let packages of the host fill gaps in the environment.
    """
    import snakemake.script

    sys.executable = shlex.quote(python)
    if search_path is not None:
        snakemake.script.get_snakemake_searchpaths = lambda: [search_path]


def _only_plan(path: str) -> None:
    """Make a call write a file with what it would run: the script is to run elsewhere.

    The file is JSON: ``text`` for a shell, the ``shell``, the ``script`` with its preamble, which
    stays where Snakemake put it, and its ``source``.
    """
    import snakemake.script
    from snakemake.shell import shell
    from snakemake.utils import format as format_command

    def write(script: Any, cmd: str, **fields: Any) -> None:
        executable = script.resources.get("shell_exec") or shell.get_executable() or "sh"
        prefix = shell._get_process_prefix(executable)  # noqa: SLF001 - what shell() itself does
        text = format_command(cmd, **fields)
        found = {
            "text": f"{prefix} {text} {shell._process_suffix}".strip(),  # noqa: SLF001
            "shell": Path(executable).name,
            "script": str(fields["fname"]),
            "source": str(script.local_path if script.is_local else script.cache_path),
        }
        Path(path).write_text(json.dumps(found), encoding="utf-8")

    snakemake.script.ScriptBase._execute_cmd = write  # noqa: SLF001
    # it would say that the script is not removed, which is done after the job
    snakemake.script.logger.setLevel("ERROR")


def _call(call: dict[str, Any]) -> None:
    from snakemake.deployment.env_modules import EnvModules
    from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards
    from snakemake.shell import shell

    shell._process_args = dict(call["shell"]["args"])  # noqa: SLF001 - the class has no setter
    shell._process_prefix = call["shell"]["prefix"]  # noqa: SLF001
    shell._process_suffix = call["shell"]["suffix"]  # noqa: SLF001
    resources = _named(ResourceList, call["resources"])
    if "TMPDIR" in os.environ and "tmpdir" in resources.keys():  # noqa: SIM118 - a Namedlist
        _set_tmpdir(resources, os.environ["TMPDIR"])
    arguments: dict[str, Any] = {
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
        "bench_iteration": None,
        "cleanup_scripts": call["cleanup_scripts"],
        "shadow_dir": None,
        "sourcecache_path": call["sourcecache_path"],
        "runtime_sourcecache_path": call["runtime_sourcecache_path"],
    }
    if call["function"] == "script":
        from snakemake.script import script

        script(call["path"], call["basedir"], **arguments, runtime_paths=[])
    else:
        from snakemake.wrapper import wrapper

        # the last parameter is named local_storage_prefix and used as runtime_paths
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
