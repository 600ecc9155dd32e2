"""A container engine on this machine: who it is, which images it has, and what registries say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.backends.containers import registry
from snakemake_repro.backends.containers.refusals import advice, cause
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError, ReproError
from snakemake_repro.logic.containers import Facts
from snakemake_repro.logic.images import ARCHITECTURES, ImageName, platform_of
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest
from snakemake_repro.records.tasks import ENGINES

_NAMES = {"docker": "Docker", "podman": "Podman"}
HOSTS = {"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}
"""Variables that say where an engine listens."""

_START = {
    "docker": "Start the Docker engine and check `docker info`",
    "podman": "Start its service (`systemctl start podman.socket`, or `podman system service`)",
}
_TIMEOUT_S = 60


class Engine:
    """A connection to an engine that answers."""

    def __init__(self, kind: str = ENGINES[0]) -> None:
        """Connect.

        Args:
            kind: Of ``ENGINES`` one that speaks Docker's interface.

        Raises:
            EnvironmentBuildError: No engine answers.
        """
        assert kind in _NAMES
        self.kind = kind
        self.client = _connect(kind)
        with self.errors("the engine does not say what it is"):
            info = self.client.info()
            version = self.client.version()["Version"]
        machine = info["Architecture"]
        options = info.get("SecurityOptions") or []
        self.facts = Facts(
            name=f"{_NAMES[kind]} {version}",
            platform=f"{info['OSType']}/{ARCHITECTURES.get(machine, machine)}",
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
                f"{what}: {strip_credentials(' '.join(str(said).split()))}", hint=advice(str(said))
            ) from exc
        except (docker.errors.DockerException, OSError) as exc:  # `requests` raises the latter
            raise kind(
                f"{what}: the {_NAMES[self.kind]} engine does not answer any more ({cause(exc)})",
                hint=f"{_START[self.kind]}.",
            ) from exc

    def resolve(self, image: ImageName) -> Mapping[str, Digest]:
        """Ask the image's registry which digest a tag means now, platform by platform.

        Nothing is pulled. Credentials are those of ``docker login``.

        Raises:
            EnvironmentSpecError: The registry does not have it, refuses, or does not answer.
        """
        if self.kind != "docker":  # Podman has no such question
            return registry.platforms(image)
        with self.errors(f"the container {image.text} cannot be locked", kind=EnvironmentSpecError):
            found = self.client.images.get_registry_data(image.text)
        digest = Digest.parse(found.id)
        return {platform_of(one): digest for one in found.attrs.get("Platforms") or [{}]}

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
                    raise EnvironmentBuildError(f"{what}: {said}", hint=advice(said))

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

    address = listens_at(kind)
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
            f"({cause(exc)})",
            hint=f"{_START[kind]}, or set {HOSTS[kind]}; --ray-container-engine chooses another "
            "engine, `--ray-environments host` runs without containers.",
        ) from exc
    return client


def listens_at(kind: str) -> str | None:
    """Return where an engine listens; ``None`` leaves it to Docker's own configuration."""
    named = os.environ.get(HOSTS[kind])
    if kind == "docker" or named:
        return named
    personal = os.environ.get("XDG_RUNTIME_DIR")
    if os.getuid() and personal:
        return f"unix://{Path(personal, 'podman', 'podman.sock')}"
    return "unix:///run/podman/podman.sock"
