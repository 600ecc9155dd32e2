"""A job's container: what it sees, what it may use, what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.containers import (
    SCRIPT_PACKAGES,
    Bind,
    Usage,
    binds,
    parse_usage,
    passed,
    supervised,
)

V1 = """\
memory.max_usage_in_bytes 62914560
memory.oom_control oom_kill_disable 0
memory.oom_control under_oom 0
memory.oom_control oom_kill 1
cpuacct.usage_user 1500000000
cpuacct.usage_sys 250000000
"""
V2 = """\
memory.peak 62914560
memory.events low 0
memory.events oom 3
memory.events oom_kill 1
cpu.stat usage_usec 1750000
cpu.stat user_usec 1500000
cpu.stat system_usec 250000
"""


def _binds(
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    sources: Sequence[str] = (),
    tmpdir: str | None = None,
    workdir: str = "/w",
) -> list[tuple[str, bool]]:
    found = binds(
        workdir=workdir,
        scratch="/tmp/s",
        sources=sources,
        inputs=inputs,
        outputs=outputs,
        tmpdir=tmpdir,
        packages={},
    )
    assert all(bind.source == bind.target for bind in found)
    return [(bind.target, bind.read_only) for bind in found]


def test_the_working_directory_is_seen_at_its_own_path() -> None:
    assert _binds(inputs=["/w/a"], outputs=["/w/b/c"]) == [("/tmp/s", False), ("/w", False)]


def test_what_lies_elsewhere_gets_a_bind_of_its_own() -> None:
    found = _binds(
        inputs=["/data/a", "/w/b"], outputs=["/out/x/y"], sources=["/flow", "/flow/rules"]
    )
    assert found == [
        *[("/out/x", False), ("/tmp/s", False), ("/w", False)],
        *[("/flow", True), ("/data/a", True)],
    ]
    assert ("/big", False) in _binds(tmpdir="/big")


def test_an_input_beside_an_output_is_seen_once() -> None:
    assert ("/out/a", True) not in _binds(inputs=["/out/a"], outputs=["/out/b"])


def test_a_name_that_only_begins_like_another_is_not_below_it() -> None:
    assert ("/web/a", True) in _binds(inputs=["/web/a"], workdir="/w")


def test_many_inputs_of_one_directory_are_one_bind() -> None:
    found = _binds(inputs=[f"/data/{i}" for i in range(5000)])
    assert found == [("/tmp/s", False), ("/w", False), ("/data", True)]


@pytest.mark.parametrize("outputs", [["/x"], []], ids=["output", "workdir"])
def test_the_root_directory_is_never_shown(outputs: list[str]) -> None:
    with pytest.raises(EnvironmentSpecError, match="root directory"):
        _binds(outputs=outputs, workdir="/w" if outputs else "/")
    assert ("/", True) not in _binds(sources=["/"])


def test_scripts_get_their_modules_read_only_and_nothing_beside_them() -> None:
    found = binds(
        workdir="/w",
        scratch="/s",
        sources=[],
        inputs=[],
        outputs=[],
        tmpdir=None,
        packages={"snakemake": "/v/site-packages/snakemake"},
    )
    place = f"{SCRIPT_PACKAGES}/snakemake"
    assert found[-1] == Bind(source="/v/site-packages/snakemake", target=place, read_only=True)


def test_only_the_way_to_the_network_is_passed_on() -> None:
    host = {"HTTP_PROXY": "p", "no_proxy": "n", "HOME": "/h", "PATH": "/bin", "AWS_SECRET": "s"}
    assert passed(host) == {"HTTP_PROXY": "p", "no_proxy": "n"}


@pytest.mark.parametrize("text", [V1, V2], ids=["version 1", "version 2"])
def test_both_versions_of_cgroups_say_the_same(text: str) -> None:
    usage = parse_usage(text)
    assert usage == Usage(user_s=1.5, system_s=0.25, peak=60 * 1024**2, killed=1)
    use = usage.resource_use(2.0)
    assert (use.wall_s, use.cpu_user_s, use.cpu_system_s) == (2.0, 1.5, 0.25)
    assert use.max_rss_mb == 60.0


def test_a_container_that_said_nothing_used_nothing_known() -> None:
    assert parse_usage("") == Usage()
    assert parse_usage("memory.peak max\n\n") == Usage()


def test_memory_is_named_where_the_kernel_killed_for_it_under_a_limit() -> None:
    problem = parse_usage(V1).problem(60 * 1024**2)
    assert problem is not None
    assert "its limit is 60 MiB (`mem_mb`), its peak was 60 MiB" in problem
    assert parse_usage(V1).problem(0) is None
    assert Usage(peak=60 * 1024**2).problem(60 * 1024**2) is None, "a full page cache kills nobody"


def test_the_supervisor_never_kills_outside_of_a_container() -> None:
    """It is not run here: where its guard failed, it would end every process of this user."""
    _, _, script, *_ = supervised(log="/l", usage="/u", shell="bash", text="true")  # noqa: S604
    guard, kill = script.index("exit 125"), script.index("kill -9 -1")
    assert guard < kill
    assert script.startswith('[ "$PPID" -le 1 ] && [ "$$" -lt 100 ] || ')


def test_what_is_printed_goes_to_the_log_unless_somebody_reads_it() -> None:
    one = supervised(log="/l", usage="/u", shell="sh", text="true")  # noqa: S604
    two = supervised(log="/l", usage="/u", shell="sh", text="true", output="/o")  # noqa: S604
    assert (one[4], one[-1]) == ("/l", "/l")
    assert (two[4], two[-1]) == ("/o", "/l")
