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

import sympy as sp
from sympy import Eq, Min, exp, log, sqrt

from idealab.idea import Assumption, Idea, Named, Reference, Rival, Signature
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

Known = Mapping[str, sp.Equality]

eta, gamma, t, p_max, theta, lambda_min, R = sp.symbols("eta gamma t p_max theta lambda_min R", positive=True)
b, weight_decay, L, r, z, delta = sp.symbols("b weight_decay L r z delta", positive=True)
k, n, m, j = sp.symbols("k n m j", integer=True, nonnegative=True)
p, q, c = (sp.IndexedBase(name, positive=True) for name in "pqc")
G, pinv, pseudo_inverse, w_hat, w_S = (sp.IndexedBase(name) for name in ("G", "pinv", "pseudo_inverse", "w_hat", "w_S"))
u, e = sp.Function("u"), sp.Function("e")
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
    return Eq(q[n], known["share"].rhs.subs(u(n, t), known["settled"].rhs).subs(L, known["clock"].rhs / t))


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
    clock = log(t / known["clock"].rhs)
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
    .derive("clock", "the loss is a clock, on which the sample weights do not show", _clock)
    .derive("weights", "the shares are the dual weights", _weights)
    .derive("margins", "exact at every w, with Lambda = -ln L", _margins)
    .derive(
        "support_shape",
        "the shares are put in",
        lambda known: Eq(u(n, t) - Lambda, _alike(known, "margins").subs(q[n], known["weights"].rhs) - Lambda),
    )
    .derive("cross_entropy", "exact at every w; the sum over q is H(p) + KL(p|q)", _cross_entropy)
    .derive(
        "projection",
        "the shares are put in, so that the divergence is gone",
        lambda known: Eq(y - Lambda, known["cross_entropy"].rhs.xreplace({q[n]: known["weights"].rhs}) - Lambda),
    )
    .derive("residual", "what is left of w on the span after w_hat ln t", _residual)
    .derive("relative_gap", "1 - margin/gamma", _relative_gap)
    .derive("expansion", "to second order in 1/ln(tau)", _expansion)
    .derive("textbook", "to first order", _textbook)
    .given("one_flow", "one support vector, logistic loss", Eq(e(t).diff(t), eta * gamma**2 / (1 + exp(e(t)))))
    .derive("late", "how its loss is late on the clock; a is set by the start", _late)
    .given("one_step", "one step, exponential loss", Eq(e(t + 1), e(t) + eta * gamma**2 * exp(-e(t))))
    .derive("ahead", "how discrete steps are ahead of it", _ahead)
)

# --- How fast they settle --------------------------------------------------------------------------------------------


def _planted(known: Known) -> tuple[sp.Matrix, sp.Matrix]:
    """The samples, and the dual of the support vectors, G alpha = 1."""
    x = known["planted"].rhs.as_explicit()
    return x, (x[:2, :] * x[:2, :].T).LUsolve(sp.ones(2, 1)).applyfunc(sp.cancel)


def _linear(known: Known) -> sp.Equality:
    """Put weights v = eta t exp(-u), near the solution alpha of G alpha = 1, into the flow of u_2 - u_1 in ln t."""
    x, alpha = _planted(known)
    late, off = sp.symbols("late off", positive=True)
    along = gamma**2 * e(s) * sp.Matrix([alpha[1], -alpha[0]])  # keeps v_1 + v_2
    v = [
        w * (1 + delta * along[i]) * (1 - delta * late * w / eta) for i, w in enumerate(alpha)
    ]  # logistic: 1 - exp(-u)
    flow = ((x[1, :] - x[0, :]) * x.T * sp.Matrix([*v, delta * off]))[0]
    first = sp.expand(flow.diff(delta).subs(delta, 0))
    beyond = eta * sp.powsimp(sp.expand(exp(s - known["outside"].rhs.subs(t, exp(s)))))
    parts = {e(s): e(s), late: exp(-s), off: beyond}
    return Eq(e(s).diff(s), sp.Add(*(sp.factor(first.coeff(part)) * value for part, value in parts.items())))


def _deviation(known: Known) -> sp.Equality:
    """Solve for e, with one symbol for the strength of each force."""
    driven = known["linear"].rhs
    forces = [term.as_independent(s)[1] for term in driven.args if not term.has(e(s))]
    named = (strength * force / force.subs(s, 0) for strength, force in zip((f, g), forces, strict=True))
    return sp.dsolve(Eq(e(s).diff(s), driven.coeff(e(s)) * e(s) + sp.Add(*named)), e(s))


