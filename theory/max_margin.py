"""Gradient descent on separable data turns toward the L2 max-margin separator: the shares q of the samples in the loss
settle on the dual weights p of the hard-margin problem, and the logarithm of time is the clock.

The model is gradient descent with step size eta on L(w) = sum_n c_n ell(u_n), u_n = x_n . w, with labels folded into x,
a loss with an exponential tail (logistic or exponential) and sample weights c_n = 1. It is a *sum* over samples: for
the mean, divide eta by their number. Symbols and parameters of an instance:

- w_hat, gamma: the separator argmin |w| with X w >= 1, and its margin 1/|w_hat|
- p[n]: gamma^2 times the dual of the k support vectors, sum p x = gamma^2 w_hat, sum p = 1; with dependent support
  vectors the solution of largest entropy. H = -sum p ln p; p_max is the largest
- pinv[j, n]: pseudo-inverse of the support vectors' rows, shape (d, k)
- q[n]: share exp(-u_n)/sum exp(-u) of a sample in the loss; Lambda = -ln L; tau = eta gamma^2 t after t steps
- theta: smallest x . w_hat off the support, or as good as infinite if there is none
- lambda_min: least eigenvalue of G diag(p)/gamma^2, G the Gram matrix of the support vectors, leaving out the 1 that
  belongs to w_hat and zeros (dependent support vectors); as good as infinite if there is no other
- R: limit of the norm of w orthogonal to w_hat

Arrays of one fixed length hold any number of support vectors: p is **padded with ones**, which carry no entropy, and
pinv with zeros. Vectors that are measured on the support are zero at the padding.
"""

from collections.abc import Mapping
from functools import cache

import sympy as sp
from sympy import Eq, Min, exp, log, sqrt

from idealab.idea import Assumption, Idea, Named, Reference, Rival, Signature
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

Known = Mapping[str, sp.Equality]

eta, gamma, t, p_max, theta, lambda_min, R = sp.symbols("eta gamma t p_max theta lambda_min R", positive=True)
b, weight_decay, L, r, z, delta, epsilon = sp.symbols("b weight_decay L r z delta machine_epsilon", positive=True)
k, n, m, j = sp.symbols("k n m j", integer=True, nonnegative=True)
p, q, c = (sp.IndexedBase(name, positive=True) for name in "pqc")
G, pinv, pseudo_inverse, w_hat, w_S = (sp.IndexedBase(name) for name in ("G", "pinv", "pseudo_inverse", "w_hat", "w_S"))
u, e, h = (sp.Function(name) for name in "ueh")
# y stands for gamma^2 w_hat . w, and s for ln t.
y, s, a, f, g, Lambda, gap = sp.symbols("y s a f g Lambda gap", real=True)
tau = eta * gamma**2 * t


def over(term: sp.Expr, index: sp.Symbol = n) -> sp.Sum:
    """Sum over the support vectors."""
    return sp.Sum(term, (index, 0, k - 1))


# --- The shares settle on p, on the clock ln t; what follows for the margin ------------------------------------------


def _out_of_balance(margins: sp.Expr, known: Known) -> sp.Expr:
    """What the flow leaves over when these are the margins, for any number of support vectors."""
    forced = known["flow"].rhs.replace(u, lambda index, _: margins.subs(n, index))
    return margins.diff(t) - sp.factor_terms(forced).subs(known["dual"].lhs, known["dual"].rhs)


def _clock(known: Known) -> sp.Equality:
    loss = known["loss"].rhs.replace(u, lambda *_: known["settled"].rhs)
    return Eq(t * L, t * sp.factor_terms(loss).subs(known["simplex"].lhs, known["simplex"].rhs))


def _weights(known: Known) -> sp.Equality:
    return Eq(q[n], known["share"].rhs.subs(u(n, t), known["settled"].rhs).subs(L, known["loss_clock"].rhs / t))


def _margins(known: Known) -> sp.Equality:
    return Eq(u(n, t), sp.expand_log(sp.solve(known["share"], u(n, t))[0]).subs(log(L), -Lambda))


