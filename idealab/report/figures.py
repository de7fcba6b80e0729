"""The figures of a verification, drawn from its record alone: for a paper as PDF, for a page as SVG.

Distances are in units of the declared tolerance, so that one axis serves every signature: the theory holds where they
lie below one. Shapes say what colours say.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from idealab.report import canvas
from idealab.report.approach import approach
from idealab.report.canvas import (
    BLUE,
    FAINT,
    GREEN,
    ONE_COLUMN,
    PURPLE,
    SHADE,
    TWO_COLUMNS,
    VERDICT,
    VERMILION,
    Drawing,
    label,
)
from idealab.report.latex import quantity

if TYPE_CHECKING:
    from idealab.verification import CellResult, Verification

_BADNESS = {"absent": 2, "undecided": 1, "present": 0}
_ROW, _TIGHT, _MANY = 0.125, 0.105, 16
"""Inches that a row of names takes, and that it takes where there are many."""

_NAME = 54
"""Letters of a row's name that fit beside the panel."""

_BESIDE = 14
"""Signatures that fit beside each other in one column."""

_ACROSS = 4
"""Panels beside each other in two columns."""

_NEAREST, _FARTHEST = 1e-9, 1e6
"""The widest axis of distances; what lies beyond stands at its ends."""

_OPEN = "D"
"""Markers that are drawn open, so that two that overlap are both seen."""


