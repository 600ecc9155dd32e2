"""Ray: starts a local cluster or joins one, submits tasks, and calls back when they end.

Only the gateway process imports this: Ray ends a process that called ``ray.init`` about a minute
after the cluster's head is lost, and Snakemake must outlive that.
"""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import snakemake_repro
from snakemake_repro.backends import processtree, ray_workers
from snakemake_repro.backends.ray_carrier import Carrier, Receive
from snakemake_repro.backends.ray_parts import children_named, listeners, living
from snakemake_repro.backends.ray_settings import make_directory, set_process_defaults, start_here
from snakemake_repro.errors import ClusterError, ReproError
from snakemake_repro.interfaces import Outcome
from snakemake_repro.records.tasks import Node, ResourceRequest

_OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Tasks and results are a few kilobytes; Ray's default takes 30 % of the memory."""

_HEAD_PROCESSES = ("gcs_server", "raylet")
_HEAD_POLL_S = 0.5
_CENSUS_POLL_S = 3.0
_CENSUS_PATIENCE_S = 2.0
_DIRECTORY_PREFIX = "repro-ray"
_PROBE_TIMEOUT_S = 5.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0

_CONNECT_ADVICE = "Check --ray-address and that the cluster's head is up (`ray status`)."
_AUTHENTICATION_ADVICE = (
    "Clusters made by `ray start` of Ray 2.60 and later ask for a token: set RAY_AUTH_MODE=token "
    "and put the cluster's token into RAY_AUTH_TOKEN or ~/.ray/auth_token."
)
_ANSWER_TIMEOUT_S = 60


