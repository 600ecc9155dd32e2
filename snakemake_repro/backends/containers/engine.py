"""A container engine on this machine: who it is, which images it has, and what registries say."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError, ReproError
from snakemake_repro.logic.images import ImageName
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest
from snakemake_repro.records.tasks import ENGINES

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_NAMES = {"docker": "Docker", "podman": "Podman"}
_HOSTS = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}
_START = {
    "docker": "Start the Docker engine and check `docker info`",
    "podman": "Start its service (`systemctl start podman.socket`, or `podman system service`)",
}
_TIMEOUT_S = 60


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What an engine says of itself.

    Attributes:
        name: With its version.
        platform: Of its images, such as ``linux/amd64``.
        cpus: Of its machine.
        rootless: Its root is the user who runs it.
        labels: It lets a container touch only files that carry its SELinux label.
        init: It can run a small init process in a container.
    """

    name: str
    platform: str
    cpus: int
    rootless: bool
    labels: bool
    init: bool


class Engine:
    """A connection to an engine that answers."""

    def __init__(self, kind: str = ENGINES[0]) -> None:
        """Connect.

        Args:
            kind: One of ``ENGINES``.

        Raises:
            EnvironmentBuildError: No engine answers.
        """
        assert kind in ENGINES
        self.kind = kind
        self.client = _connect(kind)
        with self.errors("the engine does not say what it is"):
            info = self.client.info()
            version = self.client.version()["Version"]
        machine = info["Architecture"]
        options = info.get("SecurityOptions") or []
        self.facts = Facts(
            name=f"{_NAMES[kind]} {version}",
            platform=f"{info['OSType']}/{_ARCHITECTURES.get(machine, machine)}",
            cpus=int(info["NCPU"]),
            rootless=any("rootless" in option for option in options),
            labels=any("selinux" in option for option in options),
            init=kind == "docker",
        )

    @contextlib.contextmanager
    def errors(
        self, what: str, *, kind: type[ReproError] = EnvironmentBuildError
    ) -> Iterator[None]:
        """Turn the engine's errors into ours.

        Args:
            what: What could not be done.
            kind: Class of the error.
        """
        import docker

        try:
            yield
        except docker.errors.APIError as exc:
            said = exc.explanation or str(exc)
            raise kind(
                f"{what}: {strip_credentials(' '.join(str(said).split()))}", hint=_advice(str(said))
            ) from exc
        except (docker.errors.DockerException, OSError) as exc:  # `requests` raises the latter
            raise kind(
                f"{what}: the {_NAMES[self.kind]} engine does not answer any more ({_cause(exc)})",
                hint=f"{_START[self.kind]}.",
            ) from exc

    def resolve(self, image: ImageName) -> Mapping[str, Digest]:
        """Ask the image's registry which digest a tag means now, platform by platform.

        Nothing is pulled. Credentials are those of ``docker login``.

        Raises:
            EnvironmentSpecError: The registry does not have it, refuses, or does not answer.
        """
        if self.kind != "docker":
            raise EnvironmentSpecError(
                f"the container {image.text} cannot be locked: {_NAMES[self.kind]} does not tell "
                "the digest of an image that it has not pulled",
                hint="Lock it where Docker runs, or name the image by its digest.",
            )
        with self.errors(f"the container {image.text} cannot be locked", kind=EnvironmentSpecError):
            found = self.client.images.get_registry_data(image.text)
        digest = Digest.parse(found.id)
        return {_platform(one): digest for one in found.attrs.get("Platforms") or [{}]}

    def image_id(self, reference: str) -> str | None:
        """Return what the engine calls an image that it has, else ``None``."""
        import docker

        with self.errors(f"the container {reference} cannot be looked up"):
            try:
                return str(self.client.images.get(reference).id)
            except docker.errors.ImageNotFound:
                return None

    def pull(self, reference: str) -> None:
        """Fetch an image by its digest, which the engine checks.

        Raises:
            EnvironmentBuildError: It cannot be had.
        """
        what = f"the container {reference} cannot be pulled"
        with self.errors(what):
            # step by step, so that a job can be cancelled meanwhile
            for step in self.client.api.pull(reference, stream=True, decode=True):
                if "error" in step:
                    said = strip_credentials(" ".join(str(step["error"]).split()))
                    raise EnvironmentBuildError(f"{what}: {said}", hint=_advice(said))

    def save(self, reference: str, path: Path) -> None:
        """Write an image into an archive, pulling it first if the engine does not have it.

        Raises:
            EnvironmentBuildError: It cannot be had.
            StorageError: The archive cannot be written.
        """
        if self.image_id(reference) is None:
            self.pull(reference)
        with self.errors(f"the container {reference} cannot be saved"), path.open("wb") as file:
            for part in self.client.images.get(reference).save():
                file.write(part)


def _connect(kind: str) -> Any:
    import docker

    address = _address(kind)
    try:
        if address is None:
            client = docker.from_env(timeout=_TIMEOUT_S)
        else:
            client = docker.DockerClient(base_url=address, timeout=_TIMEOUT_S)
        client.ping()
    except (docker.errors.DockerException, OSError) as exc:
        place = f" at {strip_credentials(address)}" if address else ""
        raise EnvironmentBuildError(
            f"no {_NAMES[kind]} engine answers{place}, which rules with `container:` need "
            f"({_cause(exc)})",
            hint=f"{_START[kind]}, or set {_HOSTS[kind]}; --ray-container-engine chooses another "
            "engine, `--ray-environments host` runs without containers.",
        ) from exc
    return client


def _address(kind: str) -> str | None:
    """Return where an engine listens; ``None`` leaves it to Docker's own configuration."""
    named = os.environ.get(_HOSTS[kind])
    if kind == "docker" or named:
        return named
    personal = os.environ.get("XDG_RUNTIME_DIR")
    if os.getuid() and personal:
        return f"unix://{Path(personal, 'podman', 'podman.sock')}"
    return "unix:///run/podman/podman.sock"


def _platform(found: Mapping[str, Any]) -> str:
    parts = [found.get("os") or "linux", found.get("architecture") or "amd64"]
    if found.get("variant") and found["variant"] != "v8":  # the only one of arm64
        parts.append(found["variant"])
    return "/".join(parts)


def _cause(exc: BaseException) -> str:
    """Return the system's own words from below the layers of a library."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = [arg for arg in cause.args if isinstance(arg, BaseException)]
        cause = inner[0] if inner else cause.__cause__ or cause.__context__
    return strip_credentials(" ".join(str(exc).split()))


def _advice(said: str) -> str:
    words = said.lower()
    if any(word in words for word in ("denied", "unauthorized", "auth credentials")):
        return "Is the name right? For a private image, `docker login` gives the credentials."
    if "unknown" in words or "not found" in words:
        return "Check the name and tag, or the digest, in `container:` and in the lock."
    if "device driver" in words:
        return "GPUs in containers need NVIDIA's container toolkit on the node."
    if "no space" in words:
        return "Free some space where the engine keeps its images (`docker system prune`)."
    return "Can this machine reach the registry? The engine's own log says more."
