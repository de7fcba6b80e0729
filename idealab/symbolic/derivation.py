"""A derivation: an ordered trail of equations, each of which says how it is known, and cannot be built if it is wrong.

There are four ways to know an equation, and they are structural, so that the marking cannot lie:

- *given*: the model itself, a definition or an ansatz, stated openly. A derivation cannot conclude with one.
- *derived*: the step holds the function that computes its equation from the earlier ones, and nothing typed in.
- *checked*: the equation is typed, and a residual built from it and the earlier ones is shown to vanish: exactly by
  Sympy, or at random points in 50 digits. The step says which.
- *cited*: the equation is typed and a reference vouches for it.

A step is never better known than what it uses: which earlier equations a function looked at is recorded, and
`Derivation.known` is the weakest link of the chain under the conclusion.
"""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import sympy as sp

from idealab.errors import DerivationError, UnknownNameError

Kind = Literal["given", "derived", "checked", "cited"]
Equations = Mapping[str, sp.Equality]
Residual = sp.Expr | tuple[sp.Expr, ...] | list[sp.Expr]

_STRENGTH: dict[Kind, int] = {"cited": 0, "checked": 1, "derived": 2, "given": 3}
_DIGITS = 50
_POINTS = 20


@dataclass(frozen=True)
class Reference:
    """A published source, precise enough to be looked up: ``where`` names the theorem, equation or section."""

    key: str
    authors: str
    year: int
    title: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.authors} {self.year}" + (f", {self.where}" if self.where else "")


@dataclass(frozen=True)
class Step:
    """One equation of a derivation: its words, how it is known, and which earlier steps it used."""

    name: str
    words: str
    equation: sp.Equality
    kind: Kind
    how: str
    uses: tuple[str, ...] = ()
    reference: Reference | None = None


class _Watched(Mapping[str, sp.Equality]):
    """The earlier equations by name; remembers which were looked at."""

    def __init__(self, derivation: Derivation) -> None:
        self._derivation, self.seen = derivation, dict[str, None]()

    def __getitem__(self, name: str) -> sp.Equality:
        equation = self._derivation[name].equation
        self.seen[name] = None
        return equation

    def __iter__(self) -> Iterator[str]:
        return (step.name for step in self._derivation.steps)

    def __len__(self) -> int:
        return len(self._derivation.steps)


@dataclass(frozen=True)
class Derivation:
    """An ordered trail of steps that ends in a conclusion.

    Built by chaining; every method returns a longer derivation or raises `DerivationError`:

    >>> t, c = sp.symbols("t c", positive=True)
    >>> u = sp.Function("u")
    >>> flow = (
    ...     Derivation("one_sample", "a single sample under the exponential loss")
    ...     .given("flow", "gradient flow", sp.Eq(u(t).diff(t), c * sp.exp(-u(t))))
    ...     .derive("orbit", "solved from u(0) = 0", lambda known: sp.dsolve(known["flow"], u(t), ics={u(0): 0}))
    ... )
    >>> flow.conclusion.rhs, flow.known
    (log(c*t + 1), 'derived')
    """

    name: str
    statement: str
    steps: tuple[Step, ...] = field(default=())

    def given(self, name: str, words: str, equation: sp.Basic) -> Derivation:
        """Add the model, a definition or an ansatz."""
        return self._with(Step(name, words, self._equation(name, equation), "given", "stated"))

    def derive(
        self,
        name: str,
        words: str,
        compute: Callable[[Equations], sp.Basic],
        residual: Callable[[sp.Equality, Equations], Residual] | None = None,
    ) -> Derivation:
        """Add the equation that ``compute`` returns when it is handed the earlier equations by name.

        ``residual(equation, known)``, where given, must vanish as in `check`: the computation is then verified too.
        """
        known = _Watched(self)
        equation = self._equation(name, compute(known))
        # Before the residual looks at earlier equations: a typed equation that is checked is not derived.
        if not known.seen:
            raise DerivationError(
                f"step {self.name}.{name} is marked derived but used no earlier equation; "
                "look its inputs up in the mapping it is handed, or mark it given, checked or cited"
            )
        how = "computed by Sympy"
        if residual is not None:
            how += ", " + _vanishing(f"{self.name}.{name}", residual(equation, known), {})
        return self._with(Step(name, words, equation, "derived", how, tuple(known.seen)))

    def check(
        self,
        name: str,
        words: str,
        equation: sp.Basic,
        residual: Callable[[sp.Equality, Equations], Residual],
        domain: Mapping[sp.Symbol, tuple[float, float]] | None = None,
    ) -> Derivation:
        """Add a typed equation whose ``residual(equation, known)`` vanishes.

        Parameters
        ----------
        residual
            Returns one expression or several; each must be zero for the step to exist.
        domain
            Where random points are drawn, per symbol; default (0.1, 3) for positive symbols, (-3, 3) otherwise.

        Raises
        ------
        DerivationError
            If a residual does not vanish; the message shows it and a point where it is not zero.
        """
        known = _Watched(self)
        typed = self._equation(name, equation)
        how = _vanishing(f"{self.name}.{name}", residual(typed, known), domain or {})
        if _blind(residual, typed, known, domain or {}):
            raise DerivationError(
                f"the residual of step {self.name}.{name} stays zero when the equation is changed; "
                "build it from the equation that it is handed, or it checks nothing"
            )
        return self._with(Step(name, words, typed, "checked", how, tuple(known.seen)))

    def cite(self, name: str, words: str, equation: sp.Basic, reference: Reference) -> Derivation:
        """Add a typed equation that a reference vouches for."""
        return self._with(
            Step(name, words, self._equation(name, equation), "cited", str(reference), reference=reference)
        )

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise UnknownNameError(f"step of the derivation {self.name!r}", name, [s.name for s in self.steps])

    @property
    def conclusion(self) -> sp.Equality:
        """The equation of the last step.

        Raises
        ------
        DerivationError
            If there is no step, or the last one is only given.
        """
        if not self.steps or self.steps[-1].kind == "given":
            raise DerivationError(
                f"derivation {self.name!r} concludes nothing: end it with a derived, checked or cited step"
            )
        return self.steps[-1].equation

    @property
    def known(self) -> Kind:
        """How the conclusion is known: the weakest link among the steps that it rests on."""
        return self.how_known(self.steps[-1].name) if self.steps else "given"

    def how_known(self, name: str) -> Kind:
        """How the named step is known: the weakest link among it and all that it uses."""
        step = self[name]
        links: list[Kind] = [step.kind, *(self.how_known(used) for used in step.uses)]
        return min(links, key=_STRENGTH.__getitem__)

    def _repr_html_(self) -> str:
        """Return the steps for notebooks."""
        from idealab.report.notebook import derivation_html

        return derivation_html(self)

    def _repr_latex_(self) -> str:
        """Return the steps as LaTeX."""
        from idealab.report.notebook import derivation_latex

        return derivation_latex(self)

    def _with(self, step: Step) -> Derivation:
        if any(step.name == earlier.name for earlier in self.steps):
            raise DerivationError(f"derivation {self.name!r} has two steps named {step.name!r}; rename one")
        return replace(self, steps=(*self.steps, step))

    def _equation(self, name: str, equation: sp.Basic) -> sp.Equality:
        if not isinstance(equation, sp.Equality):
            raise DerivationError(
                f"step {self.name}.{name} must be a Sympy equation, got {equation!r}; "
                "write sp.Eq(lhs, rhs, evaluate=False) where Sympy would evaluate it to True or False"
            )
        return equation


