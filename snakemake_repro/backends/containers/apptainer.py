"""Apptainer, or SingularityCE: no service, a program that makes a file of an image and runs it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.backends.containers import registry
from snakemake_repro.backends.containers.refusals import advice
from snakemake_repro.backends.containers.run import drain
from snakemake_repro.backends.environments.flock import make_once
from snakemake_repro.errors import EnvironmentBuildError
from snakemake_repro.logic.apptainer import command_line, process_environment
from snakemake_repro.logic.containers import ContainerJob, Facts, Ran, Usage
from snakemake_repro.logic.images import ARCHITECTURES, SCHEME, ImageName
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest

_PROGRAMS = ("apptainer", "singularity")
_PREFIXES = ("APPTAINER", "SINGULARITY")
_FILES = "sif"
"""Below the store of environments: what images were made into, by the digest of the image."""

_IMAGE, _DIGEST = "image.sif", "digest"
_KIB = 1024
_SIGNAL_BASE = 128


class Apptainer:
    """The program on this machine; a ``ContainerEngine``."""

    def __init__(self, store: Path) -> None:
        """Look for the program.

        Args:
            store: Of realised environments on this node.

        Raises:
            EnvironmentBuildError: It is not there, or does not run.
        """
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        if program is None:
            raise EnvironmentBuildError(
                "this machine has no program apptainer or singularity, which rules with "
                "`container:` need",
                hint="Install Apptainer; --ray-container-engine chooses another engine, "
                "`--ray-environments host` runs without containers.",
            )
        self._program = program
        self._root = store / _FILES
        version = self._call(["--version"], what=f"{program} does not run").replace("version ", "")
        machine = platform.machine()
        self.facts = Facts(
            name=version,
            platform=f"linux/{ARCHITECTURES.get(machine, machine)}",
            cpus=os.cpu_count() or 1,
            rootless=False,
            labels=False,
            init=False,
        )

    def resolve(self, image: ImageName) -> Mapping[str, Digest]:
        """Ask the image's registry which digest a tag means now, platform by platform.

        Raises:
            EnvironmentSpecError: The registry does not have it, refuses, or does not answer.
        """
        return registry.platforms(image)

    def image_id(self, reference: str) -> str | None:
        """Return the digest of the file that was made of an image, if there is one."""
        place = self._place(reference) / _DIGEST
        return place.read_text(encoding="ascii") if place.exists() else None

    def pull(self, reference: str) -> None:
        """Make the file of an image, which is fetched by its digest.

        Raises:
            EnvironmentBuildError: It cannot be had.
        """
        image = ImageName.parse(f"{SCHEME}{reference}")
        what = f"the container {reference} cannot be pulled"
        options = ["--no-https"] if image.host and registry.is_loopback(image.host) else []

        def fill(place: Path) -> None:
            file = place / _IMAGE
            address = f"{SCHEME}{reference}"
            self._call(
                ["pull", "--disable-cache", *options, str(file), address],
                what=what,
                environ=_credentials(image),
            )
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            (place / _DIGEST).write_text(f"sha256:{digest}", encoding="ascii")

        try:
            make_once(self._place(reference), fill)
        except OSError as exc:
            raise EnvironmentBuildError(
                f"{what}: {exc.strerror or exc}",
                hint="Is there space for it? --ray-environment-store names another place.",
            ) from exc

    def run(self, job: ContainerJob) -> Ran:
        """Run a job to its end.

        Its standard input is a pipe that this process holds: what runs inside ends itself when
        that closes. A ``KeyboardInterrupt`` ends it as well.

        Raises:
            EnvironmentBuildError: The program cannot be started.
        """
        command = command_line(self._program, str(self._place(job.image) / _IMAGE), job)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=job.workdir,
                env=process_environment(job, os.environ),
                start_new_session=True,
            )
        except OSError as exc:
            raise EnvironmentBuildError(
                f"a container of {job.image} cannot be started: {exc.strerror}"
            ) from exc
        with process:
            assert process.stdout is not None
            try:
                said = drain(process.stdout.fileno())
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        code = process.returncode
        return Ran(
            status=code if code >= 0 else _SIGNAL_BASE - code,
            said=said.decode("utf-8", "replace"),
            usage=Usage(user_s=used.ru_utime, system_s=used.ru_stime, peak=used.ru_maxrss * _KIB),
        )

    def sweep(self) -> None:
        """Leave it: no job outlives the process that holds its standard input."""

    def close(self) -> None:
        """Keep nothing between jobs."""

    def _place(self, reference: str) -> Path:
        return self._root / reference.rpartition(":")[2][:32]

    def _call(
        self, arguments: list[str], *, what: str, environ: Mapping[str, str] | None = None
    ) -> str:
        try:
            done = subprocess.run(
                [self._program, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environ or {})},
                check=False,
            )
        except OSError as exc:
            raise EnvironmentBuildError(f"{what}: {exc.strerror}") from exc
        if done.returncode:
            said = strip_credentials(" ".join(done.stderr.split()[-40:]))
            raise EnvironmentBuildError(f"{what}: {said}", hint=advice(said))
        return done.stdout.strip()


def _credentials(image: ImageName) -> dict[str, str]:
    """Return the variables by which the program learns of a login, never of its arguments."""
    login = registry.login(image)
    if login is None:
        return {}
    found = {"DOCKER_USERNAME": login.user, "DOCKER_PASSWORD": login.password}
    return {f"{prefix}_{name}": value for name, value in found.items() for prefix in _PREFIXES}
