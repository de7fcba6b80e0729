"""What training makes of priorities: D1, D2, D4, and what a key and a query that are trained apart make of them.

With counts m_j and scores h_j = e_j^T W x_last the loss of a prompt is log sum_i m_i e^(h_i) - log m_y - h_y: logistic
regression with offsets log m, convex in W. Everything here follows from it, for any number of last tokens (keys) x_k,
since a score is the product of W with (e_j) (x_k)^T.
"""

from collections.abc import Mapping

import sympy as sp
from idealab.theory.topic_inertia.edges import edges
from sympy import Eq, exp, log, sqrt

from idealab.idea import Assumption, Named, Reference, Rival, Signature
from idealab.judge.criteria import Criterion, Equals
from idealab.judge.shapes import Rate, Slope
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

Known = Mapping[str, sp.Equality]

c, rho, t, r, eta, sigma, weight_decay, N = sp.symbols("c rho t r eta sigma weight_decay N", positive=True)
q, length = sp.symbols("q length", positive=True)
D, x, y, delta = sp.symbols("D x y delta", real=True)
ell, transfer, slope, gap, norm, pull = sp.symbols("ell transfer slope gap norm pull", real=True)
first, length_1 = sp.symbols("first length_1", positive=True)
n, n_1, n_2 = sp.symbols("n n_1 n_2", integer=True, positive=True)
i, j = sp.symbols("i j", integer=True, nonnegative=True)
more = sp.IndexedBase("more", nonnegative=True)
rank, w = sp.IndexedBase("rank"), sp.IndexedBase("w")
alpha, h, second = (sp.Function(name) for name in ("alpha", "h", "second"))


def _rival(name: str, statement: str, expression: sp.Expr) -> Rival:
    return Rival(name, statement, Prediction(expression, by_log=(t,)))


# --- D1: one edge -----------------------------------------------------------------------------------------------------


def _time(known: Known) -> sp.Equality:
    """Separate the variables of dD/dt = -c d ell/dD, from D = 0."""
    spent = sp.integrate(sp.simplify(-1 / known["loss"].rhs.diff(D)), D)
    return Eq(c * t, spent - spent.subs(D, 0))


def _lead(known: Known) -> sp.Equality:
    """The step takes the clock on by c, and by half its bend times the square of the step; over the step."""
    step = -c * known["loss"].rhs.diff(D)
    return Eq(gap, sp.factor(sp.simplify(known["time"].rhs.diff(D, 2) * step / 2)))


def _ahead(known: Known) -> sp.Equality:
    lead = sp.integrate(known["lead"].rhs, D)
    return Eq(gap, sp.factor(lead.subs(D, log(r)) - lead.subs(D, 0)) / known["time"].rhs.diff(D).subs(D, log(r)))


def _saturated(known: Known) -> sp.Equality:
    """Where the gradient, expanded in e^-D, meets the decay."""
    pull = sp.limit(known["loss"].rhs.diff(D) * exp(D), D, sp.oo) * exp(-D)
    balance = Eq(-c * pull, known["decay"].rhs)
    return Eq(r, exp(sp.solve(balance, D)[0]))


single = (
    Derivation("single_edge", "a prompt in which the label meets one other token")
    .given(
        "loss", "D: score of the label less the other's; rho: ratio of their counts", Eq(ell, log(1 + exp(-D) / rho))
    )
    .derive("time", "the flow dD/dt = -c d ell/dD; c is eta |phi|^2, phi = (e_y - e_i) x_last^T", _time)
    .derive(
        "odds_growth",
        "the odds e^D of the label, per token, grow like t",
        lambda known: Eq(r, sp.solve(known["time"].subs(D, log(r)), r)[0]),
    )
    .derive(
        "lead",
        "a step, D more by -c d ell/dD, takes this clock on by more than c: for each unit of D, to first order in c",
        _lead,
    )
    .derive("ahead", "so descent is ahead of the flow in D = ln r by", _ahead)
)
saturation = (
    Derivation("saturation", "the same with weight decay", single.steps[:1])
    .given("decay", "what weight decay takes of D", Eq(gap, eta * weight_decay * D))
    .derive("saturated_odds", "the odds stop growing", _saturated)
)

# --- D2: a chain, and two of them -------------------------------------------------------------------------------------


