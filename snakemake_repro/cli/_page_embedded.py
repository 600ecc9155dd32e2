"""Results that are pages themselves, shown within the page of a report and kept apart from it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Mapping
from html.parser import HTMLParser


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """A page within the page.

    Attributes:
        path: Of the result.
        text: Its whole content; the browser gets it as a document without rights of its own.
    """

    path: str
    text: str


def embedded(pages: Mapping[str, str]) -> tuple[Embedded, ...]:
    """Return pages, by their paths, in the order of these."""
    return tuple(Embedded(path=path, text=text) for path, text in sorted(pages.items()))


def styles(pages: tuple[Embedded, ...]) -> tuple[str, ...]:
    """Return what the policy of the outer page must know, which holds for inner ones as well.

    Their styles, each once, as the policy spells a digest; nothing else of them is let through.
    """
    found: dict[str, None] = {}
    for page in pages:
        parser = _Styles()
        parser.feed(page.text)
        parser.close()
        found |= dict.fromkeys(known(text) for text in parser.texts)
    return tuple(found)


def known(text: str) -> str:
    """Return the digest of a style or a script as a content security policy spells it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


class _Styles(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "style":
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.texts[-1] += data
