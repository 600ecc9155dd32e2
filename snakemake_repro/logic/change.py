"""One difference between two attempts at a job."""

from __future__ import annotations

import dataclasses
import enum

from snakemake_repro.records import Digest, Json


class ChangeKind(enum.Enum):
    """What changed, in the order in which it is told."""

    RULE = "rule"
    CODE = "code"
    PARAM = "parameter"
    WILDCARDS = "wildcard"
    INPUT = "input"
    OUTPUTS = "outputs"
    PACKAGE = "package"
    IMAGE = "image"
    ENVIRONMENT = "environment"
    CONFIG = "configuration"
    THREADS = "threads"
    COMMAND = "command"
    OTHER = "other"
    SEED = "seed"
    HOST = "host"
    UNRECORDED = "unrecorded"
    """Results that were there before, and that no recorded job made."""
    NONDETERMINISM = "nondeterminism"
    """The same key and other bytes."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: What changed.
        name: Which one: the parameter, file, package, key of the configuration.
        old: Its former value; ``None`` where there was none.
        new: Its present value; likewise.
        text: The difference as unified diff, of code only.
    """

    kind: ChangeKind
    name: str | None = None
    old: Json = None
    new: Json = None
    text: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a comparator says of two files whose bytes differ.

    Attributes:
        comparator: As the Snakefile spells it.
        difference: The first difference that it does not tolerate; ``None`` where there is none.
        cause: Why the bytes differ, as the rule's author says.
    """

    comparator: str
    difference: str | None
    cause: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """An output that is not the same in both runs, byte for byte.

    Attributes:
        old: Digest of its former content; ``None`` where it was not there.
        new: Digest of its present content; likewise.
        judgement: Its comparator's, where the rule declares one and both contents are there.
    """

    path: str
    old: Digest | None
    new: Digest | None
    judgement: Judgement | None = None

    @property
    def tolerated(self) -> bool:
        """Whether it counts as the same."""
        return self.judgement is not None and self.judgement.difference is None