def _duals(known: Known) -> sp.Equality:
    free = sp.sympify(sp.rsolve(known["margins"].lhs - known["margins"].rhs, alpha(i)))
    constants = sorted(free.free_symbols - {i, n}, key=str)
    ends = sp.solve([free.subs(i, end) for end in (0, n)], constants, dict=True)[0]
    return Eq(alpha(i), sp.factor(free.subs(ends)))


def _scores(known: Known) -> sp.Equality:
    found = known["stationary"].rhs.replace(alpha, lambda index: known["duals"].rhs.subs(i, index))
    return Eq(known["stationary"].lhs, sp.expand(found))


def _norm(known: Known) -> sp.Equality:
    squared = sp.factor(sp.summation(known["scores"].rhs ** 2, (i, 1, n)))
    return Eq(norm, sqrt(squared.subs(n, n_1) + squared.subs(n, n_2)) / length**2)


chain = (
    Derivation("chain", "the graph-SVM of a chain of n tokens: the least W with w_i - w_(i+1) = 1")
    .given("stationary", "w is the sum of the duals' edges; alpha(0) = alpha(n) = 0", Eq(w[i], alpha(i) - alpha(i - 1)))
    .given(
        "margins",
        "every edge has margin one: w_i - w_(i+1) with the line above",
        Eq(2 * alpha(i) - alpha(i - 1) - alpha(i + 1), 1),
    )
    .derive("duals", "the recurrence solved, with both ends zero", _duals)
    .derive("scores", "the priorities", _scores)
    .derive(
        "priority",
        "gaps of the scores as parts of that between head and tail, for the tokens at these ranks",
        lambda known: Eq(
            h(rank[j]),
            sp.factor(known["scores"].rhs / (known["scores"].rhs.subs(i, 1) - known["scores"].rhs.subs(i, n))).subs(
                {i: rank[j], n: n_1}
            ),
        ),
    )
    .derive(
        "norm_growth",
        "d|W|/d ln t of two chains without a common token, of orthogonal tokens of this length: h = length^2 W",
        _norm,
    )
    .derive(
        "head_gap",
        "heads of two chains that nothing compares: whichever has more below it comes first",
        lambda known: Eq(
            gap, sp.factor(known["scores"].rhs.subs({i: 1, n: n_1}) - known["scores"].rhs.subs({i: 1, n: n_2}))
        ),
    )
    .given("second_topic", "a second topic goes on from the tail of the first chain", Eq(length_1, n_1 + more[j]))
    .derive(
        "flip",
        "so the order of two heads that nothing compares is no matter of their topic: the second turns it round where "
        "n_1 < n_2 < n_1 + more",
        lambda known: Eq(gap, known["head_gap"].rhs.subs(n_1, known["second_topic"].rhs)),
    )
)

# --- Two keys, one or two matrices ------------------------------------------------------------------------------------


def _frobenius(known: Known) -> sp.Equality:
    size = known["frobenius"].rhs
    least = sp.solve([size.diff(x), size.diff(y)], [x, y], dict=True)[0]
    return Eq(transfer, (x - y).subs(least))


def _nuclear(known: Known) -> sp.Equality:
    """The columns' sum and difference are orthogonal, since the columns have one length; so their lengths tell all."""
    first, second = sp.Matrix([x, x - 1, y]), sp.Matrix([x, y, x - 1])
    both = [(first + sign * second).subs(known["free"].lhs, known["free"].rhs) for sign in (1, -1)]
    return Eq(known["two_matrices"].lhs, sum(sqrt(sp.factor(column.dot(column)) / 2) for column in both))


def _pull(known: Known) -> sp.Equality:
    """Where delta = 0 and x is best: the slope of the smooth part of the norm across, over that of the corner."""
    smooth, corner = known["nuclear"].rhs.replace(sp.Abs, lambda _: 0), known["nuclear"].rhs.coeff(sp.Abs(delta))
    at = {x: sp.solve(smooth.subs(delta, 0).diff(x), x)[0], delta: 0}
    return Eq(pull, sp.simplify(sp.Abs(smooth.diff(delta).subs(at)) / corner))


def _shared(known: Known) -> sp.Equality:
    """The norm is least in the corner delta = 0, if the smooth part is less steep there."""
    off = sp.Piecewise((0, known["pull"].rhs < 1), (sp.nan, True))
    return Eq(transfer, (x - known["free"].rhs).subs(delta, off))


def _sharing_rate(known: Known) -> sp.Equality:
    share = sp.dsolve(known["growth"].subs(pull, known["pull"].rhs), second(first)).rhs / first
    return Eq(slope, sp.simplify(first * share.diff(first) / share))


