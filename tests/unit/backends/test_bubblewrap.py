"""The command line that shows a job its own file system."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from snakemake_repro.backends.basesystem import Base
from snakemake_repro.backends.bubblewrap import View, arguments, command_line, gpu_devices
from snakemake_repro.logic.sandbox import Mount
from snakemake_repro.records import BaseSystem

BASE = Base(
    record=BaseSystem(kind="host", name="a system"),
    mounts=(Mount(source="/usr", target="/usr"),),
    symlinks=(("/bin", "usr/bin"),),
)
VIEW = View(
    base=BASE,
    mounts=(
        Mount(source="/s/out", target="/w/out", writable=True),
        Mount(source="/s/in", target="/w"),
    ),
    workdir="/w",
    variables={"TOKEN": "secret value"},
)


def _has(options: list[str], *run: str) -> bool:
    return any(options[i : i + len(run)] == list(run) for i in range(len(options)))


def test_outer_mounts_come_first_and_only_outputs_are_writable() -> None:
    options = arguments(VIEW)
    assert _has(
        options,
        *("--ro-bind", "/usr", "/usr", "--ro-bind", "/s/in", "/w", "--bind", "/s/out", "/w/out"),
        *("--remount-ro", "/", "--chdir", "/w"),
    )
    assert _has(options, "--symlink", "usr/bin", "/bin")


def test_everything_that_can_be_closed_is() -> None:
    options = arguments(VIEW)
    closed = ("user", "pid", "net", "ipc", "uts")
    assert {f"--unshare-{name}" for name in closed} <= set(options)
    assert {"--clearenv", "--die-with-parent", "--new-session"} <= set(options)


def test_a_job_that_may_use_the_network_shares_it() -> None:
    view = View(base=BASE, mounts=(), workdir="/w", variables={}, network=True)
    assert "--unshare-net" not in arguments(view)


def test_variables_stand_in_a_file_for_this_user_and_not_in_the_command_line(
    tmp_path: Path,
) -> None:
    file = tmp_path / "arguments"
    line = command_line(VIEW, ["bash", "-c", "true"], file)
    assert "secret value" not in " ".join(line)
    assert line[-4:] == ["--", "bash", "-c", "true"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"--setenv\0TOKEN\0secret value\0" in file.read_bytes()


def test_a_job_with_gpus_sees_their_devices_and_nobody_else_does(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "sda"):
        (tmp_path / name).touch()
    (tmp_path / "nvidia-caps").mkdir()
    names = ("nvidia-caps", "nvidia0", "nvidia1", "nvidiactl")
    assert gpu_devices(tmp_path) == tuple(str(tmp_path / name) for name in names)
    options = arguments(dataclasses.replace(VIEW, devices=("/dev/nvidia0",)))
    assert _has(options, "--dev", "/dev", "--dev-bind", "/dev/nvidia0", "/dev/nvidia0")
    assert _has(options, "--ro-bind", "/sys", "/sys")
    assert "/sys" not in arguments(VIEW)
