"""Environment files: what they ask for, in so far as a Python package index can give it.

The file is Snakemake's own (conda) format, limited here to ``python``, ``pip`` and one ``pip:``
list, so that ``--sdm conda`` takes it as well. What it asks for beyond that is refused, never
left out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.records import Digest, Json

SPEC_TAG = "PypiSpec/1"
DEFAULT_PYTHON = ">=3.11,<3.14"
PYTHONS = ("3.11", "3.12", "3.13")
"""Interpreters that an environment may have: the one that runs us is used."""

_PATCHES = range(40)
_CONDA_NAMES = ("python", "pip")
_CONDA_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)\s*(?P<spec>[<>=!~*].*|\d.*)?")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_EXAMPLE = "`dependencies: [python, pip, {pip: [tabulate ==0.9.0]}]` is a small one."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PypiSpec:
    """What an environment file asks for.

    Attributes:
        python: Version specifiers of the interpreter.
        requirements: Requirement lines as written, sorted.
    """

    python: str
    requirements: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """Identity of the request; comments and order do not count."""
        return digest_of(SPEC_TAG, [self.python, list(self.requirements)])

    @property
    def oldest_python(self) -> str:
        """The oldest interpreter it admits, as ``3.11``."""
        return next(_admitted(SpecifierSet(self.python)))


def parse_spec(data: Json, *, name: str) -> PypiSpec:
    """Read an environment file's content.

    Args:
        data: The parsed YAML.
        name: How to call the file in messages.

    Raises:
        EnvironmentSpecError: It is no environment file, or asks for what an index cannot give.
    """
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        raise EnvironmentSpecError(
            f"{name} is no environment file: expected a `dependencies:` list", hint=_EXAMPLE
        )
    _refuse_variables(data, name)
    python, conda = DEFAULT_PYTHON, []
    lists: list[Json] = []
    for entry in dependencies:
        if isinstance(entry, dict) and set(entry) == {"pip"}:
            lists.append(entry["pip"])
            continue
        match = _CONDA_SPEC.fullmatch(entry.strip()) if isinstance(entry, str) else None
        if match is None or match["name"].lower() not in _CONDA_NAMES:
            conda.append(str(entry))
        elif match["name"].lower() == "python" and match["spec"]:
            python = _python(match["spec"], name)
    if conda:
        raise EnvironmentSpecError(
            f"{name} asks for conda packages ({', '.join(conda)}); this version realises "
            "environments from a Python package index only, conda packages and containers come "
            "in a later version",
            hint="List Python packages under `pip:`, or use `--ray-environments host`.",
        )
    if len(lists) > 1 or not all(isinstance(entry, list) for entry in lists):
        raise EnvironmentSpecError(
            f"{name} has {len(lists)} entries `pip:`: expected one, with a list", hint=_EXAMPLE
        )
    pip = [line for entries in lists for line in _requirements(entries, name)]
    return PypiSpec(python=python, requirements=tuple(sorted(pip)))


def _refuse_variables(data: Mapping[str, Json], name: str) -> None:
    if data.get("variables"):
        raise EnvironmentSpecError(
            f"{name} sets environment variables (`variables:`), which this version cannot give: "
            "conda environments come in a later version",
            hint="Set them in the rule, or use `--ray-environments host`.",
        )


def _python(spec: str, name: str) -> str:
    """Return conda's version constraint of the interpreter as specifiers."""
    text = spec.replace(" ", "")
    if text[0].isdigit():
        text = f"={text}"
    if text.startswith("=") and not text.startswith("=="):
        text = f"=={text[1:].removesuffix('.*')}.*"
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier as exc:
        raise EnvironmentSpecError(
            f"{name} asks for python {spec!r}, which is no version constraint",
            hint=f"Write `python {DEFAULT_PYTHON}`.",
        ) from exc
    if next(_admitted(specifiers), None) is None:
        raise EnvironmentSpecError(
            f"{name} asks for python {spec!r}: expected one that admits one of "
            f"{', '.join(PYTHONS)}",
            hint="An environment has the interpreter that runs the jobs' node; "
            f"write `python {DEFAULT_PYTHON}`.",
        )
    return ",".join(sorted(map(str, specifiers)))  # their own order is not promised


def _admitted(specifiers: SpecifierSet) -> Iterator[str]:
    for minor in PYTHONS:
        if any(specifiers.contains(f"{minor}.{patch}") for patch in _PATCHES):
            yield minor


def _requirements(entries: Sequence[Json], name: str) -> Iterator[str]:
    for entry in entries:
        line = _COMMENT.sub("", entry).strip() if isinstance(entry, str) else None
        if line == "":
            continue
        try:
            requirement = Requirement(line or "")
        except InvalidRequirement as exc:
            raise EnvironmentSpecError(
                f"{name} has the pip requirement {entry!r}: expected a package and versions",
                hint="Options, paths and other files (-r, -e) cannot be locked.",
            ) from exc
        if requirement.url is not None:
            raise EnvironmentSpecError(
                f"{name} has the pip requirement {line!r}: URLs cannot be locked",
                hint="Name a version from a package index.",
            )
        yield str(line)