def figures(result: Verification, width: float = TWO_COLUMNS) -> list[Drawing]:
    """Draw all that the record has something to show for: at most six.

    Parameters
    ----------
    width
        Of the text, in inches, which the wide ones fill; the others are `ONE_COLUMN` wide.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    with canvas.style():
        drawn = [
            *(agreement(result, width), distances(result), approach(result, width)),
            *(scope(result), controls(result), mutants(result)),
        ]
        kept = [drawing for drawing in drawn if drawing is not None]
        for drawing in kept:
            canvas.settle(drawing.figure)
    return kept


def agreement(result: Verification, width: float = TWO_COLUMNS) -> Drawing | None:
    """Measured against predicted, a panel for each signature: the line is the theory."""
    names = list(dict.fromkeys(s.name for s in result.signatures if any(map(_comparable, s.cells))))
    if not names:
        return None
    rows, across = -(-len(names) // _ACROSS), min(_ACROSS, len(names))
    figure = canvas.blank(width * across / _ACROSS, 1.18 * rows + 0.3)
    grid = figure.subplots(2 * rows, across, squeeze=False, sharex=False, height_ratios=[1.7, 1] * rows)
    pairs = [(grid[2 * (i // across)][i % across], grid[2 * (i // across) + 1][i % across]) for i in range(len(names))]
    experiments = list(dict.fromkeys(s.experiment for s in result.signatures))
    handles: dict[str, Any] = {}
    for name, (panel, strip) in zip(names, pairs, strict=True):
        of = [s for s in result.signatures if s.name == name]
        for signature in of:
            marker, colour = canvas.series(experiments.index(signature.experiment))
            cells = [c for c in signature.cells if _comparable(c)]
            handles.setdefault(label(signature.experiment, 30), _measured(panel, cells, marker, colour))
            _deviating(strip, cells, marker, colour)
        _identity(panel, max(abs(c.tolerance) for s in of for c in s.cells))
        _below(panel, strip)
        panel.set_title(label(name, 30))
    for panel in {*grid.flat} - {panel for pair in pairs for panel in pair}:
        panel.remove()
    for panel, strip in pairs[::across]:
        panel.set_ylabel("measured")
        strip.set_ylabel("off")
    figure.align_ylabels()
    figure.supxlabel("predicted", fontsize=7)
    figure.legend([*handles.values()], [*handles], loc="outside upper center", ncols=canvas.columns(figure, handles, 8))
    caption = (
        "Measured against predicted, cell by cell; the line is the theory, without a fitted parameter. Below each, "
        "how far off, in declared tolerances (what is further off stands at the edge): the theory holds in the grey "
        "band. Dots are seeds (each at its cell's prediction plus its own deviation), larger markers their means."
    )
    return Drawing("agreement", 2, caption, figure)


def _comparable(cell: CellResult) -> bool:
    return math.isfinite(cell.predicted) and math.isfinite(cell.measured) and not cell.one_sided


def _measured(panel: Any, cells: Sequence[CellResult], marker: str, colour: str) -> Any:
    at = [cell.predicted for cell in cells]
    panel.errorbar(at, at, yerr=[abs(c.tolerance) for c in cells], fmt="none", ecolor=SHADE, elinewidth=3.2, zorder=0)
    seeds = [(c.predicted, c.predicted + d * c.tolerance) for c in cells for d in c.seed_deviations if abs(d) < 1e5]
    panel.plot(*zip(*seeds, strict=True) if seeds else ([], []), ".", color=colour, markersize=1.6, alpha=0.7, zorder=2)
    style = {"marker": marker, "markerfacecolor": "none", "markeredgecolor": colour, "linestyle": "none"}
    return panel.plot(at, [cell.measured for cell in cells], **style, zorder=3)[0]


_EDGE = 1.6
"""Tolerances from zero at which a strip of deviations ends."""


def _deviating(strip: Any, cells: Sequence[CellResult], marker: str, colour: str) -> None:
    """Deviations in tolerances, of each seed and of the means."""

    def inside(deviation: float) -> float:
        return min(max(deviation, -_EDGE), _EDGE) if math.isfinite(deviation) else _EDGE

    seeds = [(c.predicted, inside(d)) for c in cells for d in c.seed_deviations]
    strip.plot(*zip(*seeds, strict=True) if seeds else ([], []), ".", color=colour, markersize=1.6, alpha=0.7, zorder=2)
    style = {"markerfacecolor": "none", "markeredgecolor": colour, "clip_on": not cells, "zorder": 3}
    strip.plot([c.predicted for c in cells], [inside(c.deviation) for c in cells], marker, **style)


def _below(panel: Any, strip: Any) -> None:
    """Give the strip below a panel its horizontal axis, and the band in which the theory holds."""
    strip.axhspan(-1, 1, color=SHADE, linewidth=0, alpha=0.6, zorder=0)
    strip.axhline(0, color=canvas.INK, linewidth=0.6, zorder=1)
    strip.set_ylim(-_EDGE, _EDGE)
    strip.set_yticks([-1, 0, 1], ["\N{MINUS SIGN}1", "0", "1"])
    if panel.get_xscale() == "symlog":
        _spread(strip, panel.xaxis.get_transform().linthresh, ("x",))
    else:
        strip.set_xscale(panel.get_xscale())
    if panel.get_xscale() == "log":
        canvas.powers(strip.xaxis)
    elif panel.get_xscale() == "linear":
        strip.locator_params(axis="x", nbins=4)
        strip.ticklabel_format(axis="x", useOffset=False)
    strip.set_xlim(panel.get_xlim())
    panel.set_xticklabels([])


def _spread(panel: Any, linear: float, axes: Sequence[str] = ("x", "y")) -> None:
    """Logarithmic axes to both sides of zero, linear up to a value, for what a far one would press into a blob."""
    from matplotlib.ticker import FuncFormatter, NullLocator, SymmetricalLogLocator

    def shown(value: float, _: int | None) -> str:
        return f"${quantity(value, 2)}$"

    for name in axes:
        getattr(panel, f"set_{name}scale")("symlog", linthresh=linear)
        axis = getattr(panel, f"{name}axis")
        locator = SymmetricalLogLocator(base=10, linthresh=linear)
        locator.set_params(numticks=5)
        axis.set_major_locator(locator)
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(shown))


def _identity(panel: Any, tolerance: float) -> None:
    """The line on which measured is predicted; logarithmic axes, where values span more than two decades."""
    values = [float(v) for line in panel.lines for v in (*line.get_xdata(), *line.get_ydata())]
    low, high = min(values), max(values)
    typical = sorted(map(abs, values))[len(values) // 2]
    if low > 0 and high > 100 * low:
        panel.set(xscale="log", yscale="log")
        canvas.powers(panel.xaxis)
        canvas.powers(panel.yaxis)
        low, high = low / 2, high * 2
    elif typical and max(-low, high) > 50 * typical:
        _spread(panel, 10.0 ** math.ceil(math.log10(typical)))
        low, high = (
            2 * end if abs(end) > typical else end - math.copysign(typical, -side)
            for end, side in ((low, -1), (high, 1))
        )
    else:
        # Where there is next to nothing between the values, the tolerance is what there is to see.
        room = max(0.12 * (high - low), 1.5 * tolerance if high - low < tolerance else 0.0) or 1.0
        low, high = low - room, high + room
        panel.locator_params(nbins=4)
        panel.ticklabel_format(useOffset=False)
    panel.plot([low, high], [low, high], color=canvas.INK, linewidth=0.6, zorder=1)
    panel.set(xlim=(low, high), ylim=(low, high))


def distances(result: Verification) -> Drawing | None:
    """How far measured is from predicted, in tolerances: a row for each signature in each experiment."""
    if not result.signatures:
        return None
    names = [f"{label(s.name, 26)}, {label(s.experiment, 18)}" for s in result.signatures]
    cells = [cell for signature in result.signatures for cell in signature.cells]
    strips = _Strips(names, [d for cell in cells for d in (cell.deviation, *cell.seed_deviations)])
    for y, signature in enumerate(result.signatures):
        seeds = [d for cell in signature.cells for d in cell.seed_deviations]
        strips.plot(seeds, y, "|", FAINT, markersize=3.5, markeredgewidth=0.4)
        for verdict, (marker, colour) in VERDICT.items():
            there = [cell.deviation for cell in signature.cells if cell.verdict == verdict]
            strips.plot(there, y, marker, colour, zorder=3, **_filled(marker))
    _legend(strips.figure, _verdicts({cell.verdict for cell in cells}))
    caption = (
        "How far measured is from predicted, in units of the declared tolerance. Each marker is a cell (one condition "
        "at one time), each tick a seed. In the shaded region the theory holds."
    )
    return Drawing("distances", 1, caption, strips.figure)


def _verdicts(there: set[str]) -> list[tuple[str, str, str]]:
    return [(verdict, *mark) for verdict, mark in VERDICT.items() if verdict in there]


_HOLDS, _BREAKS = ("holds without it", "o", BLUE), ("breaks without it", ">", GREEN)
_WRONG, _RIVAL = ("not as it must be", "X", VERMILION), ("theory of the broken case", "D", BLUE)


def controls(result: Verification) -> Drawing | None:
    """What taking each assumption away did."""
    if not result.controls:
        return None
    should = {"breaks": "must break", "does_not_matter": "must not matter"}
    shown = [s for c in result.controls for s in (*c.signatures, *([c.rival] if c.rival else []))]
    names = [f"{label(c.assumption, 28)}: {should[c.expected]}" for c in result.controls]
    strips = _Strips(names, [cell.deviation for signature in shown for cell in signature.cells])
    marks: dict[tuple[str, str, str], None] = {}
    for y, control in enumerate(result.controls):
        strips.plot([cell.deviation for s in control.signatures for cell in s.cells], y, "|", FAINT, markersize=4)
        did = control.seen == control.expected
        mark = (_BREAKS if control.expected == "breaks" else _HOLDS) if did else _WRONG
        marks[mark] = None
        strips.plot([s.weakest.deviation for s in control.signatures], y, *mark[1:], zorder=3)
        if control.rival is not None:
            strips.plot([cell.deviation for cell in control.rival.cells], y, *_RIVAL[1:], zorder=4, **_filled("D"))
    if any(control.rival for control in result.controls):
        marks[_RIVAL] = None
    _legend(strips.figure, marks)
    caption = (
        "Each assumption taken away in turn: how far the signatures then are from the prediction, in tolerances; the "
        "marker is the cell that is furthest off, ticks are the others. Open diamonds: the same runs against the "
        "theory of the broken case."
    )
    return Drawing("controls", 1, caption, strips.figure)


_MUTANTS = {
    "killed": ("refuted", "|", FAINT),
    "undefined": ("refuted", "|", FAINT),
    "unresolvable": ("within the tolerance", "D", BLUE),
    "survived": ("not refuted", "X", VERMILION),
    "unseen": ("the same in all conditions", "s", PURPLE),
}


def mutants(result: Verification) -> Drawing | None:
    """The wrong formulas that were held against the same data, by their distance from the theory."""
    found = () if result.mutants is None else [m for m in result.mutants.mutants if m.signature]  # not only counted
    if not found:
        return None
    judged, mutated = [s.name for s in result.signatures], [mutant.signature for mutant in found]
    names = [name for name in dict.fromkeys([*judged, *mutated]) if name in mutated]
    strips = _Strips([label(name, 30) for name in names], [mutant.distance for mutant in found])
    for y, name in enumerate(names):
        for status, (_, marker, colour) in _MUTANTS.items():
            there = [m.distance for m in found if m.signature == name and m.status == status]
            strips.plot(there, y, marker, colour, zorder=2 if marker == "|" else 3, **_filled(marker))
    strips.panel.set_xlabel("distance of the wrong formula from the theory, in tolerances")
    _legend(strips.figure, dict.fromkeys(_MUTANTS[s] for s in _MUTANTS if any(m.status == s for m in found)))
    caption = (
        "Would a wrong formula have been noticed? Each mark is the prediction with one change (a factor, a sign, an "
        "exponent, a symbol) at its largest distance from the theory. Ticks were refuted by the same observations; "
        "diamonds lie within the tolerance."
    )
    return Drawing("mutants", 1, caption, strips.figure)


def scope(result: Verification) -> Drawing | None:
    """Where each signature was seen to hold: a row for each condition, a column for each signature.

    Where there are too many signatures for columns, a row for each in each experiment, with its conditions in order.
    """
    names = list(dict.fromkeys(s.name for s in result.signatures))
    many = len(names) > _BESIDE
    worst: dict[tuple[str, str], dict[int, str]] = {}
    for signature in result.signatures:
        conditions = list(dict.fromkeys(cell.condition for cell in signature.cells))
        for cell in signature.cells:
            if many:
                row, at = (signature.name, signature.experiment), conditions.index(cell.condition)
            else:
                row, at = (signature.experiment, cell.condition or "all conditions"), names.index(signature.name)
            seen = worst.setdefault(row, {})
            seen[at] = max(cell.verdict, seen.get(at, "present"), key=_BADNESS.__getitem__)
    if len(worst) < 2:
        return None
    figure = canvas.blank(ONE_COLUMN, 4, None)
    panel: Any = figure.subplots()
    for verdict, (marker, colour) in VERDICT.items():
        there = [(x, y) for y, seen in enumerate(worst.values()) for x, said in seen.items() if said == verdict]
        panel.plot(*zip(*there, strict=True) if there else ([], []), marker, color=colour, **_filled(marker))
    across = max(x for seen in worst.values() for x in seen) + 1 if many else len(names)
    if many:
        rows = [[label(f"{name}, {experiment}", _NAME)] for name, experiment in worst]
        ticks = range(0, across, -(-across // 8))
        panel.set_xticks(ticks, [str(x + 1) for x in ticks])
        panel.set_xlabel("condition, the most favourable first")
    else:
        rows = [textwrap.wrap(f"{label(e, 24)}: {label(c, 150)}", _NAME) for e, c in worst]
        panel.set_xticks(range(across), [label(name, 24) for name in names], rotation=90)
        for y, ((before, _), (experiment, _)) in enumerate(itertools.pairwise(worst)):
            if experiment != before:
                panel.axhline(y + 0.5, color=FAINT, linewidth=0.4)
    _named_rows(panel, ["\n".join(lines) for lines in rows])
    panel.set_xlim(-0.6, across - 0.4)
    _legend(
        figure, _verdicts({verdict for row in worst.values() for verdict in row.values()}), lines=max(map(len, rows))
    )
    caption = (
        "Where each signature holds: the worst verdict over all times, in every condition in which it was measured."
    )
    return Drawing("scope", 1, caption, figure)


class _Strips:
    """A panel of one column with a named row for each, over a logarithmic axis of distances in tolerances.

    The axis takes in all ``distances``, in whole decades, and more than the region in which the theory holds; what
    does not differ at all stands at its near end, what is lost or beyond all measure at the far one.
    """

    def __init__(self, names: Sequence[str], distances: Iterable[float]) -> None:
        places = [abs(d) for d in distances if _NEAREST < abs(d) < _FARTHEST] or [1.0]
        self.low = 10.0 ** min(-2, math.floor(math.log10(min(places)) - 0.1))
        self.high = 10.0 ** max(1, math.ceil(math.log10(max(places)) + 0.1))
        self.figure = canvas.blank(ONE_COLUMN, 4, None)
        self.panel: Any = self.figure.subplots()
        self.panel.axvspan(self.low, 1, color=SHADE, linewidth=0, alpha=0.6, zorder=0)
        self.panel.axvline(1, color=canvas.INK, linewidth=0.6, zorder=1)
        self.panel.set(xscale="log", xlabel="distance from the prediction, in tolerances")
        self.panel.set_xlim(self.low, self.high)
        canvas.powers(self.panel.xaxis)
        _named_rows(self.panel, names)

    def plot(self, deviations: Iterable[float], y: float, marker: str, colour: str, **style: Any) -> None:
        """Draw deviations in a row, all alike."""
        at = [min(max(abs(d), self.low), self.high) if math.isfinite(d) else self.high for d in deviations]
        self.panel.plot(at, [y] * len(at), marker, color=colour, clip_on=False, **style)


def _named_rows(panel: Any, names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.tick_params(axis="y", length=0)


def _legend(figure: Any, marks: Iterable[tuple[str, str, str]], lines: int = 1) -> None:
    """Say below the panel what the markers mean: (words, marker, colour); and give every row room for so many lines."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, label=words, **_filled(marker))
        for words, marker, colour in marks
    ]
    figure.legend(handles=handles, loc="lower center", ncols=3, borderpad=0.2, borderaxespad=0.2)
    (panel,) = figure.axes
    rows = len(panel.get_yticks())
    canvas.fit(figure, panel, (_ROW if rows <= _MANY else _TIGHT) * rows * (1 + 0.75 * (lines - 1)))


def _filled(marker: str) -> dict[str, Any]:
    return {"markerfacecolor": "white"} if marker in _OPEN else {}
