"""When a prompt changes the topic: D5 to D8, and what they make of ambiguity.

Tokens of a prompt are drawn independently: a, which continues its topic, with chance p_a; b, which would change it,
with p_b; any other with p_0 = 1 - p_a - p_b. The model prefers a token a to a token b by the odds r, so that k of a are
outvoted by l of b when l > r k. Everything follows from the walk with steps +1 for b and -r for a: its law is exact at
any length T of a prompt, its large deviations give rate and prefactor, its drift the phase boundary.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import sympy as sp
from sympy import Eq, exp, log, sqrt

from idealab.idea import Assumption, Named, Reference, Rival, Signature
from idealab.judge.criteria import Criterion, Equals
from idealab.judge.shapes import Threshold, Trend
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

Known = Mapping[str, sp.Equality]

p_a, p_b, p_0, r, theta, S, T, v, prompts = sp.symbols("p_a p_b p_0 r theta s T v prompts", positive=True)
q, rho_3, sigma = sp.symbols("q rho_3 sigma", positive=True)
lean, shared, z, room = sp.symbols("lean shared z room", positive=True)
k, l, n, cut, N, total = sp.symbols("k l n cut N total", integer=True, nonnegative=True)
u = sp.Symbol("u", real=True)
m = sp.IndexedBase("m", positive=True)
M, I, C, P, C_1, trend, rho_4, x = sp.symbols("M I C P C_1 trend rho_4 x", real=True)

TOPIC_LASTS = {p_b: r * p_a / (1 + room)}  # the phase r p_a > p_b, all of it: room is any positive number
LEANING = {p_a: lean * (1 - p_0), p_b: (1 - lean) * (1 - p_0)}
BAHADUR = Reference("bahadur1960", "Bahadur and Rao", 1960, "On deviations of the sample mean", "Theorem 1")

# --- D5: the chance at any length -------------------------------------------------------------------------------------


def _telescoping(equation: sp.Equality) -> list[sp.Expr]:
    """The sum of the l-th terms from l = cut on, against a function of the cut, for all l, total and v.

    The slope in v of the l-th term is that of the function at the cut l less that at l + 1; so the slopes of the sum
    leave that at the cut alone, less that at total + 1, which is none; and where v = 0 the function is zero, as a
    sum is that begins with l = 1 or later.
    """
    tail, term = equation.rhs, equation.lhs.function
    slope = lambda at: tail.subs(cut, at).diff(v)
    parts = (sp.powsimp(sp.expand_mul(part / term)) for part in (term.diff(v), -slope(l), slope(l + 1)))
    left = sum(sp.gammasimp(part.rewrite(sp.gamma)) for part in parts)
    empty = tail.subs(v, 0).replace(
        lambda e: isinstance(e, sp.betainc_regularized) and e.args[2] == e.args[3], lambda e: 0
    )
    return [sp.cancel(left), slope(total + 1).rewrite(sp.gamma), empty]


def _change(known: Known) -> sp.Equality:
    least = sp.floor(r * k) + 1
    outvoted = known["tail"].rhs.subs({cut: least, total: T - k}).subs(v, known["others"].rhs)
    term = sp.binomial(T, k) * known["first"].rhs ** k * (1 - known["first"].rhs) ** (T - k) * outvoted
    inside = sp.Piecewise((term, sp.floor(r * k) + 1 <= T - k), (0, True))
    return Eq(C, sp.Sum(inside.subs(k, m[n]), (n, 0, N - 1)))


exact = (
    Derivation("exact", "the chance of a change at any length, by counting")
    .given("first", "a token of a prompt is a", Eq(v, p_a))
    .given("others", "one that is not a is b", Eq(v, p_b / (1 - p_a)))
    .check(
        "tail",
        "so many draws of chance v give at least so many successes: the incomplete beta function, since the slope in "
        "v of each term is a difference of those of the function at two cuts, for any l, total and v",
        Eq(
            sp.Sum(sp.binomial(total, l) * v**l * (1 - v) ** (total - l), (l, cut, total)),
            sp.betainc_regularized(cut, total - cut + 1, 0, v),
        ),
        lambda equation, known: _telescoping(equation),
        domain={v: (0.1, 0.9)},
    )
    .derive(
        "change",
        "the chance of a change: k of a are outvoted by l > r k of b; m lists the k that count, from 0 or from 1",
        _change,
    )
)

# --- D6, D7: its rate and prefactor, and from which length on ---------------------------------------------------------

HERMITE = {3: x**3 - 3 * x, 4: x**4 - 6 * x**2 + 3, 6: x**6 - 15 * x**4 + 45 * x**2 - 15}


def _tilted(expression: sp.Expr, known: Known) -> sp.Expr:
    """An expression in e^u and e^(-r u) at the tilt, the latter by the balance that defines it."""
    falling = sp.solve(known["moments"].rhs.diff(u).subs(exp(-r * u), z), z)[0]
    return sp.collect(sp.expand(expression.subs(exp(-r * u), falling)), exp(u), sp.factor).subs(u, known["tilt"].rhs)


def _rate(known: Known) -> sp.Equality:
    return Eq(I, -log(_tilted(known["moments"].rhs, known)))


def _spread(known: Known) -> sp.Equality:
    moments = known["moments"].rhs
    return Eq(S, sqrt(_tilted(sp.expand(moments.diff(u, 2)), known) / exp(-known["rate"].rhs)))


def _moment(known: Known, order: int) -> sp.Expr:
    """Of a tilted step, by the chance q of a b and q/r of an a; its mean is zero."""
    chances = {p_b: q * M * exp(-u), p_a: q / r * M * exp(r * u)}
    moment = known["moments"].rhs.diff(u, order).subs(chances, simultaneous=True)
    return sp.factor(sp.expand(moment) / M)


def _standardized(known: Known, order: int) -> sp.Expr:
    moment = sp.factor(_moment(known, order) / _moment(known, 2) ** sp.Rational(order, 2))
    return moment - 3 if order == 4 else moment


def _next_order(known: Known) -> sp.Equality:
    """Edgeworth's density against e^(-theta S sqrt(T) x) over x > 0: the second term over the first, times T."""
    term = known["edgeworth"].rhs
    slopes = [term.diff(x, order).subs(x, 0) for order in range(3)]
    far = theta * S * sqrt(T)
    # By parts, again and again: the values and slopes at x = 0, over the powers of what falls.
    whole = sp.expand(sum(slope / far**order for order, slope in enumerate(slopes)) * sqrt(2 * sp.pi))
    return Eq(C, whole.coeff(T, -1))


