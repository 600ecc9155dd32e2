"""The code of Snakemake's jobs: digest, text, and the modules of the project that it imports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.backends.files import hash_file
from snakemake_repro.backends.python_modules import project_modules
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.canonical import digest_of_text
from snakemake_repro.records import CodeText, Digest

MAX_TEXT = 1_000_000
"""Bytes of code whose text is kept; of longer code the digest only."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """The code of one job.

    Attributes:
        digest: Of the shell text, the script's or wrapper's file, the source of a ``run:`` block.
        name: File name of the script or wrapper.
        modules: Digests of what it imports from its project, by path relative to its directory.
    """

    digest: Digest | None = None
    name: str | None = None
    modules: Mapping[str, Digest] = dataclasses.field(default_factory=dict)


class CodeReader:
    """Reads the code of jobs, each file once."""

    def __init__(self, workflow: Any, keep: Callable[[CodeText], None]) -> None:
        """Read nothing yet.

        Args:
            workflow: Snakemake's.
            keep: Takes the text of each piece of code once.
        """
        self._workflow = workflow
        self._keep = keep
        self._kept: set[Digest] = set()
        self._digests: dict[tuple[str, int], Digest] = {}

    def of(self, job: Any, kind: str) -> Code:
        """Return the code of a job of some kind (``shell``, ``script``, ...)."""
        rule = job.rule
        if kind == "shell":
            return Code(digest=self._text(rule.shellcmd))
        if kind == "run" and rule.run_func_src is not None:
            return Code(digest=self._text(rule.run_func_src))
        source = self._source(job, kind)
        if source is None:
            return Code()
        path = Path(self._workflow.sourcecache.get_path(source))
        name = str(source.get_filename())
        modules: dict[str, Digest] = {}
        if source.is_local:
            # an import is resolved beside the original, not beside Snakemake's copy of it
            directory = Path(source.get_path_or_uri(secret_free=True)).parent
            found = project_modules(path, directory)
            modules = {module: self._file(file, module) for module, file in found.items()}
        return Code(digest=self._file(path, name), name=name, modules=modules)

    def _text(self, text: str) -> Digest:
        digest = digest_of_text(text)
        if digest not in self._kept:
            self._kept.add(digest)
            if len(text) <= MAX_TEXT:
                self._keep(CodeText(digest=digest, text=text))
        return digest

    def _file(self, path: Path, name: str) -> Digest:
        stamp = str(path), path.stat().st_mtime_ns
        if stamp not in self._digests:
            digest, size = hash_file(path)
            self._digests[stamp] = digest
            if digest not in self._kept:
                self._kept.add(digest)
                if size <= MAX_TEXT:
                    self._keep(CodeText(digest=digest, text=_read(path), name=name))
        return self._digests[stamp]

    def _source(self, job: Any, kind: str) -> Any:
        """Return the source file of a script, notebook or wrapper, or ``None``."""
        if kind == "wrapper":
            from snakemake.wrapper import get_script

            prefix = self._workflow.workflow_settings.wrapper_prefix
            source = get_script(job.rule.wrapper, self._workflow.sourcecache, prefix)
            # on failure it is a dict of what was tried; running the job will say so
            return None if isinstance(source, dict) else source
        path = job.rule.script or job.rule.notebook
        return None if path is None else job._path_to_source_file(path)  # noqa: SLF001


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "backslashreplace")
    except OSError as exc:
        raise StorageError(f"cannot read {path}: {exc.strerror}") from exc
