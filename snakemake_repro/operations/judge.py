"""Ask the comparators that rules declare about outputs whose bytes differ."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from snakemake_repro.backends.comparators import difference
from snakemake_repro.backends.files import holds
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.change import FileChange, Judgement
from snakemake_repro.logic.made import Made
from snakemake_repro.records import Comparator, Digest, FileRecord


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Compares files of two places, where both still hold what is on record.

    Attributes:
        old: Where the paths of the former run start.
        new: Where those of its repeat do.
    """

    old: Path
    new: Path

    def __call__(self, item: Made, change: FileChange) -> FileChange:
        """Return a change with the judgement of the comparator that its job declares, if any."""
        declared = {file.path: file.comparator for file in item.record.spec.outputs}
        comparator = declared.get(change.path)
        if comparator is None or change.old is None or change.new is None:
            return change
        return dataclasses.replace(change, judgement=self._judgement(comparator, change))

    def _judgement(self, comparator: Comparator, change: FileChange) -> Judgement:
        sides = ((self.old, change.old), (self.new, change.new))
        if all(_holds(root, change.path, digest) for root, digest in sides):
            found = difference(comparator, self.old / change.path, self.new / change.path)
        else:
            found = "cannot be compared: its recorded content is not there any more"
        return Judgement(comparator=str(comparator), difference=found, cause=comparator.cause)


def _holds(root: Path, path: str, digest: Digest | None) -> bool:
    try:
        return holds(root / path, FileRecord(path=path, digest=digest))
    except StorageError:
        return False
