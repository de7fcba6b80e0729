"""What a memory that fades does to inertia (D9), and what networks must then show.

A network that reads a prompt adds up scores of its tokens, and keeps to the topic while the sum is positive. Symbols:

- p[i]: chances of the K tokens under the topic of the prompt; q[i]: under the other topic
- s[k, i]: what a token i adds to the sum when k is the last token; own[k] = s[k, k] of the last one itself. For exact
  Bayes log(p[i]/q[i]); for one attention layer exp(h) times the value, as it has learned them
- last[k]: chances of the last token: p, where the last one is drawn like the others
- recall[j]: the weight of an age, ages[j] how many tokens of the prompt have it, without the last one, which weighs
  one: even memory is one weight of one, leaky memory has lambda^j, or exp(-slope j)
- reach: a size that the sum does not exceed; u[k]: the first odd multiples of pi/reach, as many as are added up
- C: the chance of a change of topic, that the sum is negative; shortfall: the part of it by which training that
  stops early may be off, none for weights that nobody trained
- sigma: standard deviation of log(p/q) under p; M: the ceiling of a bounded memory; depth: the mean of -log(p/q),
  summed over the tokens of the other topic, that it takes to turn such a memory round after a long prompt; soft: one
  where the ceiling gives way, zero where it is hard
"""

from collections.abc import Mapping

import sympy as sp
from sympy import Eq, I, atan2, exp, log, pi, sin, sqrt

from idealab.idea import Assumption, Reference, Signature
from idealab.judge.criteria import Equals, Identity
from idealab.judge.shapes import Trend
from idealab.symbolic.derivation import Derivation

Known = Mapping[str, sp.Equality]

K, J, L, N = sp.symbols("K J L N", integer=True, positive=True)
i, j, k, m = sp.symbols("i j k m", integer=True, nonnegative=True)
p, q, last, u = (sp.IndexedBase(name, positive=True) for name in ("p", "q", "last", "u"))
s, own, recall, ages = (sp.IndexedBase(name, real=True) for name in ("s", "own", "recall", "ages"))
reach, sigma, mu, M, depth, W = sp.symbols("reach sigma mu M depth W", positive=True)
shortfall, soft = sp.symbols("shortfall soft", nonnegative=True)
filter_stay, f, h_1, h_2, h_3, slope = sp.symbols("filter_stay f h_1 h_2 h_3 slope", positive=True)
S, T, C, v_1, v_2, v_3 = sp.symbols("S T C v_1 v_2 v_3", real=True)
modulus, angle, density, push = (sp.Function(name) for name in ("modulus", "angle", "density", "push"))
order_change, stay, fall, direction = sp.symbols("order_change stay fall direction", real=True)
z, room = sp.symbols("z room", positive=True)


def over(term: sp.Expr, index: sp.Symbol, length: sp.Symbol = K) -> sp.Sum:
    """Sum over a whole axis."""
    return sp.Sum(term, (index, 0, length - 1))


# --- The order of a prompt does not matter ----------------------------------------------------------------------------


def _attended(ages_of: tuple[int, int]) -> sp.Expr:
    """One attention layer over three tokens, the first two of these ages: scores h, values v."""
    weights = exp(h_1 - slope * ages_of[0]), exp(h_2 - slope * ages_of[1]), exp(h_3)
    return sum(w * v for w, v in zip(weights, (v_1, v_2, v_3), strict=True)) / sum(weights)


order = (
    Derivation("order", "one attention layer reads three tokens, of which the first two change places")
    .given("read", "attention with a bias of -slope for each position back", Eq(sp.Symbol("f"), _attended((2, 1))))
    .derive(
        "swapped",
        "what the exchange changes",
        lambda known: Eq(
            order_change,
            sp.simplify(
                known["read"].rhs - known["read"].rhs.subs({h_1: h_2, h_2: h_1, v_1: v_2, v_2: v_1}, simultaneous=True)
            ),
        ),
    )
    .given("without_positions", "no bias", Eq(slope, 0, evaluate=False))
    .derive(
        "permutation",
        "nothing without positions; exchanges make up all permutations that leave the last token",
        lambda known: Eq(
            order_change, sp.simplify(known["swapped"].rhs.subs(slope, known["without_positions"].rhs)), evaluate=False
        ),
    )
)

