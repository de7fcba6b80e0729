"""Derivations: what may be built, what is refused, and how a conclusion is known."""

from __future__ import annotations

import pytest
import sympy as sp

from idealab.errors import DerivationError, UnknownNameError
from idealab.symbolic.derivation import Derivation, Reference

a, b, t = sp.symbols("a b t", positive=True)
x, y = sp.symbols("x y", real=True)
f = sp.Function("f")
START = Derivation("growth", "linear growth").given("speed", "constant", sp.Eq(f(t).diff(t), a))
BOOK = Reference("key", "A. Author", 2020, "A Title", "Theorem 3")


def solved(known):
    return sp.dsolve(known["speed"], f(t), ics={f(0): b})


def of_motion(equation, known):
    return known["speed"].rhs - equation.rhs.diff(t)


def test_a_derived_step_is_computed_from_the_earlier_ones():
    derivation = START.derive("orbit", "solved", solved)
    assert derivation.conclusion == sp.Eq(f(t), a * t + b)
    assert derivation["orbit"].uses == ("speed",)
    assert (derivation["orbit"].kind, derivation["orbit"].how) == ("derived", "computed by Sympy")
    assert len(START.steps) == 1, "a derivation is never changed in place"


def test_a_derived_step_that_uses_nothing_is_refused():
    with pytest.raises(DerivationError, match=r"growth\.orbit is marked derived but used no earlier equation"):
        START.derive("orbit", "typed", lambda known: sp.Eq(f(t), a * t))


def test_the_residual_of_a_derived_step_does_not_count_as_its_input():
    with pytest.raises(DerivationError, match="used no earlier equation"):
        START.derive("orbit", "typed", lambda known: sp.Eq(f(t), a * t), residual=of_motion)


def test_a_derived_step_may_be_checked_as_well():
    assert START.derive("orbit", "solved", solved, residual=of_motion)["orbit"].how == (
        "computed by Sympy, residual reduces to 0"
    )
    with pytest.raises(DerivationError, match="does not hold: the residual b is"):
        START.derive("orbit", "solved", solved, residual=lambda equation, known: equation.rhs.subs(t, 0))


def test_a_checked_step_says_what_it_used_and_how_it_was_checked():
    derivation = START.check("orbit", "guessed", sp.Eq(f(t), a * t + b), of_motion)
    assert (derivation.known, derivation["orbit"].uses) == ("checked", ("speed",))
    assert derivation["orbit"].how == "residual reduces to 0"


def test_what_sympy_cannot_reduce_is_checked_at_random_points():
    # Gauss's multiplication formula for five factors: true, and beyond simplify.
    product = sp.prod([sp.gamma(t + sp.Rational(k, 5)) for k in range(5)])
    whole = (2 * sp.pi) ** 2 * 5 ** (sp.Rational(1, 2) - 5 * t) * sp.gamma(5 * t)
    derivation = Derivation("gauss", "multiplication").check(
        "five", "", sp.Eq(f(t), whole), lambda equation, _: sp.log(equation.rhs) - sp.log(product)
    )
    assert derivation["five"].how in ("residual is 0 at 20 random points in 50 digits", "residual reduces to 0")


@pytest.mark.parametrize(
    ("residual", "words"),
    [
        (lambda equation, known: known["speed"].rhs - 2 * a, r"the residual -a is -[\d.]+ at a = [\d.]+"),
        (lambda equation, known: (sp.Integer(0), x - y), r"the residual x - y is"),
        (lambda equation, known: sp.Integer(1), r"the residual 1 is 1\.0000$"),
        (lambda equation, known: sp.nan, r"the residual nan is nan"),
        (lambda equation, known: f(t) - a * t, r"the residual .*f\(t\)"),
        (lambda equation, known: x - y + sp.Float("1e-20") * x, "does not hold"),
        (lambda equation, known: [], "hands over no residual"),
    ],
)
def test_a_wrong_step_cannot_be_built_and_the_residual_is_shown(residual, words):
    with pytest.raises(DerivationError, match=words):
        START.check("wrong", "", sp.Eq(f(t), a * t), residual)


def test_rounding_is_told_from_a_small_error():
    identity = sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1
    START.check("identity", "", sp.Eq(y, 1), lambda e, _: identity + e.rhs - 1)
    with pytest.raises(DerivationError, match="does not hold"):
        START.check("identity", "", sp.Eq(y, 1), lambda e, _: identity + e.rhs - 1 + sp.Rational(1, 10**25) * sp.exp(x))


def test_the_domain_says_where_a_residual_must_vanish():
    only_positive = {"equation": sp.Eq(y, x), "residual": lambda e, _: sp.Abs(x) - e.rhs}
    with pytest.raises(DerivationError, match="does not hold"):
        START.check("positive", "", **only_positive)
    assert START.check("positive", "", **only_positive, domain={x: (1, 2)}).known == "checked"


@pytest.mark.parametrize("not_one", [a * t, sp.Eq(a, a), sp.Ne(a, b)])
def test_a_step_is_an_equation(not_one):
    with pytest.raises(DerivationError, match=r"growth\.odd must be a Sympy equation, got"):
        START.given("odd", "", not_one)


def test_two_steps_of_one_name_are_refused():
    with pytest.raises(DerivationError, match="two steps named 'speed'; rename one"):
        START.given("speed", "", sp.Eq(a, b))


@pytest.mark.parametrize("derivation", [START, Derivation("nothing", "")])
def test_a_derivation_that_only_states_concludes_nothing(derivation):
    with pytest.raises(DerivationError, match="concludes nothing: end it with"):
        _ = derivation.conclusion


def test_a_step_that_is_not_there_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="no step of the derivation 'growth' named 'sped'; did you mean 'speed'"):
        _ = START["sped"]
    with pytest.raises(UnknownNameError, match="did you mean 'speed'"):
        START.derive("orbit", "", lambda known: known["spede"])


def test_a_conclusion_is_known_as_well_as_its_weakest_link():
    cited = START.cite("lemma", "from a book", sp.Eq(y, a * b), BOOK)
    assert (cited.known, cited["lemma"].how) == ("cited", "A. Author 2020, Theorem 3")
    on_it = cited.derive("next", "", lambda known: sp.Eq(y**2, known["lemma"].rhs ** 2))
    assert on_it["next"].kind == "derived"
    assert (on_it.known, on_it.how_known("next")) == ("cited", "cited")
    further = on_it.derive("last", "", lambda known: sp.Eq(y**4, known["next"].rhs ** 2))
    assert further.known == "cited", "however long the chain is"
    beside = further.derive("orbit", "the citation is not used", solved)
    assert beside.known == "derived"
    checked = START.check("guess", "", sp.Eq(f(t), a * t + b), of_motion)
    assert checked.derive("twice", "", lambda known: sp.Eq(y, 2 * known["guess"].rhs)).known == "checked"


def test_what_is_read_through_values_counts_as_used():
    derivation = START.cite("lemma", "", sp.Eq(y, a), BOOK).derive(
        "sum", "", lambda known: sp.Eq(x, sum(equation.rhs for equation in known.values()))
    )
    assert (derivation["sum"].uses, derivation.known) == (("speed", "lemma"), "cited")


def test_a_residual_that_does_not_look_at_the_equation_checks_nothing():
    a, y = sp.symbols("a y")
    with pytest.raises(DerivationError, match="stays zero when the equation is changed"):
        Derivation("d", "").check("lie", "", sp.Eq(y, 42 * a), lambda equation, known: sp.Integer(0))
