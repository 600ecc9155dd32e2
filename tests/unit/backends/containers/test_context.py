"""What an image is built from: the same digest for the same files, and nothing of runs in it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from snakemake_repro.backends.containers.context import BuildContext, build_name
from snakemake_repro.errors import EnvironmentSpecError


@pytest.fixture
def snakefile(tmp_path: Path) -> Path:
    """A workflow with a Dockerfile in ``envs``, and what may lie beside it."""
    for name in ("envs/sub/data.txt", "envs/notes.md", "envs/containers.lock.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    (tmp_path / "envs" / "tools.Dockerfile").write_text("FROM scratch\n")
    return tmp_path / "Snakefile"


def _names(context: BuildContext) -> list[str]:
    out = io.BytesIO()
    context.write(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        return archive.getnames()


def _context(snakefile: Path) -> BuildContext:
    return BuildContext("envs/tools.Dockerfile", snakefile)


def test_it_is_the_directory_of_the_dockerfile_without_the_lock(snakefile: Path) -> None:
    context = _context(snakefile)
    assert (context.name, context.file) == ("envs/tools.Dockerfile", "tools.Dockerfile")
    assert _names(context) == ["notes.md", "sub", "sub/data.txt", "tools.Dockerfile"]


def test_times_and_most_of_the_modes_do_not_count(snakefile: Path) -> None:
    before = _context(snakefile)
    data = snakefile.parent / "envs" / "sub" / "data.txt"
    data.chmod(0o600)
    os.utime(data, (0, 0))
    (snakefile.parent / "envs" / "containers.lock.yml").write_text("moved\n")
    assert _context(snakefile).digest == before.digest
    data.chmod(0o700)
    assert _context(snakefile).digest != before.digest


def test_content_counts_unless_it_is_ignored(snakefile: Path) -> None:
    folder = snakefile.parent / "envs"
    before = _context(snakefile)
    (folder / "notes.md").write_text("changed\n")
    assert _context(snakefile).digest != before.digest
    assert _context(snakefile).dockerfile == before.dockerfile
    (folder / ".dockerignore").write_text("# remarks\n*.md\n\nsub\n!sub/data.txt\n")
    assert _names(_context(snakefile)) == [".dockerignore", "sub/data.txt", "tools.Dockerfile"]
    (folder / "tools.Dockerfile.dockerignore").write_text("*\n")
    assert _names(_context(snakefile)) == [".dockerignore", "tools.Dockerfile"]


def test_what_runs_leave_beside_it_never_counts(snakefile: Path) -> None:
    root = snakefile.parent
    (root / "Dockerfile").write_text("FROM scratch\n")
    before = BuildContext("Dockerfile", snakefile)
    for name in (".snakemake/log/x", ".repro/x", ".git/x"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    assert BuildContext("Dockerfile", snakefile).digest == before.digest
    assert "envs/containers.lock.yml" not in _names(before)


def test_a_dockerfile_is_known_by_its_path_from_the_snakefile(tmp_path: Path) -> None:
    snakefile = tmp_path / "workflow" / "Snakefile"
    assert build_name("./envs/x.Dockerfile", snakefile) == "envs/x.Dockerfile"
    assert build_name(str(tmp_path / "docker" / "Dockerfile"), snakefile) == "../docker/Dockerfile"


def test_a_missing_dockerfile_is_named(snakefile: Path) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"there is no file \S+/envs/other\.Dockerfile"):
        BuildContext("envs/other.Dockerfile", snakefile)