SHEEN = Reference(
    "sheen2024",
    "Sheen, Chen, Wang and Zhou",
    2024,
    "Implicit regularization of gradient flow on one-layer softmax attention",
    "arXiv 2403.08699; proved for starts aligned with the data, here they are random",
)
sharing = (
    Derivation("sharing", "one key ranks 0 before 1, another 0 before 2; what the first thinks of 2")
    .given(
        "scores", "by symmetry: scores (x, x - 1, y) under the first key, (x, y, x - 1) under the other", Eq(gap, x - y)
    )
    .given("frobenius", "half of |W|^2", Eq(norm, x**2 + (x - 1) ** 2 + y**2))
    .derive("transfer", "the least W: the untrained gap over the trained one", _frobenius)
    .given("free", "what y may be", Eq(y, x - 1 + delta))
    .cite(
        "two_matrices",
        "K and Q that are trained apart make the sum of the singular values of W small",
        Eq(norm, first + second(first)),
        SHEEN,
    )
    .derive("nuclear", "the singular values: lengths of the columns' sum and difference, over sqrt(2)", _nuclear)
    .derive("pull", "the pull of the loss along the second singular vectors, over that along the first", _pull)
    .derive("shared_gap", "both keys rank alike", _shared)
    .given(
        "growth",
        "K and Q balanced: a singular value grows by its size times the pull; the first like ln t",
        Eq(second(first).diff(first), pull * second(first) / first),
    )
    .derive(
        "sharing_rate",
        "how fast in ln t what they still differ by goes, from a start that has some of the second",
        _sharing_rate,
    )
)

# --- D4: odds inside a component --------------------------------------------------------------------------------------


def _odds(known: Known) -> sp.Equality:
    """The positive root, in the mean sigma of the count ratio and its inverse."""
    top = sp.Poly(sp.fraction(sp.together(known["balance"].lhs - known["balance"].rhs))[0], r)
    quadratic = sum(
        sp.cancel(sp.expand(part / rho).subs(rho, sigma + sqrt(sigma**2 - 1))) * r**power
        for (power,), part in top.terms()
    )
    roots = sp.solve(quadratic, r)
    even = {q: sp.Rational(1, 2)}
    found = sp.simplify(next(root for root in roots if sp.simplify(root.subs(even)).is_positive))
    return Eq(
        r, found.replace(lambda part: part.is_Pow, lambda power: sp.collect(power.base, sigma, sp.factor) ** power.exp)
    )


KINDS = (rho * r, 1), (r, rho)
"""Weights of a and b in the prompts of either kind."""


def _late(known: Known) -> sp.Equality:
    """To first order in y and in what ln r is off by: where both are zero, the shares are those of the labels."""
    short = known["growth"], known["other"]
    rows = [Eq((r * part.lhs.diff(r)).subs(y, 0) * gap + part.lhs.diff(y).subs(y, 0) * y, part.rhs) for part in short]
    return Eq(gap, sp.factor(sp.solve(rows, [gap, y], dict=True)[0][gap]))


odds = (
    Derivation("component_odds", "two tokens, each the label of some prompts: a component")
    .given(
        "balance",
        "the mean share of a is that of the labels, q; half of the prompts have counts rho to 1, half 1 to rho",
        Eq((rho * r / (rho * r + 1) + r / (r + rho)) / 2, q),
    )
    .derive("component_odds", "the odds inside the component, with sigma = (rho + 1/rho)/2", _odds)
    .derive(
        "equal_counts",
        "with as many of each in every prompt",
        lambda known: Eq(r, sp.simplify(known["component_odds"].rhs.subs(sigma, 1))),
    )
    .given(
        "growth",
        "over a token below, of weight y to one of b, both labels still gain ln(t)/3: a falls short of its labels",
        Eq(q - sum(a / (a + b + y) for a, b in KINDS) / 2, 1 / (3 * eta * t)),
    )
    .given("other", "and b", Eq(1 - q - sum(b / (a + b + y) for a, b in KINDS) / 2, 1 / (3 * eta * t)))
    .derive("late", "so ln r is still off by", _late)
    .derive(
        "odds_rate",
        "how fast the odds are approached",
        lambda known: Eq(slope, sp.simplify(t * sp.diff(log(known["late"].rhs), t))),
    )
)

# --- What must be seen ------------------------------------------------------------------------------------------------

