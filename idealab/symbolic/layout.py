"""Which symbols of an expression are arguments, which are indices with an axis of their own, and which are lengths."""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits

from idealab.errors import PrinterError

Expr = Any  # Sympy's own annotations stop at Basic

_LONGEST = 10**7  # entries of one literal range; beyond it the arrays no longer fit


class Range(NamedTuple):
    """What a bound index runs over: ``first`` to ``end - 1``, or, where ``length`` names one, a whole axis from 0."""

    first: int
    end: int | None
    length: str | None


def is_constant(expression: Expr) -> bool:
    """Whether Sympy can evaluate an expression to one number, with no sum, integral or limit left in it."""
    return (
        isinstance(expression, sp.Expr)
        # Asked first: whether a sum is a number takes Sympy long to find out.
        and not expression.has(ExprWithLimits, sp.Derivative, sp.Limit, sp.Subs, sp.Indexed)
        and bool(expression.is_number)
    )


def limits_of(expression: Expr) -> dict[str, Range]:
    """Ranges of the bound indices of a sum or product, innermost first.

    Raises
    ------
    PrinterError
        If a range is neither literal integers nor (n, 0, N - 1) with a symbol N.
    """
    ranges: dict[str, Range] = {}
    for limit in expression.limits:
        if len(limit) != 3:
            raise PrinterError(f"{expression} has no bounds for {limit[0]}; write Sum(f, (n, 0, N - 1))")
        symbol, low, high = limit
        end = high + 1
        if low.is_Integer and high.is_Integer and 0 < end - low <= _LONGEST:
            ranges[symbol.name] = Range(int(low), int(end), None)
        elif low == 0 and end.is_Symbol:
            ranges[symbol.name] = Range(0, None, end.name)
        else:
            raise PrinterError(
                f"{expression} runs over {symbol} = {low}..{high}, expected integers (at most {_LONGEST} values) or "
                f"0..N - 1 with N the length of an array; put the dependence into the summand (a Piecewise), or find a "
                f"closed form"
            )
    return ranges


def indices_of(indexed: sp.Indexed) -> Iterator[sp.Symbol | int]:
    """Indices of an array element: a symbol, or a literal number.

    Raises
    ------
    PrinterError
        If an index is anything else, such as n + 1, or occurs twice.
    """
    seen: set[str] = set()
    for place in cast("tuple[Expr, ...]", indexed.indices):
        if place.is_Integer and place >= 0:
            yield int(place)
        elif isinstance(place, (sp.Symbol, sp.Idx)) and name_of(place) not in seen:
            seen.add(name_of(place))
            yield cast(sp.Symbol, place)
        else:
            raise PrinterError(
                f"{indexed} has the index {place}, expected distinct plain symbols, or numbers from 0; give the "
                f"shifted or diagonal array a name of its own"
            )


def name_of(symbol: Expr) -> str:
    """Name of a symbol, an index or an array."""
    return str(symbol.label if isinstance(symbol, (sp.Idx, sp.IndexedBase)) else symbol.name)


@dataclass
class Layout:
    """Roles of the symbols of an expression.

    Attributes
    ----------
    scalars, arrays
        Arguments by name: plain symbols, and indexed bases.
    free, bound
        Index names: those left open, which become axes of the result, and those that sums use up; each sorted.
    lengths
        For a free index, and for each length, a symbol or digits: the arrays and axes that have this length.

    Raises
    ------
    PrinterError
        If a name has two roles, or a length belongs to no array.
    """

    scalars: dict[str, sp.Symbol] = field(default_factory=dict[str, sp.Symbol])
    arrays: dict[str, sp.IndexedBase] = field(default_factory=dict[str, sp.IndexedBase])
    free: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    lengths: dict[str, list[tuple[str, int]]] = field(default_factory=dict[str, list[tuple[str, int]]])
    _wanted: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, expression: Expr) -> Layout:
        """Find the roles in one walk over the expression."""
        layout = cls()
        layout._walk(expression, {})
        for name in layout._wanted - layout.lengths.keys():
            raise PrinterError(f"no array in {expression} has the length {name}; use a literal integer bound")
        for name in layout.lengths.keys() | set(layout.free):
            layout.scalars.pop(name, None)  # an index or a length used as a number
        layout.free, layout.bound = tuple(sorted(layout.free)), tuple(sorted(set(layout.bound)))
        for name in layout.scalars.keys() & layout.arrays.keys():
            raise PrinterError(f"{name} is both an array and a plain symbol in {expression}; rename one")
        for name in layout.bound:
            if name in layout.scalars or name in layout.free:
                raise PrinterError(f"{name} is bound by a sum and also stands outside it in {expression}; rename one")
        return layout

    @property
    def arguments(self) -> dict[str, sp.Symbol | sp.IndexedBase]:
        """Everything that must be given, by name, sorted."""
        return dict(sorted({**self.scalars, **self.arrays}.items()))

    @property
    def axes(self) -> tuple[str, ...]:
        """Index axes of every intermediate array: the open ones first."""
        return self.free + self.bound

    def _walk(self, node: Expr, scope: dict[str, Range]) -> None:
        if isinstance(node, sp.Indexed):
            self._indexed(node, scope)
        elif isinstance(node, (sp.Symbol, sp.Idx)):
            if name_of(node) not in scope:
                self.scalars[name_of(node)] = cast(sp.Symbol, node)
        elif isinstance(node, ExprWithLimits) and not isinstance(node, sp.Integral):
            ranges = limits_of(node)
            self.bound += tuple(ranges)
            self._wanted |= {r.length for r in ranges.values() if r.length}
            self._walk(node.function, {**scope, **ranges})
        elif not is_constant(node):  # CRootOf(x**5 - x - 1, 0) is a number, in spite of its x
            for child in node.args:
                self._walk(child, scope)

    def _indexed(self, node: sp.Indexed, scope: dict[str, Range]) -> None:
        base = cast(sp.IndexedBase, node.base)
        name = name_of(base)
        self.arrays.setdefault(name, base)
        for axis, place in enumerate(indices_of(node)):
            if base.shape is not None and (base.shape[axis].is_Symbol or base.shape[axis].is_Integer):
                self._has_length(str(base.shape[axis]), name, axis)
            if isinstance(place, int):
                continue
            key = name_of(place)
            if key not in scope:
                self.free = (*self.free, key) if key not in self.free else self.free
                self._has_length(key, name, axis)
                if isinstance(place, sp.Idx) and isinstance(place.upper, sp.Expr) and (place.upper + 1).is_Symbol:
                    self._has_length(name_of(place.upper + 1), name, axis)
            elif length := scope[key].length:
                self._has_length(length, name, axis)

    def _has_length(self, length: str, array: str, axis: int) -> None:
        places = self.lengths.setdefault(length, [])
        if (array, axis) not in places:
            places.append((array, axis))