# --- The chance of a change under any memory --------------------------------------------------------------------------


def _coefficient(known: Known) -> sp.Equality:
    """Of the sign, continued beyond the reach with the other sign, and so odd and periodic."""
    inside = sp.integrate(sin(u[k] * S), (S, 0, reach)) * 2 / reach
    odd = sp.cos(u[k] * reach), sp.cos(known["nodes"].rhs * reach).simplify()
    return Eq(sp.Symbol("b_k"), sp.simplify(inside.subs(*odd)))


def _polar(known: Known) -> tuple[sp.Expr, sp.Expr]:
    """Logarithm of the modulus and angle of the characteristic function of all tokens of one weight."""
    token = known["token"].rhs
    parts = [token.func(part, *token.limits) for part in token.function.as_real_imag()]
    return log(parts[0] ** 2 + parts[1] ** 2) / 2, atan2(parts[1], parts[0])


def _change(known: Known) -> sp.Equality:
    """1/2 - E sign(S)/2, the series cut after so many terms, and the last token averaged over."""
    term = exp(known["modulus"].rhs) * sin(own[m] * u[k] + known["angle"].rhs) * known["coefficient"].rhs
    return Eq(C, sp.Rational(1, 2) - over(last[m] * over(term, k, N), m, L) / 2)


memory = (
    Derivation("memory", "the chance of a change, for any memory of independent tokens")
    .given("nodes", "of a Fourier series on |S| < reach", Eq(u[k], pi * (2 * k + 1) / reach))
    .derive("coefficient", "of the sign of the sum S: sign(S) = sum b_k sin(u_k S)", _coefficient)
    .given(
        "token",
        "characteristic function of what one token of weight recall[j] adds, when m is the last one",
        Eq(sp.Symbol("phi"), over(p[i] * exp(I * recall[j] * s[m, i] * u[k]), i)),
    )
    .derive(
        "modulus",
        "of the product over all tokens, in its logarithm",
        lambda known: Eq(modulus(m, k), over(ages[j] * _polar(known)[0], j, J)),
    )
    .derive("angle", "its angle", lambda known: Eq(angle(m, k), over(ages[j] * _polar(known)[1], j, J)))
    .derive(
        "remembered_change", "Gil-Pelaez in Davies's form; exact for |S| < reach but for the terms cut off", _change
    )
)

# --- Even memory: the chance falls ------------------------------------------------------------------------------------


def _bound(known: Known) -> sp.Equality:
    """Markov's inequality for exp(-S/2): its mean is a power, and the logarithm falls by as much with every token."""
    mean = known["half"].rhs
    inside = mean.function.subs(known["ratio"].lhs, known["ratio"].rhs)
    return Eq(sp.Symbol("dlogC/dT"), log(mean.func(sp.powdenest(sp.simplify(inside), force=True), *mean.limits)))


def _falling(known: Known) -> sp.Equality:
    """Cauchy and Schwarz: with sum (sqrt p - sqrt q)^2/2 the sum of sqrt(p q) makes one, the sum of (p + q)/2."""
    (mean,) = known["per_token"].rhs.args
    apart = (sqrt(p[i]) - sqrt(q[i])) ** 2 / 2
    whole = sp.expand(apart + mean.function).subs({p[i]: 1, q[i]: 1})  # sums of p and of q are one
    positive = apart.subs({p[i]: 1, q[i]: 1}) == 0 and apart.is_nonnegative
    return Eq(direction, sp.sign(log(whole / (1 + room))) if positive else sp.nan)


x = sp.IndexedBase("x", real=True)
even = (
    Derivation("even", "exact Bayes, which forgets nothing: C <= E exp(-S/2)")
    .given("ratio", "the score of a token", Eq(x[i], log(p[i] / q[i])))
    .given("half", "the mean of exp(-x/2)", Eq(sp.Symbol("rho"), over(p[i] * exp(-x[i] / 2), i)))
    .derive("per_token", "the logarithm of the bound, per token", _bound)
    .derive("falling", "it is negative where topics differ, by Cauchy and Schwarz", _falling)
)

# --- Bounded memory: a plateau ----------------------------------------------------------------------------------------


