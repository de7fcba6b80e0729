"""How the distance from a limit shrinks: the figure of asymptotic claims."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from idealab.report import canvas
from idealab.report.canvas import FAINT, TWO_COLUMNS, Drawing, label
from idealab.report.latex import quantity

if TYPE_CHECKING:
    from idealab.verification import CellResult, CurveResult, SignatureResult, Verification

_MOST = 4
_ROUNDING = {"float32": 2.0**-23 * 1024, "float64": 2.0**-52 * 1024}
"""Distances, of values of size one, that say nothing: what is left there is rounding."""
_PLACE = re.compile(
    r"(\w+) ?= ?(?:e\^\(10\^(?P<tower>\d+)\)|e\^(?P<natural>[\d.e+]+)|(?P<plain>[-+]?[\d.]+(?:e[-+]?\d+)?))"
)
_POWER_LAWS = ("Rate", "Slope")


_FLAT = 0.02
"""A tolerance whose exponent is smaller is one number, and predicts no slope."""

_TOWERS = 40
"""Powers of ten beyond which an exponent is that of the logarithm."""


class Place(NamedTuple):
    """Where a cell lies on an axis that has numbers."""

    axis: str
    log10: float


class _Series(NamedTuple):
    """The cells of a condition along an axis, and of these the ``told``, whose distance can be told from nothing."""

    condition: str
    cells: Sequence[tuple[Place, CellResult]]
    told: Sequence[tuple[Place, CellResult]]

    @property
    def sloped(self) -> bool:
        """Whether they tell a slope; they do not where more is allowed the later it is, as of rounding that adds up."""
        if not self.told or self.told[0][0].log10 == self.told[-1][0].log10:
            return False
        first, last = (abs(self.told[i][1].tolerance) for i in (0, -1))
        return first > 0 < last and (not self.condition or last <= first)


def approach(result: Verification, width: float = TWO_COLUMNS) -> Drawing | None:
    """Draw what is left to the prediction along time or along a knob, with the slope that was predicted for it."""
    rounding = _ROUNDING.get(str(result.environment.get("precision")), _ROUNDING["float64"])
    laws = [s for s in result.signatures if s.criterion in _POWER_LAWS and any(map(_drawable, s.curves))]
    limits = {id(s): _along(s, rounding) for s in result.signatures if s not in laws}
    # Of each name the one with most points; those that tell no slope at all only where there is nothing else.
    told = {key: sum(len(one.told) for one in series if one.sloped) for key, series in limits.items()}
    points = {key: max((len(one.told) for one in series if one.sloped), default=0) for key, series in limits.items()}
    every = [*laws, *(s for s in result.signatures if limits.get(id(s)))]
    order = sorted(every, key=lambda s: (s not in laws, -points.get(id(s), 0), -told.get(id(s), 0)))
    named = {signature.name: signature for signature in reversed(order)}
    chosen = [s for s in every if named[s.name] is s]
    kept = [s for s in chosen if s in laws or told[id(s)]] or chosen
    # Two points lie on every line: they are shown where nothing has more of them.
    several = [s for s in kept if s in laws or points[id(s)] > 2]
    shown = sorted(several or kept, key=lambda s: (s not in laws, -points.get(id(s), 0)))[:_MOST]
    if not shown:
        return None
    figure = canvas.blank(width * max(2, len(shown)) / _MOST, 1.55)
    panels: list[Any] = [*figure.subplots(1, len(shown), squeeze=False).flat]
    marks: dict[str, tuple[str, str]] = {}
    for signature, panel in zip(shown, panels, strict=True):
        _law(panel, signature, marks) if signature in laws else _limit(panel, limits[id(signature)], marks)
        panel.set_title(f"{label(signature.name, 24)}, {label(signature.experiment, 20)}")
    for signature, panel in zip(shown, panels, strict=True):
        if panel is panels[0] or signature.criterion == "Slope" or shown[0].criterion == "Slope":
            panel.set_ylabel("observable" if signature.criterion == "Slope" else "distance")
    _key(figure, marks)
    return Drawing("approach", 2, _caption(bool(laws), len(laws) < len(shown)), figure)


def _caption(laws: bool, limits: bool) -> str:
    said = ["How the limit is approached; the numbers are exponents, from first to last point."]
    if limits:
        said.append(
            "Markers: the distance of the mean over seeds from the prediction (grey where that is no more than "
            "rounding or two standard errors), under the declared tolerance (dashed), which bounds the neglected "
            "terms; solid lines have its slope."
        )
    if laws:
        said.append(
            "Where an exponent was predicted: the distance from the ideal, or the observable itself, with the "
            "predicted slope (solid) through the middle."
        )
    return " ".join(said)


def _key(figure: Any, marks: Mapping[str, tuple[str, str]]) -> None:
    """Say below the panels which marker is which condition, in as many columns as there is room for."""
    from matplotlib.lines import Line2D

    named = [(condition, mark) for condition, mark in marks.items() if condition]
    if not named:
        return
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, markerfacecolor="none", label=label(words, 70))
        for words, (marker, colour) in named
    ]
    columns = canvas.columns(figure, [label(words, 70) for words, _ in named], 4)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, borderpad=0.1)


def _mark(marks: dict[str, tuple[str, str]], condition: str) -> tuple[str, str]:
    """The marker and colour of a condition, the same in all panels."""
    return marks.setdefault(condition, canvas.series(len(marks)))


def _exponents(panel: Any, *lines: str) -> None:
    """Write exponents below all that is drawn."""
    low, high = panel.get_ylim()
    panel.set_ylim(low - 0.36 * (high - low), high)
    panel.text(0.03, 0.03, "\n".join(lines), transform=panel.transAxes, fontsize=6, linespacing=1.1, va="bottom")


def _span(values: Sequence[float]) -> str:
    low, high = (f"{value:.2f}".replace("-", "\N{MINUS SIGN}") for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _drawable(curve: CurveResult) -> bool:
    return sum(value != 0 and math.isfinite(value) for _, value, _ in curve.points) >= 2


def _law(panel: Any, signature: SignatureResult, marks: dict[str, tuple[str, str]]) -> None:
    """Points of a claimed power law, with the predicted slope through their middle, and both exponents."""
    exponents = {cell.condition: cell for cell in reversed(signature.cells)}
    measured: list[float] = []
    predicted: list[float] = []
    for curve in filter(_drawable, signature.curves):
        logs = curve.along.startswith("log_")
        scale = math.log(10) if logs else 1.0
        kept = [(x / scale if logs else math.log10(x), y, e) for x, y, e in curve.points if (logs or x > 0) and y]
        kept = sorted(point for point in kept if all(map(math.isfinite, point[:2])))
        if len(kept) < 2:
            continue
        at, sizes = [x for x, _, _ in kept], [math.log10(abs(y)) for _, y, _ in kept]
        errors = [e / abs(y) / math.log(10) if math.isfinite(e) else 0.0 for _, y, e in kept]
        marker, colour = _mark(marks, curve.condition)
        panel.errorbar(at, sizes, yerr=errors, fmt=marker, color=colour, markerfacecolor="none", elinewidth=0.6)
        _axis(panel, curve.along.removeprefix("log_"), at)
        cell = exponents.get(curve.condition)
        if cell is not None and math.isfinite(cell.predicted):
            _guide(panel, at, at, sizes, cell.predicted, colour)
            predicted.append(cell.predicted)
            measured += [cell.measured] if math.isfinite(cell.measured) else []
    _powers(panel)
    if predicted and measured:
        _exponents(panel, f"measured {_span(measured)}", f"predicted {_span(predicted)}")


def _guide(
    panel: Any, at: Sequence[float], along: Sequence[float], sizes: Sequence[float], slope: float, colour: str
) -> None:
    """A line through the middle of the points, that has this slope where ``along`` is what it is drawn over."""
    centre, height = sum(along) / len(along), sum(sizes) / len(sizes)
    panel.plot(at, [height + slope * (x - centre) for x in along], color=colour, linewidth=0.6, zorder=1)


def _limit(panel: Any, series: Sequence[_Series], marks: dict[str, tuple[str, str]]) -> None:
    """Distances from the predicted limit, under the tolerance that was declared for them, with the slopes of both."""
    places = [place for one in series for place, _ in one.cells]
    towers = min(place.log10 for place in places) > 0 and max(place.log10 for place in places) > _TOWERS
    measured: list[float] = []
    declared: list[float] = []
    for one in series:
        marker, colour = _mark(marks, one.condition)
        for cells, style in (([c for c in one.cells if c not in one.told], FAINT), (one.told, colour)):
            at = [place.log10 for place, _ in cells]
            panel.plot(at, [_left(cell) for _, cell in cells], marker, color=style, markerfacecolor="none")
        at = [place.log10 for place, _ in one.cells]
        panel.plot(at, [_log10(cell.tolerance) for _, cell in one.cells], "--", color=FAINT, linewidth=0.6, zorder=0)
        if one.sloped:
            at = [place.log10 for place, _ in one.told]
            along = [math.log10(x) for x in at] if towers else at
            sizes, run = [_left(cell) for _, cell in one.told], along[-1] - along[0]
            measured.append((sizes[-1] - sizes[0]) / run)
            declared.append((_log10(one.told[-1][1].tolerance) - _log10(one.told[0][1].tolerance)) / run)
            if abs(declared[-1]) > _FLAT:
                _guide(panel, at, along, sizes, declared[-1], colour)
    _axis(panel, places[0].axis, [place.log10 for place in places])
    _powers(panel)
    if measured:
        where = f" in ln {label(places[0].axis, 12)}" if towers else ""
        _exponents(panel, f"measured {_span(measured)}{where}", f"tolerance {_span(declared)}{where}")


def _left(cell: CellResult) -> float:
    return _log10(cell.measured - cell.predicted)


def _along(signature: SignatureResult, rounding: float) -> list[_Series]:
    """The cells of each condition that lie along an axis, two or more; of a sweep of one knob those along the knob."""
    found: dict[tuple[str, str], list[tuple[Place, CellResult]]] = {}
    for cell in signature.cells:
        checkpoint = place_of(cell.checkpoint)
        place = checkpoint or place_of(cell.condition)
        finite = math.isfinite(cell.measured) and math.isfinite(cell.predicted)
        if place is not None and finite and not cell.one_sided:
            found.setdefault((place.axis, cell.condition if checkpoint else ""), []).append((place, cell))
    series: list[_Series] = []
    for (_, condition), cells in found.items():
        cells.sort(key=lambda pair: pair[0].log10)
        if cells[0][0].log10 < cells[-1][0].log10:
            series.append(_Series(condition, cells, [pair for pair in cells if _told(pair[1], rounding)]))
    return series


def _told(cell: CellResult, rounding: float) -> bool:
    """Whether a distance is more than rounding, and more than what the seeds leave open."""
    left = abs(cell.measured - cell.predicted)
    return left > rounding * max(1.0, abs(cell.predicted)) and not left < 2 * cell.standard_error


def place_of(words: str) -> Place | None:
    """Read ``t=1e30``, ``t=e^(10^5)`` or ``kappa=0.3``; None for anything else, and for what has no logarithm."""
    found = _PLACE.fullmatch(words.strip())
    if found is None:
        return None
    name = found[1]
    try:
        if found["tower"]:
            return Place(name, 10 ** float(found["tower"]) / math.log(10))
        if found["natural"]:
            return Place(name, float(found["natural"]) / math.log(10))
        value = found["plain"]
        digits, _, power = value.partition("e")
        return Place(name, math.log10(float(digits)) + float(power or 0))
    except (ValueError, OverflowError):
        return None


def _log10(value: float) -> float:
    return math.log10(abs(value)) if value else math.nan


def _axis(panel: Any, name: str, at: Iterable[float]) -> None:
    """Ticks where there are points, few enough to be read: by their values, or by their logarithms if these tower."""
    from matplotlib.ticker import NullLocator

    places = sorted(set(at))
    ticks = places if len(places) <= 4 else places[:: -(-len(places) // 4)]
    words, most = label(name, 20), max(map(abs, places))
    if most < 4:
        panel.set_xlabel(words)
        panel.set_xticks(ticks, [f"{10**tick:.6g}" for tick in ticks])
    elif most < 1e4:
        panel.set_xlabel(rf"$\log_{{10}}$ {words}")
        panel.set_xticks(ticks, [f"{tick:.5g}" if tick >= 100 else f"{round(tick, 2):g}" for tick in ticks])
    else:
        panel.set_xlabel(f"ln {words}")
        panel.set_xticks(ticks, [f"${quantity(tick * math.log(10), 4)}$" for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())


def _powers(panel: Any) -> None:
    """Powers of ten by their exponents: an axis from 1e6 to e^(10^5) is beyond what a logarithmic scale can hold."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def shown(value: float, _: int | None) -> str:
        return f"$10^{{{round(value)}}}$"

    panel.margins(0.12)
    low, high = panel.get_ylim()
    if math.floor(high) - math.ceil(low) < 1:  # fewer than two whole powers within
        panel.set_ylim(min(low, math.floor(low + 0.1)), max(high, math.ceil(high - 0.1)))
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    panel.yaxis.set_major_formatter(FuncFormatter(shown))