def _alike(known: Known, step: str) -> sp.Expr:
    """The margins that a step gives when all samples weigh the same."""
    return known[step].rhs.subs(c[n], known["unweighted"].rhs)


def _cross_entropy(known: Known) -> sp.Equality:
    terms = sp.Add.make_args(sp.expand(known["separator"].rhs.function.subs(u(n, t), _alike(known, "margins"))))
    return Eq(y, sp.Add(*map(sp.factor_terms, map(over, terms))).subs(known["simplex"].lhs, known["simplex"].rhs))


def _residual(known: Known) -> sp.Equality:
    inside = known["span"].rhs.function.subs(u(n, t), sp.expand_log(_alike(known, "settled")))
    inside = sp.factor(inside - log(t) * known["span_hat"].rhs.function)
    return Eq(w_S[j] - w_hat[j] * log(t), over(sp.logcombine(inside)))


def _relative_gap(known: Known) -> sp.Equality:
    """Put in Lambda = ln tau; the least margin is that of the largest weight."""
    clock = log(t / known["loss_clock"].rhs)
    least = clock + known["support_shape"].rhs.subs(p[n], p_max)
    return Eq(gap, 1 - least / (gamma * known["norm"].rhs.subs(y, clock + known["projection"].rhs)))


def _expansion(known: Known) -> sp.Equality:
    h = sp.Dummy("H", positive=True)
    near = known["relative_gap"].rhs.subs(known["projection"].rhs, h).subs(log(tau), 1 / z)
    series = sp.series(near, z, 0, 3).removeO()
    return Eq(gap, sp.collect(series, z, sp.factor).subs(z, 1 / log(tau)).subs(h, known["projection"].rhs))


def _textbook(known: Known) -> sp.Equality:
    return Eq(gap, known["expansion"].rhs.subs(log(tau), 1 / z).diff(z).subs(z, 0) / log(tau))


def _late(known: Known) -> sp.Equality:
    """Separate the variables of the flow, and expand t ell in exp(-u), which is 1/tau to leading order."""
    time = sp.integrate(1 / known["one_flow"].rhs.subs(e(t), f), f).subs(exp(f), 1 / z) - a
    late = sp.series(time * log(1 + z), z, 0, 2).removeO()
    return Eq(t * L, late.subs(z, 1 / tau).subs(f, log(tau)))


def _ahead(known: Known) -> sp.Equality:
    """Add up the steps of exp(u), each expanded in exp(-u) = 1/tau, and turn the sum round."""
    step = sp.series(exp(known["one_step"].rhs.subs(e(t), -log(z))) - 1 / z, z, 0, 2).removeO()
    total = sp.integrate(step.subs(z, 1 / tau), t)
    return Eq(t * L, sp.expand((2 * tau - total) / tau / (eta * gamma**2)))