AHEAD = (
    "discrete steps are ahead of the flow: `ahead`, to all orders times e to the first step, c/(1 + rho), at most; "
    "twice that, and 1e-8 for the integrator"
)
STRAIGHT = (
    "scores are straight lines in ln t once margins have settled; what has not by t = e^15, less than a tenth "
    "(`settling` of edges), is spread over ln t; a product of two matrices bends them by about as much"
)
SETTLED = "what is left of the way (`settling`), kappa the slowest rate of the edges; 1e-8, and rounding of ln t"
BELOW = "what a token below still takes (`late`), twice: the next orders are smaller than it"

ahead = single["ahead"].equation.rhs.subs(r, single["odds_growth"].equation.rhs)
off = odds["late"].equation.rhs.subs(r, odds["component_odds"].equation.rhs)
held = sp.LambertW(c / (eta * rho * weight_decay))


rivals = {
    "odds_growth": [
        _rival("no_counts", "how often each occurs does not matter", single["odds_growth"].equation.rhs.subs(rho, 1))
    ],
    "edge_clock": [_rival("alike", "all edges keep one time", log(eta / N))],
    "head_gap": [_rival("no_order", "tokens that nothing compares tie", sp.S.Zero)],
    "flip": [_rival("kept", "heads keep the order of their topic", chain["head_gap"].equation.rhs)],
    "transfer": [_rival("nothing", "nothing is thought of it", sp.S.Zero)],
    "component_odds": [_rival("label_odds", "the odds of the labels", odds["equal_counts"].equation.rhs)],
}


def _signature(
    name: str, derivation: Derivation, criterion: Criterion, reason: str, observable: str, primary: bool = True
) -> Signature:
    """What a step of a derivation predicts, under the step's name and in its words."""
    others = Named(*rivals.get(name, ()))
    words = derivation[name].words
    more = {"step": name, "by_log": (t,), "rivals": others, "primary": primary}
    return Signature(name, words, observable, derivation, criterion, reason, **more)


signatures = (
    _signature("odds_growth", single, Equals(rtol=2 * exp(c / (1 + rho)) * ahead + 1e-8), AHEAD, "odds"),
    _signature("priority", chain, Equals(atol=0.1 / log(t)), STRAIGHT, "priority"),
    _signature("norm_growth", chain, Equals(rtol=0.1 / log(t)), STRAIGHT, "norm_growth"),
    _signature("head_gap", chain, Equals(atol=0.1 / log(t)), STRAIGHT, "head_gap"),
    _signature("flip", chain, Equals(atol=0.1 / log(t)), STRAIGHT, "flip"),
    _signature("transfer", sharing, Equals(atol=0.1 / log(t)), STRAIGHT, "transfer"),
    _signature(
        "edge_clock",
        edges,
        Equals(atol=edges["settling"].equation.rhs + 1e-8 + 1e-13 * log(t)),
        SETTLED,
        "edge_clock",
    ),
    _signature("component_odds", odds, Equals(rtol=2 * sp.Abs(off)), BELOW, "component_odds"),
    _signature(
        "odds_rate",
        odds,
        Rate(along="log_t", ideal=odds["component_odds"].equation.rhs, atol=0.05),
        "the next order, a fifth of it at t = 1000 or less, bends the line by less than a twentieth",
        "component_odds",
    ),
)

saturated = _signature(
    "saturated_odds",
    saturation,
    Equals(rtol=2 * eta * weight_decay * held / c + exp(-eta * weight_decay * t)),
    "1 + rho r is taken for rho r: eta weight_decay D/c, twice; and the transient",
    "odds",
)
sharing_rate = _signature(
    "sharing_rate",
    sharing,
    Slope(along="horizon", atol=0.03, estimand="median"),
    "the next order is another power of ln t, below a thirtieth past ln t = 100; but for starts that have hardly any "
    "of the second singular vectors",
    "apart",
    primary=False,
)

assumptions = (
    Assumption("one_matrix", "W is trained, not a key and a query matrix", "breaks", ("transfer",), sharing_rate),
    Assumption("one_matrix_for_one_key", "the same, with a single last token", "does_not_matter", ("priority",)),
    Assumption("plain_descent", "steps are the learning rate times the gradient; not Adam", "breaks", ("edge_clock",)),
    Assumption("no_weight_decay", "only the loss pulls on W", "breaks", ("odds_growth",), saturated),
    Assumption("rotation", "the axes of the embedding are arbitrary", "does_not_matter", ("edge_clock",)),
    Assumption("start", "W starts at zero", "does_not_matter", ("edge_clock",)),
)
