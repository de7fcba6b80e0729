"""Expressions in the logarithm of a symbol: log(eta*t) becomes log_t + log(eta), finite where t itself overflows.

Every part that grows or shrinks with the symbol is written as r*exp(X), with r and X of ordinary size. Logarithms,
powers, products and Lambert's W then act on X, and only what truly is as large as exp(X) is formed as such. The
identities used hold for every positive value of the symbol, whatever the signs of the others, so no assumption is
needed; with positive terms a sum needs no scaling (log-add-exp), so it pays to declare positivity.

What stays as it is: a difference of two terms that each overflow, outside of any product, power or logarithm (inf - inf
is NaN, never a wrong number), an exponent that grows, as in (1 + 1/t)**t, functions of ``exp(t)`` or ``gamma(t)``, a
minimum or maximum of terms of unknown sign, and the logarithm of a function that itself underflows, as in
log(tanh(1/t)), which is -inf too early.
"""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.concrete.expr_with_limits import ExprWithLimits

Expr = Any  # Sympy's own annotations stop at Basic


class LambertWExp(sp.Function):
    """W(exp(x)), principal branch."""

    nargs = 1


class LogAddExp(sp.Function):
    """log(exp(x) + exp(y) + ...)."""


class Peak(ExprWithLimits):
    """Greatest value of an expression over an index."""


def in_logarithms(expression: Expr, logarithms: dict[sp.Symbol, sp.Symbol]) -> Expr:
    """Write an expression with the logarithm of some symbols in place of the symbols.

    Parameters
    ----------
    expression
        Any expression.
    logarithms
        For each symbol the real symbol that stands for its natural logarithm.

    Returns
    -------
    Expr
        Equal to ``expression`` for all positive values of the symbols, and free of them.
    """
    # While they are rewritten the symbols are positive: they are exponentials of something real.
    positive = {t: sp.Dummy(t.name, positive=True) for t in logarithms}
    return _LogForm({positive[t]: log for t, log in logarithms.items()}).rewrite(expression.xreplace(positive))


class _LogForm:
    def __init__(self, logarithms: dict[Expr, Expr]) -> None:
        self.logarithms = logarithms

    def _has(self, e: Expr) -> bool:
        return not self.logarithms.keys().isdisjoint(e.free_symbols)

    def rewrite(self, e: Expr) -> Expr:
        """``e`` itself, as a value."""
        if not self._has(e):
            return e
        if isinstance(e, sp.log) and len(e.args) == 1:
            rest, log = self.split(e.args[0])
            return log + sp.log(rest)
        if e.is_Symbol or isinstance(e, (sp.Mul, sp.Pow, sp.exp)):
            rest, log = self.split(e)
            return rest * sp.exp(log)
        if isinstance(e, sp.LambertW) and len(e.args) == 1:
            rest, log = self.split(e.args[0])
            if log != 0 and rest.is_positive is not False:  # of unknown sign: decided when it runs
                positive = LambertWExp(log + sp.log(rest))
                return sp.Piecewise((positive, rest > 0), (sp.LambertW(rest * sp.exp(log)), True))
        if isinstance(e, sp.core.relational.Relational):
            (left, log_left), (right, log_right) = self.split(e.lhs), self.split(e.rhs)
            if left.is_positive and right.is_positive:  # then their logarithms compare alike, and do not overflow
                return e.func(log_left + sp.log(left), log_right + sp.log(right))
        if isinstance(e, ExprWithLimits):
            return e.func(self.rewrite(e.function), *e.limits)
        return e.func(*map(self.rewrite, e.args))

    def split(self, e: Expr) -> tuple[Expr, Expr]:
        """(r, X) with e = r exp(X), where X is zero if nothing is to be gained."""
        if not self._has(e):
            return e, sp.S.Zero
        if e.is_Symbol:
            return sp.S.One, self.logarithms[e]
        if isinstance(e, sp.exp):
            return sp.S.One, self.rewrite(e.args[0])
        if isinstance(e, sp.Mul):
            pairs = [self.split(factor) for factor in e.args]
            return sp.Mul(*(r for r, _ in pairs)), sp.Add(*(log for _, log in pairs))
        if isinstance(e, sp.Pow):
            return self._split_power(*e.args)
        if isinstance(e, (sp.Add, sp.Max, sp.Min)):
            return self._split_terms(e)
        if isinstance(e, sp.Abs):
            rest, log = self.split(e.args[0])
            return sp.Abs(rest), log
        if isinstance(e, sp.Piecewise):
            cases = [(*self.split(value), self.rewrite(condition)) for value, condition in list[Any](e.args)]
            logs = sp.Piecewise(*((log, condition) for _, log, condition in cases))
            return sp.Piecewise(*((rest, condition) for rest, _, condition in cases)), logs
        if isinstance(e, sp.Sum):
            rest, log = self.split(e.function)
            if log.free_symbols & set(e.variables):
                greatest = Peak(log, *e.limits)
                return sp.Sum(rest * sp.exp(log - greatest), *e.limits), greatest
            return sp.Sum(rest, *e.limits), log
        if isinstance(e, sp.Product):
            rest, log = self.split(e.function)
            return sp.Product(rest, *e.limits), sp.Sum(log, *e.limits) if log != 0 else log
        return self.rewrite(e), sp.S.Zero

    def _split_power(self, base: Expr, exponent: Expr) -> tuple[Expr, Expr]:
        # (r exp(X))^p = r^p exp(p X) for any r, since exp(X) is positive.
        exponent = self.rewrite(exponent)
        rest, log = self.split(base)
        return rest**exponent, log * exponent

    def _split_terms(self, e: Expr) -> tuple[Expr, Expr]:
        pairs = [self.split(term) for term in e.args]
        logs = {log for _, log in pairs}
        if logs == {sp.S.Zero}:
            return e.func(*(r for r, _ in pairs)), sp.S.Zero
        if len(logs) > 1 and all(r.is_positive for r, _ in pairs):
            combine = LogAddExp if isinstance(e, sp.Add) else e.func
            return sp.S.One, combine(*(log + sp.log(r) for r, log in pairs))
        # Divided by the largest of the exponentials, no term overflows; but in a maximum or minimum the term that
        # counts must not underflow either.
        unknown = any(log != 0 and not r.is_positive for r, log in pairs)
        if isinstance(e, sp.Min) or (isinstance(e, sp.Max) and unknown):
            return self.rewrite(e), sp.S.Zero
        scale = sp.Max(*logs)
        return e.func(*(r * sp.exp(log - scale) for r, log in pairs)), scale
