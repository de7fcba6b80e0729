"""Several last tokens: D4 to D8 for each, and for prompts whose last token is drawn.

A score is h_j = e_j^T W x_k: under each last token x_k, a key, the model has odds of its own, odds[k]. Where the keys
are linearly independent the columns W x_k are free, so that the loss is a sum with one term for each key, and all of D4
to D8 holds key by key. A prompt then changes the topic with the mean chance over its last token.
"""

from collections.abc import Mapping
from typing import Any, cast

import sympy as sp
from idealab.theory.topic_inertia import change, training
from sympy import Eq, exp, log, sqrt

from idealab.idea import Named, Rival, Signature
from idealab.judge.criteria import Criterion, Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

Known = Mapping[str, sp.Equality]

K, draws = sp.symbols("K draws", integer=True, positive=True)
i, x, y = sp.symbols("i x y", integer=True, nonnegative=True)
odds, q, sigma, last = (sp.IndexedBase(name, positive=True) for name in ("odds", "q", "sigma", "last"))
C, I, D, V, J = sp.symbols("C I D V J", real=True)
I_1, w_1, w_2, room, replicas = sp.symbols("I_1 w_1 w_2 room replicas", positive=True)
h_1, h_2 = sp.symbols("h_1 h_2", real=True)
of_key = sp.Function("loss")
p_a, p_b, T, rho, N = change.p_a, change.p_b, change.T, training.rho, training.N


def over_keys(term: sp.Expr) -> sp.Sum:
    """Mean over the last token."""
    return sp.Sum(last[x] * term, (x, 0, K - 1))


def of_one(expression: sp.Expr) -> sp.Expr:
    """What holds for one key, of the key x."""
    return expression.subs(change.r, odds[x])


# --- The chance of a change -------------------------------------------------------------------------------------------


def _weighed(pieces: sp.Piecewise) -> sp.Piecewise:
    return sp.Piecewise(*((last[x] * term, condition) for term, condition in cast("Any", pieces.args)))


def _slowest(known: Known) -> sp.Equality:
    """Of two terms w e^(-I T), the one that falls faster by some room leaves no trace in the rate."""
    both = known["two"].rhs.subs(known["faster"].lhs, known["faster"].rhs)
    falling = sp.simplify(both / (w_1 * exp(-I_1 * T)))
    left = sp.limit(falling, T, sp.oo)
    return Eq(sp.Symbol("C/(w_1*e^(-I_1*T))"), left)


ONE_KEY = (
    *change.exact.steps,
    *(step for step in change.deviations.steps if step.name in change.UP_TO_THE_PREFACTOR),
    change.phases["drift"],
    change.phases["boundary"],
)
mixture = (
    Derivation("mixture", "the chance of a change where the last token is drawn, x with chance last[x]", ONE_KEY)
    .derive(
        "change_by_keys",
        "the chance of a change is the mean over the last token, each with its odds",
        # In one sum: Sympy would take the pieces of an inner one out of it.
        lambda known: Eq(
            C, sp.Sum(_weighed(of_one(known["change"].rhs.function)), *known["change"].rhs.limits, (x, 0, K - 1))
        ),
    )
    .given("two", "two keys, of parts w_1 and w_2, by their rates", Eq(C, w_1 * exp(-I_1 * T) + w_2 * exp(-I * T)))
    .given("faster", "the second falls faster, by some room", Eq(I, I_1 + room))
    .derive(
        "slowest",
        "the chance over the term of the slowest key: the least of the rates, with its prefactor, is all in the end",
        _slowest,
    )
    .derive(
        "slowest_key",
        "so the logarithm of the chance is that of the key of the least odds, whose rate is the least (by_odds)",
        lambda known: Eq(log(C), log(known["slowest"].rhs * w_1) + known["log_change"].rhs),
    )
    .derive(
        "steps_by_keys",
        "where prompts are long the chance climbs by last[x] where b passes the boundary of a key x, p_b = odds[x] p_a",
        lambda known: Eq(C, over_keys(sp.Heaviside(p_b - of_one(known["boundary"].rhs)))),
    )
)

# --- Odds inside a component ------------------------------------------------------------------------------------------


SHARES = rho * odds[x] / (rho * odds[x] + 1), odds[x] / (odds[x] + rho)
"""Of a, in prompts with rho of it to one, and with one to rho."""


def _scatter(known: Known) -> sp.Equality:
    """Of a root that the mean score of N prompts has instead of its expectation: its scatter over its slope."""
    one = known["score"].rhs / (last[x] * N * known["steepness"].rhs ** 2)
    return Eq(sp.Symbol("sd(ln r)"), sqrt(sp.Sum(one, (x, 0, K - 1))))