def _vanishing(where: str, residual: Residual, domain: Mapping[sp.Symbol, tuple[float, float]]) -> str:
    """Show that every residual is zero and say how, or raise."""
    parts = list(residual) if isinstance(residual, (tuple, list)) else [residual]
    if not parts:
        raise DerivationError(f"step {where} hands over no residual; return at least one expression that must be zero")
    exact = True
    for part in (sp.sympify(part) for part in parts):
        if part.is_zero:
            continue
        # Points first: a wrong equation is then refused in milliseconds, where simplify might run for minutes.
        _zero_at_random_points(where, part, domain)
        exact = exact and sp.simplify(part).is_zero is True
    return "residual reduces to 0" if exact else f"residual is 0 at {_POINTS} random points in {_DIGITS} digits"


def _blind(
    residual: Callable[[sp.Equality, Equations], Residual],
    equation: sp.Equality,
    known: Equations,
    domain: Mapping[sp.Symbol, tuple[float, float]],
) -> bool:
    """Whether the residual would vanish for another right-hand side as well."""
    other = sp.Rational(3, 2) * cast("sp.Expr", equation.rhs) + sp.Rational(1, 7)
    bent = cast("sp.Equality", sp.Eq(equation.lhs, other, evaluate=False))
    try:
        parts = residual(bent, known)
        for part in parts if isinstance(parts, (tuple, list)) else [parts]:
            _zero_at_random_points("bent", sp.sympify(part), domain)
    except Exception:  # it noticed: the residual is not zero, or cannot even be built
        return False
    return True


def _zero_at_random_points(where: str, residual: sp.Expr, domain: Mapping[sp.Symbol, tuple[float, float]]) -> None:
    draw = random.Random(0)
    symbols = sorted(cast("set[sp.Symbol]", residual.free_symbols), key=lambda symbol: symbol.name)
    terms = sp.Add.make_args(residual)
    for _ in range(_POINTS if symbols else 1):
        ranges = {s: domain.get(s, (0.1, 3) if s.is_positive else (-3, 3)) for s in symbols}
        point = {s: sp.Float(draw.uniform(*between), _DIGITS) for s, between in ranges.items()}
        value = _value(residual, point)
        scale = sum((sp.Abs(_value(term, point)) for term in terms), start=sp.Integer(1))
        # Sympy cannot compare nan, nor what is not a number.
        number = all(part.is_number and part.is_finite for part in (value, scale))
        if not number or not bool(sp.Abs(value) < scale * sp.Float(10) ** (15 - _DIGITS)):
            at = ", ".join(f"{s} = {float(v):.3g}" for s, v in point.items())
            raise DerivationError(
                f"step {where} does not hold: the residual {residual} is {sp.N(value, 5)}" + (f" at {at}" if at else "")
            )


def _value(expression: sp.Expr, point: Mapping[sp.Symbol, sp.Float]) -> sp.Expr:
    # Any: Sympy annotates neither that symbols may be keys, nor that an expression stays one.
    return cast("Any", expression).subs(point).evalf(_DIGITS)
