"""What happens in an asynchronous search, in its order, as lines that a later search repeats."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from snakemake_repro.wrappers.problems import WrapperError

_SCHEMA = 1
_SHOWN = 80


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The sampler was asked for a trial, knowing all that happened before.

    Attributes:
        chosen: What it chose, by the names of the dimensions.
    """

    trial: int
    chosen: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A trial reported an intermediate value, and the pruner decided on it."""

    trial: int
    step: int
    value: float
    pruned: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A trial ended.

    Attributes:
        state: ``complete``, ``pruned`` or ``failed``.
        values: One for each objective; of a pruned trial its last one, of a failed one none.
    """

    trial: int
    state: str
    values: tuple[float, ...] | None


Event = Asked | Told | Ended
_KINDS: Mapping[str, type[Event]] = {"asked": Asked, "told": Told, "ended": Ended}


def to_json(event: Event) -> str:
    """Return one line; equal lines are equal events, NaN included."""
    return json.dumps({"event": type(event).__name__.lower(), **dataclasses.asdict(event)})


def parse(text: str) -> Event:
    """Return what a line says.

    Raises:
        ValueError: It is no whole line of an event.
    """
    data = json.loads(text)
    try:
        values = data.get("values")
        fields = data if values is None else {**data, "values": tuple(values)}
        return _KINDS[fields["event"]](**{n: v for n, v in fields.items() if n != "event"})
    except (AttributeError, KeyError, TypeError) as exc:
        raise ValueError(f"no event: {text}") from exc


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A whole search.

    Attributes:
        search: JSON of what determines it beside the order; see ``journal``.
        events: In the order in which they happened.
        reason: Why it ended: ``trials``, ``time``, ``patience`` or ``grid``.
    """

    search: Mapping[str, Any]
    events: tuple[Event, ...]
    reason: str

    def to_text(self) -> str:
        """Return a line for the search, one for each event, and one for the end."""
        first = json.dumps({"schema": _SCHEMA, "search": self.search})
        last = json.dumps({"event": "finished", "reason": self.reason})
        return "".join(f"{line}\n" for line in (first, *map(to_json, self.events), last))

    @classmethod
    def parse(cls, text: str, path: str) -> Record:
        """Return what a file says.

        Raises:
            WrapperError: It is no whole record, or one of another schema.
        """
        lines = text.splitlines()
        try:
            first, last = json.loads(lines[0]), json.loads(lines[-1])
            if first["schema"] != _SCHEMA:
                raise WrapperError(
                    f"input: {path}: expected the schema {_SCHEMA} of the order of a search, got "
                    f"{first['schema']!r}"
                )
            events = tuple(map(parse, lines[1:-1]))
            return cls(search=dict(first["search"]), events=events, reason=str(last["reason"]))
        except (IndexError, KeyError, TypeError, ValueError) as exc:
            raise WrapperError(
                f"input: {path}: expected the order of a whole search as order=, got something "
                "else or a part",
                hint="give what a search with asynchronous=True wrote as its output order=",
            ) from exc


def check_search(record: Record, here: Mapping[str, Any], path: str) -> None:
    """Check that a record is of this search.

    Args:
        record: What was recorded.
        here: JSON of what determines this search.
        path: Of the record, for the message.

    Raises:
        WrapperError: It is of another one; the message names the first difference.
    """
    for name, recorded, got in _differences(record.search, here, ""):
        raise misfit(path, name, f"{_shown(recorded)} as recorded", _shown(got))


def misfit(path: str, what: str, expected: str, got: str) -> WrapperError:
    """Return the error for a record that does not fit what happens."""
    return WrapperError(
        f"input: {path}: {what}: expected {expected}, got {got}",
        hint="a search is repeated with the code, inputs, params and library versions that it was "
        "recorded with, and trials that give the same again; without order= among the inputs "
        "it is made anew",
    )


def _differences(recorded: Any, here: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield where two JSON values differ, as far down as mappings go."""
    if not (isinstance(recorded, dict) and isinstance(here, dict)):
        if recorded != here:
            yield name, recorded, here
        return
    for key in dict.fromkeys((*recorded, *here)):
        place = f"{name}.{key}" if name else str(key)
        yield from _differences(recorded.get(key), here.get(key), place)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
