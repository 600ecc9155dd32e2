"""The same workflow in two directories, run by Snakemake's local executor and by ours."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from clusters import RunningCluster
from runs import Done, Workspace

from snakemake_repro.records import Tier

Tree = dict[str, object]
"""Relative path -> mode and content."""

_OWN = {".snakemake", ".repro", ".snakemake_timestamp", "mlflow.db", "mlruns", "__pycache__"}


class Pair:
    """Two workspaces with the same content and directories of the same name."""

    def __init__(self, root: Path, cluster: RunningCluster, tracking_uri: str) -> None:
        self.local = Workspace(_directory(root / "local"), tracking_uri=tracking_uri)
        self.ray = Workspace(_directory(root / "ray"), cluster, tracking_uri)

    @property
    def both(self) -> tuple[Workspace, Workspace]:
        """The local executor's directory and ours."""
        return self.local, self.ray

    @property
    def tiers(self) -> dict[str, Tier]:
        """Which tier ran each rule of our last run."""
        return {job.record.spec.rule: job.record.tier for job in self.ray.history.jobs}

    def each(self, change: Callable[[Workspace], object]) -> None:
        """Do the same in both directories."""
        for workspace in self.both:
            change(workspace)

    def copy(self, workflow: Path) -> None:
        """Start from the files of a workflow."""
        for workspace in self.both:
            shutil.copytree(workflow, workspace.root, dirs_exist_ok=True)

    def write(self, name: str, text: str) -> None:
        """Write a file into both."""
        self.each(lambda workspace: workspace.write(name, text))

    def run(
        self, *args: str, ray: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> tuple[Done, Done]:
        """Run both at the same time and expect the same exit status.

        Args:
            args: Of both command lines.
            ray: More arguments of ours.
            env: Variables beside the workspaces'.
        """
        process = self.local.start(*args, executor="local", env=env)
        with process:
            ray_done = self.ray.run(*args, *ray, env=env)
            output, _ = process.communicate(timeout=240)
        local_done = Done(status=process.returncode, output=output, seconds=0)
        assert ray_done.status == local_done.status, f"{output}\n{ray_done.output}"
        assert "Traceback" not in ray_done.output or "Traceback" in output, ray_done.output
        return local_done, ray_done

    def ok(
        self, *args: str, ray: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> tuple[Done, Done]:
        """Run both, expect success and the same files."""
        done = self.run(*args, ray=ray, env=env)
        assert done[0].status == 0, done[0].output
        assert self.differences() == {}
        return done

    def fails(self, *args: str) -> tuple[Done, Done]:
        """Run both, expect failure and the same files."""
        done = self.run(*args)
        assert done[0].status != 0, done[0].output
        assert self.differences() == {}
        return done

    def differences(self) -> dict[str, tuple[object, object]]:
        """Return what each path is locally and with us, where that is not the same."""
        local, ray = (tree(workspace.root) for workspace in self.both)
        paths = sorted(local.keys() | ray.keys())
        return {
            path: (local.get(path), ray.get(path))
            for path in paths
            if local.get(path) != ray.get(path)
        }


def tree(root: Path) -> Tree:
    """Return what lies below a directory, without what Snakemake and we keep for ourselves."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if _OWN & set(name.parts):
            continue
        mode = stat.filemode(path.lstat().st_mode)
        if path.is_symlink():
            found[str(name)] = (mode, str(path.readlink()).replace(str(root), "."))
        elif path.is_file():
            found[str(name)] = (mode, _content(path))
        else:
            found[str(name)] = mode
    return found


def _content(path: Path) -> object:
    """Return the bytes of a file; of a benchmark, which holds times, its shape."""
    if path.suffix == ".tsv":
        header, *rows = path.read_text().splitlines()
        return header, len(rows), {row.count("\t") for row in rows}
    if path.suffix == ".jsonl":
        return [sorted(json.loads(line)) for line in path.read_text().splitlines()]
    return path.read_bytes()


def _directory(parent: Path) -> Path:
    root = parent / "work"
    root.mkdir(parents=True)
    return root
