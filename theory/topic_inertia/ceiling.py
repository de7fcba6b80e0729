"""How often a memory with a ceiling changes the topic, by how deep it is.

The memory adds up log-likelihood ratios of tokens, but not for ever: either to a ceiling and no further, or as the
exact filter of documents that switch their topic does, which gives way the more the higher it is. Late in a prompt of
one topic the chance C that it is below zero no longer falls. Symbols:

- sigma: standard deviation of a token's log(p/q) under p, the size of a step; mu: its mean
- W: distance below a hard ceiling M, and how far tokens of the other topic would rise, which has the same law
- S: the sum where the ceiling is soft; hazard: that of the documents; V = (2 hazard/sigma^2) e^S
- depth: the mean of -log(p/q), summed over tokens of the other topic, that turns the memory round after a long prompt
- soft: one where the ceiling gives way, zero where it is hard
"""

from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy import Eq, EulerGamma, Function, Rational, exp, expint, log, oo, pi, sqrt

from idealab.idea import Reference
from idealab.symbolic.derivation import Derivation

Known = Mapping[str, sp.Equality]

RHO = -sp.zeta(Rational(1, 2)) / sqrt(2 * pi)
"""How far a walk of normal steps of size one goes beyond a boundary, where its drift is small."""

sigma, mu, M, W, V, w, depth, hazard = sp.symbols("sigma mu M W V w depth hazard", positive=True)
mean_W, mean_larger, beyond = sp.symbols("mean_W mean_larger beyond", positive=True)
soft = sp.Symbol("soft", nonnegative=True)
S, C, tail = sp.symbols("S C tail", real=True)
C1 = sp.Symbol("C1")  # as dsolve calls it
density, law, taken = (Function(name) for name in ("density", "law", "taken"))

siegmund = Reference(
    "siegmund1979", "Siegmund", 1979, "Corrected diffusion approximations in certain random walk problems"
)
chang = Reference(
    "chang1997", "Chang and Peres", 1997, "Ladder heights, Gaussian random walks and the Riemann zeta function"
)

# --- A hard ceiling ---------------------------------------------------------------------------------------------------


def _density(known: Known) -> sp.Equality:
    """No flux through the ceiling; normalised."""
    solved = sp.dsolve(known["flux"].subs(mu, known["drift"].rhs), density(W)).rhs
    return Eq(density(W), solved.subs(C1, sp.solve(sp.integrate(solved, (W, 0, oo)) - 1, C1)[0]))


def _larger(known: Known) -> sp.Equality:
    """Of two independent draws from the same law."""
    below = sp.integrate(known["density"].rhs, (W, 0, w))
    return Eq(mean_larger, sp.integrate(sp.expand(1 - below**2), (w, 0, oo)))


def _hard(known: Known) -> sp.Equality:
    """To second order in sigma: what steps change lies near zero, where either chance is one but for first order."""
    far = exp(known["tail"].rhs - w)
    near = known["below"].rhs - sp.integrate(far, (w, 0, oo))
    both = sp.integrate(far**2, (w, 0, oo)) + 2 * near
    ceiling = depth + 2 * known["below"].rhs - both - known["beyond"].rhs
    return Eq(log(C), sp.series(known["tail"].rhs - ceiling, sigma, 0, 3).removeO())


hard = (
    Derivation("bounded", "a memory that adds up log-likelihood ratios, but not for ever")
    .given("one", "E exp(-x) = 1 for a log-likelihood ratio x, here normal", Eq(exp(-mu + sigma**2 / 2), 1))
    .derive("drift", "its mean", lambda known: Eq(mu, sp.solve(known["one"], mu)[0]))
    .given(
        "flux",
        "small steps: the distance W below the ceiling in a long prompt, no flux",
        Eq(sigma**2 / 2 * density(W).diff(W) + mu * density(W), 0),
    )
    .derive("density", "how far below it is", _density)
    .derive(
        "plateau",
        "the chance of a change, that W is above M",
        lambda known: Eq(log(C), log(sp.integrate(known["density"].rhs, (W, M, oo)))),
    )
    .derive("larger", "the mean of the larger of two such, of which the second is how far it would rise", _larger)
    .given(
        "turned",
        "then tokens of the other topic: they would rise, and the ceiling takes off what exceeds W",
        Eq(depth, M - mean_larger),
    )
    .derive(
        "by_depth",
        "the plateau by the depth, which can be measured",
        lambda known: Eq(
            log(C),
            known["plateau"].rhs.subs(M, sp.solve(known["turned"], M)[0]).subs(mean_larger, known["larger"].rhs),
        ),
    )
    .cite(
        "tail",
        "steps of size sigma: ln P(W > w) + w, far out",
        Eq(tail, -RHO * sigma),
        siegmund,
    )
    .cite(
        "below",
        "the mean distance in such steps, to second order",
        Eq(mean_W, 1 - RHO * sigma + sigma**2 / 8),
        chang,
    )
    .cite(
        "beyond",
        "how far the last step goes beyond zero, likewise",
        Eq(beyond, RHO * sigma + sigma**2 / 8),
        siegmund,
    )
    .derive("in_steps", "the plateau by the depth, in steps", _hard)
)

