"""Execute a notebook with the kernel of its environment, reached by sockets of this machine."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_repro.wrappers.interpreters import own_programs
from snakemake_repro.wrappers.notebooks.parameters import INJECTED, language_of
from snakemake_repro.wrappers.problems import WrapperError

_SHOWN = 200
_SHOWN_OF_CELL = 60
_START_S = 120


def execute(notebook: Any, variables: Mapping[str, str]) -> None:
    """Run all cells; what they show is put into the notebook.

    A Python notebook runs in the Python that runs this, whatever kernel its author had; others
    in the kernel that the notebook names, of this environment. Settings of the user for IPython
    and Jupyter play no part. The kernel is reached by sockets in a directory of its own.

    Args:
        notebook: Of ``nbformat``; it is changed, also where a cell fails.
        variables: Of the kernel's process, beside those of this one.

    Raises:
        WrapperError: A cell fails, the kernel does not start, or it dies.
    """
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    # a socket's path may have about a hundred characters
    with tempfile.TemporaryDirectory(prefix="nb-", dir=_short()) as place:
        manager = AsyncKernelManager(transport="ipc", connection_file=f"{place}/kernel.json")
        _choose(manager, notebook)
        started: list[int] = []
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=None,
            startup_timeout=_START_S,
            record_timing=False,
            allow_errors=False,
            store_widget_state=False,
            on_cell_execute=lambda cell, cell_index: started.append(cell_index),  # noqa: ARG005
        )
        env = {**os.environ, **variables, "IPYTHONDIR": place, "JUPYTER_CONFIG_DIR": place}
        try:
            client.execute(env=env, cleanup_kc=True)
        except CellExecutionError as exc:
            problem = f"{exc.ename}: {exc.evalue}"
            raise WrapperError(
                f"{_at(notebook.cells, started)} failed: {' '.join(problem.split())}"
            ) from exc
        except (DeadKernelError, CellTimeoutError) as exc:
            raise WrapperError(
                f"{_at(notebook.cells, started)}: the kernel died",
                hint="the machine may have run out of memory",
            ) from exc
        except RuntimeError as exc:  # what both libraries say of a kernel that does not start
            client.km = manager  # nbclient forgets it, and would clean up once more at exit
            raise WrapperError(
                f"expected the kernel to start, got: {' '.join(str(exc).split())[:_SHOWN]}",
                hint="what it said stands above",
            ) from exc


def _short() -> str | None:
    """Return a directory with a short path, or ``None`` for the job's own."""
    return "/tmp" if len(tempfile.gettempdir()) > 40 and os.access("/tmp", os.W_OK) else None  # noqa: PLR2004, S108


def _choose(manager: Any, notebook: Any) -> None:
    """Set the kernel that runs a notebook."""
    from jupyter_client.kernelspec import NoSuchKernel

    known = manager.kernel_spec_manager
    if language_of(notebook) == "python":
        # without a directory to look in this is what ipykernel says of this very Python
        known.kernel_dirs, name = [], "python3"
    else:
        name = notebook.metadata.get("kernelspec", {}).get("name", "")
        if own_programs() is not None:
            # a kernel that the user installed for himself may have the same name
            known.kernel_dirs = [str(Path(sys.prefix, "share", "jupyter", "kernels"))]
    manager.kernel_name = name
    try:
        found = manager.kernel_spec
    except NoSuchKernel:
        found = None
    if found is None:
        raise WrapperError(
            f"expected the kernel {name!r} of the notebook, which the environment does not have",
            hint="add it to the environment that the rule names in conda:; Python's is ipykernel",
        )


def _at(cells: Sequence[Any], started: Sequence[int]) -> str:
    """Return which cell ran last, as its author counts, with its first line."""
    last = cells[started[-1]]
    if _injected(last):
        return "the cell with the rule's parameters"
    number = sum(not _injected(cell) for cell in cells[: started[-1] + 1])
    first = next((line.strip() for line in last.source.splitlines() if line.strip()), "")
    return f"cell {number} ({first[:_SHOWN_OF_CELL]})"


def _injected(cell: Any) -> bool:
    return INJECTED in cell.metadata.get("tags", ())
