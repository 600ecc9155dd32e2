"""Jobs of a run that recorded themselves, for whoever learns Snakemake's verdict on them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TypeAlias

from snakemake_repro.backends.journal import JournalStore, read
from snakemake_repro.operations.attempt import WRITER
from snakemake_repro.records import JobEnded, JobRecord, JobSpec

_Identity: TypeAlias = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]


class OwnRecords:
    """What jobs wrote into the journal of one run by themselves."""

    def __init__(self, workdir: Path, run_id: str) -> None:
        self._store = JournalStore(workdir)
        self._run_id = run_id
        self._done: set[Path] = set()
        self._waiting: dict[_Identity, list[JobRecord]] = defaultdict(list)

    def take(self, spec: JobSpec) -> list[JobRecord]:
        """Return what a job wrote of the attempt that just ended, and forget it.

        Usually one record; none when it does not record itself or was killed, several when it has
        several recorded blocks.

        Raises:
            RecordError: The journal cannot be read.
        """
        self._read()
        return self._waiting.pop(_identity(spec), [])

    def _read(self) -> None:
        for path in self._store.files(self._run_id):
            if path in self._done or not path.name.startswith(f"{WRITER}-"):
                continue
            for entry in read(path):
                if isinstance(entry, JobEnded):
                    # nothing follows it in a file of this kind
                    self._done.add(path)
                    self._waiting[_identity(entry.job.spec)].append(entry.job)


def _identity(spec: JobSpec) -> _Identity:
    outputs = tuple(sorted(file.path for file in spec.outputs))
    return spec.rule, tuple(sorted(spec.wildcards.items())), outputs
