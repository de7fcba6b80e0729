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
- share: of a prompt, what is of the other topic; T: tokens in a prompt; filter_belief: the mean chance that the exact
  filter gives the old topic after a switch, and f what a network gives it

What a memory with a ceiling does is in `ceiling`.
"""

from collections.abc import Mapping

import sympy as sp
from idealab.theory.topic_inertia.ceiling import bounded, chang, siegmund, sigma, soft
from sympy import Eq, EulerGamma, I, KroneckerDelta, atan2, exp, log, pi, sin, sqrt

from idealab.idea import Assumption, Reference, Signature
from idealab.judge.criteria import Equals, Identity
from idealab.judge.shapes import Trend
from idealab.symbolic.derivation import Derivation

Known = Mapping[str, sp.Equality]

K, J, L, N = sp.symbols("K J L N", integer=True, positive=True)
i, j, k, m = sp.symbols("i j k m", integer=True, nonnegative=True)
p, q, last, u = (sp.IndexedBase(name, positive=True) for name in ("p", "q", "last", "u"))
s, own, recall, ages = (sp.IndexedBase(name, real=True) for name in ("s", "own", "recall", "ages"))
reach, share, T, length, f, filter_belief, room, z = sp.symbols(
    "reach share T length f filter_belief room z", positive=True
)
shortfall, slope, clusters = sp.symbols("shortfall slope clusters", nonnegative=True)
S, C = sp.symbols("S C", real=True)
modulus, angle = sp.Function("modulus"), sp.Function("angle")
order_change, belief, fall, direction = sp.symbols("order_change belief fall direction", real=True)


def over(term: sp.Expr, index: sp.Symbol, length: sp.Symbol = K) -> sp.Sum:
    """Sum over a whole axis."""
    return sp.Sum(term, (index, 0, length - 1))


# --- The order of a prompt does not matter ----------------------------------------------------------------------------


tokens, first, second, t = sp.symbols("tokens first second t", integer=True, positive=True)
h, v = sp.IndexedBase("h", real=True), sp.IndexedBase("v", real=True)


def _swapped(part: sp.Sum) -> sp.Expr:
    """A sum over positions t once the tokens of two of them have changed places; all else stays where it is."""
    at = exp(-slope * (tokens - t))
    token = part.function / at
    here, there = (KroneckerDelta(t, position) for position in (first, second))
    moved = (here - there) * (token.subs(t, second) - token.subs(t, first))
    # Both positions lie within the prompt, which is the first case of either sum.
    changes = [sp.summation(term * at, part.limits[0]).args[0][0] for term in sp.expand(moved, deep=False).args]
    return part + sum(changes)


def _exchanged(known: Known) -> sp.Equality:
    above, below = sp.fraction(known["read"].rhs)
    return Eq(order_change, _swapped(above) / _swapped(below) - known["read"].rhs)


def _read() -> sp.Expr:
    weight = exp(h[t]) * exp(-slope * (tokens - t))
    return sp.Sum(weight * v[t], (t, 1, tokens)) / sp.Sum(weight, (t, 1, tokens))


order = (
    Derivation("order", "one attention layer reads any number of tokens, of which any two change places")
    .given(
        "read",
        "scores h and values v of the token at t, as the last one sees them, with a bias of -slope for each place back",
        Eq(sp.Symbol("read"), _read()),
    )
    .derive("swapped", "what the exchange of the tokens at two places changes", _exchanged)
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

# --- The least loss: exact Bayes --------------------------------------------------------------------------------------


def _bayes(known: Known) -> sp.Equality:
    """The last token is drawn like the others; all weigh one."""
    ratio, weight, number = (known[name].rhs for name in ("ratios", "weights", "numbers"))
    chance = known["remembered_change"].rhs.subs(L, K)
    chance = chance.replace(lambda term: isinstance(term, sp.Sum) and term.variables == [j], lambda term: term.function)
    chance = chance.subs(j, 0)  # of one weight
    values = (
        (s, lambda term: ratio.subs(i, term.indices[1])),
        (own, lambda term: ratio.subs(i, term.indices[0])),
        (last, lambda term: p[term.indices[0]]),
        (recall, lambda _: weight),
        (ages, lambda _: number),
    )
    for base, put in values:
        chance = chance.replace(lambda term, base=base: isinstance(term, sp.Indexed) and term.base == base, put)
    return Eq(C, chance)


bayes = (
    Derivation("bayes", "the least loss on prompts of one topic", memory.steps)
    .given("ratios", "is that of exact Bayes: its score is the log-likelihood ratio", Eq(s[m, i], log(p[i] / q[i])))
    .given("weights", "of all tokens alike", Eq(recall[0], 1, evaluate=False))
    .given("numbers", "of a prompt of any length", Eq(ages[0], length - 1))
    .derive("as_bayes", "the chance of a change by exact Bayes", _bayes)
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


def _turning(known: Known) -> sp.Equality:
    before = sp.Symbol("before", positive=True)
    solved = sp.solve(known["mean"].rhs.subs(T, before + 1), share)[0]
    return Eq(share, sp.factor(solved).subs(before, T - 1))


two_topics = (
    Derivation("two_topics", "prompts of which a share is of another topic")
    .given(
        "mean",
        "of the sum S, the last token being the same in all; where in the prompt they stand does not matter",
        Eq(S, (T - 1) * ((1 - share) * over(p[i] * s[0, i], i) + share * over(q[i] * s[0, i], i)) + own[0]),
    )
    .derive(
        "turning_share",
        "at which it is zero: half of long prompts are then taken for one topic, half for the other",
        _turning,
    )
)
least_loss = (
    Derivation("least_loss", "the least log loss on documents that switch")
    .given(
        "loss",
        "of giving the old topic the chance f, where the exact filter gives it filter_belief",
        Eq(sp.Symbol("l"), -filter_belief * log(f) - (1 - filter_belief) * log(1 - f)),
    )
    .derive(
        "follows_filter",
        "is at the filter, in each prompt and so in the mean",
        lambda known: Eq(belief, sp.solve(sp.together(known["loss"].rhs.diff(f)), f)[0]),
    )
)
position_paper = Reference(
    "diaz2026", "Diaz-Rodriguez", 2026, "Position: ideas first", "section 6, the recurrent negative control"
)
claimed = Derivation("claimed", "the negative control of the position paper").cite(
    "flat", "the chance of a change does not fall with the prompt", Eq(fall, 0), position_paper
)

# --- What is claimed --------------------------------------------------------------------------------------------------

OF_NETWORKS = Equals(rtol=sp.Rational(1, 20) + shortfall, atol=0.0015)
AS_BAYES = Equals(rtol=sp.Rational(1, 50) + sp.Rational(13, 10) * shortfall, atol=0.0015)
signatures: tuple[Signature, ...] = (
    Signature(
        "permutation",
        "the order of a prompt does not matter, but for its last token",
        "order_change",
        order,
        Identity(ulps=256, scale=1),
        "the weights and the sum over up to 256 tokens round in another order: a few ulps each, of logits of size one",
        exact=True,
    ),
    Signature(
        "remembered_change",
        "the chance that the topic changes, by the learned scores and the memory",
        "change_by_memory",
        memory,
        OF_NETWORKS,
        "a twentieth and one in a thousand for 1,000 to 20,000 prompts a seed, a thousandth for the terms cut off; and "
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
        "turning_share",
        "of two topics in one prompt the network takes the one that has the share which the scores set, wherever it "
        "stands",
        "turning_share",
        two_topics,
        Equals(atol=sp.Rational(1, 400) + clusters / 20, estimand="median"),
        "a four-hundredth for 5,000 prompts a seed; of text a twentieth more, as its words come in clusters and the "
        "shares of a part are not those of the rest; the median, as a network that attends to one rare word is far off",
    ),
    Signature(
        "as_bayes",
        "two layers and recurrent networks change the topic as often as exact Bayes in prompts as long as in training",
        "change_as_bayes",
        bayes,
        AS_BAYES,
        "a fiftieth for 20,000 prompts where nothing is trained; of networks the shortfall, and 0.3 of it for fewer",
    ),
    Signature(
        "beyond_training",
        "they still do in longer ones, which the least loss does not promise",
        "change_beyond",
        bayes,
        AS_BAYES,
        "as for as_bayes",
        primary=False,
    ),
    Signature(
        "bounded_plateau",
        "in long prompts the chance of a change is a plateau that the depth of the memory sets (its logarithm)",
        "log_plateau",
        bounded,
        Equals(atol=sigma**2 / 4 + 2 * soft * (1 - soft) * (EulerGamma - sp.Rational(1, 2)), estimand="median"),
        "twice the last term that is kept: scores are not normal, and the steps of a seed may be skewed; for networks, "
        "of which it is not known how soft their ceiling is (soft is 1/2), half of what that makes; the median, as "
        "single networks are far off",
        primary=False,
    ),
)
follows_filter = Signature(
    "follows_filter",
    "a recurrent network gives the old topic the chance that the exact filter of its documents gives it (mean over "
    "prompts)",
    "belief",
    least_loss,
    Equals(atol=0.03),
    "training stops short of the least loss, and of 4,000 prompts the two means, each over all, are one draw",
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
        "whole_prompt", "what stands first in a prompt counts as much as the last", "breaks", ("turning_share",)
    ),
    Assumption("not_forgetting", "nothing of a prompt is forgotten, however long it is", "breaks", ("falling",)),
    Assumption("independent", "words follow one another independently", "breaks", ("remembered_change",)),
    Assumption(
        "attention",
        "the network attends; a recurrent one learns to forget where topics switch",
        "breaks",
        ("beyond_filter",),
        follows_filter,
    ),
)
failure_modes = (
    "a recurrent network trained on prompts of one topic follows exact Bayes to the length of those, which is all that "
    "the least loss promises, and then forgets: its memory has a ceiling, and the chance of a change a plateau of "
    "about exp(-depth - 3/2); two layers of attention leave exact Bayes a little at twice the length (beyond_training)",
    "one layer of attention is not exact Bayes, as a weighted mean is no sum of log-odds: without positions it changes "
    "the topic a sixth more often at its training length and several times as often at four times that",
    "attention with a bias towards the recent: the plateau of a leaky memory, whatever the length (leaky_plateau)",
    "documents that switch topic: a recurrent network follows the exact filter and has no more inertia than that; "
    "attention without positions has",
    "text: words come in clusters, so that the chance falls far less than the words alone would make it (independent)",
    "text of two sources: it turns at a smaller share than where the mean sum is zero, by a tenth and more, since of "
    "256 words few weigh most, and those come in clusters (turning_share: one and a half tolerances off "
    "and more)",
    "text costs about eight minutes of one core, and is limited to two packages, 32 words (two thirds of the text are "
    "the one for all others), the words that follow in place of the next one, which a single layer would say by its "
    "last word alone, and a last word that is the same in all prompts; thresholds and shares are of the training text, "
    "and what is held out differs from it, by up to twice the tolerance in single seeds",
)
references = (siegmund, chang, position_paper)