def _length(known: Known) -> sp.Equality:
    """The sum of the sizes of the terms, so that none of them makes up for another."""
    terms = sp.Add.make_args(sp.expand(known["next_order"].rhs))
    variance = {S: sqrt(_moment(known, 2))}
    skew, excess = (known[name].rhs for name in ("skewness", "excess"))
    sizes = [sp.Abs(sp.factor(part.subs({rho_3: skew, rho_4: excess}).subs(variance))) for part in terms]
    return Eq(sp.Symbol("L"), sum(sizes))


def _lattice_length(known: Known) -> sp.Equality:
    """The same where whole steps k = 1, 2, ... stand in place of x, with chances like z^k, z = e^(-theta)."""
    even = {r: 1}
    term = known["edgeworth"].rhs.subs(rho_3, known["skewness"].rhs.subs(even))
    mean = lambda power: sp.summation(k**power * z**k, (k, 1, sp.oo)).args[0][0]
    squares = sp.factor(mean(2) / mean(0)).subs(z, exp(-theta)) / _moment(known, 2).subs(even)
    at_zero = (
        sp.expand(term.subs(x, 0) * sqrt(2 * sp.pi)).subs(rho_4, known["excess"].rhs.subs(even)).expand().coeff(T, -1)
    )
    bend = sp.expand(term.diff(x, 2).subs(x, 0) * sqrt(2 * sp.pi)).coeff(T, 0) / 2
    return Eq(sp.Symbol("L_1"), sp.Abs(sp.factor(at_zero)) + sp.Abs(bend) * squares)


def _spread_of_counts(known: Known) -> sp.Equality:
    """Variance of the count of a less what the sum tells of it; their covariance is -r times the chance of an a."""
    chance = q / r
    return Eq(sigma, sqrt(T * sp.factor(chance * (1 - chance) - (r * chance) ** 2 / _moment(known, 2))))


