"""Equations as a person reads them: drawn in a terminal, or written for a paper or a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any
from xml.dom.minidom import Document

import sympy  # pyright: ignore[reportMissingTypeStubs]
from rich.text import Text
from sympy.core.alphabets import greeks  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.latex import LatexPrinter  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.mathml import MathMLPresentationPrinter  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.pretty.pretty import PrettyPrinter  # pyright: ignore[reportMissingTypeStubs]
from sympy.printing.pretty.pretty_symbology import (  # pyright: ignore[reportMissingTypeStubs]
    pretty_use_unicode,  # pyright: ignore[reportUnknownVariableType]
)

from idealab.report import number
from idealab.report.inert import inert
from idealab.report.latex import escape
from idealab.symbolic.prediction import inline

# Sympy's own annotations stop at Basic.
_sympy: Any = sympy
_Pretty: Any = PrettyPrinter
_Latex: Any = LatexPrinter
_MathML: Any = MathMLPresentationPrinter


@dataclass(frozen=True)
class Formula:
    """A formula of a theory that is installed here, in the forms in which it can be shown.

    Those of a record are `Quoted`.
    """

    expression: sympy.Basic

    @property
    def is_zero(self) -> bool:
        """Whether it is the number zero."""
        return bool(self.expression.is_zero)

    @property
    def text(self) -> str:
        """One line of Unicode."""
        if self.expression.is_Float:  # Sympy prints all its fifteen digits
            return number.show(float(self.expression), 6)  # pyright: ignore[reportArgumentType]
        sides = self.expression.args if self.expression.is_Equality else (self.expression,)
        return inert(" = ".join(map(inline, sides)))

    @property
    def latex(self) -> str:
        """LaTeX, without delimiters."""
        return latex(self.expression)

    @property
    def mathml(self) -> str:
        """Presentation MathML, without the element ``math`` around it."""
        printer: Any = _MathMLPrinter()
        return str(printer.doprint(self.expression))


@dataclass(frozen=True)
class Quoted:
    """A formula as a record has it: text for people, of which nothing makes an expression again."""

    quoted: str

    @property
    def is_zero(self) -> bool:
        """Whether it is written as the number zero."""
        return self.quoted in ("0", "0.0")

    @property
    def text(self) -> str:
        """One line."""
        return inert(self.quoted)

    @property
    def latex(self) -> str:
        """The text, for math mode."""
        return rf"\texttt{{{escape(self.quoted)}}}"


AnyFormula = Formula | Quoted


_LONG = 220
"""Characters of LaTeX from which on a sum is several lines."""


class _Printer(PrettyPrinter):
    """Sympy's printer, and the arguments of Min and Max in two dimensions too: Sympy leaves their names as typed."""

    def _print_Min(self, expr: Any) -> Any:
        return _Pretty._print_Function(self, expr, func_name="min")

    def _print_Max(self, expr: Any) -> Any:
        return _Pretty._print_Function(self, expr, func_name="max")


def equation(formula: sympy.Basic, width: int, indent: int = 0) -> Iterator[Text]:
    """Draw a formula in two dimensions with Unicode; a sum that is wider than ``width`` has rows of whole terms.

    What is wider by itself is broken anywhere.
    """
    columns = max(20, width - indent)
    printer: Any = _Printer({"use_unicode": True, "num_columns": columns, "order": "none"})
    before = pretty_use_unicode(True)
    try:
        drawn = [row.render(**printer._settings) for row in _rows(formula, columns, printer)]
    finally:
        pretty_use_unicode(before)
    for line in "\n".join(drawn).split("\n"):
        yield Text(" " * indent + inert(line).rstrip())


def _rows(formula: sympy.Basic, columns: int, printer: Any) -> Iterator[Any]:
    """The formula as Sympy draws it, or a long sum in rows that fit, as far as single terms do."""
    ordered: Any = _Printer({"use_unicode": True})
    whole, sides = ordered._print(formula), formula.args
    if whole.width() <= columns or not (isinstance(formula, sympy.Equality) and isinstance(sides[1], sympy.Add)):
        yield whole
        return
    left = f"{' ' * ordered._print(sides[0]).width()}   "
    rows: list[list[Any]] = []
    for term in ordered._as_ordered_terms(sides[1]):
        if rows and len(left) + 2 + printer._print(_sum([*rows[-1], term])).width() <= columns:
            rows[-1].append(term)
        else:
            rows.append([term])
    yield printer._print(_sympy.Eq(sides[0], _sum(rows[0]), evaluate=False))
    for row in rows[1:]:
        drawn = printer._print(_sum(row))
        sign = "" if row[0].could_extract_minus_sign() else "+ "
        yield type(drawn)(*drawn.left(left + sign))


def _sum(terms: list[Any]) -> Any:
    return _sympy.Add(*terms, evaluate=False)


def latex(formula: sympy.Basic, inline: bool = False) -> str:
    """Write a formula in LaTeX, without delimiters; ``inline`` for a line of text, with short fractions as a/b.

    The names in it command nothing but letters and accents.
    """
    printer: Any = _LatexPrinter({"fold_short_frac": inline})
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


