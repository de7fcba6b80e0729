"""A prediction: one Sympy expression that is printed, hashed and compiled, so that no formula is ever typed twice."""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import sympy as sp
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.str import StrPrinter

from idealab.errors import DeclarationError
from idealab.symbolic.canonical import expression_hash
from idealab.symbolic.layout import Layout, name_of
from idealab.symbolic.log_form import in_logarithms
from idealab.symbolic.printer import Code, write

if TYPE_CHECKING:
    import numpy as np
    from jax import Array
    from numpy.typing import NDArray

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Prediction:
    """One formula in all its forms.

    Parameters
    ----------
    expression
        A real Sympy expression over symbols (knobs, times, instance parameters) and arrays ``p[n]`` (IndexedBase).
        A sum over a whole axis is ``Sum(f, (n, 0, N - 1))``, where N stands for the length of the arrays with index n;
        an index that no sum uses up is an axis of the result. Literal integer bounds also do.
    by_log
        Symbols that are passed by their natural logarithm, under the name ``log_`` and theirs: times past 1e308. The
        compiled function never forms their exponential where the result does not need it. Symbols that the expression
        does not hold are ignored.

    Raises
    ------
    PrinterError
        If a part of the expression has no faithful JAX form.
    DeclarationError
        If ``expression`` is not a Sympy expression, if one name stands for two symbols, or if ``by_log`` is impossible.

    Examples
    --------
    >>> eta, gamma, t = sp.symbols("eta gamma t", positive=True)
    >>> clock = Prediction(sp.log(eta * gamma**2 * t), by_log=(t,))
    >>> clock.arguments
    ('eta', 'gamma', 'log_t')
    >>> print(clock.inline)
    log(η·γ²·t)
    >>> float(clock.to_jax()(eta=1.0, gamma=1.0, log_t=1e6))
    1000000.0
    """

    expression: sp.Expr
    by_log: tuple[sp.Symbol, ...] = ()

    def __post_init__(self) -> None:
        expression: Any = self.expression
        if not isinstance(expression, sp.Expr) or isinstance(expression, sp.Lambda):
            raise DeclarationError(
                f"expression={expression!r} is {type(expression).__name__}, expected a Sympy expression; build it from "
                f"sympy symbols and numbers (text is never parsed)"
            )
        if not expression.is_commutative:
            raise DeclarationError(
                f"{expression} is a matrix, an operator or an unevaluated form, expected one real number; use "
                f"IndexedBase for arrays, and doit() for what is unevaluated"
            )
        object.__setattr__(self, "by_log", tuple(self.by_log))
        self._check_names()
        _ = self.sha256, self.code

    def _check_names(self) -> None:
        symbols: dict[str, sp.Symbol] = {}
        for symbol in sorted(self.expression.atoms(sp.Symbol) | set(self.by_log), key=str):
            other = symbols.setdefault(symbol.name, symbol)
            if other != symbol:
                raise DeclarationError(
                    f"two symbols are named {symbol.name!r} and differ in their assumptions "
                    f"({_assumptions(other)} against {_assumptions(symbol)}); declare it once and reuse it"
                )

    @cached_property
    def _layout(self) -> Layout:
        return Layout.of(self.expression)

    @cached_property
    def code(self) -> Code:
        """The printed function, its keywords and the axes of its result."""
        logarithms: dict[sp.Symbol, sp.Symbol] = {}
        for symbol in self.by_log:
            if symbol not in self.expression.free_symbols:
                continue
            if symbol.name not in self._layout.scalars:
                raise DeclarationError(
                    f"by_log names {symbol}, which is an array, an index or a length; name a plain symbol"
                )
            if symbol.is_positive is False:
                raise DeclarationError(f"by_log names {symbol}, which is declared not positive, so it has no logarithm")
            if (name := f"log_{symbol.name}") in self._layout.arguments:
                raise DeclarationError(
                    f"by_log passes {symbol} as {name}, but {name} is a symbol of its own; rename it"
                )
            logarithms[symbol] = sp.Symbol(name, real=True)
        return write(in_logarithms(self.expression, logarithms) if logarithms else self.expression)

    @property
    def symbols(self) -> tuple[sp.Symbol | sp.IndexedBase, ...]:
        """The symbols and arrays that must be given a value, sorted by name."""
        return tuple(self._layout.arguments.values())

    @property
    def arguments(self) -> tuple[str, ...]:
        """Keywords of the compiled function, sorted: ``log_t`` for a symbol t in ``by_log``."""
        passed = {s.name for s in self.by_log}
        return tuple(sorted(f"log_{name}" if name in passed else name for name in self._layout.arguments))

    @property
    def axes(self) -> tuple[str, ...]:
        """Index along each of the last axes of the result, sorted by name; the axes of plain symbols stand before."""
        return self.code.axes

    @cached_property
    def sha256(self) -> str:
        """Hash of the formula; assumptions, the order of terms and ``by_log`` do not enter."""
        return expression_hash(self.expression)

    @property
    def text(self) -> str:
        """Plain ASCII on one line, for people; nothing parses it."""
        return str(self.expression)

    @cached_property
    def inline(self) -> str:
        """One line of Unicode, as for a table: ``1/(η·γ²)``."""
        return inline(self.expression)

    @property
    def unicode(self) -> str:
        """Two-dimensional Unicode, of one or more lines."""
        return str(sp.pretty(self.expression, use_unicode=True, wrap_line=False))

    @property
    def latex(self) -> str:
        """LaTeX, without delimiters."""
        return str(sp.latex(self.expression))

    def to_jax(self) -> Callable[..., Array]:
        """Compile: a function of the ``arguments`` by keyword, which can be mapped, jitted and differentiated.

        Plain symbols take numbers or arrays that broadcast; arrays take one axis for each index. Everything is computed
        in the floating type of the arrays given, or the default one for Python numbers. The same formula gives the same
        function object. What it raises is said at ``idealab.symbolic.evaluation.load``.
        """
        from idealab.symbolic.evaluation import load  # JAX is imported by whoever runs a formula, not by who states one

        return load(self.code)

    def to_numpy(self) -> Callable[..., NDArray[np.float64]]:
        """Return the same function by NumPy and SciPy, in float64, which nothing has to be compiled for.

        It takes the same keywords as that of :meth:`to_jax`, and agrees with it to rounding. Arrays too may have axes
        in front of those of their indices, along which everything broadcasts: with values of shape (s,) for plain
        symbols and (s, n) for arrays, the result is (s, ...), as by ``jax.vmap``; a constant stays one number.
        """
        from idealab.symbolic.numeric import load

        ranks = {name_of(entry.base): len(entry.indices) for entry in self.expression.atoms(sp.Indexed)}
        return load(self.code, tuple(sorted(ranks.items())))

    def _repr_html_(self) -> str:
        """Return the formula and its keywords for notebooks."""
        from idealab.report.notebook import prediction_html

        return prediction_html(self)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"


