"""Sympy to JAX, strictly: what has no faithful JAX form is refused when the formula is declared, not when it runs.

The printer knows a fixed list of functions. It prints constants as Python floats, evaluated by Sympy to full precision,
so that float32 stays float32; products of factorials and powers through their logarithms, so that a binomial
probability does not overflow; and one axis for each index of an array, so that sums are reductions.
"""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

import keyword
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.printing.printer import Printer

from idealab.errors import PrinterError
from idealab.symbolic.layout import Layout, Range, indices_of, is_constant, limits_of, name_of
from idealab.symbolic.log_form import Peak
from idealab.symbolic.vocabulary import FUNCTIONS, REMEDIES, gamma_factors

Expr = Any  # Sympy's own annotations stop at Basic

_HELPERS = "length view index total product peak piecewise finish expand"  # of numeric.py
_RESERVED = {"jnp", "jss", "special", "dtype", "prediction", "float", *_HELPERS.split()}
_LARGEST_EXPONENT = 1024  # beyond it, repeated multiplication is no better than a logarithm


@dataclass(frozen=True)
class Code:
    """A printed expression.

    Attributes
    ----------
    source
        A Python function ``prediction(dtype, *arguments)`` over the names that ``evaluation.load`` supplies.
    arguments
        The names of its keywords, sorted.
    axes
        The index of each of the last axes of the result.
    """

    source: str
    arguments: tuple[str, ...]
    axes: tuple[str, ...]


def write(expression: Expr) -> Code:
    """Print an expression as the source of a function over ``jax.numpy``.

    Raises
    ------
    PrinterError
        If a part of the expression has no faithful JAX form; the message names it and what would work.
    """
    try:
        code = _write(expression)
        compile(code.source, "<prediction>", "exec")
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise PrinterError(f"{_short(expression)} is nested too deep to compile; simplify or split it") from error
    return code


def _write(expression: Expr) -> Code:
    layout = Layout.of(expression)
    printer = _JaxPrinter(expression, layout)
    result = printer.doprint(expression)
    rank, free = len(layout.axes), len(layout.free)
    lines = [*printer.lines, f"return finish({result}, dtype, {free}, {rank})"]
    head = ", ".join(["dtype", *(printer.names[name] for name in layout.arguments)])
    source = f"def prediction({head}):\n" + "".join(f"    {line}\n" for line in lines)
    return Code(source, tuple(layout.arguments), layout.free)


def _base_and_exponent(factor: Expr) -> tuple[Expr, Expr]:
    return (factor, sp.S.One) if isinstance(factor, sp.exp) else factor.as_base_exp()


def _short(expression: Expr) -> str:
    try:
        text = str(expression)
    except RecursionError:
        return "the expression"
    return text if len(text) <= 120 else text[:117] + "..."


