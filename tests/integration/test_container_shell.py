"""`repro env shell docker://...` opens the container that the workflow's lock pins."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from containers import Registry, make_image

pytestmark = pytest.mark.integration


@pytest.fixture
def place(tmp_path: Path, small: str) -> Path:
    """The directory of a workflow, of a name that has to be quoted, with its images locked."""
    root = tmp_path / 'a "b", c=d $(touch x)'
    root.mkdir()
    root.joinpath("Snakefile").write_text(
        f"rule one:\n    output: 'a.txt'\n    container: 'docker://{small}'\n    shell: 'true'\n"
    )
    _repro("lock", at=root, check=True)
    return root


def _repro(
    *args: str,
    at: Path,
    text: str = "",
    path: str | None = None,
    podman: str = "",
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake_repro.cli", *args],
        cwd=at,
        env={
            **os.environ,
            "CONTAINER_HOST": podman,
            "SECRET_TOKEN": "secret",
            **({} if path is None else {"PATH": path}),
        },
        input=text,
        capture_output=True,
        text=True,
        check=check,
    )


def _shell(
    place: Path, image: str, *command: str, text: str = "", path: str | None = None
) -> subprocess.CompletedProcess[str]:
    rest = ("--", *command) if command else ()
    return _repro("env", "shell", f"docker://{image}", *rest, at=place, text=text, path=path)


def test_a_command_runs_in_the_container_as_this_user_where_it_was_started(
    place: Path, small: str
) -> None:
    script = 'pwd; id -u; printf "<%s>" "$@"; echo x > made; exit 7'
    done = _shell(place, small, "sh", "-c", script, "sh", "$(touch x)", "a  b")
    assert done.returncode == 7, done.stderr
    assert done.stdout == f"{place}\n{os.getuid()}\n<$(touch x)><a  b>"
    assert (place / "made").stat().st_uid == os.getuid()
    assert not (place / "x").exists()
    assert _shell(place, small, "sh", "-c", "env").stdout.find("secret") == -1


def test_without_a_command_it_is_a_shell(place: Path, small: str) -> None:
    done = _shell(place, small, text="echo $0; exit 5\n")
    assert (done.returncode, done.stdout) == (5, "bash\n")


def test_in_a_terminal_it_is_interactive(place: Path, small: str) -> None:
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "snakemake_repro.cli", "env", "shell", f"docker://{small}"]
    with subprocess.Popen(
        [*line, "--", "sh", "-c", "test -t 0 && test -t 1 && echo interactive; exit 3"],
        cwd=place,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 1 << 12):
                said += chunk
        except OSError:  # what a terminal says when nobody holds its other end any more
            pass
        assert running.wait() == 3, said
    os.close(ours)
    assert b"interactive" in said


def test_the_lock_says_which_image_it_is(place: Path, registry: Registry, small: str) -> None:
    host, _, name = small.partition("/")
    repository, _, _ = name.partition(":")
    registry.push(make_image("busybox", label="first"), repository, "shell")
    image = f"{host}/{repository}:shell"
    done = _shell(place, image, "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"the container {image} is not locked by the workflow in {place}" in done.stderr
    assert "Hint: `repro lock` makes the lock" in done.stderr
    (place / "Snakefile").write_text((place / "Snakefile").read_text().replace(small, image))
    _repro("lock", at=place, check=True)
    first = _shell(place, image, "hostname")
    registry.push(make_image("python", label="second"), repository, "shell")
    assert first.returncode == 0, first.stderr
    assert _shell(place, image, "sh", "-c", "command -v python").returncode != 0, "the tag moved"


def test_podman_opens_it_as_well(place: Path, small: str, podman: str) -> None:
    for command in (["lock", "--upgrade"], ["env", "shell"]):
        rest = (
            [] if command[0] == "lock" else [f"docker://{small}", "--", "sh", "-c", "pwd; exit 4"]
        )
        engine = ["--container-engine", "podman"]
        done = _repro(*command, *engine, *rest, at=place, podman=podman)
    assert (done.returncode, done.stdout) == (4, f"{place}\n"), done.stderr


def test_what_is_missing_is_one_clear_error(place: Path, small: str, tmp_path: Path) -> None:
    done = _shell(place, small, "true", path=str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "a container in a terminal needs the program docker, and it is not here" in done.stderr
    done = _repro("env", "shell", "docker://A b", at=place)
    assert done.returncode == 2
    assert "is not the address of an image" in done.stderr
    done = _repro(
        *("env", "shell", "--container-engine", "apptainer", f"docker://{small}"), at=place
    )
    assert "opens no container of Apptainer" in done.stderr
