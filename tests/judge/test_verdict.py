"""From cells to the verdict on the idea: the rules of combination."""

import pytest

from idealab.judge.verdict import (
    Claim,
    SignatureConclusion,
    conclude_idea,
    conclude_signature,
    seen_of,
)

P, A, U = ["present"], ["absent"], ["undecided"]


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        ([P, P, P], "present"),
        ([A, P, P], "absent"),
        ([P, P, A], "partial"),
        ([P, A, A], "inconclusive"),  # a leading stretch of one condition is no scope
        ([P, P, U, A], "inconclusive"),  # the edge is not bracketed
        ([P, P, U], "inconclusive"),
        ([["present", "absent"], P], "absent"),  # one checkpoint of a curve is enough to break it
        ([["present", "undecided"], P], "inconclusive"),
    ],
)
def test_from_conditions_to_a_signature(cells, verdict):
    labelled = [(f"knob={i}", c) for i, c in enumerate(cells)]
    conclusion = conclude_signature(labelled)
    assert conclusion.verdict == verdict
    assert conclusion.refuted_as_stated == any("absent" in c for c in cells)


def test_the_scope_names_both_sides_of_its_edge_and_says_when_it_recurs():
    conclusion = conclude_signature([("a", P), ("b", P), ("c", A), ("d", P)])
    assert conclusion.scope == "present up to b, absent from c"
    assert conclusion.recurs


def _claim(verdict, name="s", idealized=True):
    return Claim(name, SignatureConclusion(verdict, scope="to b" if verdict == "partial" else ""), idealized, "in x")


@pytest.mark.parametrize(
    ("claims", "gates", "verdict"),
    [
        ([_claim("present")], [], "supported"),
        ([_claim("present"), _claim("absent", "t")], [], "refuted"),
        ([_claim("present"), _claim("absent", "t")], ["a control"], "refuted"),  # gates only lower
        ([_claim("present")], ["a control"], "inconclusive"),
        ([_claim("present"), _claim("inconclusive", "t")], [], "inconclusive"),
        ([_claim("present"), _claim("partial", "t")], [], "partial"),
        ([_claim("present"), _claim("inconclusive", idealized=False)], [], "inconclusive"),  # undecided is no scope
        ([_claim("present"), _claim("absent", idealized=False)], [], "partial"),  # real data narrows, never refutes
        ([_claim("inconclusive"), _claim("present", idealized=False)], [], "inconclusive"),  # nor rescues
        ([_claim("absent", idealized=False)], [], "refuted"),  # unless it is all that was asked
        ([], [], "inconclusive"),
    ],
)
def test_from_signatures_to_the_idea(claims, gates, verdict):
    assert conclude_idea(claims, gates).verdict == verdict


def test_a_refutation_names_the_survivors():
    conclusion = conclude_idea([_claim("present", "clock"), _claim("absent", "gap")], [])
    assert conclusion.remarks == ("absent: gap; still standing: clock",)


def test_a_lowered_verdict_names_its_gate():
    assert conclude_idea([_claim("present")], ["control tail: should break, did not matter"]).gates == (
        "control tail: should break, did not matter",
    )


@pytest.mark.parametrize(
    ("verdicts", "seen"),
    [
        (["absent", "absent"], "breaks"),
        (["present", "present"], "does_not_matter"),
        (["present", "absent"], "undecided"),
        (["inconclusive"], "undecided"),
    ],
)
def test_what_a_control_shows(verdicts, seen):
    assert seen_of(verdicts) == seen
