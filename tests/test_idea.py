"""What a theory declares: an inconsistent idea, signature or assumption cannot exist."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy as sp

from idealab.errors import DeclarationError, PrinterError, UnknownNameError
from idealab.idea import Assumption, Named, Reference, Rival, Signature
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction

a, b, t = sp.symbols("a b t", positive=True)
y = sp.Symbol("y", real=True)
BOOK = Reference("key", "A. Author", 2020, "A Title")
LINE = (
    Derivation("line", "a line")
    .given("slope", "", sp.Eq(sp.Function("y")(t).diff(t), a))
    .derive("line", "", lambda known: sp.Eq(y, known["slope"].rhs * t + b))
)
CITED = Derivation("cited", "from a book").cite("lemma", "", sp.Eq(y, a * t), BOOK)
ON_CITED = CITED.derive("next", "", lambda known: sp.Eq(y, 2 * known["lemma"].rhs))


def signature(**changes):
    fields = {
        "name": "height",
        "statement": "",
        "observable": "y",
        "derivation": LINE,
        "criterion": Equals(rtol=0.1),
        "reason": "friction",
    }
    return Signature(**(fields | changes))


def step(rhs):
    return LINE.derive("odd", "", lambda known: sp.Eq(y, known["line"].rhs * 0 + rhs))


def test_the_prediction_is_the_right_hand_side_of_the_conclusion():
    made = signature()
    assert made.prediction.expression == LINE.conclusion.rhs == a * t + b
    assert (made.known, made.arguments) == ("derived", ("a", "b", "t"))


def test_a_signature_may_rest_on_a_step_in_between():
    longer = LINE.derive("double", "", lambda known: sp.Eq(y, 2 * known["line"].rhs))
    assert signature(derivation=longer).prediction.expression == 2 * a * t + 2 * b
    assert signature(derivation=longer, step="line").prediction.expression == a * t + b


def test_arguments_are_those_of_the_tolerance_and_the_rivals_too():
    rival = Rival("other", "", Prediction(a * sp.Symbol("c", positive=True)))
    made = signature(criterion=Equals(atol=sp.Symbol("d", positive=True)), by_log=(t,), rivals=Named(rival))
    assert made.arguments == ("a", "b", "c", "d", "log_t")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": "  "}, "gives no reason for its tolerance; say which bias it allows for"),
        ({"derivation": CITED}, "primary but rests only on a citation"),
        ({"derivation": ON_CITED}, "primary but rests only on a citation"),
        ({"derivation": ON_CITED, "step": "lemma"}, "primary but rests only on a citation"),
        ({"step": "slope"}, "predicts with the step 'slope', which is only given"),
        ({"derivation": step(0)}, "predicts zero, so its tolerance needs atol above zero"),
        ({"derivation": Derivation("none", "")}, "concludes nothing"),
    ],
)
def test_a_signature_that_claims_too_much_is_refused(changes, words):
    with pytest.raises(DeclarationError, match=words):
        signature(**changes)


def test_a_citation_may_back_a_secondary_signature():
    assert signature(derivation=ON_CITED, primary=False).known == "cited"


def test_zero_may_be_predicted_with_an_absolute_tolerance():
    assert signature(derivation=step(0), criterion=Equals(atol=0.1)).prediction.expression == 0


def test_a_formula_without_a_jax_form_is_refused_when_it_is_declared():
    # Sympy has no closed form of this one, and neither has JAX.
    with pytest.raises(PrinterError, match="has no faithful JAX form"):
        signature(derivation=step(sp.Function("mystery")(t)))


def test_an_unknown_step_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'slope'"):
        signature(step="slop")


@pytest.mark.parametrize(
    ("tolerance", "words"),
    [
        ({"rtol": -0.1}, "must be finite and not negative, got rtol=-0.1"),
        ({"atol": float("inf")}, "must be finite and not negative, got atol=inf"),
        ({}, "needs a tolerance above zero"),
        ({"rtol": 0.1, "estimand": "mode"}, "must be 'mean' or 'median'"),
    ],
)
def test_a_tolerance_must_make_sense(tolerance, words):
    with pytest.raises(DeclarationError, match=words):
        Equals(**tolerance)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"removal": "matters"}, "removal='matters' must be 'breaks' or 'does_not_matter'"),
        ({"signatures": ()}, "names no signature on which its removal shows"),
        ({"removal": "does_not_matter", "rival": signature()}, "does not matter, so it can have no rival signature"),
    ],
)
def test_an_assumption_must_say_what_its_removal_does(changes, words):
    fields = {"name": "linear", "statement": "", "removal": "breaks", "signatures": ("height",)}
    with pytest.raises(DeclarationError, match=words):
        Assumption(**(fields | changes))


def test_an_idea_needs_something_that_could_refute_it(toy):
    secondary = Named(toy.idea().signatures["energies"])
    with pytest.raises(DeclarationError, match="'toy' has no primary signature, so nothing could refute it"):
        replace(toy.idea(), signatures=secondary, assumptions=Named())


def test_an_assumption_must_name_a_declared_signature(toy):
    lost = Assumption("lost", "", "breaks", ("hight",))
    with pytest.raises(DeclarationError, match="names the signature 'hight', which is not declared; declared: height"):
        replace(toy.idea(), assumptions=Named(lost))


def test_two_derivations_of_one_name_are_refused(toy):
    again = replace(toy.idea().signatures["energies"], derivation=toy.fall(2))
    twin = replace(toy.idea().signatures["height"], derivation=toy.fall(2))
    with pytest.raises(DeclarationError, match="two derivations are named 'fall_2'; rename one"):
        replace(toy.idea(), signatures=Named(twin, again), assumptions=Named())


def test_an_idea_knows_all_that_it_rests_on(toy):
    assert list(toy.idea().derivations) == ["fall_2", "shares", "fall_3"]


def test_named_items_are_found_by_name_and_suggested(toy):
    signatures = toy.idea().signatures
    assert list(signatures) == ["height", "curve", "energies"]
    assert "height" in signatures
    assert "hight" not in signatures
    with pytest.raises(UnknownNameError, match="no signature named 'hight'; did you mean 'height'"):
        _ = signatures["hight"]
    with pytest.raises(UnknownNameError, match="no item named 'x'; known: none"):
        _ = Named()["x"]
    with pytest.raises(DeclarationError, match="two signatures are named 'height'; rename one"):
        Named(signatures["height"], signatures["height"])
