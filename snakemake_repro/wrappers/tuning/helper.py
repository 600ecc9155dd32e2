"""Run trials on another place of the cluster: started as a program there by ``helpers``.

Requests and replies are JSON lines on standard input and output, one trial at a time. When nothing
more can be heard, the search or this node's part of the cluster has gone, and the trial ends.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Mapping
from typing import IO, Any

from snakemake_repro.backends import processtree
from snakemake_repro.wrappers.problems import WrapperError
from snakemake_repro.wrappers.tuning.lines import send, take_streams
from snakemake_repro.wrappers.tuning.slots import Assignment, Slot


def main() -> None:
    """Serve until standard input closes."""
    if os.fork():  # whoever kills what it has started does not kill this, which hears of it
        os._exit(0)
    processtree.become_subreaper()
    requests, replies = take_streams()
    slot = Slot(None, tied=True)
    heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, heard, slot), daemon=True).start()
    while True:
        _send(replies, _run(slot, heard.get(), heard, replies))


def _listen(requests: IO[str], heard: queue.SimpleQueue[dict[str, Any]], slot: Slot) -> None:
    for line in requests:
        heard.put(json.loads(line))
    slot.close()
    processtree.kill_rest()
    os._exit(0)


def _run(
    slot: Slot,
    request: Mapping[str, Any],
    heard: queue.SimpleQueue[dict[str, Any]],
    replies: IO[str],
) -> dict[str, Any]:
    def report(step: int, value: float) -> bool:
        _send(replies, {"report": [step, value]})
        return bool(heard.get()["prune"])

    try:
        ending = slot.run(Assignment.from_json(request), report)
    except WrapperError as exc:
        return {"refused": exc.message}
    except OSError as exc:
        return {"refused": f"{exc.filename}: {exc.strerror}"}
    return {"values": ending.values, "problem": ending.problem}


def _send(replies: IO[str], reply: Mapping[str, Any]) -> None:
    try:
        send(replies, reply)
    except BrokenPipeError:
        os._exit(1)  # nobody reads it


if __name__ == "__main__":
    main()
