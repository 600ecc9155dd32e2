"""Files that travel with Ray's tasks: inputs as objects of its store, outputs as a stream.

An input is put into the store once, in chunks, and spilled to disk by Ray where memory does not
suffice. What a task yields is owned by this process: it outlives the worker that made it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from snakemake_repro.backends.parcels import pack, read
from snakemake_repro.errors import ReproError

Receive: TypeAlias = Callable[[str, Iterable[bytes]], bytes]
"""Puts away what an attempt yields and returns its result."""

Ended: TypeAlias = Callable[[str, bytes | None, BaseException | None], None]
"""Called once per attempt: its result, or what it was lost by."""

_RECEIVERS = 4
_AHEAD = 4
"""Chunks of a task that wait to be taken; it goes on when there are fewer."""

_KEPT_BYTES = 2 * 1024**3
"""Of inputs that other tasks may need as well."""


class Carrier:
    """Submits tasks with files; one thread sends, a few receive."""

    def __init__(self, ray: Any, run: Callable[..., Iterator[bytes]], ended: Ended) -> None:
        """Start the threads.

        Args:
            ray: The library, connected.
            run: What a worker does with a payload and its files; pickled by reference.
            ended: Takes the end of each attempt.
        """
        self._ray = ray
        self._function = ray.remote(run)
        self._ended = ended
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="repro-send")
        self._receivers = ThreadPoolExecutor(_RECEIVERS, thread_name_prefix="repro-receive")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="repro-follow", daemon=True).start()
        self._put: OrderedDict[Path, _Parcel] = OrderedDict()

    def submit(
        self,
        attempt: str,
        payload: bytes,
        *,
        archive: Path,
        files: Mapping[str, Path],
        options: Mapping[str, Any],
        receive: Receive,
        submitted: Callable[[Any], None],
        refused: Callable[[ReproError], bytes],
    ) -> None:
        """Queue one payload with its files.

        Args:
            attempt: Which attempt it is.
            payload: Its task.
            archive: Goes to the node first; made by ``pack``.
            files: Name for the node -> file or directory here.
            options: Of Ray's task.
            receive: Takes what the task yields.
            submitted: Takes the handle of the running task.
            refused: Makes a result of the reason why a file cannot be sent.
        """

        def send() -> None:
            try:
                parcels = [
                    self._parcel(archive, read(archive)),
                    *(self._parcel(path, pack({name: path})) for name, path in files.items()),
                ]
            except ReproError as exc:
                self._ended(attempt, refused(exc), None)
                return
            stream = self._function.options(
                **options, num_returns="streaming", _generator_backpressure_num_objects=_AHEAD
            ).remote(payload, parcels)
            submitted(stream)
            following = asyncio.run_coroutine_threadsafe(
                self._follow(attempt, stream, receive), self._loop
            )
            following.add_done_callback(lambda future: self._failed(attempt, future))

        self._sender.submit(send).add_done_callback(lambda future: self._failed(attempt, future))

    def close(self) -> None:
        """Start nothing more; what is under way ends with the connection."""
        self._sender.shutdown(wait=False, cancel_futures=True)
        self._receivers.shutdown(wait=False, cancel_futures=True)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _follow(self, attempt: str, stream: Any, receive: Receive) -> None:
        """Wait for the first thing a task yields, which costs no thread; then receive it all."""
        first = await anext(stream, None)
        receiving = self._receivers.submit(self._receive, attempt, first, stream, receive)
        receiving.add_done_callback(lambda future: self._failed(attempt, future))

    def _receive(self, attempt: str, first: Any, stream: Any, receive: Receive) -> None:
        self._ended(attempt, receive(attempt, self._items(first, stream)), None)

    def _failed(self, attempt: str, future: Future[None]) -> None:
        """End an attempt whose thread could not: whatever happens there, somebody waits for it."""
        if future.cancelled() or (error := future.exception()) is None:
            return
        self._ended(attempt, None, error.__cause__ if isinstance(error, _LostError) else error)

    def _items(self, first: Any, stream: Any) -> Iterator[bytes]:
        reference = first
        while reference is not None:
            try:
                yield self._ray.get(reference)
                reference = next(stream, None)
            except self._ray.exceptions.RayError as exc:
                raise _LostError from exc

    def _parcel(self, path: Path, chunks: Iterator[bytes]) -> Sequence[Any]:
        """Put a file into the store, unless it is there; each has one name on all nodes."""
        stamp = _stamp(path)
        known = self._put.get(path)
        if known is not None and stamp is not None and known.stamp == stamp:
            self._put.move_to_end(path)
            return known.references
        references, size = [], 0
        for chunk in chunks:
            references.append(self._ray.put(chunk))
            size += len(chunk)
        self._put[path] = _Parcel(stamp, references, size)
        while len(self._put) > 1 and sum(item.size for item in self._put.values()) > _KEPT_BYTES:
            self._put.popitem(last=False)
        return references


class _LostError(Exception):
    """Ray lost a task or what it yielded; the cause says how."""


class _Parcel:
    """A file in the store.

    Attributes:
        stamp: What it was when it was put there; ``None`` if nothing tells.
    """

    def __init__(self, stamp: tuple[int, ...] | None, references: list[Any], size: int) -> None:
        self.stamp = stamp
        self.references = references
        self.size = size


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes with a file; a directory's does not tell what is in it."""
    try:
        state = path.stat()
    except OSError:
        return None
    if path.is_dir():
        return None
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