# --- A soft one -------------------------------------------------------------------------------------------------------


def _law(known: Known) -> sp.Equality:
    """Of V, by the sum S = log(V/k) with k = 2 hazard/sigma^2; normalised."""
    solved = sp.dsolve(known["soft_flux"].subs(mu, known["drift"].rhs), density(S)).rhs
    of_v = sp.simplify(solved.subs(S, log(V * sigma**2 / (2 * hazard))) / V)
    return Eq(law(V), of_v.subs(C1, sp.solve(sp.integrate(of_v, (V, 0, oo)) - 1, C1)[0]))


def _balance(equation: sp.Equality, known: Known) -> list[sp.Expr]:
    """The equation of what is taken, and that nothing is from far below."""
    solved = known["soft_local"].subs(mu, known["drift"].rhs).subs(taken(S), equation.rhs).doit()
    at = log(V * sigma**2 / (2 * hazard))
    return [sp.simplify((solved.lhs - solved.rhs).subs(S, at)), sp.limit(equation.rhs.subs(S, at), V, 0)]


def _turned_soft(known: Known) -> sp.Equality:
    at = log(V * sigma**2 / (2 * hazard))
    left: Any = sp.expand(sp.expand_log(at, force=True) - sp.simplify(known["soft_taken"].rhs.subs(S, at)))
    return Eq(depth, sp.expand(sum(sp.integrate(sp.expand(part * known["law"].rhs), (V, 0, oo)) for part in left.args)))


bounded = (
    hard.given(
        "soft_flux",
        "the exact filter of documents that switch, in small steps, high above zero: no flux of its sum S",
        Eq(sigma**2 / 2 * density(S).diff(S), (mu - hazard * exp(S)) * density(S)),
    )
    .derive("law", "of V = (2 hazard/sigma^2) e^S", _law)
    .derive(
        "soft_plateau",
        "the chance of a change, that S is below zero, where that is small",
        lambda known: Eq(
            log(C),
            log(sp.series(sp.integrate(known["law"].rhs, (V, 0, w)), w, 0, 2).removeO()).subs(w, 2 * hazard / sigma**2),
        ),
    )
    .given(
        "soft_local",
        "then tokens of the other topic: what is still taken off, by S",
        Eq(sigma**2 / 2 * taken(S).diff(S, 2), (mu + hazard * exp(S)) * taken(S).diff(S) - hazard * exp(S)),
    )
    .check(
        "soft_taken",
        "it is, E_1 being the exponential integral",
        Eq(
            taken(S),
            (exp(V) * expint(1, V) + log(V) + EulerGamma).subs(V, 2 * hazard * exp(S) / sigma**2),
        ),
        _balance,
    )
    .derive("soft_turned", "the mean of S, less the mean of what is taken off", _turned_soft)
    .derive(
        "soft_by_depth",
        "the plateau by the depth",
        lambda known: Eq(
            log(C),
            sp.expand(
                sp.expand_log(known["soft_plateau"].rhs, force=True).subs(
                    log(hazard), sp.solve(known["soft_turned"].subs(log(hazard), w), w)[0]
                )
            ),
        ),
    )
    .derive(
        "bounded_plateau",
        "hard, soft or between the two; beyond zero goes the last step in both",
        lambda known: Eq(
            log(C),
            sp.collect(
                sp.expand(
                    (1 - soft) * known["in_steps"].rhs + soft * (known["soft_by_depth"].rhs + known["beyond"].rhs)
                ),
                soft,
                sp.simplify,
            ),
        ),
    )
)
