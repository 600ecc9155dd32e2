"""How Snakemake starts scripts and notebooks, bent to the environment that they run in.

All of this changes Snakemake's modules in a forked process that runs one job and ends.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

_INTERPRETERS = frozenset(
    ("Rscript", "julia", "rust-script", "xonsh", "hy", "papermill", "jupyter-nbconvert")
)
"""What scripts and notebooks are started with. Python has its own way, bash is the system's."""

NOT_FOUND = 127
"""What a shell says of a command that is not there."""


class MissingInterpreterError(Exception):
    """The environment has nothing that runs the script."""


def use_python(python: str, search_path: str | None) -> None:
    """Make Python scripts run in a pinned environment's interpreter.

    Snakemake starts scripts with ``sys.executable`` and appends its own site-packages to their
    search path; the latter would let packages of the host fill gaps in the environment.
    """
    import sys

    import snakemake.script

    sys.executable = shlex.quote(python)
    if search_path is not None:
        snakemake.script.get_snakemake_searchpaths = lambda: [search_path]


def use_programs(directory: str) -> None:
    """Make scripts and notebooks run with what a pinned environment has, or not at all.

    The host's programs come after the environment's on ``PATH``: its R or its Jupyter would take
    the place of one that is missing, and nothing would tell.
    """
    from snakemake.script import ScriptBase

    execute = ScriptBase._execute_cmd  # noqa: SLF001 - where all scripts are started

    def checked(script: Any, cmd: str, **fields: Any) -> Any:
        program = cmd.split(maxsplit=1)[0]
        if program in _INTERPRETERS and not Path(directory, program).exists():
            if fields.get("read"):  # it asks whether there is one
                raise subprocess.CalledProcessError(NOT_FOUND, program)
            raise MissingInterpreterError(
                f"the job's environment has no {program}, and that of the host is not used: name "
                "what brings it in the environment file"
            )
        return execute(script, cmd, **fields)

    ScriptBase._execute_cmd = checked  # noqa: SLF001
    # a kernel that the user installed for himself may have the same name
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


def only_plan(path: str, *, ask: bool) -> None:
    """Make a call write a file with what it would run: the script is to run elsewhere.

    The file is JSON: ``text`` for a shell, the ``shell``, the ``script`` with its preamble, which
    stays where Snakemake put it, and its ``source``.

    Args:
        path: Of the file.
        ask: Only where it runs can tell what runs notebooks there.
    """
    import snakemake.script
    from snakemake.notebook import JupyterNotebook

    execute, plan = JupyterNotebook.execute_script, _Plan(Path(path))

    def execute_notebook(notebook: Any, fname: str, edit: Any = None) -> None:  # noqa: ARG001
        texts = []
        for papermill in (True, False) if ask else (True,):
            plan.papermill = papermill
            execute(notebook, fname)
            texts.append(plan.text)
        if ask:
            asked = "if papermill --version > /dev/null 2>&1; then"
            plan.text = f"{asked} {texts[0]}; else {texts[1]}; fi"
        plan.write(notebook, fname)

    def execute_cmd(script: Any, cmd: str, **fields: Any) -> None:
        if isinstance(script, JupyterNotebook):
            plan.start_notebook(cmd, **fields)
        else:
            plan.start_script(cmd, **fields)
            plan.write(script, str(fields["fname"]))

    JupyterNotebook.execute_script = execute_notebook
    snakemake.script.ScriptBase._execute_cmd = execute_cmd  # noqa: SLF001
    # it would say that the script is not removed, which is done after the job
    snakemake.script.logger.setLevel("ERROR")


class _Plan:
    """What Snakemake would run, as a text for a shell.

    Attributes:
        papermill: What Snakemake, which takes nbconvert without it, is told of papermill.
        text: The latest one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.papermill = False
        self.text = ""

    def start_script(self, cmd: str, **fields: Any) -> None:
        from snakemake.utils import format as format_command

        self.text = format_command(cmd, **fields)

    def start_notebook(self, cmd: str, **fields: Any) -> None:
        if fields.get("read"):  # it asks for papermill
            if not self.papermill:
                raise subprocess.CalledProcessError(NOT_FOUND, cmd)
            return
        directory = fields["additional_envvars"]["IPYTHONDIR"]
        place = shlex.quote(directory)
        # without a log papermill writes over the notebook, which the job may only read
        self.start_script(cmd.replace(fields["fname"], f"{directory}/notebook.ipynb"), **fields)
        prepared = (
            f"trap {shlex.quote(f'rm -rf {place}')} EXIT",
            f"mkdir -p {place}",
            f"export IPYTHONDIR={place}",
        )
        self.text = "; ".join((*prepared, self.text))

    def write(self, script: Any, fname: str) -> None:
        from snakemake.shell import shell

        executable = script.resources.get("shell_exec") or shell.get_executable() or "sh"
        prefix = shell._get_process_prefix(executable)  # noqa: SLF001 - what shell() itself does
        found = {
            "text": f"{prefix} {self.text} {shell._process_suffix}".strip(),  # noqa: SLF001
            "shell": Path(executable).name,
            "script": fname,
            "source": str(script.local_path if script.is_local else script.cache_path),
        }
        self._path.write_text(json.dumps(found), encoding="utf-8")