settling = (
    Derivation("settling", "the shares of the samples settle on the dual weights, on the clock ln t")
    .given(
        "flow",
        "gradient flow of the support vectors' margins; c are sample weights",
        Eq(u(n, t).diff(t), eta * over(G[n, m] * c[m] * exp(-u(m, t)), m)),
    )
    .given("dual", "w_hat = sum p x/gamma^2 has margin one on the support", Eq(over(G[n, m] * p[m], m), gamma**2))
    .given("simplex", "the dual weights sum to one", Eq(over(p[n]), 1))
    .given("loss", "the loss", Eq(L, over(c[n] * exp(-u(n, t)))))
    .given("share", "the share of a sample in it", Eq(q[n], c[n] * exp(-u(n, t)) / L))
    .given("unweighted", "all samples weigh the same", Eq(c[n], 1))
    .given("separator", "y = gamma^2 w_hat . w, by the dual", Eq(y, over(p[n] * u(n, t))))
    .given("span", "the part of w in the span of the support vectors", Eq(w_S[j], over(pinv[j, n] * u(n, t))))
    .given("span_hat", "and that of w_hat, whose margins are one", Eq(w_hat[j], over(pinv[j, n])))
    .given("norm", "of w, along w_hat and across it", Eq(sp.Symbol("|w|"), sqrt(y**2 + gamma**2 * R**2) / gamma))
    .check(
        "settled",
        "margins that balance every row of the flow",
        Eq(u(n, t), log(tau * c[n] / p[n])),
        lambda equation, known: _out_of_balance(equation.rhs, known),
    )
    .derive("loss_clock", "the loss is 1/(eta gamma^2 t), whatever the sample weights", _clock)
    .derive("weights", "the shares are the dual weights", _weights)
    .derive("margins", "exact at every w, with Lambda = -ln L", _margins)
    .derive(
        "support_shape",
        "the margin of a support vector exceeds -ln L by -ln p_n",
        lambda known: Eq(u(n, t) - Lambda, _alike(known, "margins").subs(q[n], known["weights"].rhs) - Lambda),
    )
    .derive("cross_entropy", "exact at every w; the sum over q is H(p) + KL(p|q)", _cross_entropy)
    .derive(
        "projection",
        "gamma^2 w_hat . w exceeds -ln L by the entropy of p",
        lambda known: Eq(y - Lambda, known["cross_entropy"].rhs.xreplace({q[n]: known["weights"].rhs}) - Lambda),
    )
    .derive("support_residual", "w - w_hat ln t tends to a constant on the span, whatever the start", _residual)
    .derive("relative_gap", "1 - margin/gamma, to all orders in 1/ln(tau)", _relative_gap)
    .derive("expansion", "the same to second order", _expansion)
    .derive("textbook_gap", "the same to first order, (H - H_inf)/ln(tau)", _textbook)
    .given("one_flow", "one support vector, logistic loss", Eq(e(t).diff(t), eta * gamma**2 / (1 + exp(e(t)))))
    .derive("late", "how its loss is late on the clock; a is set by the start", _late)
    .given("one_step", "one step, exponential loss", Eq(e(t + 1), e(t) + eta * gamma**2 * exp(-e(t))))
    .derive("ahead", "how discrete steps are ahead of it", _ahead)
)

# --- How fast they settle --------------------------------------------------------------------------------------------


def _linear(known: Known) -> sp.Equality:
    """The flow in s = ln t, to first order in deviations h of the margins, for any number of support vectors."""
    margins = known["settled"].rhs + delta * h(n, s)
    flow = known["flow"].rhs.replace(u, lambda index, _: margins.subs(n, index))
    return Eq(h(n, s).diff(s), sp.factor_terms(t * flow.diff(delta).subs(delta, 0)))


def _divergence(known: Known) -> sp.Equality:
    """KL(p|q) = -ln(1 - Q) + ln sum p exp(h) for q = (1 - Q) p exp(h)/Z with sum p h = 0, to leading order."""
    p_1, p_2 = 1 / (1 + r), r / (1 + r)
    spread = p_1 * (exp(p_2 * delta) - 1) + p_2 * (exp(-p_1 * delta) - 1)  # h_1 - h_2 = delta
    inside = sp.factor(log(1 + spread).diff(delta, 2).subs(delta, 0)) * e(s) ** 2 / 2
    outside = exp(-known["outside"].rhs) * t / known["loss_clock"].rhs
    return Eq(sp.Symbol("KL"), inside + sp.powsimp(sp.expand(outside.subs(t, exp(s)))))


@cache
def _late_slope(decaying: sp.Expr, *rates: sp.Rational) -> sp.Expr:
    """Log-log slope in the limit, for given rates: of a quotient of polynomials in z = e^(-s/k), at 0."""
    z, k = sp.Symbol("z", positive=True), sp.ilcm(*(rate.q for rate in rates))
    sums = decaying.subs(dict(zip((lambda_min, theta), rates, strict=True))).subs(s, -k * log(z))
    return sp.cancel(-z / k * sums.diff(z) / sums).subs(z, 0)


