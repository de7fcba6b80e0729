"""Mutants of a prediction: a verification that passes for a wrong formula too means nothing.

Each mutant is the formula with one thing wrong that a theorist may well get wrong: a factor, a sign, an exponent, a
term. Bounds of sums and indices stay as they are.
"""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice
from typing import Any, NamedTuple, cast

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from sympy.concrete.expr_with_limits import ExprWithLimits

from idealab.errors import IdealabError
from idealab.symbolic.canonical import expression_hash
from idealab.symbolic.prediction import Prediction, inline

Expr = Any  # Sympy's own annotations stop at Basic
Ranges = Callable[[sp.Expr], ArrayLike | None]

_FACTORS = {f"x{factor}": sp.Rational(factor) for factor in ("2", "1/2", "1.1", "0.9", "1.05", "0.95")}
_LEAVES: dict[str, Callable[[Expr], Expr]] = {
    "leaf x2": lambda number: 2 * number,
    "leaf /2": lambda number: number / 2,
    "leaf +1": lambda number: number + 1,
    "leaf -1": lambda number: number - 1,
}
_EXPONENTS: dict[str, Callable[[Expr], Expr]] = {
    "exponent +1": lambda exponent: exponent + 1,
    "exponent -1": lambda exponent: exponent - 1,
    "exponent +1/2": lambda exponent: exponent + sp.Rational(1, 2),
    "exponent -1/2": lambda exponent: exponent - sp.Rational(1, 2),
    "exponent x1.1": lambda exponent: exponent * sp.Rational(11, 10),
}
_TERMS: dict[str, tuple[str, Callable[[Expr], Expr]]] = {
    "term dropped": ("without the term {}", lambda term: None),
    "term flipped": ("the term {} with the other sign", lambda term: -term),
    "term x2": ("2 times the term {}", lambda term: 2 * term),
    "term x1.1": ("1.1 times the term {}", lambda term: sp.Rational(11, 10) * term),
}
_FUNCTIONS: dict[str, tuple[type, Callable[[Expr], Expr]]] = {
    "log to identity": (sp.log, lambda a: a),
    "log to sqrt": (sp.log, sp.sqrt),
    "log to square": (sp.log, lambda a: sp.log(a) ** 2),
    "log to log log": (sp.log, lambda a: sp.log(sp.log(a))),
    "exp to 1 + x": (sp.exp, lambda a: 1 + a),
    "exp to 1/(1 - x)": (sp.exp, lambda a: 1 / (1 - a)),
    "tanh to identity": (sp.tanh, lambda a: a),
}
_SYMBOLS = ("symbol swapped", "symbol dropped", "symbol squared", "symbol rooted")

OPERATORS: tuple[str, ...] = (
    *(*_FACTORS, "sign", *_LEAVES, *_EXPONENTS, *_SYMBOLS, *_TERMS, "factor dropped", *_FUNCTIONS, "log to power"),
)
"""The kinds of mutants: of the whole, of numbers, exponents, symbols, terms, factors and functions."""

MUST_KILL: tuple[str, ...] = ("x2", "x1/2", "sign", "exponent +1/2", "exponent -1/2", "log to identity")
"""A design that cannot tell one of these from the theory tests nothing."""

