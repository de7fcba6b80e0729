"""Which elements and attributes a page has, as a browser would read it."""

from __future__ import annotations

from html.parser import HTMLParser


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, ""), *((tag, name) for name, _ in attrs)}


def elements(page: str) -> set[tuple[str, str]]:
    """Every element, as (its name, ""), and every attribute, as (its element's name, its own)."""
    reader = _Reader()
    reader.feed(page)
    return reader.found