_COMMAND = re.compile(r"\\([a-zA-Z]+|.?)")
_ALLOWED = {
    *("hat", "widehat", "bar", "overline", "tilde", "widetilde", "vec", "dot", "ddot", "underline", "ell", "prime"),
    *("mathrm", "mathbf", "mathit", "mathsf", "mathcal", "mathbb", "mathfrak", "boldsymbol", "operatorname", "star"),
    *(prefix + letter for letter in greeks for prefix in ("", "var")),
    *(letter.capitalize() for letter in greeks),
}


def _tame(name: str) -> bool:
    """Whether a name may stand in a formula as it is: it closes what it opens, and calls only what draws a letter."""
    depth = 0
    for brace in re.findall(r"[{}]", name):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    special = name != inert(name) or "^^" in name or bool(set(name) & set("$%#&~"))
    return depth == 0 and not special and all(command in _ALLOWED for command in _COMMAND.findall(name))


_ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~"}


class _LatexPrinter(LatexPrinter):
    """Sympy's printer, with a word as a word, where it sets each letter as a variable, and round numbers as round.

    Sympy hands a name with a backslash or braces on as it is; here only a tame one.
    """

    def _print_Float(self, expr: Any) -> str:
        mantissa, _, power = f"{float(expr):.15g}".partition("e")
        if not power:
            return mantissa
        return (rf"{mantissa} \cdot " if mantissa != "1" else "") + f"10^{{{int(power)}}}"

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        name, _, index = str(expr.name).partition("_")
        if index in _ACCENTS and name.isalpha():
            return rf"\{index}{{{_Latex._print_Symbol(self, _sympy.Symbol(name))}}}"
        if index in ("min", "max") and name.isalnum():
            return rf"{_Latex._print_Symbol(self, _sympy.Symbol(name))}_{{\{index}}}"
        drawn = str(_Latex._print_Symbol(self, expr, style))
        words = "\\operatorname{" + str(expr.name).replace("_", r"\_") + "}"
        return words if name.isascii() and name.isalpha() and len(name) > 1 and "\\" not in drawn else drawn

    def _deal_with_super_sub(self, string: str, style: str = "plain") -> str:
        if _tame(string):
            return str(_Latex._deal_with_super_sub(self, string, style))
        return rf"\text{{{escape(string)}}}".replace(r"\%", r"\char37{}")  # Sympy formats names by %


# Sympy writes double-struck letters for these, which look like other symbols.
_UPRIGHT = str.maketrans({"\N{DOUBLE-STRUCK ITALIC SMALL D}": "d", "\N{DOUBLE-STRUCK ITALIC SMALL E}": "e"})


def _mathematical(text: str) -> str:
    """Text of MathML: a hyphen that means minus is one."""
    shown = inert(text).translate(_UPRIGHT)
    return shown.replace("-", "\N{MINUS SIGN}", 1) if re.fullmatch(r"-[\d.]*", shown) else shown


class _MathMLPrinter(MathMLPresentationPrinter):
    """Sympy writes names into the markup as they are; here every text is escaped, and no name is markup."""

    def __init__(self) -> None:
        _MathML.__init__(self)
        document: Any = self.dom  # pyright: ignore[reportUnknownMemberType]

        def escaped(data: str) -> Any:  # in place of Sympy's own, which writes text as it is
            return Document.createTextNode(document, _mathematical(unescape(data)))

        document.createTextNode = escaped

    def _print_Symbol(self, sym: Any, style: str = "plain") -> Any:
        name, _, index = str(sym.name).partition("_")
        if index in _ACCENTS and name.isalpha():
            accent = self._element("mo", self._text(_ACCENTS[index]))
            return self._element("mover", _MathML._print_Symbol(self, _sympy.Symbol(name), style), accent)
        return _MathML._print_Symbol(self, sym, style)

    def _print_Indexed(self, e: Any) -> Any:
        if len(e.indices) == 1:
            return _MathML._print_Indexed(self, e)
        indices = self._element("mrow")
        for i, index in enumerate(e.indices):
            if i:
                indices.appendChild(self._element("mo", self._text(",")))
            indices.appendChild(self._drawn(index))
        return self._element("msub", self._drawn(e.base), indices)

    def _print_Piecewise(self, expr: Any) -> Any:
        rows = [self._row(value, condition) for value, condition in expr.args]
        return self._element("mrow", self._element("mo", self._text("{")), self._element("mtable", *rows))

    def _row(self, value: Any, condition: Any) -> Any:
        words = "otherwise" if condition == True else "if\N{NO-BREAK SPACE}"  # noqa: E712  (Sympy's true)
        case = [self._element("mtext", self._text(words))] + ([] if condition == True else [self._drawn(condition)])  # noqa: E712
        return self._element("mtr", self._element("mtd", self._drawn(value)), self._element("mtd", *case))

    def _element(self, tag: str, *children: Any) -> Any:
        made: Any = self.dom.createElement(tag)  # pyright: ignore[reportUnknownMemberType]
        for child in children:
            made.appendChild(child)
        return made

    def _text(self, words: str) -> Any:
        return self.dom.createTextNode(words)  # pyright: ignore[reportUnknownMemberType]

    def _drawn(self, expression: Any) -> Any:
        return _MathML._print(self, expression)