def _density(known: Known) -> sp.Equality:
    """No flux through the ceiling; normalised."""
    solved = sp.dsolve(known["flux"].subs(mu, known["drift"].rhs), density(W)).rhs
    constant = sp.solve(sp.integrate(solved, (W, 0, sp.oo)) - 1, sp.Symbol("C1"))[0]
    return Eq(density(W), solved.subs(sp.Symbol("C1"), constant))


def _pushed(known: Known) -> sp.Equality:
    """Bounded far away from the ceiling, where a unit of local time pushes by a unit."""
    solved = sp.dsolve(known["local_time"].subs(mu, known["drift"].rhs), push(W)).rhs
    C1, C2 = sp.symbols("C1 C2")
    constants = sp.solve([sp.limit(solved, W, sp.oo), solved.diff(W).subs(W, 0) + 1], [C1, C2], dict=True)[0]
    return Eq(push(W), solved.subs(constants))


def _mean(known: Known, of: sp.Expr) -> sp.Expr:
    return sp.integrate(of * known["density"].rhs, (W, 0, sp.oo))


siegmund = Reference(
    "siegmund1979", "Siegmund", 1979, "Corrected diffusion approximations in certain random walk problems"
)
mean_W, mean_L = sp.symbols("mean_W mean_L", positive=True)
bounded = (
    Derivation("bounded", "a memory that adds up log-likelihood ratios, but no further than to M")
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
        lambda known: Eq(log(C), log(sp.integrate(known["density"].rhs, (W, M, sp.oo)))),
    )
    .derive("below", "its mean", lambda known: Eq(mean_W, _mean(known, W)))
    .given(
        "local_time",
        "then tokens of the other topic: what the ceiling still takes off, by the distance",
        Eq(sigma**2 / 2 * push(W).diff(W, 2) + mu * push(W).diff(W), 0),
    )
    .derive("pushed", "of what comes", _pushed)
    .derive("taken", "its mean", lambda known: Eq(mean_L, _mean(known, known["pushed"].rhs)))
    .given("turned", "what it takes to turn the memory round", Eq(depth, M - mean_W - mean_L))
    .derive(
        "by_depth",
        "the plateau by the depth, which can be measured",
        lambda known: Eq(
            log(C), known["plateau"].rhs.subs(M, sp.solve(known["turned"], M)[0]).subs(mean_L, known["taken"].rhs)
        ),
    )
    .cite(
        "steps",
        "the mean distance in steps of standard deviation sigma, to first order in it",
        Eq(mean_W, 1 + sigma * sp.zeta(sp.Rational(1, 2)) / sqrt(2 * pi)),
        siegmund,
    )
    .derive(
        "bounded_plateau",
        "the same in steps, in the distance; M and the overshoot over zero shift alike",
        lambda known: Eq(log(C), sp.expand(known["by_depth"].rhs.subs(mean_W, known["steps"].rhs))),
    )
)

# --- Documents that switch their topic --------------------------------------------------------------------------------


def _gibbs(known: Known) -> sp.Equality:
    """The mean score is a sum of p log(p/q) - p + q: at z = q/p = 1 it is zero and level, and it is convex in z."""
    term = sp.expand_log(known["sum"].rhs.function.subs(q[i], p[i] * z), force=True) - p[i] + p[i] * z
    least = [sp.simplify(part.subs(z, 1)) for part in (term, term.diff(z))] == [0, 0]
    return Eq(direction, sp.sign(room) if least and term.diff(z, 2).is_positive else sp.nan)


switching = (
    Derivation("switching", "prompts whose first tokens are of one topic, the last ones of another")
    .given(
        "sum",
        "even memory: the mean of S grows by this with each token of the old topic",
        Eq(sp.Symbol("dS"), over(p[i] * log(p[i] / q[i]), i)),
    )
    .derive(
        "beyond_filter",
        "the chance to stay on the old topic grows with its tokens: their mean score is positive where topics differ",
        _gibbs,
    )
)
least_loss = (
    Derivation("least_loss", "the least log loss on documents that switch")
    .given(
        "loss",
        "of saying f where the exact filter says filter_stay",
        Eq(sp.Symbol("l"), -filter_stay * log(f) - (1 - filter_stay) * log(1 - f)),
    )
    .derive(
        "follows_filter",
        "is at the filter",
        lambda known: Eq(stay, sp.solve(sp.together(known["loss"].rhs.diff(f)), f)[0]),
    )
)
position_paper = Reference(
    "diaz2026", "Diaz-Rodriguez", 2026, "Position: ideas first", "section 6, the recurrent negative control"
)
claimed = Derivation("claimed", "the negative control of the position paper").cite(
    "flat", "the chance of a change does not fall with the prompt", Eq(fall, 0), position_paper
)

