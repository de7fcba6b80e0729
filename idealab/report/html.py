"""HTML from templates that escape whatever they are given: pages of one file each, and pieces for notebooks.

A page brings its own style, loads nothing and runs nothing; its content security policy says so to the browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Literal, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from sympy.printing.pretty.pretty_symbology import (  # pyright: ignore[reportMissingTypeStubs]
    greek_unicode,  # pyright: ignore[reportUnknownVariableType]
)

from idealab import __version__
from idealab.report import number
from idealab.report.blocks import Block, Words
from idealab.report.card import Card
from idealab.report.disclosure import disclosed
from idealab.report.formula import AnyFormula, Quoted
from idealab.report.inert import inert
from idealab.report.latex import inside, pieces

_POWER = re.compile(r"-?[\d.]+e[-+]\d+", re.ASCII)
_GREEK = cast("dict[str, str]", greek_unicode)
_ACCENTS = {"hat": "\N{COMBINING CIRCUMFLEX ACCENT}", "bar": "\N{COMBINING MACRON}", "tilde": "\N{COMBINING TILDE}"}
_LONGEST = 4000
"""Characters of one text that are shown."""


def card_page(card: Card) -> str:
    """Write the signature card as a page."""
    return render("card.html", card=card, blocks=disclosed(card))


def blocks_html(blocks: Sequence[Block], level: int = 3, fold: bool = False) -> str:
    """Write blocks as a piece of HTML without a style of its own, as for a notebook.

    Headings begin at ``level``; ``fold`` folds the facts of an entry.
    """
    macros: Any = environment().get_template("blocks.html").module
    return str(macros.written(blocks, level, fold))


def render(template: str, **content: Any) -> str:
    """Fill a template; a name that the template needs and is not given is an error, never an empty place."""
    return environment().get_template(template).render(version=__version__, **content)


@cache
def environment() -> Environment:
    """The templates, with autoescape for all that is not made by `mathematics`."""
    made: Any = Environment(
        loader=PackageLoader("idealab.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    made.filters["mathematics"] = mathematics
    made.filters["labelled"] = _labelled
    made.filters["drawn"] = Markup  # an SVG that this program drew
    made.filters["figure"] = figure
    made.filters["sentence"] = sentence
    made.tests["kind"] = _is_a
    return made


def _inert(value: Any) -> Any:
    """What every expression of a template goes through before it is escaped."""
    return clipped(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def clipped(text: str) -> str:
    """Text that does nothing, and of which a record cannot make a page too large to read."""
    rest = len(text) - _LONGEST
    return inert(text) if rest <= 0 else f"{inert(text[:_LONGEST])} … and {rest} more characters"


def mathematics(formula: AnyFormula, display: Literal["inline", "block"] = "inline") -> Markup:
    """Write a formula as MathML, which Sympy makes and `idealab.report.formula` keeps free of other markup.

    One that is quoted from a record is text.
    """
    if isinstance(formula, Quoted):
        return Markup("<code>{}</code>").format(clipped(formula.text))
    drawn = Markup(f'<math display="{display}">') + Markup(formula.mathml) + Markup("</math>")
    return drawn if display == "block" else Markup('<span class="formula">') + drawn + Markup("</span>")


def sentence(text: str) -> Markup:
    """Write a theorist's sentence with its symbols as such: gamma^2, w_hat, 1e-6; see `idealab.report.latex.prose`."""
    return Markup("").join(
        escape(piece) if isinstance(piece, str) else _symbol(piece) for piece in pieces(clipped(text))
    )


def _symbol(parts: Mapping[str, str]) -> Markup:
    if "name" in parts:
        return Markup("<em>{}</em>").format(parts["name"])
    if "sign" in parts or "minus" in parts:
        return escape("·" if parts.get("sign") == "." else "\N{MINUS SIGN}")
    if "raised" in parts:
        return _raised(parts["raised"])
    if "digits" in parts:
        mantissa = "" if parts["digits"] == "1" else f"{parts['digits']}·"
        return escape(f"{mantissa}10") + _raised(f"^{int(parts['power'])}")
    letter = _GREEK.get(parts["base"], parts["base"])
    below = parts.get("below", "")[1:]
    if below in _ACCENTS:
        letter, below = letter + _ACCENTS[below], ""
    index = Markup("<sub>{}</sub>").format(_GREEK.get(below, below)) if below else Markup("")
    return Markup("<var>{}</var>").format(letter) + index + _raised(parts.get("above", ""))


def _raised(exponent: str) -> Markup:
    text = inside(exponent).replace("-", "\N{MINUS SIGN}")
    return Markup("<sup>{}</sup>").format(text) if text else Markup("")


def figure(value: float | str) -> Markup:
    """Write a number, or a text that consists of numbers, with powers of ten and a proper minus."""
    text = value if isinstance(value, str) else number.show(value)
    return Markup(" ").join(map(_figure, clipped(text).split(" ")))


def _figure(word: str) -> Markup:
    mantissa, power, exponent = word.partition("e") if _POWER.fullmatch(word) else (word, "", "")
    drawn = escape(mantissa.replace("-", "\N{MINUS SIGN}"))
    if power:
        drawn += Markup("×10<sup>{}</sup>").format(str(int(exponent)).replace("-", "\N{MINUS SIGN}"))
    return Markup('<span class="figure">{}</span>').format(drawn)


def _is_a(block: Block, name: str) -> bool:
    return type(block).__name__ == name


def _labelled(blocks: Sequence[Block]) -> Iterator[tuple[bool, list[Block]]]:
    """Group neighbours that have a label, which become one list of facts."""
    for label, group in groupby(blocks, lambda block: isinstance(block, Words) and bool(block.label)):
        yield label, [*group]