def _divergence(known: Known) -> sp.Equality:
    """KL(p|q) = -ln(1 - Q) + ln sum p exp(h) - sum p h for q = (1 - Q) p exp(h)/Z, to leading order in Q and in h."""
    _, alpha = _planted(known)
    p_1, p_2 = (alpha / sum(alpha)).applyfunc(sp.cancel)
    spread = p_1 * (exp(p_2 * delta) - 1) + p_2 * (exp(-p_1 * delta) - 1)  # h_1 - h_2 = delta, sum p h = 0
    on_support = sp.factor(log(1 + spread).diff(delta, 2).subs(delta, 0)) * e(s) ** 2 / 2
    beyond = eta * sp.powsimp(sp.expand(exp(s - known["outside"].rhs.subs(t, exp(s))))) / sp.cancel(sum(alpha))
    return Eq(sp.Symbol("KL"), on_support + beyond)


def _slopes(equation: sp.Equality, decaying: sp.Expr) -> list[sp.Expr]:
    """Late log-log slope less the typed one, with each of the rates in turn the slowest."""
    late = []
    for case in ((1, 5), (1, 4), (3, "8/3"), (3, 8)):
        rates = {lambda_min: sp.Rational(case[0]) / 2, theta: sp.Rational(case[1]) / 2}
        late.append(sp.limit((decaying.diff(s) / decaying).subs(rates), s, sp.oo) - equation.rhs.subs(rates))
    return late


