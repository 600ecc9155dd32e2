"""Environments of each kind that a test's rules may run in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from conda_channel import make_channel, serve
from runs import Workspace

from snakemake_repro.operations.lock import lock
from snakemake_repro.records import EnvironmentKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """An environment, and how a job finds out that it runs there.

    Attributes:
        directive: Of a rule.
        who: Command that prints ``said``, in no other environment.
        code: A Python expression of that value.
        files: Directory with the environment's file and lock, if it has some.
    """

    kind: EnvironmentKind
    directive: str
    who: str
    code: str
    said: str
    files: Path | None = None

    def link(self, workspace: Workspace) -> None:
        """Put the environment's files into a working directory."""
        if self.files is not None:
            folder = workspace.root / "envs"
            folder.mkdir(exist_ok=True)
            for path in self.files.iterdir():
                (folder / path.name).write_bytes(path.read_bytes())


def _locked(root: Path, name: str, text: str) -> Path:
    """Return a new directory with an environment's file and its lock."""
    files = root / "envs"
    files.mkdir()
    path = files / name
    path.write_text(text)
    lock([path])
    return files


@contextlib.contextmanager
def in_conda(root: Path) -> Iterator[Place]:
    """Give a conda environment with Python and one package; its channel ends with the context."""
    with serve(make_channel(root / "channel")) as url:
        text = f"channels: [{url}]\ndependencies: [python, greet]\n"
        yield Place(
            kind=EnvironmentKind.CONDA,
            directive="conda: 'envs/conda.yaml'",
            who="greet",
            code="__import__('subprocess').check_output(['greet'], text=True).strip()",
            said="greet 2.0",
            files=_locked(root, "conda.yaml", text),
        )


def in_pypi(root: Path) -> Place:
    """Return a PyPI environment with one package."""
    return Place(
        kind=EnvironmentKind.PYPI,
        directive="conda: 'envs/pypi.yaml'",
        who="python -c 'import tabulate as t; print(t.__version__)'",
        code="__import__('tabulate').__version__",
        said="0.9.0",
        files=_locked(root, "pypi.yaml", "dependencies: [python, {pip: ['tabulate ==0.9.0']}]\n"),
    )


def in_container(image: str) -> Place:
    """Return an image with Python."""
    return Place(
        kind=EnvironmentKind.CONTAINER,
        directive=f"container: 'docker://{image}'",
        who="cat /etc/label",
        code="open('/etc/label').read().strip()",
        said="python",
    )


def kinds_of(workspace: Workspace) -> dict[str, EnvironmentKind]:
    """Return the kind of environment that the last run's record names for each rule."""
    history = workspace.history
    return {
        job.record.spec.rule: history.environments[str(job.record.spec.environment)].kind
        for job in history.jobs
    }
