"""D3: every support edge keeps its own time; and how long it takes until it does.

For any tokens and any number of last tokens (keys): e and f number the edges, over all keys.
"""

from collections.abc import Mapping

import sympy as sp
from sympy import Eq, exp, log

from idealab.symbolic.derivation import Derivation

Known = Mapping[str, sp.Equality]

t, t_0, eta, N, kappa = sp.symbols("t t_0 eta N kappa", positive=True)
u_0, delta, gap = sp.symbols("u_0 delta gap", real=True)
e, f, size = sp.symbols("e f size", integer=True, nonnegative=True)
nu, dual = (sp.IndexedBase(name, positive=True) for name in ("nu", "alpha"))
G = sp.IndexedBase("G")
u, z, g = (sp.Function(name) for name in ("u", "z", "g"))


def _out_of_balance(margins: sp.Expr, known: Known) -> sp.Expr:
    """What the flow leaves over when these are the margins, for any number of edges."""
    forced = known["flow"].rhs.replace(u, lambda index, _: margins.subs(e, index))
    return margins.diff(t) - sp.factor_terms(forced).subs(known["dual"].lhs, known["dual"].rhs)


def _off(known: Known) -> sp.Equality:
    """The flow, about the margins that balance it."""
    near = lambda index: known["margins"].rhs.subs(e, index) + delta * z(index, t)
    forced = known["flow"].rhs.replace(u, lambda index, _: near(index))
    return Eq(t * z(e, t).diff(t), sp.simplify(t * forced.diff(delta).subs(delta, 0)))


def _growing(known: Known) -> sp.Equality:
    rest = known["forced"].subs(z(t), known["share"].rhs).doit()
    return Eq(t * g(t).diff(t), sp.simplify(t * sp.solve(rest, g(t).diff(t))[0]))


def _settling(known: Known) -> sp.Equality:
    left = sp.dsolve(known["most"], g(t), ics={g(t_0): 1}).rhs
    return Eq(gap, known["share"].rhs.subs(g(t), left))


edges = (
    Derivation("edges", "the margins of all support edges, any tokens, any number of keys")
    .given(
        "flow",
        "mean loss over N prompts, each edge's term to leading order; nu sums m_i/m_y over the prompts with that edge",
        Eq(u(e, t).diff(t), eta / N * sp.Sum(G[e, f] * nu[f] * exp(-u(f, t)), (f, 0, size - 1))),
    )
    .given(
        "dual",
        "support edges have margin one; G is their Gram matrix",
        Eq(sp.Sum(G[e, f] * dual[f], (f, 0, size - 1)), 1),
    )
    .given(
        "span",
        "descent from zero stays in the span of the edges, so margins are sums of columns of G; this says which "
        "alpha it is where edges close a circle and G leaves it free",
        Eq(log(nu[e] / dual[e]), sp.Sum(G[e, f] * z(f, 0), (f, 0, size - 1))),
    )
    .check(
        "margins",
        "margins that balance every row of the flow",
        Eq(u(e, t), log(eta * t * nu[e] / (N * dual[e]))),
        lambda equation, known: _out_of_balance(equation.rhs, known),
    )
    .derive(
        "edge_clock",
        "margin of a support edge less ln t: e^margin N alpha/(eta nu t) tends to one on each",
        lambda known: Eq(gap, sp.expand_log(known["margins"].rhs) - log(t)),
    )
    .derive(
        "start",
        "when a margin would have been what it is at the start, u_0",
        lambda known: Eq(t, sp.solve(known["margins"].rhs - u_0, t)[0]),
    )
    .derive("off", "what margins are off by, z, to first order, in ln t", _off)
    .given(
        "forced",
        "along an eigenvector of G diag(alpha) of eigenvalue kappa <= 1; the loss is logistic, and pulls by a part of "
        "up to nu e^-u = N alpha/(eta t) less (of a prompt with one other token); t_0: the last of these "
        "N alpha/eta, and of the times `start`",
        Eq(t * z(t).diff(t), -kappa * z(t) + kappa * t_0 / t),
    )
    .given("share", "g: how much is left of what t^-kappa would leave", Eq(z(t), (t_0 / t) ** kappa * g(t)))
    .derive("growing", "which the resonance makes grow", _growing)
    .given("most", "by no more than that, since kappa <= 1 and t >= t_0", Eq(t * g(t).diff(t), kappa))
    .derive("settling", "so from about one at t_0 what is left is at most", _settling)
)