def _log_chance(known: Known, beyond: str) -> sp.Equality:
    """The logarithm of e^(-I T) times what lies beyond, as a sum."""
    parts = sp.expand_log(log(known[beyond].rhs), force=True)
    spread = sp.expand_log(log(known["spread"].rhs), force=True)
    return Eq(log(C), parts.subs(log(S), spread).subs(theta, known["tilt"].rhs) - T * known["rate"].rhs)


def _sign(expression: sp.Expr, phase: dict[sp.Symbol, sp.Expr] | None = None) -> sp.Expr:
    """Sign of an expression all over a phase, as far as Sympy can tell; else it stays open, and predicts no number."""
    return sp.sign(sp.factor(expression.subs(phase or {})))


def _least(known: Known) -> sp.Equality:
    """The moments are one at u = 0, are not level there, and are convex."""
    moments = known["moments"].rhs
    level = sp.factor(moments.diff(u).subs(u, 0).subs(TOPIC_LASTS))
    below = moments.subs(u, 0) == 1 and level.is_nonzero and moments.diff(u, 2).is_positive
    return Eq(M, 1 / (1 + room) if below else sp.nan)


deviations = (
    Derivation("deviations", "how the chance vanishes with the length T of a prompt, for r p_a > p_b")
    .given(
        "moments",
        "E e^(u X) for a step X of the walk: +1 for b, -r for a",
        Eq(M, 1 - p_a - p_b + p_b * exp(u) + p_a * exp(-r * u)),
    )
    .derive(
        "tilt",
        "the tilt theta that takes the drift away: there the moments are least",
        lambda known: Eq(theta, sp.solve(known["moments"].rhs.diff(u), u)[0]),
    )
    .derive("rate", "Chernoff's rate: minus the logarithm of the least moment", _rate)
    .derive("spread", "standard deviation of a tilted step", _spread)
    .given("density", "the tilted walk near 0, by the local limit theorem", Eq(P, 1 / (S * sqrt(2 * sp.pi * T))))
    .derive(
        "beyond",
        "what lies beyond 0, where r is irrational",
        lambda known: Eq(P, sp.integrate(known["density"].rhs * exp(-theta * z), (z, 0, sp.oo))),
    )
    .derive(
        "log_change",
        "logarithm of the chance, up to O(1/T), where r p_a > p_b (elsewhere theta is not positive: no number)",
        lambda known: _log_chance(known, "beyond"),
    )
    .derive(
        "beyond_lattice",
        "what lies beyond 0, where r = 1: the walk has whole steps, and must reach 1",
        lambda known: Eq(P, known["density"].rhs * sp.summation(z**k, (k, 1, sp.oo)).args[0][0].subs(z, exp(-theta))),
    )
    .derive("lattice_change", "the same for r = 1", lambda known: _log_chance(known, "beyond_lattice"))
    .given("voters", "q: the chance of a b in the tilted walk, that of an a is q/r", Eq(q, p_b * exp(theta + I)))
    .derive("skewness", "third cumulant of a tilted step, over s^3", lambda known: Eq(rho_3, _standardized(known, 3)))
    .derive("excess", "fourth cumulant over s^4", lambda known: Eq(rho_4, _standardized(known, 4)))
    .given(
        "edgeworth",
        "density of the tilted sum over s sqrt(T) near 0, to the next order (Edgeworth)",
        Eq(
            P,
            exp(-(x**2) / 2)
            / sqrt(2 * sp.pi)
            * (1 + rho_3 / 6 * HERMITE[3] / sqrt(T) + (rho_4 / 24 * HERMITE[4] + rho_3**2 / 72 * HERMITE[6]) / T),
        ),
    )
    .derive("next_order", "what the next order adds to log C, times T", _next_order)
    .derive(
        "length",
        "the length from which prompts are long: all next terms together, each by its size, are L/T, below one",
        _length,
    )
    .derive("lattice_length", "the same for r = 1", _lattice_length)
    .derive("counts", "how far the counts of a scatter among prompts that nearly change", _spread_of_counts)
    .derive("least", "in this phase the least moment lies below one, by some room", _least)
    .derive(
        "inertia",
        "the chance falls with T like e^(-I T), I = -log M, where prompts are long",
        lambda known: Eq(trend, _sign(log(known["least"].rhs))),
    )
)