class RayCluster:
    """A connection to a Ray cluster.

    Attributes:
        shipped: Workers get our packages from here, as they have none.
    """

    def __init__(
        self,
        run: Callable[[bytes], bytes],
        run_apart: Callable[..., Iterator[bytes]],
        warm_up: Callable[[], None],
        outcome: Outcome,
        *,
        address: str | None,
        cpus: int | None,
        head_lost: Callable[[], None],
        nodes_changed: Callable[[tuple[Node, ...]], None],
    ) -> None:
        """Connect, or start a cluster on this machine.

        Args:
            run: What a worker does with a payload; pickled by reference.
            run_apart: The same with files, where no file system is shared.
            warm_up: What makes a worker ready for the first of them.
            outcome: Called from Ray's threads when an attempt ends.
            address: Of an existing cluster; ``None`` starts one that ends with this process.
            cpus: Logical CPUs of a cluster started here; ``None`` for all of the machine's.
            head_lost: Called once when a cluster started here loses its head, or an existing one
                its part on this machine.
            nodes_changed: Called with all nodes when some joined or left while attempts are under
                way.

        Raises:
            ClusterError: The cluster cannot be started or reached, or does not fit.
        """
        self._outcome = outcome
        self._lock = threading.Lock()
        self._running: dict[str, Any] = {}
        self._shapes: dict[str, Any] = {}
        self._directory: Path | None = None
        self.shipped = False
        self._closing = threading.Event()
        if address is None:
            self._start(cpus)
        else:
            self._join(address)
        import ray

        self._ray = ray
        self._function = ray.remote(run)
        self._run_apart = run_apart
        self._warm_up = warm_up
        self._carrier: Carrier | None = None
        ray_workers.settling()()
        if address is not None:
            self._check_workers(address)
        own = children_named(os.getpid(), _HEAD_PROCESSES)
        watched = own if address is None else list(listeners(self._raylet_socket()))
        threading.Thread(target=self._watch, args=(watched, head_lost), daemon=True).start()
        self._census = threading.Thread(target=self._count, args=(nodes_changed,), daemon=True)
        self._census.start()
        self._warm()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What the cluster's living nodes have in all."""
        return living(self._ray.nodes())

    @property
    def idle(self) -> bool:
        """Whether no attempt is under way."""
        with self._lock:
            return not self._running

    def submit(self, attempt: str, payload: bytes, request: ResourceRequest) -> None:
        """Queue one payload."""
        shape = repr(request)
        function = self._shapes.get(shape)
        if function is None:
            function = self._shapes[shape] = self._function.options(**_options(request))
        reference = function.remote(payload)
        with self._lock:
            self._running[attempt] = reference
        reference.future().add_done_callback(lambda future: self._ended(attempt, future))

    def ship(
        self,
        attempt: str,
        payload: bytes,
        request: ResourceRequest,
        *,
        archive: Path,
        files: Mapping[str, Path],
        receive: Receive,
        refused: Callable[[ReproError], bytes],
    ) -> None:
        """Queue one payload whose files travel with it, and what it makes with its result."""
        if self._carrier is None:
            self._carrier = Carrier(self._ray, self._run_apart, self._settle)

        def submitted(stream: Any) -> None:
            with self._lock:
                self._running[attempt] = stream

        self._carrier.submit(
            attempt,
            payload,
            archive=archive,
            files=files,
            options=_options(request),
            receive=receive,
            submitted=submitted,
            refused=refused,
        )

    def cancel(self, attempt: str) -> None:
        """Stop one attempt; its worker ends the job's process tree."""
        with self._lock:
            reference = self._running.get(attempt)
        if reference is not None:
            self._ray.cancel(reference, force=False, recursive=False)

    def shutdown(self) -> None:
        """Disconnect, and end a cluster started here."""
        self._closing.set()
        if self._carrier is not None:
            self._carrier.close()
        self._census.join(_CENSUS_PATIENCE_S)  # it must not ask a Ray that has gone
        self._ray.shutdown()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _ended(self, attempt: str, future: Any) -> None:
        error = future.exception()
        self._settle(attempt, None if error is not None else future.result(), error)

    def _settle(self, attempt: str, payload: bytes | None, error: BaseException | None) -> None:
        with self._lock:
            self._running.pop(attempt, None)
        if self._closing.is_set():
            return
        exceptions = self._ray.exceptions
        if error is None:
            self._outcome(attempt, payload, None)
        elif isinstance(error, exceptions.TaskCancelledError):
            self._outcome(attempt, None, "cancelled")
        elif isinstance(error, exceptions.OutOfMemoryError):
            self._outcome(attempt, None, f"out of memory: {_first_line(error)}")
        else:
            self._outcome(attempt, None, _first_line(error))

    def _start(self, cpus: int | None) -> None:
        set_process_defaults(loopback=True)
        import ray

        self._directory = make_directory(_DIRECTORY_PREFIX)
        try:
            start_here(self._directory, cpus, _OBJECT_STORE_BYTES, configure_logging=False)
        except (RuntimeError, OSError, ValueError, ray.exceptions.RayError) as exc:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise ClusterError(
                f"cannot start a local Ray cluster: {_first_line(exc)}",
                hint="Its logs say more with --verbose; is there free memory and space in /tmp?",
            ) from exc

    def _join(self, address: str) -> None:
        set_process_defaults(loopback=_probe(address))
        self._connect(address)

    def _connect(self, address: str, **options: Any) -> None:
        import ray

        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False, **options)
        except ray.exceptions.AuthenticationError as exc:
            raise ClusterError(
                f"the Ray cluster at {address} refuses the token: {_first_line(exc)}",
                hint=_AUTHENTICATION_ADVICE,
            ) from exc
        except RuntimeError as exc:
            if "ersion mismatch" in str(exc):
                raise ClusterError(
                    f"the Ray cluster at {address} does not fit: {' '.join(str(exc).split())}",
                    hint="Python's minor version and Ray's version must be equal on both sides.",
                ) from exc
            raise ClusterError(
                f"cannot reach a Ray cluster at {address}: {_first_line(exc)}",
                hint=f"{_CONNECT_ADVICE} {_AUTHENTICATION_ADVICE}",
            ) from exc
        except (OSError, ValueError, ray.exceptions.RayError) as exc:
            raise ClusterError(
                f"cannot reach a Ray cluster at {address}: {_first_line(exc)}",
                hint=f"{_CONNECT_ADVICE} {_AUTHENTICATION_ADVICE}",
            ) from exc

    def _check_workers(self, address: str) -> None:
        """Compare the versions that matter on a worker with ours, and bring what only we have."""
        theirs = self._ask(ray_workers.asking())
        if wrong := ray_workers.differences(theirs):
            raise ClusterError(
                f"the cluster's workers differ from this installation ({'; '.join(wrong)})",
                hint="Install the same versions on both sides.",
            )
        if ray_workers.lack_us(theirs):
            self._ship(address)

    def _ship(self, address: str) -> None:
        """Join again, with our packages for workers that lack them."""
        self._ray.shutdown()
        self._connect(address, runtime_env={"py_modules": ray_workers.folders()})
        self._ask(ray_workers.importable)
        self.shipped = True

    def _warm(self) -> None:
        """Let a worker get ready meanwhile; where none can, the first job says why.

        More than one would keep each other waiting where there are few cores; they start as soon as
        there are jobs for them. A cluster without any node for it is not asked for one.
        """
        if any(node.cpus >= 1 for node in self.nodes):
            prepare = ray_workers.settling(self._warm_up)
            self._ray.remote(prepare).options(max_retries=0).remote()

    def _ask(self, function: Callable[[], Any]) -> Any:
        """Call a function on a worker.

        Raises:
            ClusterError: It cannot be called there.
        """
        probe = self._ray.remote(ray_workers.settling(function)).options(num_cpus=0, max_retries=1)
        try:
            return self._ray.get(probe.remote(), timeout=_ANSWER_TIMEOUT_S)
        except self._ray.exceptions.RayError as exc:
            raise ClusterError(
                f"the cluster's workers cannot import {ray_workers.OURS}: {_last_line(exc)}",
                hint=f"Install version {snakemake_repro.__version__} in the workers' environment.",
            ) from exc

    def _raylet_socket(self) -> str:
        """Return where the part of the cluster listens that this machine has."""
        here = self._ray.get_runtime_context().get_node_id()
        return next(
            str(node["RayletSocketName"]) for node in self._ray.nodes() if node["NodeID"] == here
        )

    def _watch(self, watched: Iterable[int], head_lost: Callable[[], None]) -> None:
        """Notice at once what Ray itself reports after a minute or, of a new head, never."""
        while not self._closing.wait(_HEAD_POLL_S):
            if not all(processtree.alive(pid) for pid in watched):
                head_lost()
                return

    def _count(self, changed: Callable[[tuple[Node, ...]], None]) -> None:
        """Notice nodes that join and leave."""
        known = self.nodes
        while not self._closing.wait(_CENSUS_POLL_S):
            if self.idle:
                continue
            try:
                now = self.nodes
            except self._ray.exceptions.RayError:
                continue  # a head that is away: who watches it says so
            if now != known:
                known = now
                changed(now)


