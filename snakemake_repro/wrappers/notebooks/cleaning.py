"""Take out of an executed notebook what differs from run to run and from machine to machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_KEPT = ("kernelspec", "language_info", "title", "authors")
"""What the notebook says of itself; the rest is notes of the programs that edited or ran it."""
_OF_CELLS = ("execution", "papermill", "ExecuteTime", "pycharm")
_WIDGET = "application/vnd.jupyter.widget-view+json"
_CELL_FILE = re.compile(r"[^\s\"'(<>]*/ipykernel_\d+/(\d+)\.py")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b")
_TEXTS = ("text/plain", "text/html", "text/markdown", "text/latex")


def identify(notebook: Mapping[str, Any]) -> None:
    """Give cells without an id one by their position, in place of one by chance.

    Args:
        notebook: As JSON has it.
    """
    if (notebook.get("nbformat"), notebook.get("nbformat_minor", 0)) < (4, 5):
        return
    for number, cell in enumerate(notebook.get("cells", ()), 1):
        cell.setdefault("id", f"cell-{number}")


def clean(notebook: Any, places: Mapping[str, str]) -> None:
    """Make an executed notebook the same for the same code and the same results.

    Out go the times of cells, notes of editors, the state of widgets, memory addresses in the text
    of objects, the names of the kernel's own files, and the paths of this machine. What one cell
    prints comes in one piece, standard output before standard error, between what it displays.

    What the notebook's own code prints of time or chance stays; so does what stands in pictures.

    Args:
        notebook: Of ``nbformat``; it is changed.
        places: Paths of this machine, with plain words that are written for them; longer ones come
            first.
    """
    for key in [key for key in notebook.metadata if key not in _KEPT]:
        del notebook.metadata[key]
    ordered = sorted(places.items(), key=lambda item: -len(item[0]))
    for cell in notebook.cells:
        for key in _OF_CELLS:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [_output(output, ordered) for output in _merged(cell.outputs)]


def _merged(outputs: Iterable[Any]) -> list[Any]:
    """Return outputs with neighbouring streams in one piece each, standard output first."""
    found: list[Any] = []
    streams: dict[str, Any] = {}
    for output in outputs:
        if output.output_type == "stream":
            if output.name in streams:
                streams[output.name].text += output.text
            else:
                streams[output.name] = output
        else:
            found += [streams[name] for name in sorted(streams, reverse=True)]
            streams = {}
            found.append(output)
    return found + [streams[name] for name in sorted(streams, reverse=True)]


def _output(output: Any, places: list[tuple[str, str]]) -> Any:
    if output.output_type == "stream":
        output.text = _text(_shown(output.text), places)
    elif output.output_type == "error":
        output.evalue = _text(output.evalue, places)
        output.traceback = [_text(line, places) for line in output.traceback]
    else:
        output.data.pop(_WIDGET, None)
        for kind in _TEXTS:
            if kind in output.data:
                output.data[kind] = _text(output.data[kind], places)
    return output


def _shown(text: str) -> str:
    """Return what a terminal shows of a line that is written over and over: its last state."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _text(text: str, places: list[tuple[str, str]]) -> str:
    text = _CELL_FILE.sub(r"cell \1", text)
    for place, name in places:
        text = re.sub(rf"(?<![\w.-]){re.escape(place)}(?![\w.-])", name, text)
    return _ADDRESS.sub("at 0x0", text)
