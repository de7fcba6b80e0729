"""Equations as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy  # pyright: ignore[reportMissingTypeStubs]
from rich.text import Text

_sympy: Any = sympy  # its own annotations stop at Basic


def equation(formula: sympy.Basic, width: int, indent: int = 0) -> Iterator[Text]:
    """Draw a formula in two dimensions with Unicode; one that is wider than ``width`` is broken at its operators."""
    drawn: str = _sympy.pretty(formula, use_unicode=True, num_columns=max(20, width - indent))
    for line in drawn.splitlines():
        yield Text(" " * indent + line.rstrip())


def latex(formula: sympy.Basic) -> str:
    """Write a formula in LaTeX, without delimiters."""
    return str(_sympy.latex(formula))