class _JaxPrinter(Printer):
    """Whitelist printer: a class without a method here ends in :meth:`emptyPrinter`, which refuses it."""

    printmethod: Any = None  # no expression may bring its own code

    def __init__(self, whole: Expr, layout: Layout) -> None:
        super().__init__()
        self.whole, self.layout = whole, layout
        self.lines: list[str] = []
        self.names: dict[str, str] = {}
        self._scope: dict[str, Range] = {}
        self._used: list[dict[str, None]] = []  # variables met by each enclosing piecewise, in order
        self._known: dict[Any, str] = {}  # what has been given a line of its own
        rank = len(layout.axes)
        for name in layout.arguments:
            self.names[name] = self._variable(name)
            if rank and name in layout.scalars:
                self.lines.append(f"{self.names[name]} = expand({self.names[name]}, {rank})")
        for name, places in layout.lengths.items():
            arrays = ", ".join(f"({array!r}, {self.names[array]}, {axis})" for array, axis in places)
            self._known["length", name] = self._assign(f"length_{name}", f"length({name!r}, {arrays})")

    # Names and lines

    def _variable(self, wish: str) -> str:
        wish = "".join(c if c.isalnum() or c == "_" else "_" for c in wish)
        wish = wish if wish.isidentifier() and not keyword.iskeyword(wish) else f"_{wish}"
        taken = _RESERVED | set(self.names.values()) | set(self._known.values())
        name, number = wish, 1
        while name in taken:
            name, number = f"{wish}_{number}", number + 1
        return name

    def _assign(self, wish: str, value: str) -> str:
        name = self._variable(wish)
        self.lines.append(f"{name} = {value}")
        return name

    def _remember(self, key: Any, wish: str, value: Callable[[], str]) -> str:
        """Name of the variable that holds what ``key`` stands for, assigned on a line of its own the first time."""
        if key not in self._known:
            text = value()  # may itself take names
            self._known[key] = self._assign(wish, text)
        return self._use(self._known[key])

    def _use(self, variable: str) -> str:
        for names in self._used:
            names[variable] = None
        return variable

    def _range(self, name: str) -> tuple[int, str, str]:
        """First value, end as text, and a tag that tells apart two ranges of the same index."""
        bounds = self._scope.get(name)
        if bounds is None or bounds.length:
            length = self._known["length", bounds.length if bounds and bounds.length else name]
            return 0, length, length
        return bounds.first, str(bounds.end), f"{bounds.first}_{bounds.end}"

    # Refusals and constants

    def emptyPrinter(self, expr: Expr) -> str:
        """Refuse what has no method."""
        kind = type(expr).__name__
        remedy = REMEDIES.get(kind, "write it in elementary functions, or in those of idealab.symbolic.vocabulary")
        raise PrinterError(f"{_short(expr)} ({kind}) in {_short(self.whole)} has no faithful JAX form; {remedy}")

    def _print(self, expr: Expr, **kwargs: Any) -> str:
        if is_constant(expr):
            return self._constant(expr)
        return str(super()._print(expr, **kwargs))

    def _constant(self, expr: Expr) -> str:
        if expr in (sp.oo, -sp.oo):
            return "jnp.inf" if expr == sp.oo else "(-jnp.inf)"
        if expr.is_Rational and max(abs(expr.p), expr.q) < 2**53:
            text = f"{float(expr.p)!r}" if expr.q == 1 else f"{float(expr.p)!r}/{float(expr.q)!r}"
            return text if expr.q == 1 and expr.p >= 0 else f"({text})"
        exact = expr.evalf(30)
        real, imaginary = exact.as_real_imag()
        if real.is_Float and abs(imaginary) < abs(real) * sp.Float("1e-25"):  # a real root, written through I
            exact = real
        if not exact.is_Float:
            raise PrinterError(
                f"{_short(expr)} in {_short(self.whole)} is not a real number (it is {_short(exact)}); predictions are "
                f"real: declare symbols real or positive, and take the real branch"
            )
        value = float(exact)
        if math.isinf(value) or (value == 0 and exact != 0):
            raise PrinterError(
                f"{_short(expr)} = {exact.n(4)} is outside of float64; write the formula in its logarithm"
            )
        return repr(value) if value >= 0 else f"({value!r})"

    # Symbols and arrays

    def _print_Symbol(self, expr: Expr) -> str:
        name = name_of(expr)
        if name in self._scope or name in self.layout.free:
            axis, rank = self.layout.axes.index(name), len(self.layout.axes)
            first, end, tag = self._range(name)
            return self._remember(("index", name, tag), name, lambda: f"index({first}, {end}, {axis}, {rank}, dtype)")
        if name in self.layout.lengths:
            return f"float({self._known['length', name]})"
        return self._use(self.names[name])

    _print_Idx = _print_Symbol

    def _print_Indexed(self, expr: Expr) -> str:
        name, places, tags = name_of(expr.base), list[str](), list[str]()
        for place in indices_of(expr):
            if isinstance(place, int):
                places.append(f"(None, {place}, {place + 1})")
                tags.append(str(place))
                continue
            index = name_of(place)
            axis = self.layout.axes.index(index)
            bounds = self._scope.get(index)
            literal = bounds is not None and bounds.length is None
            first, end, _ = self._range(index)
            if literal and first < 0:
                raise PrinterError(f"{expr} is used from entry {first}, but entries count from 0; shift the index")
            places.append(f"({axis}, {first}, {end})" if literal else f"({axis}, 0, None)")
            tags.append(f"{index}_{first}_{end}" if literal else index)
        value = f"view({name!r}, {self.names[name]}, ({', '.join(places)},), {len(self.layout.axes)})"
        return self._remember(("view", name, *tags), "_".join([name, *tags]), lambda: value)

    def _reduce(self, expr: Expr, how: str) -> str:
        ranges = limits_of(expr)
        outer = self._scope
        self._scope = {**outer, **ranges}
        # Its own variables stay out of the enclosing piecewise, to which the finished sum is one variable.
        hidden, self._used = self._used, []
        try:
            inside = {s.name for s in expr.free_symbols if isinstance(s, sp.Symbol)}
            key = (how, expr, tuple(sorted((name, str(r)) for name, r in outer.items() if name in inside)))

            def value() -> str:
                text = self._print(expr.function)
                for name in ranges:
                    first, end, _ = self._range(name)
                    axis = self.layout.axes.index(name) - len(self.layout.axes)
                    text = f"{how}({text}, {axis}, {end if first == 0 else f'{end} - {first}'})"
                return text

            name = self._remember(key, f"{how}_{'_'.join(ranges)}", value)
        finally:
            self._scope, self._used = outer, hidden
        return self._use(name)

    def _print_Sum(self, expr: Expr) -> str:
        return self._reduce(expr, "total")

    def _print_Product(self, expr: Expr) -> str:
        return self._reduce(expr, "product")

    def _print_Peak(self, expr: Peak) -> str:
        return self._reduce(expr, "peak")

    # Arithmetic

    def _print_Add(self, expr: Expr) -> str:
        constant, _ = expr.as_coeff_Add()
        terms = list(expr.as_ordered_terms())
        texts: list[str] = []
        if constant != 0:  # c exp(x) - c, exactly, is c expm1(x)
            for term in terms:
                factor, power = term.as_coeff_Mul()
                if factor == -constant and isinstance(power, sp.exp):
                    texts.append(f"{self._print(factor)}*jnp.expm1({self._print(power.args[0])})")
                    terms.remove(term)
                    terms.remove(constant)
                    break
        for term in terms:
            negative = term.as_coeff_Mul()[0].is_negative
            text = self._print(-term if negative else term)
            texts.append(f"- {text}" if negative else f"+ {text}" if texts else text)
        return f"({' '.join(texts)})"

    def _print_Mul(self, expr: Expr) -> str:
        if expr.as_coeff_Mul()[0].is_negative:
            return f"(-{self._print(-expr)})"
        factors = list(expr.as_ordered_factors())
        in_logs = [f for f in factors if gamma_factors(f) or self._is_exponential(f)]
        above: list[str] = []
        if len(in_logs) > 1 and any(gamma_factors(f) for f in in_logs):
            signs, log = self._logarithm(in_logs)
            above = [*signs, f"jnp.exp({log})"]
            factors = [f for f in factors if f not in in_logs]
        below: list[str] = []
        for factor in factors:
            if factor.is_Rational and factor.q != 1:
                above += [self._print(sp.Integer(factor.p))] if factor.p != 1 else []
                below.append(self._print(sp.Integer(factor.q)))
            elif isinstance(factor, sp.Pow) and factor.exp.is_Rational and factor.exp < 0:
                below.append(self._print(1 / factor))
            else:
                above.append(self._print(factor))
        text = "*".join(above) or "1.0"
        if below:
            text += f"/{below[0]}" if len(below) == 1 else f"/({'*'.join(below)})"
        return f"({text})"

    def _print_Pow(self, expr: Expr) -> str:
        base, exponent = expr.args
        if base is sp.E:
            return f"jnp.exp({self._print(exponent)})"
        if exponent.is_Rational and exponent < 0:
            return f"(1.0/{self._print(1 / expr)})"
        if exponent == sp.Rational(1, 2):
            return f"jnp.sqrt({self._print(base)})"
        if exponent.is_Integer and exponent <= _LARGEST_EXPONENT:
            return f"({self._print(base)}**{exponent})"
        return f"jnp.power({self._print(base)}, {self._print(exponent)})"

    def _print_log(self, expr: Expr) -> str:
        (argument,) = expr.args
        if argument.is_Add and argument.as_coeff_Add()[0] == 1:
            rest = argument - 1
            if isinstance(rest, sp.exp):
                return f"jnp.logaddexp({self._print(rest.args[0])}, 0.0)"
            return f"jnp.log1p({self._print(rest)})"
        factors = [f for f in sp.Mul.make_args(argument) if gamma_factors(f)]
        if not factors:
            return f"jnp.log({self._print(argument)})"
        signs, log = self._logarithm(factors)
        rest = argument / sp.Mul(*factors)
        outside = "*".join([*signs, *([] if rest == 1 else [self._print(rest)])])
        return f"(jnp.log({outside}) + {log})" if outside else log

    # Logarithms of what would overflow

    @staticmethod
    def _is_exponential(factor: Expr) -> bool:
        return isinstance(factor, sp.exp) or (isinstance(factor, sp.Pow) and not factor.exp.is_number)

    def _logarithm(self, factors: list[Expr]) -> tuple[list[str], str]:
        """Signs, and the logarithm of the absolute value, of a product."""
        signs: list[str] = []
        logs: list[str] = []
        for factor in factors:
            base, exponent = _base_and_exponent(factor)
            if isinstance(base, sp.exp):
                logs.append(f"+ {self._print(base.args[0] * exponent)}")
            elif parts := gamma_factors(base):
                single = bool(exponent == 1)
                power = "" if single else f"{self._print(exponent)}*"
                inner = " ".join(f"{'+' if s > 0 else '-'} {self._log_gamma(a)}" for a, s in parts)
                logs.append(f"+ {power}({inner})")
                sign = "*".join(f"special.gamma_sign({self._print(a)})" for a, _ in parts if not a.is_positive)
                if sign and not (exponent.is_even or base.is_positive):
                    signs.append(sign if single else f"jnp.power({sign}, {self._print(exponent)})")
            else:
                size = self._print(base) if base.is_nonnegative else f"jnp.abs({self._print(base)})"
                logs.append(f"+ jss.xlogy({self._print(exponent)}, {size})")  # 0 log 0 = 0, as 0**0 = 1
                if not base.is_nonnegative:
                    signs.append(f"jnp.power(jnp.sign({self._print(base)}), {self._print(exponent)})")
        return signs, f"({' '.join(logs).removeprefix('+ ')})"

    def _log_gamma(self, x: Expr) -> str:
        """Logarithm of the absolute value of gamma."""
        return self._constant(sp.loggamma(x)) if x.is_number and x.is_positive else f"jss.gammaln({self._print(x)})"

    # Branches

    def _print_Piecewise(self, expr: Expr) -> str:
        *_, (_, last) = expr.args
        if last != sp.true:
            raise PrinterError(f"{_short(expr)} has no default; end it with (value, True)")
        self._used.append({})
        conditions = [self._print(c) for _, c in expr.args[:-1]]
        self._used[-1].clear()  # the conditions are formed outside of the branches
        values = [self._print(e) for e, _ in expr.args]
        variables = list(self._used.pop())
        head = f"lambda {', '.join(variables)}: " if variables else "lambda: "
        branches = ", ".join(f"{head}{value}" for value in values)
        return f"piecewise(({', '.join(conditions)},), ({branches},){''.join(f', {v}' for v in variables)})"

    def _print_Relational(self, expr: Expr) -> str:
        return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

    def _print_And(self, expr: Expr) -> str:
        operator = " & " if isinstance(expr, sp.And) else " | "
        return f"({operator.join(self._print(a) for a in sorted(expr.args, key=sp.default_sort_key))})"

    _print_Or = _print_And

    def _print_Not(self, expr: Expr) -> str:
        return f"jnp.logical_not({self._print(expr.args[0])})"

    def _print_ITE(self, expr: Expr) -> str:
        return f"jnp.where({', '.join(self._print(a) for a in expr.args)})"

    def _print_BooleanAtom(self, expr: Expr) -> str:
        return str(expr)

    # Functions: everything in the vocabulary

    def _print_Function(self, expr: Expr) -> str:
        known = FUNCTIONS.get(type(expr))  # by class, since an undefined Function("gamma") shares the name
        form = known(expr) if known else None
        if form is None:
            return self.emptyPrinter(expr)
        if isinstance(form, tuple):
            template, arguments = form
            return template.format(*(self._print(a) for a in arguments))
        return self._print(form)  # an equal expression that is known

    _print_Max = _print_Min = _print_Function
