"""Equations as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy  # pyright: ignore[reportMissingTypeStubs]
from rich.text import Text
from sympy.printing.latex import LatexPrinter  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.pretty.pretty import PrettyPrinter  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.pretty.pretty_symbology import (  # pyright: ignore[reportMissingTypeStubs]
    pretty_use_unicode,  # pyright: ignore[reportUnknownVariableType]
)

# Sympy's own annotations stop at Basic.
_sympy: Any = sympy
_UntypedLatex: Any = LatexPrinter
_Untyped: Any = PrettyPrinter


_LONG = 220
"""Characters of LaTeX from which on a sum is several lines."""


class _Printer(PrettyPrinter):
    """Sympy's printer, and the arguments of Min and Max in two dimensions too: Sympy leaves their names as typed."""

    def _print_Min(self, expr: Any) -> Any:
        return _Untyped._print_Function(self, expr, func_name="min")

    def _print_Max(self, expr: Any) -> Any:
        return _Untyped._print_Function(self, expr, func_name="max")


class _Latex(_UntypedLatex):
    """Sympy's printer, with a word as a word, where it sets each letter as a variable, and round numbers as round."""

    def _print_Float(self, expr: Any) -> str:
        mantissa, _, power = f"{float(expr):.15g}".partition("e")
        if not power:
            return mantissa
        return (rf"{mantissa} \cdot " if mantissa != "1" else "") + f"10^{{{int(power)}}}"

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        name, _, index = str(expr.name).partition("_")
        if index in ("hat", "bar", "tilde") and name.isalpha():
            return rf"\{index}{{{_UntypedLatex._print_Symbol(self, _sympy.Symbol(name))}}}"
        if index in ("min", "max") and name.isalnum():
            return rf"{_UntypedLatex._print_Symbol(self, _sympy.Symbol(name))}_{{\{index}}}"
        drawn = str(_UntypedLatex._print_Symbol(self, expr, style))
        words = "\\operatorname{" + str(expr.name).replace("_", r"\_") + "}"
        return words if name.isascii() and name.isalpha() and len(name) > 1 and "\\" not in drawn else drawn


def equation(formula: sympy.Basic, width: int, indent: int = 0) -> Iterator[Text]:
    """Draw a formula in two dimensions with Unicode; one that is wider than ``width`` is broken at its operators."""
    printer: Any = _Printer({"use_unicode": True, "num_columns": max(20, width - indent)})
    before = pretty_use_unicode(True)
    try:
        drawn = str(printer.doprint(formula))
    finally:
        pretty_use_unicode(before)
    for line in drawn.splitlines():
        yield Text(" " * indent + line.rstrip())


def latex(formula: sympy.Basic, inline: bool = False) -> str:
    """Write a formula in LaTeX, without delimiters; ``inline`` for a line of text, with short fractions as a/b."""
    printer: Any = _Latex({"fold_short_frac": inline})
    drawn = str(printer.doprint(formula))
    sides: Any = formula.args
    if inline or len(drawn) < _LONG or not (isinstance(formula, sympy.Equality) and isinstance(sides[1], sympy.Add)):
        return drawn
    terms = [str(printer.doprint(term)) for term in printer._as_ordered_terms(sides[1])]
    if min(map(len, terms)) < _LONG / 4:
        return drawn
    # A sum of long terms is set with a line for each, as a person would.
    signed = [term if term.startswith("-") or i == 0 else f"+ {term}" for i, term in enumerate(terms)]
    lines = [rf"{printer.doprint(sides[0])} ={{}} & {signed[0]}", *(rf"& {term}" for term in signed[1:])]
    return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"