def _slopes(equation: sp.Equality, decaying: sp.Expr) -> list[sp.Expr]:
    """Late log-log slope less the typed one, with each of the rates in turn the slowest."""
    cases = [[sp.Rational(rate) for rate in case.split()] for case in ("1/2 5/2", "1/2 2", "3/2 4/3", "3/2 4")]
    return [_late_slope(decaying, *two) - equation.rhs.subs({lambda_min: two[0], theta: two[1]}) for two in cases]


relaxation = (
    Derivation("relaxation", "how fast the shares settle", settling.steps)
    .derive("linear", "deviations h of the margins decay by the matrix G diag(p)/gamma^2", _linear)
    .given(
        "mode",
        "slowest mode of ln q in s = ln t; logistic loss and steps force it like 1/t, samples off the support last",
        Eq(e(s).diff(s), -lambda_min * e(s) + f * exp(-s) + g * exp((1 - theta) * s)),
    )
    .derive("deviation", "the solution", lambda known: sp.dsolve(known["mode"], e(s)))
    .check(
        "shape_rate",
        "the shape is approached with the slowest of three rates: d ln|e|/d ln t, at four points",
        Eq(sp.Symbol("slope"), -Min(lambda_min, theta - 1, 1)),
        lambda equation, known: _slopes(equation, known["deviation"].rhs),
    )
    .given("outside", "the margin off the support", Eq(u(m, t), theta * log(t) + a))
    .derive("divergence", "two support vectors: quadratic on the support, linear in the share off it", _divergence)
    .check(
        "divergence_rate",
        "KL(p|q) decays twice as fast, unless samples off the support hold it up: d ln KL/d ln t, at four points",
        Eq(sp.Symbol("slope"), -Min(2 * lambda_min, theta - 1, 2)),
        lambda equation, known: _slopes(equation, known["divergence"].rhs.subs(e(s), known["deviation"].rhs)),
    )
)

# --- Without an assumption -------------------------------------------------------------------------------------------


def _decayed(known: Known) -> sp.Equality:
    h, positive = sp.symbols("h y", positive=True)
    parts = known["projection"].rhs, known["balance"].rhs.subs(y, positive)
    return Eq(y, sp.solve(Eq(positive, -log(parts[1]) + h), positive)[0].subs(h, parts[0]))


decay = (
    Derivation("decay", "where weight decay stops the separator", settling.steps)
    .given("balance", "w_hat . (gradient + weight_decay w) = 0", Eq(L, weight_decay * y / gamma**2))
    .derive("stopped_projection", "w stops where the loss is weight_decay w_hat . w", _decayed)
)


def _tail_gap(known: Known) -> sp.Equality:
    """From the limits of e^(b+2)/t; the margin is that of the short point, and gamma = 3/sqrt(10)."""
    growths = [sp.dsolve(known[step], e(t)).rhs ** (b + 2) for step in ("short", "long")]
    short, long = (sp.limit(sp.powsimp(sp.powdenest(growth)) / t, t, sp.oo) for growth in growths)
    tangent = sp.simplify(long / short) ** (1 / (b + 2))
    return Eq(gap, 1 - known["gamma"].rhs ** -1 / sqrt(1 + tangent**2))


tail = (
    Derivation("tail", "two orthogonal points, of lengths 1 and 3, under the loss u^-b")
    .given("short", "the component of w along the first", Eq(e(t).diff(t), eta * b * e(t) ** (-b - 1)))
    .given("long", "the component along the second", Eq(e(t).diff(t), 3 * eta * b * (3 * e(t)) ** (-b - 1)))
    .given("gamma", "w_hat = (1, 1/3)", Eq(gamma, 1 / sqrt(1 + sp.Rational(1, 9))))
    .derive("polynomial_gap", "w turns to the slope 3^(-b/(b+2)), where w_hat has 1/3", _tail_gap)
)


