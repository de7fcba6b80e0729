"""Whether two predictions differ, told by their values: at random points, or on the declared conditions."""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray
from sympy.concrete.expr_with_limits import ExprWithLimits

from idealab.errors import UsageError
from idealab.symbolic.layout import indices_of, limits_of
from idealab.symbolic.mutation import Mutants, mutants_of
from idealab.symbolic.prediction import Prediction

Floats = NDArray[np.float64]

_POINTS = 64
_POINTS_A_ROW = 8  # at least, where some arguments are fixed
_LENGTH = 3  # of arrays
_ROUNDING = 1e-9


def differs(
    a: Prediction, b: Prediction, fixed: Mapping[str, ArrayLike] | None = None, *, by_sign: bool = False
) -> bool:
    """Whether two formulas differ anywhere beyond rounding, relative 1e-9.

    Both are evaluated at the same points, always the same ones. Every other point is ordinary (sizes in [1/3, 3]; log t
    in [-1, 7] for t passed by its logarithm), the rest are far out (sizes in [0.01, 100]; log t up to 200), so that
    other branches of a minimum come into play. Signs and integers are drawn as the symbols are declared; arrays have
    three entries along an axis, or as many as a literal range takes.

    Parameters
    ----------
    a, b
        The formulas; a keyword that both take means the same.
    fixed
        Conditions: for some keywords the values that they take together, one for each condition. Names that neither
        formula takes are passed over.
    by_sign
        Whether only the signs of the values count.

    Returns
    -------
    bool
        Where neither is finite they do not differ, where one of them is they do; with no point at which both are
        finite, they differ.

    Raises
    ------
    UsageError
        If ``fixed`` holds columns of unequal length, or names an array.
    """
    axes = sorted({*a.axes, *b.axes})
    points = _points(a, b, fixed or {})
    left, right = np.broadcast_arrays(*(_values(prediction, points, axes) for prediction in (a, b)))
    finite = np.isfinite(left), np.isfinite(right)
    both = finite[0] & finite[1]
    if np.any(finite[0] != finite[1]) or not np.any(both):
        return True
    left, right = left[both], right[both]
    if by_sign:
        return bool(np.any(np.sign(left) != np.sign(right)))
    return bool(np.any(np.abs(left - right) > _ROUNDING * np.maximum(np.abs(left), np.abs(right))))


def distinct_mutants(prediction: Prediction, operators: Sequence[str], by_sign: bool) -> tuple[Mutants, int]:
    """The mutants of a prediction that claim something else, and how many are the same claim written otherwise."""
    made = mutants_of(prediction, operators)
    kept = tuple(mutant for mutant in made.mutants if differs(prediction, mutant.prediction, by_sign=by_sign))
    return Mutants(kept, made.refused), len(made.mutants) - len(kept)


def _values(prediction: Prediction, points: Mapping[str, Floats], axes: list[str]) -> Floats:
    """Values with a leading axis of points, then all of ``axes``; an axis that a formula lacks has length one."""
    value = prediction.to_numpy()(**{name: points[name] for name in prediction.arguments})
    value = value if value.ndim else value[None]
    return np.expand_dims(value, [1 + k for k, axis in enumerate(axes) if axis not in prediction.axes])


def _points(a: Prediction, b: Prediction, fixed: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    symbols = {symbol.name: symbol for prediction in (b, a) for symbol in prediction.symbols}
    by_log = {symbol.name for symbol in (*a.by_log, *b.by_log)}
    keywords = {f"log_{name}" if name in by_log else name: symbol for name, symbol in symbols.items()}
    columns = {name: np.asarray(fixed[name], dtype=np.float64) for name in keywords if name in fixed}
    for name, column in columns.items():
        if column.ndim != 1 or isinstance(keywords[name], sp.IndexedBase):
            raise UsageError(f"fixed[{name!r}] has shape {column.shape}, expected one number for each condition")
    lengths = {column.size for column in columns.values()}
    if len(lengths) > 1:
        sizes = ", ".join(f"{name}: {column.size}" for name, column in columns.items())
        raise UsageError(f"the columns of fixed have unequal lengths ({sizes}); give one value for each condition")
    rows = lengths.pop() if lengths else 1
    each = max(math.ceil(_POINTS / max(rows, 1)), _POINTS_A_ROW)
    shapes = _shapes(a, b)
    return {
        name: np.repeat(columns[name], each)
        if name in columns
        else _draw(symbol, rows * each, shapes.get(symbol.name, ()), symbol.name in by_log)
        for name, symbol in keywords.items()
    }


def _draw(symbol: Any, count: int, shape: tuple[int, ...], logarithm: bool) -> Floats:
    """Values (count, *shape) of a symbol or array, which depend on nothing but its name and assumptions."""
    generator = np.random.default_rng(zlib.crc32(symbol.name.encode()))
    far = (np.arange(count) % 2 == 1).reshape(-1, *[1] * len(shape))
    if logarithm:
        return np.where(far, generator.uniform(0, 200, count), generator.uniform(-1, 7, count))
    exponents = generator.uniform(-1, 1, (count, *shape))
    sizes = np.exp(exponents * np.where(far, math.log(100), math.log(3)))
    signs = generator.choice([-1.0, 1.0], sizes.shape)
    if symbol.is_integer:
        sizes = np.ceil(sizes)
    if symbol.is_nonnegative:
        return sizes
    return -sizes if symbol.is_nonpositive else signs * sizes


def _shapes(*predictions: Prediction) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays, which literal entries, ranges and shapes decide, as far as there are any."""
    entries: set[Any] = set[Any]().union(*(prediction.expression.atoms(sp.Indexed) for prediction in predictions))
    declared = {entry.base.name: entry.base.shape or (None,) * entry.rank for entry in entries}
    literal = [int(size) for shape in declared.values() for size in shape if size is not None and size.is_Integer]
    common = max(literal) if literal else max([_LENGTH, *_ends(entries, predictions)])
    return {
        name: tuple(int(size) if size is not None and size.is_Integer else common for size in shape)
        for name, shape in declared.items()
    }


def _ends(entries: set[Any], predictions: tuple[Prediction, ...]) -> Iterator[int]:
    """How many entries literal indices need, and literal ranges that run over an axis; not those of a mere series."""
    places = [place for entry in entries for place in indices_of(entry)]
    yield from (place + 1 for place in places if isinstance(place, int))
    axes = {place.name for place in places if not isinstance(place, int)}
    for prediction in predictions:
        for reduction in prediction.expression.atoms(ExprWithLimits):
            yield from (bounds.end for name, bounds in limits_of(reduction).items() if bounds.end and name in axes)
