"""Where hermetic runs cannot be had, one clear error says what is missing; bases of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from runs import Workspace

from snakemake_repro.backends.basesystem import base_system
from snakemake_repro.backends.bubblewrap import bubblewrap
from snakemake_repro.backends.tracing import tracer
from snakemake_repro.errors import IsolationError

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
]

PROGRAMS = ("bash", "cat", "ls", "mkdir", "touch")
ONE = """
rule one:
    output: "out/one.txt"
    shell: "ls /usr/bin > {output}"
"""


def _without_namespaces(argv: list[str]) -> list[str]:
    """Return the command that runs another one where no further user namespace can be made."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *argv]


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """An unpacked root file system with a shell and little else."""
    root = tmp_path / "rootfs"
    wanted = {Path(shutil.which(name) or name).resolve() for name in PROGRAMS}
    for program in list(wanted):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        wanted |= {Path(word) for word in listed.split() if word.startswith("/")}
    for path in wanted:
        (root / path.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, root / path.relative_to("/"))
    for name in ("bin", "lib", "lib64"):
        if not (root / name).exists() and Path("/", name).is_symlink():
            (root / name).symlink_to(os.readlink(f"/{name}"))  # noqa: PTH115
    (root / "usr/bin/sh").symlink_to("bash")
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text('PRETTY_NAME="A system of one\'s own"\n')
    return root


def test_a_kernel_that_refuses_is_one_clear_error_before_any_job(lonely: Workspace) -> None:
    if subprocess.run(_without_namespaces(["true"]), check=False).returncode:
        pytest.skip("needs user namespaces to be without them")
    lonely.write("Snakefile", ONE)
    done = lonely.run("--ray-hermetic", "enforce", through=_without_namespaces)
    assert done.status != 0
    assert "hermetic jobs cannot run on this node: bubblewrap says: " in done.output
    assert "Hint: The kernel must let this user make user namespaces" in done.output
    assert "Traceback" not in done.output
    assert "rule one:" not in done.output


def test_a_node_without_bubblewrap_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(IsolationError, match="this node has no program bwrap") as caught:
        bubblewrap()
    assert caught.value.hint is not None
    assert "bubblewrap" in caught.value.hint


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ray-hermetic=always",), "invalid choice: 'always'"),
        (("--ray-hermetic", "report", "--ray-hermetic-trace", "off"), "needs strace to see"),
        (("--ray-hermetic", "enforce", "--ray-base", "nowhere"), "is no root file system"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    workspace: Workspace, flags: tuple[str, ...], message: str
) -> None:
    workspace.write("Snakefile", ONE)
    assert message in workspace.fails(*flags).output


def test_a_base_of_ones_own_is_all_that_jobs_see_and_is_pinned(
    workspace: Workspace, rootfs: Path
) -> None:
    workspace.write(
        "Snakefile",
        """
        rule all:
            input: "out/one.txt", "out/two.txt"
        rule one:
            input: "envs/x.yaml"
            output: "out/one.txt"
            shell: "ls /usr/bin > {output}"
        rule two:
            output: "out/two.txt"
            shell: "cat /etc/os-release /etc/passwd > {output}; test ! -e /usr/share"
        """,
    )
    workspace.write("envs/x.yaml", "")
    flags = ("--ray-hermetic", "enforce", "--ray-base", str(rootfs))
    workspace.ok(*flags, "--ray-environments", "host")
    assert (workspace.root / "out/one.txt").read_text().split() == sorted((*PROGRAMS, "sh"))
    assert "A system of one's own" in (workspace.root / "out/two.txt").read_text()
    isolation = workspace.job("one").record.isolation
    assert isolation is not None
    assert isolation.base is not None
    assert (isolation.base.kind, isolation.base.pinned) == ("directory", True)
    assert isolation.base.name == "A system of one's own"
    assert isolation.base.digest is not None
    assert isolation.traced is None


def test_the_digest_of_a_base_is_that_of_all_its_files(rootfs: Path, tmp_path: Path) -> None:
    base_system.cache_clear()
    first = base_system(str(rootfs), tmp_path / "store")
    assert tracer(first) == ()
    base_system.cache_clear()
    assert base_system(str(rootfs), tmp_path / "store").record == first.record
    (rootfs / "usr/bin/ls").write_text("another")
    base_system.cache_clear()
    assert base_system(str(rootfs), tmp_path / "store").record.digest != first.record.digest


FORKED = """
rule all:
    input: "run.txt", "grouped.txt", "value.txt", "later.txt"
rule first:
    output: "first.txt"
    shell: "touch {output}"
rule run:
    input: "first.txt"
    output: "run.txt"
    run: shell("touch {output}")
rule grouped:
    input: "first.txt"
    output: "grouped.txt"
    group: "some"
    shell: "touch {output}"
rule value:
    input: "first.txt"
    output: "value.txt"
    params: value=object()
    script: "scripts/work.py"
rule later:
    input: "first.txt"
    output: "later.txt"
    params: text=lambda wildcards, input: open(input[0]).read() + "known"
    shell: "echo {params.text} > {output}"
"""


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("run", "neither shell nor script nor notebook nor wrapper"),
        ("grouped", "a group"),
        ("value", "a value of type builtins.object"),
    ],
)
def test_what_takes_the_fork_tier_is_refused_before_any_job(
    workspace: Workspace, rule: str, reason: str
) -> None:
    workspace.write("Snakefile", FORKED)
    workspace.write("scripts/work.py", "")
    done = workspace.fails("--ray-hermetic", "enforce", f"{rule}.txt")
    assert (
        f"rule {rule} cannot run hermetically: it takes the fork tier ({reason}), and that is "
        "nothing this version can close off"
    ) in done.output
    assert "Hint: Let it run open with `resources: hermetic=False`" in done.output
    assert done.output.count("cannot run hermetically") == 1
    assert not (workspace.root / "first.txt").exists()


def test_all_rules_that_are_refused_are_named_at_once(workspace: Workspace) -> None:
    workspace.write("Snakefile", FORKED)
    workspace.write("scripts/work.py", "")
    done = workspace.fails("--ray-hermetic", "enforce")
    for rule in ("run", "grouped", "value"):
        assert done.output.count(f"rule {rule} cannot run hermetically: it takes the fork") == 1
    assert "later cannot" not in done.output
    assert done.output.count("Hint: ") == 1
    assert not (workspace.root / "first.txt").exists()


def test_a_value_that_is_known_later_is_no_reason_to_refuse(workspace: Workspace) -> None:
    workspace.write("Snakefile", FORKED)
    workspace.ok("--ray-hermetic", "enforce", "later.txt")
    assert (workspace.root / "later.txt").read_text() == "known\n"
