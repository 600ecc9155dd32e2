"""Give a workflow the profile and the .gitignore lines that it needs.

Nothing of the user's is ever overwritten: what is missing is added, what differs is named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_repro.errors import NotFoundError, StorageError

SETTINGS: Mapping[str, tuple[Any, str]] = {
    "jobs": (100, "at most so many jobs at once, whatever executes them"),
    "scheduler": (
        "firstfit",
        "linear in the number of waiting jobs; Snakemake's own scheduler is quadratic",
    ),
}
"""Settings of the profile: value and why."""

IGNORED = (".snakemake/", ".repro/", "mlflow.db", "mlruns/")
"""What runs leave in the working directory and git should not see."""

_SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
_PROFILE = Path("profiles") / "default"
_PROFILE_FILE = re.compile(r"(?:profile|config)(?:\.v(\d+)\+)?\.yaml")
_PROFILE_HEAD = (
    "# Found by Snakemake by itself; options on the command line win.\n"
    "# Without --executor, `jobs` counts as --cores: give --cores there.\n"
)
_IGNORED_HEAD = "# what a run leaves in the working directory\n"


class Action(enum.Enum):
    """What was done with a file."""

    CREATED = "created"
    EXTENDED = "extended"
    UNCHANGED = "unchanged"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One file, and what became of it.

    Attributes:
        path: Relative to the workflow's directory.
        added: Lines that were added.
        differences: What is there and differs from what would have been written; left alone.
    """

    path: str
    action: Action
    added: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


def initialise(workdir: Path) -> tuple[Change, ...]:
    """Write the profile and the .gitignore lines; doing it again changes nothing.

    Raises:
        NotFoundError: There is no Snakefile.
        StorageError: A file cannot be read or written.
    """
    names = [name for name in _SNAKEFILES if (workdir / name).is_file()]
    if not names:
        raise NotFoundError(
            f"no Snakefile in {workdir}: expected one of {', '.join(_SNAKEFILES)}",
            hint="Run `repro init` where you run `snakemake`, or name that directory with -C.",
        )
    return (_profile(workdir, workdir / names[0]), _gitignore(workdir))


def _profile(workdir: Path, snakefile: Path) -> Change:
    path = _profile_file(workdir, snakefile)
    name = path.relative_to(workdir).as_posix()
    text = _read(path)
    if text is None:
        lines = tuple(f"{key}: {value}" for key, (value, _) in SETTINGS.items())
        _write(path, _PROFILE_HEAD + "".join(_setting(key) for key in SETTINGS))
        return Change(path=name, action=Action.CREATED, added=lines)
    known = _mapping(text)
    if known is None:
        wanted = ", ".join(f"{key}: {value}" for key, (value, _) in SETTINGS.items())
        trouble = f"it is no YAML mapping; expected {wanted} in it"
        return Change(path=name, action=Action.UNCHANGED, differences=(trouble,))
    differences = [
        f"{key}: {known[key]!r}, expected {value!r} ({why})"
        for key, (value, why) in SETTINGS.items()
        if key in known and key != "jobs" and known[key] != value
    ]
    missing = [key for key in SETTINGS if key not in known]
    added = [f"{key}: {SETTINGS[key][0]}" for key in missing]
    merged = _ended(text) + "".join(_setting(key) for key in missing)
    if missing and _mapping(merged) != known | {key: SETTINGS[key][0] for key in missing}:
        differences += [f"{line} is missing and cannot be added at its end" for line in added]
        missing = []
    if not missing:
        return Change(path=name, action=Action.UNCHANGED, differences=tuple(differences))
    _write(path, merged)
    return Change(
        path=name, action=Action.EXTENDED, added=tuple(added), differences=tuple(differences)
    )


def _profile_file(workdir: Path, snakefile: Path) -> Path:
    """Return the file that Snakemake reads by itself, or would read if it were there."""
    beside = snakefile.parent / _PROFILE
    # Snakemake takes the first of these that exists, whatever it is
    candidates = (workdir / "default", workdir / _PROFILE, beside)
    chosen = next((path for path in candidates if path.exists()), beside)
    if chosen.is_file():
        return chosen
    with _storage(chosen):
        found = sorted(chosen.iterdir()) if chosen.exists() else []
    files = [(int(m[1] or 0), p) for p in found if (m := _PROFILE_FILE.fullmatch(p.name))]
    return max(files)[1] if files else chosen / "config.yaml"


def _setting(key: str) -> str:
    value, why = SETTINGS[key]
    return f"# {why}\n{key}: {value}\n"


def _mapping(text: str) -> dict[str, Any] | None:
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    if data is None:
        return {}
    return data if isinstance(data, dict) else None


def _gitignore(workdir: Path) -> Change:
    path = workdir / ".gitignore"
    text = _read(path)
    known = {line.strip().strip("/") for line in (text or "").splitlines()}
    missing = tuple(line for line in IGNORED if line.strip("/") not in known)
    if not missing:
        return Change(path=path.name, action=Action.UNCHANGED)
    block = _IGNORED_HEAD + "".join(f"{line}\n" for line in missing)
    if text is None:
        _write(path, block)
        return Change(path=path.name, action=Action.CREATED, added=missing)
    _write(path, _ended(text) + ("\n" if text.strip() else "") + block)
    return Change(path=path.name, action=Action.EXTENDED, added=missing)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _read(path: Path) -> str | None:
    with _storage(path):
        if not path.exists():
            return None
        return path.read_bytes().decode("utf-8", "surrogateescape")


def _write(path: Path, text: str) -> None:
    """Put a text in place of a file at once; a link stays a link."""
    target = path.resolve()
    sibling = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with _storage(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            sibling.write_bytes(text.encode("utf-8", "surrogateescape"))
            if target.exists():
                sibling.chmod(target.stat().st_mode & 0o777)
            sibling.replace(target)
        finally:
            sibling.unlink(missing_ok=True)


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"cannot write {path}: {exc.strerror}", hint="Mend the permissions, or free some space."
        ) from exc