relaxation = (
    Derivation("relaxation", "how fast the shares settle")
    .given(
        "planted",
        "two support vectors with weights 1/(1 + r) and r/(1 + r), and a sample off the support",
        Eq(
            sp.MatrixSymbol("X", 3, 2),
            gamma * sp.Matrix([[1, sqrt(lambda_min * r)], [1, -sqrt(lambda_min / r)], [theta, g]]),
        ),
    )
    .given("outside", "the margin off the support", Eq(u(m, t), theta * log(t) + a))
    .derive("linear", "flow of e = ln(q_1/q_2) - ln(p_1/p_2) in s = ln t, logistic loss, to first order", _linear)
    .derive("deviation", "its solution", _deviation)
    .check(
        "shape_slope",
        "the slowest of the three is seen late: d ln|e|/d ln t",
        Eq(sp.Symbol("slope"), -Min(lambda_min, theta - 1, 1)),
        lambda equation, known: _slopes(equation, known["deviation"].rhs),
    )
    .derive("divergence", "quadratic on the support, but linear in the share off it", _divergence)
    .check(
        "divergence_slope",
        "d ln KL/d ln t",
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
    .derive("separator_projection", "y = Lambda + H with this loss", _decayed)
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
    .derive("relative_gap", "w turns to the slope 3^(-b/(b+2)), not 1/3", _tail_gap)
)


def _least_squares(equation: sp.Equality, known: Known) -> list[sp.Expr]:
    """The modes put together against the typed solution, for data with singular values 5 and 3."""
    x = sp.Matrix([[3, 2, 2], [2, 3, -2]])
    modes = [(5, sp.Matrix([1, 1]) / sqrt(2)), (3, sp.Matrix([1, -1]) / sqrt(2))]
    end = lambda value, left: known["end"].rhs.subs({delta: value, a: sum(left)})
    w = sum((x.T * left / value * end(value, left) for value, left in modes), sp.zeros(3, 1))
    inverse = x.pinv()
    typed = [
        equation.rhs.subs(k, 2).doit().subs({pseudo_inverse[j, i]: inverse[row, i] for i in range(2)})
        for row in range(3)
    ]
    return list(w - sp.Matrix(typed))


interpolation = (
    Derivation("interpolation", "the squared loss (1 - u)^2/2, from the origin")
    .given("mode", "flow along a singular vector; delta its value", Eq(e(t).diff(t), eta * delta * (a - delta * e(t))))
    .derive(
        "end",
        "where it ends",
        lambda known: Eq(e(sp.oo), sp.limit(sp.dsolve(known["mode"], e(t), ics={e(0): 0}).rhs, t, sp.oo)),
    )
    .check(
        "weights",
        "together, the least-squares solution of least norm",
        Eq(sp.IndexedBase("w")[j], over(pseudo_inverse[j, n])),
        _least_squares,
    )
)

# --- What must be seen -----------------------------------------------------------------------------------------------

entropy, largest = settling["projection"].equation.rhs, -log(p_max)
bias = 10 * (1 + log(tau)) / tau + 1e-8 + 1e-13 * log(t)
BIAS = (
    "the logistic loss is late by (1 + ln tau)/tau and discrete steps ahead by half as much times eta gamma^2 (steps "
    "`late` and `ahead`); ten times that for the start and for more support vectors, rates above 1 taken for granted; "
    "1e-8 for the integrator; 1e-13 ln t for rounding, and for the digits to which the reference solution is known"
)
SLOPE = "the next rate still adds to the slope: a tenth, when rates are some tenths apart and the distance below 1e-3"


def _signature(
    name: str, statement: str, seen: tuple[str, Derivation, str], criterion: Equals, reason: str, *rivals: Rival
) -> Signature:
    """A signature whose time is passed by its logarithm; ``seen`` are the observable, the derivation and its step."""
    observable, derivation, step = seen
    return Signature(
        name, statement, observable, derivation, criterion, reason, step=step, by_log=(t,), rivals=Named(*rivals)
    )


def _rival(name: str, statement: str, expression: sp.Expr) -> Rival:
    return Rival(name, statement, Prediction(expression, by_log=(t,)))


signatures = Named(
    _signature(
        "loss_clock",
        "the loss is 1/(eta gamma^2 t)",
        ("loss_times_time", settling, "clock"),
        Equals(rtol=bias),
        BIAS,
        _rival("convex_bound", "the bound for convex functions is attained", log(tau) ** 2 / (2 * eta * gamma**2)),
    ),
    _signature(
        "projection",
        "gamma^2 w_hat . w exceeds -ln L by the entropy of the dual weights",
        ("projection_excess", settling, "projection"),
        Equals(atol=bias),
        BIAS,
        _rival("no_entropy", "all margins are -ln L", sp.Integer(0)),
    ),
    _signature(
        "support_shape",
        "the margin of a support vector exceeds -ln L by -ln p_n",
        ("support_excess", settling, "support_shape"),
        Equals(atol=bias),
        BIAS,
        _rival("no_shape", "all margins are -ln L", sp.Integer(0)),
    ),
    _signature(
        "shape_rate",
        "the shape is approached with the slowest of three rates",
        ("shape_slope", relaxation, "shape_slope"),
        Equals(rtol=0.1),
        SLOPE,
        _rival("clock_rate", "the shape is settled as soon as the clock, in 1/t", sp.Integer(-1)),
    ),
    _signature(
        "divergence_rate",
        "KL(p|q) decays twice as fast, but for the share off the support",
        ("divergence_slope", relaxation, "divergence_slope"),
        Equals(rtol=0.1),
        SLOPE,
        _rival("support_only", "no sample off the support matters", -2 * lambda_min),
        _rival("first_order", "as fast as the shape", relaxation["shape_slope"].equation.rhs),
    ),
    _signature(
        "support_residual",
        "w - w_hat ln t, on the span of the support vectors, tends to a constant that does not depend on the start",
        ("residual", settling, "residual"),
        Equals(atol=bias / (gamma * sqrt(Min(1, lambda_min)))),
        "the pseudo-inverse stretches errors of the margins by at most 1/(gamma sqrt(lambda_min)); for those, " + BIAS,
        _rival("no_residual", "w is w_hat ln t", sp.Integer(0)),
    ),
    _signature(
        "relative_gap",
        "1 - margin/gamma, resummed",
        ("relative_gap", settling, "relative_gap"),
        Equals(atol=2 * bias / log(tau)),
        "the least margin and the norm each bring their error, divided by ln(tau): " + BIAS,
        _rival("textbook", "the leading order suffices", settling["textbook"].equation.rhs),
        _rival("angle", "only the angle to w_hat matters", 1 - log(tau) / sqrt(log(tau) ** 2 + gamma**2 * R**2)),
    ),
    _signature(
        "textbook_gap",
        "very late, 1 - margin/gamma is (H - H_inf)/ln(tau)",
        ("far_relative_gap", settling, "textbook"),
        Equals(atol=(2 * entropy * (entropy - largest) + gamma**2 * R**2) / log(tau) ** 2 + 2 * bias / log(tau)),
        "twice the next order, its terms without their signs (step `expansion`), besides the error of relative_gap",
        _rival("angle", "only the angle to w_hat matters", gamma**2 * R**2 / (2 * log(tau) ** 2)),
    ),
)
LIMITS = ("loss_clock", "projection", "support_shape", "support_residual", "relative_gap")

# --- What is assumed -------------------------------------------------------------------------------------------------

stopped = decay["separator_projection"].equation.rhs
variance = over(p[n] * log(p[n]) ** 2) - entropy**2
transient = stopped * exp(-eta * weight_decay * t)

assumptions = Named(
    Assumption(
        "exponential_tail",
        "the loss decays like exp(-u)",
        "breaks",
        ("relative_gap",),
        _signature(
            "polynomial_tail",
            "two orthogonal points, of lengths 1 and 3, under the loss u^-b: w turns elsewhere, and the gap stays",
            ("relative_gap", tail, "relative_gap"),
            Equals(atol=bias),
            "the start is forgotten like 1/t: " + BIAS,
        ),
    ),
    Assumption("separability", "some w classifies every sample correctly", "breaks", ("loss_clock",)),
    Assumption(
        "no_weight_decay",
        "nothing but the loss pulls on w",
        "breaks",
        ("loss_clock",),
        _signature(
            "weight_decay_stops_it",
            "w stops where the loss is weight_decay w_hat . w",
            ("separator_projection", decay, "separator_projection"),
            Equals(
                atol=variance / (1 + lambda_min * stopped) ** 2 + 10 * weight_decay * stopped / gamma**2 + transient
            ),
            "KL(p|q) is at most half the variance of ln p over (1 + lambda_min y)^2, of order 1/y^2; twice that, ten "
            "losses for the logistic loss, and what is left of the transient",
        ),
    ),
    Assumption(
        "classification_loss",
        "the loss goes on falling as the margin grows",
        "breaks",
        ("relative_gap",),
        _signature(
            "least_squares",
            "the squared loss ends at the least-squares solution of the labels",
            ("weights", interpolation, "weights"),
            Equals(atol=1e-6),
            "what is left decays exponentially: less than 1e-6 once eta sigma_min^2 t exceeds 14 or so",
        ),
    ),
    Assumption(
        "double_precision",
        "steps are resolved; in float32 they fall below half an ulp of w when t ln(t) is about 2^24",
        "breaks",
        ("loss_clock",),
    ),
    Assumption(
        "mixing",
        "the slowest rate min(lambda_min, theta - 1) times ln(t) is large; on random data the rate is a few hundredths",
        "breaks",
        ("support_residual",),
    ),
    Assumption("uniform_sample_weights", "all samples weigh the same in the loss", "does_not_matter", ("loss_clock",)),
    Assumption("start", "w starts near the origin", "does_not_matter", LIMITS),
    Assumption("rotation", "the axes of the data are arbitrary", "does_not_matter", LIMITS),
    Assumption("step_size", "steps are of a certain size, below 8/sigma_1^2", "does_not_matter", LIMITS),
)

idea = Idea(
    name="max_margin",
    statement=" ".join((__doc__ or "").split("\n\n")[0].split()),
    scope=(
        "linear classifiers on separable data, loss with an exponential tail, gradient descent with a constant "
        "step below 8/sigma_1^2, late: ln(t) large against 1/min(1, lambda_min, theta - 1)"
    ),
    failure_modes=(
        "lambda_min and theta - 1 are tiny on random and on real data, so the limit is out of reach of plain descent",
        "p uniform: the 1/ln(t) term of the gap vanishes, and 1/ln(t)^2 leads",
        "data that are not separable: w converges and the loss does not vanish",
        "adaptive steps: epsilon = 1e-8 of Adam already changes where it goes",
        "float32: steps are lost in rounding at t near 2^24/ln(t)",
    ),
    references=(
        Reference(
            "soudry2018",
            "Soudry, Hoffer, Nacson, Gunasekar and Srebro",
            2018,
            "The Implicit Bias of Gradient Descent on Separable Data",
            "Theorem 3: w = w_hat ln(t) + a bounded residual",
        ),
        Reference(
            "ji2018",
            "Ji and Telgarsky",
            2018,
            "Risk and parameter convergence of logistic regression",
            "arXiv:1803.07300",
        ),
        Reference(
            "lyu2020",
            "Lyu and Li",
            2020,
            "Gradient Descent Maximizes the Margin of Homogeneous Neural Networks",
            "ICLR",
        ),
    ),
    signatures=signatures,
    assumptions=assumptions,
)