interpolation = (
    Derivation("interpolation", "the squared loss (1 - u)^2/2, from the origin")
    .given(
        "mode", "a sample drives a singular vector of value delta", Eq(e(t).diff(t), eta * delta * (f - delta * e(t)))
    )
    .given(
        "inverse",
        "the pseudo-inverse, f and g the entries of the left and the right vector",
        Eq(pseudo_inverse[j, n], f * g / delta),
    )
    .derive(
        "end",
        "where it ends",
        lambda known: Eq(e(sp.oo), sp.limit(sp.dsolve(known["mode"], e(t), ics={e(0): 0}).rhs, t, sp.oo)),
    )
    .derive(
        "least_squares",
        "vectors and samples put together: the least-squares solution of least norm",
        lambda known: Eq(
            sp.IndexedBase("w")[j], over((g * known["end"].rhs).subs(known["inverse"].rhs, known["inverse"].lhs))
        ),
    )
)

bias = 10 * (1 + log(tau)) / tau + 1e-8 + 450 * epsilon * log(t) / gamma
BIAS = (
    "the logistic loss is late by (1 + ln tau)/tau, discrete steps are ahead by eta gamma^2/2 times as much (`late`, "
    "`ahead`): ten times that, for the start and more support vectors with rates above 1; 1e-8 for the integrator; "
    "450 roundings of ln t/gamma in x . w, whose terms are of size |x| ln t/gamma, and in the reference solution"
)
STRETCH = "the pseudo-inverse stretches errors of the margins by at most 1/(gamma sqrt(lambda_min)); those: " + BIAS
QUOTIENT = "margin and norm each bring their error, over ln(tau): " + BIAS
NEXT = "twice the next order (`expansion`), its terms without their signs; the error of relative_gap: " + QUOTIENT
SLOPE = "the next rate still adds up to a tenth while the distance is below 1e-3; near ties throw single seeds off"

entropy, largest = settling["projection"].equation.rhs, -log(p_max)
next_order = (2 * entropy * (entropy - largest) + gamma**2 * R**2) / log(tau) ** 2


def _rival(name: str, statement: str, expression: sp.Expr) -> Rival:
    return Rival(name, statement, Prediction(expression, by_log=(t,)))


rivals = {
    "loss_clock": [_rival("convex_bound", "as slow as the bound for convex losses", log(tau) ** 2 * t / (2 * tau))],
    "projection": [_rival("no_entropy", "nothing is left over", sp.S.Zero)],
    "support_shape": [_rival("no_shape", "nothing is left over", sp.S.Zero)],
    "shape_rate": [
        _rival("clock_rate", "the shape settles with the clock, like 1/t", sp.S.NegativeOne),
        _rival("unforced", "nothing but slow modes holds it up", -Min(lambda_min, theta - 1)),
    ],
    "divergence_rate": [
        _rival("support_only", "samples off the support do not matter", -2 * lambda_min),
        _rival("unforced", "nothing but slow modes holds it up", -Min(2 * lambda_min, theta - 1)),
        _rival("first_order", "as fast as the shape", relaxation["shape_rate"].equation.rhs),
    ],
    "support_residual": [_rival("no_residual", "nothing is left over", sp.S.Zero)],
    "relative_gap": [
        _rival("textbook", "the leading order suffices", settling["textbook_gap"].equation.rhs),
        _rival("angle", "only the angle to w_hat matters", 1 - log(tau) / sqrt(log(tau) ** 2 + gamma**2 * R**2)),
    ],
    "textbook_gap": [_rival("angle", "only the angle to w_hat matters", (gamma * R / log(tau)) ** 2 / 2)],
}


def _signature(name: str, observable: str, derivation: Derivation, criterion: Equals, reason: str) -> Signature:
    """What a step of a derivation predicts, under the step's name and in its words."""
    others = Named(*rivals.get(name, ()))
    words = derivation[name].words
    return Signature(name, words, observable, derivation, criterion, reason, step=name, by_log=(t,), rivals=others)