# --- What is claimed --------------------------------------------------------------------------------------------------

signatures: tuple[Signature, ...] = (
    Signature(
        "permutation",
        "the order of a prompt does not matter, but for its last token",
        "order_change",
        order,
        Identity(ulps=256, scale=1),
        "the weights and the sum over up to 64 tokens round in another order: a few ulps each, of logits of size one",
        exact=True,
    ),
    Signature(
        "remembered_change",
        "the chance that the topic changes, by the learned scores and the memory",
        "change_by_memory",
        memory,
        Equals(rtol=sp.Rational(1, 20) + shortfall, atol=0.0015),
        "a twentieth and one in a thousand for 5,000 prompts a seed, a thousandth for the terms that are cut off; and "
        "the shortfall of training",
    ),
    Signature(
        "falling",
        "the longer the prompt, the rarer a change",
        "chance",
        even,
        Trend(along="length", least=0.1),
        "no tolerance: the direction is asked, step by step, and less than a tenth for a doubling is none",
    ),
    Signature(
        "beyond_filter",
        "after a switch of topic, the more there was of the old one, the longer it lasts",
        "stay",
        switching,
        Trend(along="before", least=0.1),
        "the exact filter still gains a few hundredths while it fills; a tenth for each doubling is beyond that",
    ),
    Signature(
        "flat",
        "claimed of recurrent networks: from 8 tokens to 32 the chance of a change does not fall (its logarithm)",
        "fall",
        claimed,
        Equals(atol=0.2),
        "a memory of a few tokens may still gain a fifth between 8 and 32 tokens",
        primary=False,
    ),
    Signature(
        "bounded_plateau",
        "in long prompts the chance of a change is a plateau that the depth of the memory sets (its logarithm)",
        "log_plateau",
        bounded,
        Equals(atol=sigma / 4 + soft / 5),
        "what the ceiling takes off is shorter by about sigma/6 in steps, which is left out; a fifth for a ceiling "
        "that is soft, as that of the exact filter of documents that switch",
        primary=False,
    ),
)
follows_filter = Signature(
    "follows_filter",
    "a recurrent network stays on the old topic as often as the exact filter of its documents",
    "after",
    least_loss,
    Equals(atol=0.03),
    "training stops short of the least loss, and 4,000 prompts have a standard error of 0.007",
)

assumptions: tuple[Assumption, ...] = (
    Assumption("no_positions", "attention does not see how far back a token lies", "breaks", ("permutation",)),
    Assumption(
        "linear_memory",
        "the memory adds up scores, and nothing bounds the sum",
        "breaks",
        ("remembered_change",),
        next(signature for signature in signatures if signature.name == "bounded_plateau"),
    ),
    Assumption("even_memory", "all tokens of the prompt are remembered alike", "breaks", ("beyond_filter",)),
    Assumption(
        "attention",
        "the network attends; a recurrent one learns to forget where topics switch",
        "breaks",
        ("beyond_filter",),
        follows_filter,
    ),
)
failure_modes = (
    "a recurrent network trained on prompts of one topic follows exact Bayes to the length of those, and "
    "then forgets: its memory has a ceiling, and the chance of a change a plateau of about exp(-depth - 3/2)",
    "attention with a bias towards the recent: the plateau of a leaky memory, whatever the length",
    "documents that switch topic: a recurrent network follows the exact filter and has no more inertia than that; "
    "attention without positions has",
    "text: words come in clusters, and from 16 to 128 the chance falls less than for independent words (0.37 to 0.23, "
    "not 0.32 to 0.17), in some seeds not at all; a recurrent network that was trained on text has a plateau from "
    "its first lengths on (0.40). Both differ too much between seeds to be controls within minutes",
)
references = (siegmund, position_paper)