UP_TO_THE_PREFACTOR = ("moments", "tilt", "rate", "spread", "density", "beyond", "log_change")

# --- D8: the phase boundary, and ambiguity ----------------------------------------------------------------------------

phases = (
    Derivation("phases", "where length turns from friend to foe", deviations.steps[:1])
    .derive(
        "drift",
        "mean step of the walk: where prompts are long, C tends to one or to zero as it says",
        lambda known: Eq(trend, known["moments"].rhs.diff(u).subs(u, 0)),
    )
    .derive(
        "boundary",
        "how frequent b must be for length to raise the chance: there is no drift",
        lambda known: Eq(p_b, sp.solve(known["drift"].rhs, p_b)[0]),
    )
    .derive(
        "reversal",
        "beyond it the chance rises with T where prompts are long, to one",
        lambda known: Eq(trend, _sign(known["drift"].rhs, {p_b: r * p_a * (1 + room)})),
    )
)


def _gain(known: Known, knob: sp.Symbol, mixed: dict[sp.Symbol, sp.Expr] | None = None) -> sp.Equality:
    """-M dI/d knob at u = theta: the moments are least there, so that only what they say of the knob themselves counts.

    M is the mean of what is positive, and so does not turn the sign.
    """
    return Eq(sp.Symbol(f"-M*dI/d{knob}"), known["moments"].rhs.subs(mixed or {}, simultaneous=True).diff(knob))


def _direction(step: str) -> Callable[[Known], sp.Equality]:
    """The sign wherever the tilt is positive, which it is in all of this phase."""

    def sign(known: Known) -> sp.Equality:
        positive = sp.simplify(known["tilt"].rhs.subs(TOPIC_LASTS)).is_positive
        return Eq(trend, _sign(known[step].rhs, {u: log(1 + room) if positive else sp.nan}))

    return sign


def _diluted(known: Known) -> sp.Equality:
    """Only through the moments themselves, which the tilt makes less than one."""
    of_moments = (1 - M) / (1 - p_0)
    mixed = known["moments"].rhs.subs(LEANING, simultaneous=True)
    same = sp.simplify(known["dilution"].rhs - of_moments.subs(M, mixed)) == 0
    return Eq(trend, _sign(of_moments.subs(M, known["least"].rhs), {p_0: 1 / (1 + z)}) if same else sp.nan)


ambiguity = (
    Derivation("ambiguity", "four things that more ambiguous may mean, and what the chance does", deviations.steps[:2])
    .derive("closeness", "b is nearly as frequent as a", lambda known: _gain(known, p_b))
    .derive("by_closeness", "b nearly as frequent as a: the chance rises, by its rate", _direction("closeness"))
    .derive("least", "the least moment lies below one, by some room", _least)
    .derive(
        "dilution",
        "more tokens say nothing, p_a : p_b as lean : 1 - lean",
        lambda known: _gain(known, p_0, LEANING),
    )
    .derive("by_dilution", "more tokens that say nothing: the chance rises, by its rate", _diluted)
    .derive("preference", "a is preferred to b by larger odds", lambda known: _gain(known, r))
    .derive(
        "by_odds",
        "larger odds: the chance falls, by its rate, so that it rises with the ambiguity of labels",
        _direction("preference"),
    )
    .given(
        "counted",
        "of the tokens b a part is of the first topic too: to go there is no change",
        Eq(C_1, (1 - shared) * C),
    )
    .derive(
        "overlap",
        "more of them",
        lambda known: Eq(
            sp.Symbol("dlnC_1/dshared"), sp.simplify(known["counted"].rhs.diff(shared) / known["counted"].rhs)
        ),
    )
    .derive(
        "by_overlap",
        "more tokens that both topics have: the chance falls, by counting alone",
        lambda known: Eq(trend, _sign(known["overlap"].rhs, {shared: 1 / (1 + room)})),
    )
)

