"""Comparators: when two files that are not the same byte for byte count as the same."""

from __future__ import annotations

import dataclasses
import enum

from snakemake_repro.records._fields import Record


class ComparatorKind(enum.Enum):
    """What a file is read as."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    NPY = "npy"
    IMAGE = "image"
    TEXT = "text"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Comparator(Record):
    """How an output is compared with its repeat, as its rule declares it.

    Numbers ``a`` (of the record) and ``b`` count as equal when ``|a - b| <= atol + rtol * |a|``.

    Attributes:
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        ignore: What does not count: keys of JSON, columns of a table, lines of a text.
        separator: Between the fields of a CSV file; ``None``: told from the name.
        cause: Why the bytes differ, in the words of the rule's author.
    """

    kind: ComparatorKind
    rtol: float = 0.0
    atol: float = 0.0
    ignore: tuple[str, ...] = ()
    separator: str | None = None
    cause: str | None = None

    def __str__(self) -> str:
        """Return it as the Snakefile spells it, without the cause."""
        given = {"rtol": self.rtol, "atol": self.atol}
        words = [f"{name}={value:g}" for name, value in given.items() if value]
        words += [f"ignore={list(self.ignore)!r}"] if self.ignore else []
        words += [f"separator={self.separator!r}"] if self.separator else []
        return f"{self.kind.value}({', '.join(words)})"
