"""How the distance from a limit shrinks: the figure of asymptotic claims."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from idealab.report import canvas
from idealab.report.canvas import FAINT, INK, SERIES, TWO_COLUMNS, Drawing, label

if TYPE_CHECKING:
    from idealab.verification import CellResult, CurveResult, SignatureResult, Verification

_MOST = 6
_PLACE = re.compile(
    r"(\w+) ?= ?(?:e\^\(10\^(?P<tower>\d+)\)|e\^(?P<natural>[\d.e+]+)|(?P<plain>[-+]?[\d.]+(?:e[-+]?\d+)?))"
)
_POWER_LAWS = ("Rate", "Slope")


class Place(NamedTuple):
    """Where a cell lies on an axis that has numbers."""

    axis: str
    log10: float


def approach(result: Verification) -> Drawing | None:
    """Draw what is left to the prediction along time or along a knob, against the tolerance or the predicted slope."""
    laws = [s for s in result.signatures if s.criterion in _POWER_LAWS and any(map(_drawable, s.curves))]
    limits = [s for s in result.signatures if s not in laws and _along(s)]
    # One of each name before a second: the same claim elsewhere says less than another claim.
    names = [signature.name for signature in (*laws, *limits)]
    order = sorted(range(len(names)), key=lambda i: names[:i].count(names[i]))
    shown = [[*laws, *limits][i] for i in order[:_MOST]]
    if not shown:
        return None
    figure = canvas.blank(TWO_COLUMNS * min(1.0, len(shown) / 4), 1.3)
    panels: list[Any] = [*figure.subplots(1, len(shown), squeeze=False).flat]
    for signature, panel in zip(shown, panels, strict=True):
        (_law if signature in laws else _limit)(panel, signature)
        panel.set_title(f"{label(signature.name, 20)}\n{label(signature.experiment, 20)}", linespacing=0.95)
    for signature, panel in zip(shown, panels, strict=True):
        if panel is panels[0] or signature.criterion == "Slope" or shown[0].criterion == "Slope":
            panel.set_ylabel("observable" if signature.criterion == "Slope" else "distance")
    captions = ["How the limit is approached."]
    if any(signature not in laws for signature in shown):
        captions.append(
            "Markers: the distance of the mean over seeds from the prediction, a series for each condition, under the "
            "declared tolerance (dashed)."
        )
    if laws:
        captions.append(
            "Where an exponent was predicted: the distance from the ideal, or the observable itself, with the "
            "predicted slope (solid) through the middle."
        )
    caption = " ".join(captions)
    return Drawing("approach", 2, caption, figure)


def _drawable(curve: CurveResult) -> bool:
    return sum(value != 0 and math.isfinite(value) for _, value, _ in curve.points) >= 2


def _law(panel: Any, signature: SignatureResult) -> None:
    """Points of a claimed power law, with the predicted slope through their middle."""
    exponents = {cell.condition: cell.predicted for cell in reversed(signature.cells)}
    for i, curve in enumerate(filter(_drawable, signature.curves)):
        logs = curve.along.startswith("log_")
        scale = math.log(10) if logs else 1.0
        kept = [(x / scale if logs else math.log10(x), y, e) for x, y, e in curve.points if (logs or x > 0) and y]
        kept = sorted(point for point in kept if all(map(math.isfinite, point[:2])))
        if len(kept) < 2:
            continue
        at, sizes = [x for x, _, _ in kept], [math.log10(abs(y)) for _, y, _ in kept]
        errors = [e / abs(y) / math.log(10) if math.isfinite(e) else 0.0 for _, y, e in kept]
        marker, colour = SERIES[i % len(SERIES)]
        panel.errorbar(at, sizes, yerr=errors, fmt=marker, color=colour, markerfacecolor="none", elinewidth=0.6)
        centre, height = sum(at) / len(at), sum(sizes) / len(sizes)
        slope = exponents.get(curve.condition, math.nan)
        panel.plot([at[0], at[-1]], [height + slope * (x - centre) for x in (at[0], at[-1])], color=INK, zorder=0)
        _axis(panel, curve.along.removeprefix("log_"), at)
    _powers(panel)


def _limit(panel: Any, signature: SignatureResult) -> None:
    """Distances from the predicted limit, under the tolerance that was declared for them."""
    series = _along(signature)
    for i, cells in enumerate(series.values()):
        at = [place.log10 for place, _ in cells]
        marker, colour = SERIES[i % len(SERIES)]
        left = [_log10(cell.measured - cell.predicted) for _, cell in cells]
        panel.plot(at, left, marker, linestyle="-", linewidth=0.5, color=colour, markerfacecolor="none")
        panel.plot(at, [_log10(cell.tolerance) for _, cell in cells], "--", color=FAINT, linewidth=0.6, zorder=0)
    places = [place for cells in series.values() for place, _ in cells]
    _axis(panel, places[0].axis, [place.log10 for place in places])
    _powers(panel)


def _along(signature: SignatureResult) -> dict[str, list[tuple[Place, CellResult]]]:
    """The cells of each condition that lie along an axis, two or more; of a sweep of one knob those along the knob."""
    series: dict[str, list[tuple[Place, CellResult]]] = {}
    for cell in signature.cells:
        checkpoint = place_of(cell.checkpoint)
        place = checkpoint or place_of(cell.condition)
        finite = math.isfinite(cell.measured) and math.isfinite(cell.predicted)
        if place is not None and finite and not cell.one_sided:
            series.setdefault(f"{place.axis} {cell.condition if checkpoint else ''}", []).append((place, cell))
    several = {name: sorted(cells, key=lambda pair: pair[0].log10) for name, cells in series.items()}
    return {name: cells for name, cells in several.items() if cells[0][0].log10 < cells[-1][0].log10}


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
    valued = max(map(abs, places)) < 4
    panel.set_xlabel(label(name, 20) if valued else rf"$\log_{{10}}$ {label(name, 20)}")
    panel.set_xticks(ticks, [f"{10**tick if valued else tick:.6g}" for tick in ticks])
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
