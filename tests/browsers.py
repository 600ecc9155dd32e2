"""A real browser that opens pages from disk and keeps a list of everything it minds."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_WATCH = """
window.minded = [];
window.ran = [];
addEventListener("securitypolicyviolation", (e) => minded.push(`${e.violatedDirective} ${e.blockedURI}`));
for (const name of ["alert", "confirm", "prompt"]) window[name] = (text) => ran.push(text);
"""

_POOR = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map(
      (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.getClientRects().length || element.closest("title, :disabled")) continue;
    const style = getComputedStyle(element);
    const ink = numbers(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


class Opened:
    """A page in the browser.

    Attributes:
        page: The driver's page.
        requests: Addresses that the page asked for.
        refused: Those of them that got nowhere, and why.
        messages: What it wrote to its console, errors and warnings.
    """

    def __init__(self, page: Page, file: Path) -> None:
        """Open a file."""
        self.page = page
        self.requests: list[str] = []
        self.refused: dict[str, str | None] = {}
        self.messages: list[str] = []
        page.add_init_script(_WATCH)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda asked: self.refused.update({asked.url: asked.failure}))
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", lambda dialog: self.messages.append(f"dialog {dialog.message}"))
        page.goto(file.as_uri())

    @property
    def minded(self) -> list[str]:
        """Everything that a page at peace does not do."""
        return [
            *self.messages,
            *self.page.evaluate("window.minded ?? []"),
            *self.page.evaluate("window.ran ?? []"),
            *(
                url
                for url in self.requests
                if url.partition("#")[0] != self.page.url.partition("#")[0]
            ),
        ]

    def poor_contrast(self) -> list[str]:
        """Return the texts whose contrast with what is behind them is below 4.5."""
        return list(self.page.evaluate(_POOR))

    def text(self, selector: str) -> str:
        """Return the text of one element, with single spaces."""
        return " ".join(self.page.locator(selector).inner_text().split())


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium; it has no network here that a page might need."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as driver:
        # the sandbox needs rights that root in a container lacks
        running = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()