def _assumptions(symbol: sp.Symbol) -> str:
    said = cast("dict[str, bool]", symbol._assumptions_orig)  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType]
    return ", ".join(f"{name}={value}" for name, value in sorted(said.items())) or "none"


def inline(expression: sp.Basic) -> str:
    """One line of Unicode for an expression, or for a part of one."""
    return str(_InlinePrinter().doprint(expression))


class _InlinePrinter(StrPrinter):
    """Sympy's one-line text with Greek letters, superscripts and dots."""

    def _print_Symbol(self, expr: Any) -> str:
        return str(pretty_symbol(name_of(expr)))

    _print_Idx = _print_IndexedBase = _print_Symbol

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        base, exponent = expr.args
        if exponent == sp.Rational(1, 2):
            return f"√{self.parenthesize(base, PRECEDENCE['Pow'])}"
        if exponent == sp.Rational(-1, 2):
            return f"1/{self._print(1 / expr)}"
        if exponent.is_Integer and exponent > 1:
            return f"{self.parenthesize(base, PRECEDENCE['Pow'])}{str(exponent).translate(_SUPERSCRIPTS)}"
        return super()._print_Pow(expr, rational=rational).replace("**", "^")

    def _print_Mul(self, expr: Any) -> str:
        return super()._print_Mul(expr).replace("*", "·")

    def _print_Pi(self, expr: Any) -> Any:
        return "π"

    def _print_Infinity(self, expr: Any) -> Any:
        return "∞"
