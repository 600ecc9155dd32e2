"""What a script knows of the job it is: Snakemake's ``snakemake`` object -> a job spec."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.backends.files import hash_file, recorded_path
from snakemake_repro.backends.python_modules import project_modules
from snakemake_repro.backends.snakemake_run import config_digest
from snakemake_repro.errors import StorageError
from snakemake_repro.logic import plain
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import Digest, FileKind, FileRecord, JobSpec, Json

_PREAMBLE_END = b"######## snakemake preamble end #########\n"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """The file that runs.

    Attributes:
        path: Where its author has it; ``None`` for a notebook or an interactive session. It may
            be a URL that only looks like a path.
        code: Digest of what runs, as it stands in the author's file.
    """

    path: Path | None = None
    code: Digest | None = None

    @property
    def name(self) -> str | None:
        """The file's name."""
        return None if self.path is None else self.path.name

    @property
    def modules(self) -> dict[str, Digest]:
        """Digests of what it imports from its project, by path relative to its directory."""
        if self.path is None:
            return {}
        found = project_modules(self.path, self.path.parent)
        return {name: hash_file(file)[0] for name, file in found.items()}

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Script:
        """Find the script from the globals ``__file__`` and ``__real_file__`` of its module.

        Snakemake runs a copy with a preamble of its own (the latter) and puts the name of the
        original into the former. The copy is what runs; the original may have been edited since.

        Raises:
            StorageError: The file is there but cannot be read.
        """
        file, copy = names.get("__file__"), names.get("__real_file__")
        path = Path(file) if isinstance(file, str) else None
        original = None if path is None else _read(path)
        executed = _read(Path(copy)) if isinstance(copy, str) else None
        if executed is not None:
            before, mark, after = executed.partition(_PREAMBLE_END)
            executed = after if mark else before
            # Snakemake reads scripts as text: line ends of the original may be others
            if original is None or original.replace(b"\r\n", b"\n") != executed:
                original = executed
        code = None if original is None else Digest(hashlib.sha256(original).hexdigest())
        return cls(path=path, code=code)


def spec_of(snakemake: Any, script: Script, *, root: Path, redact: Redactor) -> JobSpec:
    """Return the spec of the job that a script runs for, files not observed.

    It differs from what the executor records in one way: Snakemake's markers of files (``temp``)
    are not known here.

    Args:
        snakemake: Snakemake's object of that name.
        script: The script that runs.
        root: The job's working directory.
        redact: Removes secrets.
    """
    wrapper = script.name is not None and script.name.startswith("wrapper.")
    kind = "notebook" if script.name is None else "wrapper" if wrapper else "script"
    return JobSpec(
        rule=str(snakemake.rule),
        kind=kind,
        wildcards={name: str(value) for name, value in snakemake.wildcards.items()},
        code=script.code,
        modules=script.modules,
        params=tuple(
            [name, redact.json(plain.describe(value))]
            for name, value in snakemake.params._allitems()  # noqa: SLF001 - the one way to pair them
        ),
        inputs=tuple(_files(snakemake.input, root)),
        outputs=tuple(_files(snakemake.output, root)),
        config=config_digest(plain.describe(dict(snakemake.config))),
        threads=max(1, int(snakemake.threads)),
        source_name=script.name,
    )


def resources_of(snakemake: Any) -> dict[str, Json]:
    """Return the resources of the job as its author asked for them."""
    return {
        name: plain.describe(value)
        for name, value in snakemake.resources.items()
        if not name.startswith("_") and name != "tmpdir" and not name.endswith("_mib")
    }


def _files(files: Any, root: Path) -> Iterator[FileRecord]:
    names: dict[int, str] = {}
    for name, (start, end) in files._get_names():  # noqa: SLF001 - the one way to pair them
        for index in range(start, start + 1 if end is None else end):
            names.setdefault(index, name)
    for index, file in enumerate(files):
        path = recorded_path(root / str(file), root)
        yield FileRecord(path=path, kind=FileKind.UNOBSERVED, name=names.get(index))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as exc:
        raise StorageError(f"cannot read the script {path}: {exc.strerror}") from exc
