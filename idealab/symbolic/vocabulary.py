"""The functions that predictions may use, and how each is said in ``jax.numpy`` and ``jax.scipy.special``.

An entry maps a Sympy call to a template with its arguments, to an equal expression that is known, or to None: refused.
Each was compared with mpmath over the range in its test; outside of its domain the compiled value is NaN.
"""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from idealab.errors import PrinterError
from idealab.symbolic.log_form import LambertWExp, LogAddExp

Expr = Any  # Sympy's own annotations stop at Basic
Form = tuple[str, tuple[Expr, ...]]

_FALLING_TERMS = 20  # binomial(x, k) and the like with a literal k up to this are written out as products


def gamma_factors(call: Expr) -> tuple[tuple[Expr, int], ...]:
    """Arguments of gamma above (+1) and below (-1) the line in a factorial-like call, or in a power of one; else ()."""
    call = call.base if isinstance(call, sp.Pow) and not call.base.is_number else call
    table: dict[type, Callable[..., tuple[tuple[Expr, int], ...]]] = {
        sp.gamma: lambda x: ((x, 1),),
        sp.factorial: lambda n: ((n + 1, 1),),
        sp.binomial: lambda n, k: ((n + 1, 1), (k + 1, -1), (n - k + 1, -1)),
        sp.RisingFactorial: lambda x, k: ((x + k, 1), (x, -1)),
        sp.FallingFactorial: lambda x, k: ((x + 1, 1), (x - k + 1, -1)),
        sp.beta: lambda a, b: ((a, 1), (b, 1), (a + b, -1)),
    }
    return table[type(call)](*call.args) if type(call) in table else ()


def _named(name: str) -> Callable[[Expr], Form]:
    return lambda e: (f"{name}({', '.join(['{}'] * len(e.args))})", e.args)


def _reciprocal(name: str) -> Callable[[Expr], Form]:
    return lambda e: (f"(1.0/{name}({{}}))", e.args)


def _folded(name: str) -> Callable[[Expr], Form]:
    """A function of two arguments, for any number of them."""

    def form(e: Expr) -> Form:
        arguments = sorted(e.args, key=sp.default_sort_key)
        return f"{name}(" * (len(arguments) - 1) + "{}" + ", {})" * (len(arguments) - 1), tuple(arguments)

    return form


def _factorial_like(e: Expr) -> Form | Expr:
    if len(e.args) == 2 and e.args[1].is_Integer and 0 <= e.args[1] <= _FALLING_TERMS and not isinstance(e, sp.beta):
        return sp.expand_func(e)
    arguments = [a for a, _ in gamma_factors(e)]
    logs = " ".join(f"{'+' if s > 0 else '-'} jss.gammaln({{{i}}})" for i, (_, s) in enumerate(gamma_factors(e)))
    signs = [f"special.gamma_sign({{{i}}})*" for i, a in enumerate(arguments) if not a.is_positive]
    return f"({''.join(signs)}jnp.exp({logs.removeprefix('+ ')}))", tuple(arguments)


def _loggamma(e: Expr) -> Form:
    (x,) = e.args
    # log(gamma(x)) is complex for x < 0, where gammaln would give the logarithm of the absolute value.
    return ("jss.gammaln({0})" if x.is_positive else "jnp.where({0} > 0, jss.gammaln({0}), jnp.nan)"), (x,)


def _polygamma(e: Expr) -> Form | None:
    n, x = e.args
    if not (n.is_Integer and n >= 0):
        return None
    return (f"jss.polygamma({int(n)}, {{}})" if n > 0 else "jss.digamma({})"), (x,)


def _incomplete_gamma(name: str) -> Callable[[Expr], Form]:
    def form(e: Expr) -> Form:
        a, x = e.args
        if not a.is_positive:
            raise PrinterError(f"{e} has a first argument that is not known to be positive; declare {a} positive=True")
        return f"(jnp.exp(jss.gammaln({{0}}))*{name}({{0}}, {{1}}))", (a, x)

    return form


def _lambert_w(e: Expr) -> Form | None:
    if len(e.args) > 1 and e.args[1] != 0:
        return None
    factors: tuple[Expr, ...] = sp.Mul.make_args(e.args[0])
    exponents: list[Expr] = [f.args[0] for f in factors if isinstance(f, sp.exp)]
    exponent, rest = sp.Add(*exponents), sp.Mul(*(f for f in factors if not isinstance(f, sp.exp)))
    if exponent != 0 and rest.is_positive:
        return "special.lambertw_exp({})", (exponent + sp.log(rest),)
    return "special.lambertw({})", (e.args[0],)


def _incomplete_beta(e: Expr) -> Form | None:
    a, b, low, high = e.args
    return ("jss.betainc({}, {}, {})", (a, b, high)) if low == 0 else None


def _expint(e: Expr) -> Form | None:
    n, x = e.args
    if n == 1:
        return "jss.exp1({})", (x,)
    return (f"jss.expn({int(n)}, {{}})", (x,)) if n.is_Integer and n >= 2 else None