signatures = Named(
    _signature("loss_clock", "loss_times_time", settling, Equals(rtol=bias), BIAS),
    _signature("projection", "projection_excess", settling, Equals(atol=bias), BIAS),
    _signature("support_shape", "support_excess", settling, Equals(atol=bias), BIAS),
    _signature("shape_rate", "shape_slope", relaxation, Equals(rtol=0.1, estimand="median"), SLOPE),
    _signature("divergence_rate", "divergence_slope", relaxation, Equals(rtol=0.1, estimand="median"), SLOPE),
    _signature(
        "support_residual", "residual", settling, Equals(atol=bias / (gamma * sqrt(Min(1, lambda_min)))), STRETCH
    ),
    _signature("relative_gap", "relative_gap", settling, Equals(atol=2 * bias / log(tau)), QUOTIENT),
    _signature("textbook_gap", "far_relative_gap", settling, Equals(atol=next_order + 2 * bias / log(tau)), NEXT),
)
LIMITS = ("loss_clock", "projection", "support_shape", "support_residual", "relative_gap")

polynomial_gap = _signature(
    "polynomial_gap", "relative_gap", tail, Equals(atol=bias), "the start is forgotten like 1/t: " + BIAS
)
stop = decay["stopped_projection"].equation.rhs
variance = over(p[n] * log(p[n]) ** 2) - entropy**2
off_stop = variance / (1 + lambda_min * stop) ** 2 + 2 * weight_decay * stop / gamma**2
stopped_projection = _signature(
    "stopped_projection",
    "separator_projection",
    decay,
    Equals(atol=off_stop + stop * exp(-eta * weight_decay * t)),
    "ln q is off ln p by (ln p + H)/(1 + lambda y) in each mode, so KL(p|q) is at most half the variance of ln p over "
    "(1 + lambda_min y)^2, of order 1/y^2: twice that; twice the loss for the logistic loss; and the transient",
)
least_squares = _signature(
    "least_squares",
    "weights",
    interpolation,
    Equals(atol=1e-6),
    "what is left decays exponentially: below 1e-6 once eta sigma_min^2 t exceeds 14 or so",
)

assumptions = Named(
    Assumption("exponential_tail", "the loss decays like exp(-u)", "breaks", ("relative_gap",), polynomial_gap),
    Assumption("separability", "some w classifies every sample correctly", "breaks", ("loss_clock",)),
    Assumption("no_weight_decay", "only the loss pulls on w", "breaks", ("loss_clock",), stopped_projection),
    Assumption("classification_loss", "the loss falls as u grows", "breaks", ("relative_gap",), least_squares),
    Assumption("double_precision", "steps stay above half an ulp of w", "breaks", ("loss_clock",)),
    Assumption("mixing", "min(lambda_min, theta - 1) ln(t) is large", "breaks", ("support_residual",)),
    Assumption("uniform_sample_weights", "samples weigh the same in the loss", "does_not_matter", ("loss_clock",)),
    Assumption("start", "w starts near the origin", "does_not_matter", LIMITS),
    Assumption("rotation", "the axes are arbitrary", "does_not_matter", LIMITS),
    Assumption("step_size", "steps are of a certain size, below 8/sigma_1^2", "does_not_matter", LIMITS),
)

idea = Idea(
    name="max_margin",
    statement=" ".join((__doc__ or "").split("\n\n")[0].split()),
    scope="linear classifiers, separable data, a loss with an exponential tail, descent with a constant step below "
    "8/sigma_1^2, and ln(t) large against 1/min(1, lambda_min, theta - 1)",
    failure_modes=(
        "lambda_min and theta - 1 are tiny on random and on real data: the limit is out of reach of plain descent",
        "p uniform: the 1/ln(t) term of the gap vanishes, and 1/ln(t)^2 leads",
        "data that are not separable: w converges, and the loss does not vanish",
        "Adam: its epsilon of 1e-8 already changes where it goes",
        "float32: steps fall below half an ulp of w when t ln(t) is near 2^24",
    ),
    references=(
        Reference(
            "soudry2018", "Soudry et al.", 2018, "The implicit bias of gradient descent on separable data", "Theorem 3"
        ),
        Reference("ji2018", "Ji and Telgarsky", 2018, "Risk and parameter convergence of logistic regression"),
        Reference("nacson2019", "Nacson et al.", 2019, "Convergence of gradient descent on separable data"),
    ),
    signatures=signatures,
    assumptions=assumptions,
)
