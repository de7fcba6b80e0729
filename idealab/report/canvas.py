"""What every figure shares: widths, colours and markers, one style, and files that are the same byte for byte."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from idealab.errors import UsageError

ONE_COLUMN, TWO_COLUMNS = 3.25, 6.75
"""Widths in inches: those of ICML's template. The text of NeurIPS is 5.5 wide: wide figures can be drawn so."""

INK = "#1b1b1b"
"""The colour of text and axes; an SVG has ``currentColor`` in its place, so that a page may choose."""

SHADE, FAINT = "#d9d9d9", "#8a8a8a"
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
"""Okabe and Ito's colours, which are told apart with any kind of colour vision."""

VERDICT = {"present": ("o", BLUE), "undecided": ("D", ORANGE), "absent": ("X", VERMILION)}
"""Marker and colour of a cell's verdict: the shape alone is enough."""

_MARKERS, _COLOURS = "os^DvP<>", (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)

_STYLE: dict[str, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],  # as the templates' Times; the second has what the first lacks
    "mathtext.fontset": "stix",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.frameon": False,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.0,
    "axes.linewidth": 0.5,
    "axes.titlepad": 3.0,
    "axes.labelpad": 2.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "lines.linewidth": 0.8,
    "lines.markersize": 3.2,
    "lines.markeredgewidth": 0.6,
    "hatch.linewidth": 0.4,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.hspace": 0.0,
    "figure.constrained_layout.wspace": 0.04,
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "pdf.compression": 9,
    "svg.fonttype": "path",  # a page has no network to take fonts from
    "svg.hashsalt": "idealab",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Drawing:
    """A figure that is ready to be written.

    ``columns`` is 1 or 2, ``caption`` says in plain text how to read it: a page shows it, and readers of screens too.
    """

    name: str
    columns: int
    caption: str
    figure: Any  # matplotlib.figure.Figure, which is annotated only in part


def ensure() -> None:
    """Raise `UsageError` where figures cannot be drawn."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UsageError("figures need matplotlib, which is not installed: pip install 'idealab[report]'")


@contextmanager
def style() -> Generator[None]:
    """Draw in the one style, whatever the reader's own settings are; both drawing and writing happen in it."""
    ensure()
    import matplotlib

    mpl: Any = matplotlib  # it is annotated only in part
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # it is drawn as a box
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pyparsing|matplotlib")
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def blank(width: float, height: float, layout: str | None = "constrained") -> Any:
    """Return a figure of so many inches, laid out so that nothing overlaps, or as the caller says."""
    from matplotlib.figure import Figure

    kind: Any = Figure
    return kind(figsize=(width, height), layout=layout)


def fit(figure: Any, panel: Any, height: float) -> None:
    """Make a figure of one panel so high that the panel has this height, in inches; a legend stands at its bottom."""
    figure.draw_without_rendering()
    dpi, edge = figure.dpi, 0.04
    names = [text.get_window_extent().width for text in panel.get_yticklabels()]
    below = panel.xaxis.get_tightbbox().height / dpi + 0.1
    legend = sum(legend.get_window_extent().height for legend in figure.legends) / dpi
    width, total = figure.get_figwidth(), height + below + legend + edge
    figure.set_figheight(total)
    left = max(names, default=0.0) / dpi + 0.1
    figure.subplots_adjust(left / width, (below + legend) / total, 1 - 3 * edge / width, 1 - edge / total)


def pdf(drawing: Drawing) -> bytes:
    """Write a figure as PDF, without a date; the same figure is the same bytes."""
    with style():
        target = io.BytesIO()
        metadata = {"CreationDate": None, "Producer": None, "Creator": "idealab"}
        drawing.figure.savefig(target, format="pdf", metadata=metadata)
    return target.getvalue()


def svg(drawing: Drawing) -> str:
    """Write a figure as an SVG element for a page.

    It is transparent, has ``currentColor`` for text and axes, the caption for those who do not see it, and identifiers
    that begin with the figure's name, so that several fit into one page.
    """
    with style():
        target = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        drawing.figure.savefig(target, format="svg", metadata=metadata, transparent=True)
    text = target.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{drawing.name}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(drawing.caption, quote=True)}"', 1)


def settle(figure: Any) -> None:
    """Lay the figure out once and for all: writing it twice would do that twice, and it is what takes longest."""
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def series(k: int) -> tuple[str, str]:
    """The marker and colour of an experiment or condition by its place; the first 56 pairs differ."""
    return _MARKERS[k % len(_MARKERS)], _COLOURS[k % len(_COLOURS)]


def columns(figure: Any, words: Iterable[str], most: int) -> int:
    """In how many columns a legend fits, which gets room for its lines beyond the first."""
    lengths = [*map(len, words)]
    found = max(1, min(most, len(lengths), int(20 * figure.get_figwidth() / (6 + max(lengths)))))  # 20 letters an inch
    figure.set_figheight(figure.get_figheight() + 0.12 * (-(-len(lengths) // found) - 1))
    return found


def powers(axis: Any) -> None:
    """Label a logarithmic axis at powers of ten, without the marks between them."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    def shown(value: float, _: int | None) -> str:
        return f"$10^{{{math.log10(value):.0f}}}$" if value > 0 else ""

    axis.set_major_formatter(FuncFormatter(shown))
    axis.set_minor_locator(NullLocator())


def label(text: str, most: int = 60) -> str:
    """Make words from a record fit for a figure: nothing in them is taken for mathematics, and they end somewhere."""
    words = " ".join(_CONTROL.sub(" ", text).split())
    words = words if len(words) <= most else words[: most - 1].rstrip() + "…"
    return words.replace("$", r"\$")