def _options(request: ResourceRequest) -> dict[str, Any]:
    """Return what Ray is asked for."""
    return {
        "num_cpus": request.cpus,
        "num_gpus": request.gpus,
        "memory": request.memory or None,
        "resources": dict(request.custom) or None,
        "label_selector": dict(request.labels) or None,
        "max_retries": 0,  # who repeats an attempt must know of it: the driver
    }


def _probe(address: str) -> bool:
    """Find out in seconds what Ray takes minutes for: whether anything listens there.

    Ray replaces a loopback address by this machine's own; a cluster that listens on loopback only
    is then not found, unless Ray's switch for it is set.

    Returns:
        Whether the switch is needed.

    Raises:
        ClusterError: Nothing does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():  # "auto"
        return False
    try:
        with socket.create_connection((host, int(port)), timeout=_PROBE_TIMEOUT_S) as connection:
            loopback = ipaddress.ip_address(connection.getpeername()[0]).is_loopback
    except OSError as exc:
        raise ClusterError(
            f"cannot reach a Ray cluster at {address}: {exc.strerror or exc}",
            hint=_CONNECT_ADVICE,
        ) from exc
    return loopback and not _listens(_own_address(), int(port))


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _own_address() -> str:
    """Return the address this machine uses towards others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # a documentation address, RFC 5737
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def import_ray(address: str | None, *, patience: float) -> None:
    """Import Ray for a cluster that is joined, or started, later.

    Args:
        address: Of the one to be joined.
        patience: How many seconds to wait for its head, which may be starting again.
    """
    loopback = address is None
    if address is not None:
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

        patient = Retrying(
            retry=retry_if_exception_type(ClusterError),
            stop=stop_after_delay(patience),
            wait=wait_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            reraise=True,
        )
        with contextlib.suppress(ClusterError):  # who joins it says so
            loopback = patient(_probe, address)
    set_process_defaults(loopback=loopback)
    importlib.import_module("ray")


def _last_line(error: BaseException) -> str:
    """Return what failed on a worker: its own message stands below its traceback."""
    text = str(error).strip()
    return text.splitlines()[-1] if text else type(error).__name__


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