_MOST_PAIRS = 15  # of symbols that are swapped
_LONG = 48  # characters of a formula that is quoted in full
_FAILURES = (IdealabError, ArithmeticError, AttributeError, NotImplementedError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Mutant:
    """A wrong formula.

    Parameters
    ----------
    operator
        One of :data:`OPERATORS`.
    words
        What is wrong with it, for a person: ``γ² → γ³``, ``without the term -log(p_max)``.
    prediction
        The formula.
    """

    operator: str
    words: str
    prediction: Prediction


@dataclass(frozen=True)
class Mutants:
    """All mutants of a prediction, and in words those that have no faithful form and were left out."""

    mutants: tuple[Mutant, ...]
    refused: tuple[str, ...] = ()


class _Change(NamedTuple):
    """Put something new for a part of the formula, wherever the part occurs."""

    operator: str
    old: Expr
    new: Callable[[], Expr]
    words: Callable[[Expr], str]  # of what is new


def mutants_of(prediction: Prediction, operators: Iterable[str] = OPERATORS, ranges: Ranges | None = None) -> Mutants:
    """Mutants of a formula, in the order of :data:`OPERATORS`, without repetition.

    Parameters
    ----------
    prediction
        The formula. Zero has no mutants.
    operators
        Which kinds.
    ranges
        For the argument A of a logarithm the values of log(A) on the declared conditions, of any shape, or None if
        they are not known. With it the operator ``log to power`` puts for log(A) the power law c A^a that fits it best:
        least squares of log log A on log A, where log A is positive. Nothing comes of a logarithm that is nowhere
        positive, or has a single value.

    Notes
    -----
    What is the same formula by its hash occurs once, under an operator of :data:`MUST_KILL` if one gives it. What is
    equal only by algebra is told by :func:`idealab.symbolic.equivalence.differs`.
    """
    expression, wanted = prediction.expression, set(operators)
    if expression == 0:
        return Mutants(())
    found: dict[str, tuple[_Change, Mutant]] = {}
    refused: dict[str, None] = {}
    changes = [change for change in _changes(prediction, ranges) if change.operator in wanted]
    # Of equal ones the first is kept: what must be killed first, numbers last, since their words say least.
    for change in sorted(changes, key=lambda c: (c.operator not in MUST_KILL, c.operator in _LEAVES)):
        words = f"{change.operator} in {_short(change.old)}"
        try:
            new = change.new()
            words = change.words(new)
            wrong = _tidied(_replaced(expression, change.old, new))
            name = expression_hash(wrong)
            if name != prediction.sha256 and name not in found:
                found[name] = change, Mutant(change.operator, words, Prediction(wrong, prediction.by_log))
        except _FAILURES as error:
            refused[f"{words}: {error}"] = None
    kept = sorted(found.values(), key=lambda pair: OPERATORS.index(pair[0].operator))
    repeated = Counter(mutant.words for _, mutant in kept)
    return Mutants(
        tuple(
            mutant
            if repeated[mutant.words] == 1
            else Mutant(mutant.operator, f"{mutant.words} in {_short(change.old)}", mutant.prediction)
            for change, mutant in kept
        ),
        tuple(refused),
    )


def log_values(prediction: Prediction, values: Mapping[str, ArrayLike]) -> Ranges:
    """For `mutants_of`: what the logarithms in a prediction are when its arguments take these values.

    Parameters
    ----------
    values
        For each keyword of the prediction, and maybe more, values that broadcast as ``Prediction.to_numpy`` says.
    """

    def ranges(argument: sp.Expr) -> ArrayLike | None:
        try:
            log = Prediction(sp.log(argument), prediction.by_log)
        except IdealabError:
            return None
        # An index of a sum around it, that is no index of an array, has no value of its own.
        return (
            log.to_numpy()(**{name: values[name] for name in log.arguments}) if {*log.arguments} <= {*values} else None
        )

    return ranges


def _changes(prediction: Prediction, ranges: Ranges | None) -> Iterator[_Change]:
    expression: Expr = prediction.expression
    for operator, factor in _FACTORS.items():
        yield _change(operator, expression, lambda c=factor: c * expression, lambda c=factor: f"{_number(c)} times")
    yield _change("sign", expression, lambda: -expression, lambda: "its sign")
    yield from _of_symbols(prediction)
    arguments = set(prediction.symbols)
    if _is_leaf(expression):
        yield from _of_leaf(expression, expression, lambda number: number)
    for node in _nodes(expression):
        for k, child in enumerate(_children(node)):
            if _is_leaf(child):
                yield from _of_leaf(node, child, lambda number, node=node, k=k: _with_child(node, k, number))
        if _has_exponent(node, arguments):
            yield from _of_exponent(node)
        if isinstance(node, (sp.Add, sp.Max, sp.Min)):
            yield from _of_terms(node)
        if isinstance(node, sp.Mul):
            yield from _of_factors(node)
        yield from _of_function(node, ranges)


def _change(operator: str, old: Expr, new: Callable[[], Expr], words: Callable[[], str]) -> _Change:
    return _Change(operator, old, new, lambda _: words())


# --- The kinds --------------------------------------------------------------------------------------------------------


def _of_leaf(node: Expr, leaf: Expr, put: Callable[[Expr], Expr]) -> Iterator[_Change]:
    for operator, change in _LEAVES.items():
        words = f"{inline(leaf)} → {inline(change(leaf))} in {_short(node)}"
        yield _Change(operator, node, lambda c=change: put(c(leaf)), lambda new, words=words: _arrow(node, new, words))


def _of_exponent(node: Expr) -> Iterator[_Change]:
    base, exponent = node.args if isinstance(node, sp.Pow) else (node, sp.S.One)
    for operator, change in _EXPONENTS.items():
        words = f"exponent {inline(exponent)} → {inline(change(exponent))} of {_short(base)}"
        yield _Change(
            operator,
            node,
            lambda c=change: base ** c(exponent),
            lambda new, words=words: _arrow(node, new, words),
        )


def _of_symbols(prediction: Prediction) -> Iterator[_Change]:
    expression: Expr = prediction.expression
    indexed = sorted(expression.atoms(sp.Indexed), key=sp.default_sort_key)
    entries: dict[Expr, list[Expr]] = {
        symbol: [entry for entry in indexed if entry.base == symbol] if isinstance(symbol, sp.IndexedBase) else [symbol]
        for symbol in prediction.symbols
    }
    indices = {symbol: {e.indices for e in found if e in indexed} for symbol, found in entries.items()}
    pairs = (pair for pair in combinations(entries, 2) if indices[pair[0]] == indices[pair[1]])
    for one, other in islice(pairs, _MOST_PAIRS):
        swap = {e: other[e.indices] if isinstance(e, sp.Indexed) else other for e in entries[one]}
        swap |= {e: one[e.indices] if isinstance(e, sp.Indexed) else one for e in entries[other]}
        words = f"{inline(one)} and {inline(other)} swapped"
        yield _change("symbol swapped", expression, lambda swap=swap: expression.xreplace(swap), lambda w=words: w)
    kinds: dict[str, tuple[str, Callable[[Expr], Expr]]] = {
        "symbol dropped": ("1 for {0}", lambda _: sp.S.One),
        "symbol squared": ("{0}² for {0}", lambda e: e**2),
        "symbol rooted": ("√{0} for {0}", sp.sqrt),
    }
    for symbol, found in entries.items():
        for operator, (form, change) in kinds.items():
            put = {e: change(e) for e in found}
            words = form.format(inline(symbol))
            yield _change(operator, expression, lambda put=put: expression.xreplace(put), lambda w=words: w)


def _of_terms(node: Expr) -> Iterator[_Change]:
    """Terms of a sum; a minimum or maximum has terms too, but no signs between them."""
    terms = sorted(node.args, key=sp.default_sort_key)
    for operator, (form, change) in _TERMS.items():
        if operator == "term flipped" and not isinstance(node, sp.Add):
            continue
        for k, term in enumerate(terms):
            other = [changed for changed in (change(term),) if changed is not None]
            new = lambda k=k, other=other: node.func(*terms[:k], *other, *terms[k + 1 :])
            yield _change(operator, node, new, lambda form=form, term=term: form.format(_short(term)))


def _of_factors(node: Expr) -> Iterator[_Change]:
    factors = sorted(node.args, key=sp.default_sort_key)
    for k, factor in enumerate(factors):
        if factor != -1:  # that is the sign
            new = lambda k=k: node.func(*factors[:k], *factors[k + 1 :])
            yield _change("factor dropped", node, new, lambda f=factor: f"without the factor {_short(f)}")


def _of_function(node: Expr, ranges: Ranges | None) -> Iterator[_Change]:
    if not isinstance(node, (sp.log, sp.exp, sp.tanh)) or len(node.args) != 1:
        return
    argument: Expr = cast(Any, node).args[0]
    text = inline(argument)
    grouped = text if argument.is_Symbol or argument.is_Function or argument.is_Indexed else f"({text})"
    for operator, (kind, change) in _FUNCTIONS.items():
        if isinstance(node, kind):
            # Sympy would spread the root over the factors.
            words = lambda new, root=operator == "log to sqrt": f"√{grouped}" if root else inline(new)
            yield _Change(
                operator,
                node,
                lambda c=change: c(argument),
                lambda new, words=words: f"{inline(node)} → {words(new)}",
            )
    if isinstance(node, sp.log) and ranges is not None and (law := _power_law(ranges(argument))):
        factor, power = law
        put = lambda: sp.Float(factor) * argument ** sp.Float(power)
        yield _change("log to power", node, put, lambda: f"{inline(node)} → {factor:.3g}·{grouped}^{power:.2g}")


def _power_law(log_values: ArrayLike | None) -> tuple[float, float] | None:
    """(c, a) of the power law c A^a closest to log A, given values of log A, in its logarithm; to six digits."""
    x = np.asarray([] if log_values is None else log_values, dtype=np.float64).ravel()
    x = x[np.isfinite(x) & (x > 0)]
    if x.size == 0 or np.ptp(x) <= 1e-9 * np.max(x):
        return None
    y, centred = np.log(x), x - np.mean(x)
    power = float(centred @ y / (centred @ centred))
    factor = float(np.exp(np.mean(y) - power * np.mean(x)))
    return float(f"{factor:.6g}"), float(f"{power:.6g}")


# --- Walking through a formula ----------------------------------------------------------------------------------------


def _is_leaf(e: Expr) -> bool:
    return isinstance(e, (sp.Number, sp.NumberSymbol)) and bool(e.is_finite)


def _is_name(e: Expr) -> bool:
    return isinstance(e, (sp.Symbol, sp.Indexed, sp.Idx))


def _is_number(e: Expr) -> bool:
    """As Sympy says, which would go through the sums over an array again and again to find out."""
    return not e.has(sp.Indexed) and bool(e.is_number)


def _has_exponent(e: Expr, arguments: set[Any]) -> bool:
    if isinstance(e, sp.Pow):
        return not _is_number(e.base)
    return e in arguments or (isinstance(e, sp.Indexed) and e.base in arguments)


def _children(e: Expr) -> tuple[Expr, ...]:
    """Parts that may be changed: no bounds, no indices, and no bare name that has an exponent of its own."""
    if _is_name(e) or (_is_number(e) and e.atoms(sp.Symbol)):  # CRootOf(x**5 - x - 1, 0) is a number
        return ()
    if isinstance(e, ExprWithLimits):
        return (e.function,)
    if isinstance(e, sp.Pow) and _is_name(e.base):
        return (e.exp,)
    return tuple(e.args)


def _with_children(e: Expr, children: Iterable[Expr]) -> Expr:
    if isinstance(e, ExprWithLimits):
        return e.func(*children, *e.limits)
    if isinstance(e, sp.Pow) and _is_name(e.base):
        return e.func(e.base, *children)
    return e.func(*children)


def _with_child(e: Expr, k: int, child: Expr) -> Expr:
    children = list(_children(e))
    children[k] = child
    return _with_children(e, children)


def _nodes(expression: Expr) -> list[Expr]:
    """Parts of a formula, the whole first, each once."""
    found: dict[Expr, None] = {expression: None}
    for child in sorted(_children(expression), key=sp.default_sort_key):
        found |= dict.fromkeys(_nodes(child))
    return list(found)


def _replaced(e: Expr, old: Expr, new: Expr) -> Expr:
    if e == old:
        return new
    before = _children(e)
    after = tuple(_replaced(child, old, new) for child in before)
    return e if before == after else _with_children(e, after)


def _tidied(expression: Expr) -> Expr:
    """Sums of zeros are zero, whatever their length, which no array may tell any more."""
    return expression.replace(lambda e: isinstance(e, sp.Sum) and e.function == 0, lambda _: sp.S.Zero)


# --- Words ------------------------------------------------------------------------------------------------------------


def _number(factor: Expr) -> str:
    return f"{float(factor):g}" if factor.q > 2 else str(factor)


@lru_cache(maxsize=4096)
def _short(e: Expr) -> str:
    text = inline(e)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _arrow(old: Expr, new: Expr, otherwise: str) -> str:
    before, after = inline(old), inline(new)
    return f"{before} → {after}" if max(len(before), len(after)) <= _LONG // 2 else otherwise
