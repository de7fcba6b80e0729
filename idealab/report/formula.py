"""Equations as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy  # pyright: ignore[reportMissingTypeStubs]
from rich.text import Text
from sympy.printing.pretty.pretty import PrettyPrinter  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.pretty.pretty_symbology import (  # pyright: ignore[reportMissingTypeStubs]
    pretty_use_unicode,  # pyright: ignore[reportUnknownVariableType]
)

# Sympy's own annotations stop at Basic.
_sympy: Any = sympy
_Untyped: Any = PrettyPrinter


class _Printer(PrettyPrinter):
    """Sympy's printer, and the arguments of Min and Max in two dimensions too: Sympy leaves their names as typed."""

    def _print_Min(self, expr: Any) -> Any:
        return _Untyped._print_Function(self, expr, func_name="min")

    def _print_Max(self, expr: Any) -> Any:
        return _Untyped._print_Function(self, expr, func_name="max")


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


def latex(formula: sympy.Basic) -> str:
    """Write a formula in LaTeX, without delimiters."""
    return str(_sympy.latex(formula))
