"""The plateau of a leaky memory (D9): a sum of scores that keeps a part of itself with every token, in long prompts.

Symbols:

- mu, sigma: mean and standard deviation of the score of a token; skew, excess: its cumulants of order three and four,
  over those powers of sigma
- slope: minus the logarithm of what is kept of the sum with every token; age: how far back a token lies
- D: the slope along z; order: counts powers of one over the root of the number of tokens that weigh
"""

from collections.abc import Mapping
from typing import Any, cast

import sympy as sp
from sympy import Eq, Rational, erfc, exp, log, oo, sinh, sqrt

from idealab.idea import Named, Rival, Signature
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

Known = Mapping[str, sp.Equality]

n = sp.Symbol("n", integer=True, positive=True)
age = sp.Symbol("age", integer=True, nonnegative=True)
z, D, C, skew, excess = sp.symbols("z D C skew excess", real=True)
mu, sigma, slope, order = sp.symbols("mu sigma slope order", positive=True)
weight, score, of_sum, standard, below = (sp.Function(f) for f in ("weight", "score", "of_sum", "standard", "below"))
CUMULANTS = (mu, sigma**2, skew * sigma**3, excess * sigma**4)


def _of_sum(known: Known) -> sp.Equality:
    """A geometric series; independent tokens add their cumulants, of which that of order n takes weights to the n."""
    ratio = sp.Symbol("ratio", positive=True)
    (found, converges), _ = cast("Any", sp.summation(ratio**age, (age, 0, oo))).args
    kept = sp.powdenest(known["weight"].rhs ** n).subs(age, 1)
    below_one = log(kept).is_negative and converges == (ratio < 1)
    by_sinh = exp(n * slope / 2) / sinh(n * slope / 2) / 2
    same = sp.simplify((by_sinh - found.subs(ratio, kept)).rewrite(exp)) == 0
    return Eq(of_sum(n), score(n) * by_sinh if below_one and same else sp.nan)


def _standard(known: Known) -> sp.Equality:
    sums = known["of_sum"].rhs
    return Eq(standard(n), sp.powsimp(sp.expand_power_base(sums / sums.subs(n, 2) ** (n / 2), force=True)))


def _edgeworth(known: Known) -> sp.Equality:
    """Cumulants above the second act on the normal law as slopes."""
    higher = sum(standard(k) * order ** (k - 2) * (-D) ** k / sp.factorial(k) for k in (3, 4))
    acting = sp.expand(sum(higher**power / sp.factorial(power) for power in range(3)))
    acting = sp.Poly(sum(acting.coeff(order, power) * order**power for power in range(3)), D)
    normal = known["normal"].rhs
    return Eq(below(z), sum(term * normal.diff(z, power) for (power,), term in acting.terms()))


def _of_order(known: Known, number: int) -> sp.Expr:
    """This order of the chance that the sum is negative: that its standard form is below minus its mean."""
    found = (known["edgeworth"].rhs.diff(order, number).subs(order, 0) / sp.factorial(number)).subs(z, -standard(1))
    whole = found.replace(standard, lambda k: known["standard"].rhs.subs(n, k))
    return whole.replace(score, lambda k: CUMULANTS[int(k) - 1])


leaky = (
    Derivation("leaky", "a memory that keeps a part of its sum with every token")
    .given("weight", "of a token by its age", Eq(weight(age), exp(-slope * age)))
    .derive("of_sum", "cumulants of the sum over all ages: they are finite, and no length is in them", _of_sum)
    .derive("standard", "of the sum over its standard deviation", _standard)
    .given("normal", "a sum of many tokens is below z with the chance", Eq(below(z), erfc(-z / sqrt(2)) / 2))
    .derive("edgeworth", "and with those cumulants, by order", _edgeworth)
    .derive(
        "leaky_plateau",
        "so the chance of a change no longer falls once prompts are long: a plateau, by what is kept of the sum",
        lambda known: Eq(C, _of_order(known, 0)),
    )
    .derive("skewed", "the next order", lambda known: Eq(sp.Symbol("skewed"), _of_order(known, 1)))
    .derive("second", "the one after that", lambda known: Eq(sp.Symbol("second"), _of_order(known, 2)))
)
skewed, second = (leaky[step].equation.rhs for step in ("skewed", "second"))

signatures = (
    Signature(
        "leaky_plateau",
        leaky["leaky_plateau"].words,
        "leaky_plateau",
        leaky,
        Equals(rtol=Rational(1, 100), atol=sp.Abs(skewed) + 2 * sp.Abs(second)),
        "the next order, and twice the one after that; a hundredth for what a few thousand prompts a seed tell",
        step="leaky_plateau",
        rivals=Named(
            Rival("to_zero", "the chance falls to zero, as with a memory that keeps all", Prediction(sp.S.Zero))
        ),
    ),
)
