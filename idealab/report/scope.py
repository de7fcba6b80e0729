"""Draws what a search for the scope found: a table of brackets, then what they suggest, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from idealab.report import number
from idealab.report.table import Column, fit, paragraph, rows

if TYPE_CHECKING:
    from idealab.explore.finding import Finding, Point, Scope

# Colour only repeats the word; see idealab.report.terminal.
_STATUS = {
    "holds everywhere looked": Text("holds", "green"),
    "breaks": Text("breaks", "magenta"),
    "never held": Text("never held", "bold red"),
    "undecided": Text("undecided", "magenta"),
}
_RECURS = Text("on and off", "magenta")
"""Drawn where what breaks holds again further out: a bracket alone would say that there is one edge."""


def scope(result: Scope, width: int) -> Iterator[Text]:
    """Draw what a search found.

    Parameters
    ----------
    width
        Columns there are; the columns of the table are chosen by it.

    Yields
    ------
    Text
        One line each.
    """
    yield Text.assemble((result.idea, "bold"), f"   how far along {result.knob} it holds")
    words = "a search is exploratory and proves nothing: what it proposes must be verified on fresh seeds"
    yield from paragraph(words, width, style="dim")
    yield Text()
    yield from _table(result.findings, width)
    for experiment, group in groupby(result.findings, key=lambda finding: finding.experiment):
        yield Text()
        yield from _experiment(experiment, list(group), width)
        if first := result.together.get(experiment):
            words = f'all primary signatures together: scope "{first.scope}"; {first.signature} is the first to go'
            yield from paragraph(words, width, first="  ", indent="    ")
    if result.left_out:
        yield Text()
    for words in result.left_out:
        yield from paragraph(words, width, first="left out: ")
    yield Text()
    cost = result.cost
    seeds = number.count(cost.seeds, "seed")
    seeds += f", {cost.reused_seeds} of them from the ledger" if cost.reused_seeds else ""
    yield from paragraph(
        f"{number.count(result.tried, 'value')} of {result.knob} tried.  {number.duration(cost.seconds)}, {seeds}.",
        width,
    )


def _table(findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """One row for each signature, below the name of its experiment if there are several."""
    words = max(_status(finding).cell_len for finding in findings)
    names = [Text.assemble(_padded(_status(f), words), "  ", f.signature, "" if f.primary else " *") for f in findings]
    columns = [
        Column("signature", tuple(names)),
        Column("holds to", tuple(Text(_value(f.last)) for f in findings), right=True),
        Column("first absent", tuple(Text(_value(f.first)) for f in findings), right=True),
        Column("off, in tolerances", tuple(Text(_deviations(f)) for f in findings)),
        Column("seeds", tuple(Text(str(sum(point.seeds for point in f.points))) for f in findings), right=True),
        Column("values", tuple(Text(str(len(f.points))) for f in findings), right=True),
    ]
    drawn = list(rows(fit(columns, width, spare=("values", "seeds", "off, in tolerances"))))
    yield drawn[0]
    several = len({finding.experiment for finding in findings}) > 1
    for experiment, group in groupby(zip(findings, drawn[1:], strict=True), key=lambda pair: pair[0].experiment):
        if several:
            yield Text(f"{experiment}, {next(f.level for f in findings if f.experiment == experiment)}", style="bold")
        yield from (row for _, row in group)
    if not all(finding.primary for finding in findings):
        yield Text("* secondary: the verdict does not rest on it", style="dim")


def _status(finding: Finding) -> Text:
    return _RECURS if finding.status == "breaks" and finding.recurs else _STATUS[finding.status]


def _padded(text: Text, width: int) -> Text:
    padded = text.copy()
    padded.append(" " * (width - text.cell_len))
    return padded


def _value(point: Point | None) -> str:
    return "" if point is None else number.show(point.value, 6)


def _deviations(finding: Finding) -> str:
    """How far off it is at both ends of the bracket."""
    return ", then ".join(number.show(abs(p.deviation), 2) for p in (finding.last, finding.first) if p is not None)


def _experiment(experiment: str, findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """What follows for the signatures of one experiment; those of which the same is said are said together."""
    yield from paragraph(f"{experiment}, at {findings[0].condition} but for {findings[0].knob}", width, style="bold")
    together: dict[str, list[str]] = {}
    for finding in findings:
        together.setdefault(finding.words, []).append(finding.signature)
    for words, names in together.items():
        yield from paragraph(f"{', '.join(names)}: {words}", width, first="  ", indent="    ")