components = (
    Derivation(
        "odds_by_keys",
        "a component of two tokens under several keys, and what N prompts tell of it",
        training.odds.steps,
    )
    .given(
        "columns",
        "h_k = e^T W x_k for the keys k; where these are linearly independent, W gives each h_k any value",
        Eq(D, of_key(1, h_1) + of_key(2, h_2)),
    )
    .derive(
        "separate",
        "so no key feels another",
        lambda known: Eq(sp.Symbol("d2D/dh_1dh_2"), known["columns"].rhs.diff(h_1, h_2)),
    )
    .derive(
        "odds_by_keys",
        "the odds inside the component, under each key by its own labels and counts",
        lambda known: Eq(
            odds[x],
            known["component_odds"].rhs.subs({training.q: q[x], training.sigma: sigma[x]}) + known["separate"].rhs,
        ),
    )
    .given(
        "sampled",
        "the score of a prompt: whether its label is a, less the share of a; labels are drawn, and one of two counts",
        Eq(sp.Symbol("E(label)"), sum(SHARES) / 2),
    )
    .derive(
        "score",
        "variance of the score of a prompt: that of the label and that of the share, which know nothing of each other",
        lambda known: Eq(
            V,
            sp.factor(
                known["sampled"].rhs * (1 - known["sampled"].rhs)
                + sum((share - known["sampled"].rhs) ** 2 for share in SHARES) / 2
            ),
        ),
    )
    .derive(
        "steepness",
        "slope of the mean score in ln r",
        lambda known: Eq(J, sp.factor(known["sampled"].rhs.diff(odds[x]) * odds[x])),
    )
    .derive(
        "sampled_odds",
        "with N prompts drawn, of which last[x] have the key x, ln r is off by so much: root of the sum of "
        "squares over keys",
        _scatter,
    )
    .derive(
        "sampled_rate",
        "so the odds are approached with the number of prompts like a power",
        lambda known: Eq(
            sp.Symbol("dln(sd)/dlnN"), sp.simplify(N * sp.diff(log(known["sampled_odds"].rhs.subs(K, 1).doit()), N))
        ),
    )
)

# --- What must be seen ------------------------------------------------------------------------------------------------

slowest_rate = over_keys(exp(-T * of_one(change.rate)))
others = over_keys(exp(T * (change.rate - of_one(change.rate)))) / w_1 - 1  # both together: each alone leaves numbers
mean_odds = {change.r: over_keys(odds[x])}
rivals = {
    "slowest_key": Rival(
        "mean_odds",
        "what counts is the mean of the odds",
        Prediction(change.deviations["log_change"].equation.rhs.subs(mean_odds)),
    ),
    "steps_by_keys": Rival(
        "one_boundary",
        "one boundary, at the mean of the odds",
        Prediction(sp.Heaviside(p_b - p_a * over_keys(odds[x]))),
    ),
    "odds_by_keys": Rival("label_odds", "the odds of the labels", Prediction(q[x] / (1 - q[x]))),
}


def _signature(name: str, derivation: Derivation, criterion: Criterion, reason: str, exact: bool = False) -> Signature:
    """What a step of a derivation predicts, under the step's name and in its words."""
    known = Named(rivals[name]) if name in rivals else Named[Rival]()
    more = {"step": name, "exact": exact, "rivals": known}
    return Signature(name, derivation[name].words, name, derivation, criterion, reason, **more)


signatures = (
    _signature(
        "change_by_keys", mixture, Equals(rtol=1e-9), "nothing is left out; rounding in the incomplete beta function"
    ),
    _signature(
        "slowest_key",
        mixture,
        Equals(atol=change.length / T + change.apart + others),
        change.GENERIC + "; and what the other keys add, by their rates",
    ),
    _signature(
        "steps_by_keys",
        mixture,
        Equals(atol=slowest_rate + 1e-11),
        "Chernoff's bound on either side, e^(-I T) for each key; 1e-11 for rounding: the logarithms of factorials that "
        "are added up reach 2e4, of which half a unit in the last place is 2e-12, in each of five",
    ),
    _signature("odds_by_keys", components, Equals(rtol=1e-9), "descent has ended; rounding", exact=True),
    _signature(
        "sampled_odds",
        components,
        Equals(rtol=1 / replicas + components["sampled_odds"].equation.rhs ** 2),
        "of so many replicas it is low by 1/(4 replicas); the next order is the square of it, since the share bends by "
        "no more than itself as ln r grows by one",
    ),
)
