"""What a report consists of before it has a format: headings, entries, labelled facts, lists and equations.

Words and formulas are put together once; `drawn` writes them for a terminal, `idealab.report.markup` in Markdown and
LaTeX, and the templates of `idealab.report.html` as HTML. So no format can say what another does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from idealab.report.formula import AnyFormula, Formula, equation
from idealab.report.inert import inert
from idealab.report.table import PROSE, paragraph

Runs = tuple[str | AnyFormula, ...]
"""Prose with formulas in it."""


@dataclass(frozen=True)
class Words:
    """A paragraph, under a label if it has one."""

    runs: Runs
    label: str = ""


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Equation:
    """A formula on a line of its own, under a label if it has one."""

    formula: AnyFormula
    label: str = ""


@dataclass(frozen=True)
class Entry:
    """Something that has a name, what kind of thing it is, and what there is to say about it."""

    name: str
    facts: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


Block = Words | Items | Equation | Entry | Section

_INDENT = 2
_LABEL = 10


def words(text: str, label: str = "", **formulas: AnyFormula) -> Words:
    """Put formulas into a sentence, each where ``{its name}`` stands."""
    runs: list[str | AnyFormula] = []
    rest = text
    while found := min(((rest.find(f"{{{name}}}"), name) for name in formulas if f"{{{name}}}" in rest), default=None):
        at, name = found
        runs += [rest[:at], formulas[name]]
        rest = rest[at + len(name) + 2 :]
    return Words(tuple(run for run in (*runs, rest) if run), label)


def drawn(title: str, blocks: Sequence[Block], width: int) -> Iterator[Text]:
    """Draw blocks for a terminal, one line at a time; only a symbol may be wider than ``width``."""
    yield Text(inert(title), style="bold")
    yield from _blocks(blocks, min(width, PROSE), 0)


def _blocks(blocks: Sequence[Block], width: int, indent: int) -> Iterator[Text]:
    before: Block | None = None
    for block in blocks:
        if isinstance(block, Section) or (isinstance(block, Entry) and before is not None):
            yield Text()
        yield from _block(block, width, indent)
        before = block


def _block(block: Block, width: int, indent: int) -> Iterator[Text]:
    space = " " * indent
    match block:
        case Section():
            yield Text(space + inert(block.title), style="bold")
            yield from _blocks(block.blocks, width, indent + _INDENT)
        case Entry():
            name = inert(block.name)
            facts = inert(" · ".join(block.facts))
            lines = list(paragraph(f"{name}   {facts}", width, first=space, indent=space + "    "))
            lines[0].stylize("bold", indent, indent + len(name))
            yield from lines
            yield from _blocks(block.blocks, width, indent + _INDENT)
        case Words():
            text = inert("".join(run if isinstance(run, str) else run.text for run in block.runs))
            label = block.label and block.label.ljust(_LABEL) + " "
            for i, line in enumerate(paragraph(text, width, first=space + label, indent=space + " " * len(label))):
                if i == 0:
                    line.stylize("dim", indent, indent + len(block.label))
                yield line
        case Items():
            for item in block.items:
                yield from paragraph(inert(item), width, first=space + "· ")
        case Equation():
            if block.label:
                yield from paragraph(inert(block.label), width, first=space, style="dim")
            if isinstance(block.formula, Formula):
                yield from equation(block.formula.expression, width, indent + 4)
            else:
                yield from paragraph(block.formula.text, width, first=space + "    ")