def _besseli(e: Expr) -> Form | None:
    n, x = e.args
    return (f"jss.i{int(n)}({{}})", (x,)) if n in (0, 1) else None


def _zeta(e: Expr) -> Form:
    return ("jss.zeta({}, 1.0)" if len(e.args) == 1 else "jss.zeta({}, {})"), e.args


FUNCTIONS: dict[type, Callable[[Expr], Form | Expr | None]] = {
    **{
        f: _named(f"jnp.{name}")
        for f, name in {
            sp.exp: "exp", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.asin: "arcsin", sp.acos: "arccos",
            sp.atan: "arctan", sp.atan2: "arctan2", sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh",
            sp.asinh: "arcsinh", sp.acosh: "arccosh", sp.atanh: "arctanh", sp.Abs: "abs", sp.sign: "sign",
            sp.floor: "floor", sp.ceiling: "ceil", sp.Mod: "mod",
        }.items()
    },
    **{
        f: _reciprocal(f"jnp.{name}")
        for f, name in {
            sp.sec: "cos", sp.csc: "sin", sp.cot: "tan", sp.sech: "cosh", sp.csch: "sinh", sp.coth: "tanh",
        }.items()
    },
    sp.Max: _folded("jnp.maximum"),
    sp.Min: _folded("jnp.minimum"),
    LogAddExp: _folded("jnp.logaddexp"),
    LambertWExp: _named("special.lambertw_exp"),
    sp.LambertW: _lambert_w,
    sp.Heaviside: lambda e: ("jnp.heaviside({}, {})", e.args),  # the second argument is the value at 0: 1/2 by default
    sp.frac: lambda e: e.args[0] - sp.floor(e.args[0]),
    sp.sinc: lambda e: ("jnp.sinc({}/jnp.pi)", e.args),  # JAX's is normalised, Sympy's is sin(x)/x
    sp.erf: _named("jss.erf"),
    sp.erfc: _named("jss.erfc"),
    sp.erfinv: _named("jss.erfinv"),
    sp.gamma: _named("jss.gamma"),
    sp.factorial: lambda e: sp.gamma(e.args[0] + 1),
    sp.binomial: _factorial_like,
    sp.RisingFactorial: _factorial_like,
    sp.FallingFactorial: _factorial_like,
    sp.beta: _factorial_like,
    sp.loggamma: _loggamma,
    sp.digamma: lambda e: ("jss.digamma({})", e.args),
    sp.polygamma: _polygamma,
    sp.harmonic: lambda e: ("(jss.digamma({}) + {})", (e.args[0] + 1, sp.EulerGamma)) if len(e.args) == 1 else None,
    sp.lowergamma: _incomplete_gamma("jss.gammainc"),
    sp.uppergamma: _incomplete_gamma("jss.gammaincc"),
    sp.betainc_regularized: _incomplete_beta,
    sp.zeta: _zeta,
    sp.besseli: _besseli,
    sp.Ei: _named("jss.expi"),
    sp.li: lambda e: sp.Ei(sp.log(e.args[0])),
    sp.expint: _expint,
}  # fmt: skip
"""Functions by class; ``log``, arithmetic, Sum, Product, Piecewise and conditions are the printer's own."""

_BESSEL = "JAX's Bessel functions of this kind are missing or silently wrong for large arguments"

REMEDIES: dict[str, str] = {
    "Integral": "evaluate it (doit) to a closed form in a derivation step",
    "Derivative": "carry it out with doit",
    "Subs": "carry it out with doit",
    "Limit": "carry it out with doit",
    "besseli": "only literal orders 0 and 1 exist in JAX",
    "besselj": _BESSEL,
    "bessely": _BESSEL,
    "besselk": _BESSEL,
    "LambertW": "only the principal branch is known; state the prediction for that branch",
    "polylog": "use a closed form, or a truncated Sum with a stated error",
    "polygamma": "the order must be a literal integer, 0 or more",
    "expint": "the order must be a literal integer, 1 or more",
    "betainc_regularized": "the lower limit must be 0; write a difference of two",
    "betainc": "write betainc_regularized times beta",
    "erfcinv": "write erfinv(1 - x)",
    "erf2": "write erf(b) - erf(a)",
    "re": "declare its symbols real",
    "im": "declare its symbols real",
    "conjugate": "declare its symbols real",
    "arg": "declare its symbols real",
    "DiracDelta": "it has no value at a point",
    "Float": "it is not a finite real number",
    "NaN": "the formula is undefined; find where the derivation divides by zero",
    "ComplexInfinity": "the formula is infinite; find where the derivation divides by zero",
    "ImaginaryUnit": "predictions are real; take the real part in the derivation",
    "MutableDenseMatrix": "declare one signature for each entry, or use IndexedBase",
    "ImmutableDenseMatrix": "declare one signature for each entry, or use IndexedBase",
    "MatrixSymbol": "use IndexedBase with one symbol for each index",
    "Xor": "write it with And, Or and Not",
}
