"""A run tells of its end, and never fails because it cannot."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from processes import wait_for
from runs import Workspace
from webhooks import webhook

pytestmark = pytest.mark.integration


def test_a_run_tells_how_it_ended(workspace: Workspace) -> None:
    workspace.write("Snakefile", 'rule a:\n    output: "a"\n    shell: config["command"]\n')
    with webhook("/T0/hush-hush") as hook:
        env = {"SNAKEMAKE_RAY_NOTIFY": hook.url}
        done = workspace.run("--config", "command=exit 1", env=env)
        assert done.status == 1
        workspace.ok("--config", "command=touch a", "--ray-notify", hook.url)
        run_id = workspace.history.run.id
        (workspace.root / "a").unlink()
        process = workspace.start("--config", "command=sleep 60", env=env)
        wait_for(lambda: len(list(workspace.root.glob(".snakemake/ray/a/*/*.log"))) == 3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    told = [message for path, message in hook.messages if path == "/T0/hush-hush"]
    assert [message["status"] for message in told] == ["failed", "succeeded", "interrupted"]
    assert told[1]["run"] == run_id
    assert told[1]["jobs"] == 1
    assert f"run {run_id[:8]} succeeded" in told[1]["text"]
    assert _mentions(workspace.root, "hush-hush") == []


def test_a_run_does_not_fail_because_nobody_hears_of_it(workspace: Workspace) -> None:
    workspace.write("Snakefile", 'rule a:\n    output: "a"\n    shell: "touch a"\n')
    assert "--ray-notify: false ended with status 1" in workspace.ok("--ray-notify", "false").output
    done = workspace.run("--forceall", "--ray-notify", "no-such-program")
    assert done.status == 1
    assert "needs the program 'no-such-program', which is not on PATH" in done.output
    assert "Traceback" not in done.output


def _mentions(root: Path, word: str) -> list[str]:
    """Return the files whose bytes hold a word; Snakemake's own log holds its command line."""
    own = root / ".snakemake/log"
    files = (path for path in root.rglob("*") if path.is_file() and path.parent != own)
    return [str(path) for path in files if word.encode() in path.read_bytes()]
