"""Columns of text that fit a width: the least needed ones are left out, nothing is wrapped in the middle of a row."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.text import Text

_GAP = 2

PROSE = 100
"""Prose is not wrapped wider than this, whatever the terminal has."""


@dataclass(frozen=True)
class Column:
    """One column; ``right`` aligns to the right."""

    header: str
    cells: tuple[Text, ...]
    right: bool = False

    @property
    def width(self) -> int:
        """Width of the widest cell."""
        return max([cell_len(self.header), *(cell.cell_len for cell in self.cells)])


def fit(columns: Sequence[Column], width: int, spare: Sequence[str] = ()) -> list[Column]:
    """Leave out the columns named in ``spare``, the first first, until the rest fits; then shorten the widest one."""
    kept = [column for column in columns if any(cell.plain for cell in column.cells)]
    for header in spare:
        if _total(kept) > width:
            kept = [column for column in kept if column.header != header]
    too_much = _total(kept) - width
    if too_much > 0:
        widest = max(kept, key=lambda column: column.width)
        room = max(8, widest.width - too_much)
        shorter = tuple(_shorten(cell, room) for cell in widest.cells)
        kept[kept.index(widest)] = replace(widest, header=widest.header[:room], cells=shorter)
    return kept


def rows(columns: Sequence[Column]) -> Iterator[Text]:
    """Yield the header, dimmed, and the rows."""
    yield _join([(Text(column.header, style="dim"), column) for column in columns])
    for cells in zip(*(column.cells for column in columns), strict=True):
        yield _join(list(zip(cells, columns, strict=True)))


def paragraph(
    text: str, width: int, first: str = "", indent: str | None = None, style: str = "", widest: int = PROSE
) -> Iterator[Text]:
    """Wrap prose; ``first`` opens the first line, ``indent`` the others. No line begins with a dot that separates."""
    width = min(width, widest)
    indent = " " * len(first) if indent is None else indent
    bound = text.replace(" · ", "\N{NO-BREAK SPACE}· ")
    lines = textwrap.wrap(bound, max(20, width), initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    for line in lines:
        yield Text(line.replace("\N{NO-BREAK SPACE}", " "), style=style)


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _shorten(cell: Text, width: int) -> Text:
    short = cell.copy()
    short.truncate(width, overflow="ellipsis")
    return short


def _join(cells: Sequence[tuple[Text, Column]]) -> Text:
    line = Text()
    for cell, column in cells:
        padding = " " * (column.width - cell.cell_len)
        line.append(padding if column.right else "").append_text(cell).append("" if column.right else padding)
        line.append(" " * _GAP)
    line.rstrip()
    return line
