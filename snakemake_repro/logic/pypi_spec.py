"""Environment files that ask for nothing but what a Python package index can give.

The file is Snakemake's own (conda) format, so that ``--sdm conda`` takes it as well: ``python``,
``pip`` and one ``pip:`` list. One that asks for conda packages is read by ``conda_spec``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.canonical import digest_of
from snakemake_repro.records import Digest, Json

SPEC_TAG = "PypiSpec/1"
DEFAULT_PYTHON = ">=3.11,<3.14"
PYTHONS = ("3.11", "3.12", "3.13")
"""Interpreters that an environment may have: what Snakemake gives to scripts needs one of them."""

_PATCHES = range(40)
_NOWHERE = 'python_version < "0"'
_CONDA_NAMES = ("python", "pip")
_CONDA_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)\s*(?P<spec>[<>=!~*].*|\d.*)?")
_NO_BINARY = re.compile(r"\s*--no-binary(\s+|=)")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_EXAMPLE = "`dependencies: [python, pip, {pip: [tabulate ==0.9.0]}]` is a small one."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PypiSpec:
    """What an environment file asks for.

    Attributes:
        python: Version specifiers of the interpreter.
        requirements: Requirement lines as written, sorted.
        sources: Packages that a node is to build from their source archives (``--no-binary``).
    """

    python: str
    requirements: tuple[str, ...]
    sources: tuple[str, ...] = ()

    @property
    def digest(self) -> Digest:
        """Identity of the request; comments and order do not count."""
        built = [list(self.sources)] if self.sources else []
        return digest_of(SPEC_TAG, [self.python, list(self.requirements), *built])

    @property
    def oldest_python(self) -> str:
        """The oldest interpreter it admits, as ``3.11``."""
        return next(_admitted(SpecifierSet(self.python)))


def is_pypi(data: Json) -> bool:
    """Tell whether an environment file asks for nothing but Python and what pip installs."""
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        return True  # and what is wrong with it is said there
    return all(_is_pip(entry) or _conda_name(entry) in _CONDA_NAMES for entry in dependencies)


def parse_spec(data: Json, *, name: str) -> PypiSpec:
    """Read the content of an environment file that asks for nothing else.

    Args:
        data: The parsed YAML.
        name: How to call the file in messages.

    Raises:
        EnvironmentSpecError: It is no environment file, or asks for what an index cannot give.
    """
    dependencies, lists = split_dependencies(data, name=name)
    refuse_variables(data, name=name)
    python = DEFAULT_PYTHON
    for entry in dependencies:
        match = _CONDA_SPEC.fullmatch(entry.strip())
        if match and match["name"].lower() == "python" and match["spec"]:
            python = _python(match["spec"], name)
    options = [entry for entry in lists if _is_no_binary(entry)]
    wanted = [entry for entry in lists if entry not in options]
    return PypiSpec(
        python=python,
        requirements=tuple(sorted(pip_requirements(wanted, name=name))),
        sources=tuple(sorted(set(_sources(options, name)))),
    )


def split_dependencies(data: Json, *, name: str) -> tuple[list[Json], list[Json]]:
    """Return the dependencies of an environment file, and the list for pip among them.

    Raises:
        EnvironmentSpecError: It is no environment file.
    """
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        raise EnvironmentSpecError(
            f"{name} is no environment file: expected a `dependencies:` list", hint=_EXAMPLE
        )
    lists = [entry["pip"] for entry in dependencies if _is_pip(entry)]
    if len(lists) > 1 or not all(isinstance(entry, list) for entry in lists):
        raise EnvironmentSpecError(
            f"{name} has {len(lists)} entries `pip:`: expected one, with a list", hint=_EXAMPLE
        )
    conda = [entry for entry in dependencies if not _is_pip(entry)]
    return conda, [line for entries in lists for line in entries]


def pip_requirements(entries: Sequence[Json], *, name: str) -> Iterator[str]:
    """Yield the requirements of a list for pip.

    Raises:
        EnvironmentSpecError: One of them cannot be locked.
    """
    for entry in entries:
        line = _COMMENT.sub("", entry).strip() if isinstance(entry, str) else None
        if line == "":
            continue
        try:
            requirement = Requirement(line or "")
        except InvalidRequirement as exc:
            raise EnvironmentSpecError(
                f"{name} has the pip requirement {entry!r}: expected a package and versions",
                hint="Paths, other files (-r, -e) and options but --no-binary cannot be locked.",
            ) from exc
        if requirement.url is not None:
            raise EnvironmentSpecError(
                f"{name} has the pip requirement {line!r}: URLs cannot be locked",
                hint="Name a version from a package index.",
            )
        yield str(line)


def left_out(requirements: Iterable[str]) -> Iterator[str]:
    """Yield the lines that keep a package out, such as ``torchvision ; python_version < '0'``.

    pip and conda pass over what holds nowhere. A lock is made as if nothing needed the package.
    """
    return (line for line in requirements if str(Requirement(line).marker) == _NOWHERE)


def _is_no_binary(entry: Json) -> bool:
    return isinstance(entry, str) and _NO_BINARY.match(entry) is not None


def _sources(options: Iterable[str], name: str) -> Iterator[str]:
    """Yield the packages that pip's option allows to be built, normalised."""
    for option in options:
        line = _COMMENT.sub("", option).strip()
        for package in _NO_BINARY.sub("", line).split(","):
            try:
                yield canonicalize_name(package.strip(), validate=True)
            except InvalidName as exc:
                raise EnvironmentSpecError(
                    f"{name} has {line!r} in its `pip:` list: expected names of packages",
                    hint="Only packages that are named are built from source: `--no-binary NAME`.",
                ) from exc


def _is_pip(entry: Json) -> bool:
    return isinstance(entry, dict) and set(entry) == {"pip"}


def _conda_name(entry: Json) -> str | None:
    match = _CONDA_SPEC.fullmatch(entry.strip()) if isinstance(entry, str) else None
    return match["name"].lower() if match else None


def refuse_variables(data: Mapping[str, Json], *, name: str) -> None:
    """Refuse an environment file that sets environment variables.

    Raises:
        EnvironmentSpecError: It does.
    """
    if data.get("variables"):
        raise EnvironmentSpecError(
            f"{name} sets environment variables (`variables:`), which a lock cannot hold",
            hint="Set them in the rule.",
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
            hint="What Snakemake gives to scripts needs one of them; "
            f"write `python {DEFAULT_PYTHON}`.",
        )
    return ",".join(sorted(map(str, specifiers)))  # their own order is not promised


def _admitted(specifiers: SpecifierSet) -> Iterator[str]:
    for minor in PYTHONS:
        if any(specifiers.contains(f"{minor}.{patch}") for patch in _PATCHES):
            yield minor