# --- What must be seen ------------------------------------------------------------------------------------------------

DRAWN = (
    "nothing is left out: the largest standard deviation of a share of so many prompts; 1e24 stand for all, where "
    "1e-9 is for rounding in the incomplete beta function"
)
LATTICE = "the next order of the local limit theorem, L_1/T (`lattice_length`), twice"
GENERIC = (
    "the next order of the local limit theorem, each of its terms by its size: L/T (`length`); and irrational odds are "
    "met by whole counts, whose sums lie up to 1/sigma apart (`counts`): half of that, by theta"
)

tilt, rate = deviations["tilt"].equation.rhs, deviations["rate"].equation.rhs


def in_terms_of_chances(expression: sp.Expr) -> sp.Expr:
    """An expression in the chances of a prompt, instead of those of the tilted walk and the tilt itself."""
    return expression.subs(q, deviations["voters"].equation.rhs).subs({I: rate, theta: tilt})


length, lattice_length = (in_terms_of_chances(deviations[step].equation.rhs) for step in ("length", "lattice_length"))
apart = in_terms_of_chances(theta / (2 * deviations["counts"].equation.rhs))


def _rival(name: str, statement: str, expression: sp.Expr) -> Rival:
    return Rival(name, statement, Prediction(expression))


rivals = {
    "change": [_rival("majority", "whatever occurs more often wins", exact["change"].equation.rhs.subs(r, 1))],
    "log_change": [
        _rival("no_prefactor", "the rate is all", -T * deviations["rate"].equation.rhs),
        _rival("bhattacharyya", "the rate of equal odds", -T * deviations["rate"].equation.rhs.subs(r, 1)),
    ],
    "boundary": [_rival("no_odds", "what occurs more often wins", p_a)],
}


def signature(name: str, derivation: Derivation, criterion: Criterion, reason: str, observable: str = "") -> Signature:
    """What a step of a derivation predicts, under the step's name and in its words."""
    others = Named(*rivals.get(name, ()))
    return Signature(
        name, derivation[name].words, observable or name, derivation, criterion, reason, step=name, rivals=others
    )


TURNED = "the sign is all that is claimed"
OF_RATE = (
    f"{TURNED}: that of the rate, which decides in the end; sooner (T > L is not enough) where the first terms of "
    "log_change differ by more than they leave out, the next order, of one sign, and half a gap of sums"
)
AT_ANY_LENGTH = f"{TURNED}: that of the rate is derived; at any length, more b or larger odds count the same way"
BOUNDARY = "none: on which side of one half; by Berry and Esseen two thousand tokens are enough to tell at these points"
OVERLAP = "none: a tautology, as tokens that both topics have are no longer counted; no model could fail it"
signatures = (
    signature("change", exact, Equals(rtol=1e-9, atol=sp.Rational(1, 2) / sqrt(prompts)), DRAWN),
    signature("log_change", deviations, Equals(atol=length / T + apart), GENERIC),
    signature("inertia", deviations, Trend(along="T"), OF_RATE),
    signature("boundary", phases, Threshold(along="p_b", level=0.5), BOUNDARY),
    signature("by_closeness", ambiguity, Trend(along="p_b"), AT_ANY_LENGTH),
    signature("by_dilution", ambiguity, Trend(along="p_0"), OF_RATE),
    signature("by_odds", ambiguity, Trend(along="share"), AT_ANY_LENGTH),
    replace(signature("by_overlap", ambiguity, Trend(along="shared"), OVERLAP), primary=False),
)

reversal = signature("reversal", phases, Trend(along="T"), TURNED, "inertia")
lattice = signature("lattice_change", deviations, Equals(atol=2 * lattice_length / T), LATTICE, "log_change")

assumptions = (
    Assumption(
        "right_phase",
        "r p_a > p_b: the topic has more votes than what could change it",
        "breaks",
        ("inertia",),
        reversal,
    ),
    Assumption("generic_odds", "the odds are no small fraction", "breaks", ("log_change",), lattice),
    Assumption("full_memory", "attention weighs all places of a prompt alike", "breaks", ("change",)),
    Assumption("order", "tokens stand in the order in which they were drawn", "does_not_matter", ("change",)),
)
