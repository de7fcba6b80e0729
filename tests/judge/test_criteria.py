"""What holds for all six criteria alike: a theory that is right, wrong, undefined or unseen; and bad declarations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from idealab.errors import DeclarationError
from idealab.judge.criteria import Equals, Identity
from idealab.judge.shapes import Rate, Slope, Threshold, Trend
from tests.judge.specimens import POINTS, SPECIMENS, judge, verdicts


@pytest.fixture(params=SPECIMENS)
def specimen(request):
    return SPECIMENS[request.param]


# --- Known truths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_theory_that_is_right_is_present_in_every_cell(specimen, seed):
    decisions = judge(specimen.criterion, specimen.curve(seed=seed))
    assert {decision.verdict for decision in decisions} == {"present"}
    assert len(decisions) == specimen.criterion.count(len(POINTS))
    assert max(decision.seeds for decision in decisions) <= 24


@pytest.mark.parametrize("off", [1.5, 2.0, -2.0])
def test_a_theory_that_is_wrong_is_absent_somewhere(specimen, off):
    # A trend that is off by -2 is only steeper.
    steeper = isinstance(specimen.criterion, Trend) and off < 0
    assert ("absent" in verdicts(specimen.criterion, specimen.curve(off))) is not steeper


@pytest.mark.parametrize("name", ["Equals", "Slope", "Trend", "Rate"])
def test_a_theory_exactly_at_its_tolerance_is_seldom_present(name):
    specimen = SPECIMENS[name]
    found = [verdicts(specimen.criterion, specimen.curve(1.0, seed=seed)) for seed in range(40)]
    # Nominal 5 % in a cell; all cells of a curve at once are far rarer. Three standard errors at 40 draws are 10 %.
    assert sum(all(verdict == "present" for verdict in cells) for cells in found) <= 40 * 0.15
    assert sum(cells[0] == "absent" for cells in found) <= 1


# --- What is not there ------------------------------------------------------------------------------------------------


def test_a_prediction_that_is_not_finite_is_absent(specimen):
    made = specimen.curve(seeds=8)
    made.predicted[:, 3] = made.own[:, 3] = np.nan
    for decision in judge(specimen.criterion, made):
        assert decision.verdict == "absent"
        assert decision.lost
        assert "not a finite number" in decision.note


def test_a_rival_that_predicts_no_finite_number_was_not_put_to_the_test(specimen):
    made = specimen.curve(seeds=8)
    made.predicted[:] = np.inf
    decisions = judge(specimen.criterion, made)
    assert all(decision.lost for decision in decisions)


def test_where_every_seed_is_lost_the_cell_is_absent_and_says_so(specimen):
    made = specimen.curve(seeds=16)
    made.measured[:], made.lost[:] = np.nan, True
    for decision in judge(specimen.criterion, made):
        assert decision.verdict == "absent"
        assert decision.lost, "a crash refutes no rival and kills no mutant"
        assert "seeds did not give a finite number" in decision.note


def test_one_seed_in_twenty_that_is_lost_is_never_overlooked(specimen):
    made = specimen.curve(seeds=60)
    made.measured[:, 2::20], made.lost[:, 2::20] = np.inf, True
    for decision in judge(specimen.criterion, made):
        assert decision.verdict != "present"
        assert "seeds did not give a finite number" in decision.note


def test_a_median_does_without_the_seeds_that_are_lost():
    for name in ("Equals", "Slope"):
        specimen = SPECIMENS[name]
        made = specimen.curve()
        made.measured[:, 2::20], made.lost[:, 2::20] = np.nan, True
        assert set(verdicts(replace(specimen.criterion, estimand="median"), made)) == {"present"}


def test_without_seeds_nothing_is_decided(specimen):
    decisions = judge(specimen.criterion, specimen.curve(seeds=0))
    assert {(decision.verdict, decision.seeds) for decision in decisions} == {("undecided", 0)}
    assert len(decisions) == specimen.criterion.count(len(POINTS))


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_few_seeds_decide_nothing(specimen, seeds):
    assert set(verdicts(specimen.criterion, specimen.curve(seeds=seeds))) == {"undecided"}


# --- How it is reported makes no difference ---------------------------------------------------------------------------


@pytest.mark.parametrize("off", [0.0, 2.0])
def test_the_points_of_an_axis_may_come_in_any_order(specimen, off):
    made, order = specimen.curve(off), np.random.default_rng(1).permutation(len(POINTS))
    arrays = {name: getattr(made, name)[order] for name in ("axis", "measured", "predicted", "own", "lost")}
    shuffled = replace(made, labels=tuple(made.labels[k] for k in order), **arrays)

    def labelled(one):
        return {cell.label: cell.deviations for cell in specimen.criterion.cells(_with_formulas(specimen, one))}

    straight, mixed = labelled(made), labelled(shuffled)
    assert straight.keys() == mixed.keys()
    for label, deviations in straight.items():
        np.testing.assert_allclose(mixed[label], deviations, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["Slope", "Rate", "Trend"])
def test_an_axis_may_be_reported_by_its_logarithm(name):
    specimen = SPECIMENS[name]
    plain = specimen.curve()
    logged = replace(plain, along="log_N", axis=np.log(POINTS))
    assert judge(specimen.criterion, plain) == judge(replace(specimen.criterion, along="log_N"), logged)


def _with_formulas(specimen, made):
    formulas = {n: np.full(made.measured.shape, float(v)) for n, v in specimen.criterion.formulas.items()}
    return replace(made, formulas=formulas)


@pytest.mark.parametrize("name", ["Slope", "Trend", "Rate", "Threshold"])
def test_a_shape_takes_one_number_at_a_point(name):
    specimen = SPECIMENS[name]
    made = specimen.curve(seeds=4)
    vector = {part: getattr(made, part)[..., None].repeat(3, -1) for part in ("measured", "predicted", "own", "lost")}
    with pytest.raises(DeclarationError, match=rf"{name} takes one number at a point, but one of shape \(3,\)"):
        judge(specimen.criterion, replace(made, **vector))


def test_a_constant_curve_is_judged_for_what_it_is():
    flat = {
        name: verdicts(specimen.criterion, replace(specimen.curve(), measured=np.full((len(POINTS), 64), 2.0)))
        for name, specimen in SPECIMENS.items()
    }
    assert set(flat["Equals"]) == set(flat["Identity"]) == {"present"}
    assert flat["Slope"] == ["absent", "absent", "present"]
    assert set(flat["Trend"]) == {"undecided"}
    assert flat["Rate"] == ["absent"]
    assert flat["Threshold"] == ["absent"] * 4 + ["present"] * 4


# --- Bad declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [{}, {"rtol": 0, "atol": 0}, {"rtol": sp.Integer(0)}])
def test_a_tolerance_of_zero_is_refused(bad):
    with pytest.raises(DeclarationError, match="Equals needs a tolerance above zero, got rtol=0 and atol=0: state the"):
        Equals(**bad)


@pytest.mark.parametrize("value", [-1e-3, float("nan"), float("inf"), sp.Rational(-1, 10), sp.oo, sp.nan])
@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_a_tolerance_that_is_no_size_is_refused(name, value):
    with pytest.raises(DeclarationError, match=f"Equals: a tolerance must be finite and not negative, got {name}="):
        Equals(**({"rtol": 0.1} | {name: value}))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Equals(rtol="0.1"), "Equals: rtol='0.1' must be a number, or a Sympy expression"),
        (lambda: Equals(rtol=0.1, estimand="mode"), "Equals: estimand='mode' must be 'mean' or 'median'"),
        (lambda: Equals(rtol=0.1, pooled=-0.02), "Equals: a tolerance must be .* not negative, got pooled=-0.02"),
        (lambda: Equals(rtol=0.1, pooled=sp.Symbol("p")), "Equals: pooled=p must be a number"),
        (lambda: Slope("N", estimand="every"), "Slope: estimand='every' must be 'mean' or 'median'"),
        (lambda: Slope("N", atol=0.0), "Slope needs a tolerance above zero, got atol=0"),
        (lambda: Slope("N", atol=float("nan")), "Slope: a tolerance must be finite and not negative, got atol=nan"),
        (lambda: Slope(""), "Slope: along='' must name the axis: the argument of the checkpoints"),
        (lambda: Trend("N", least=-0.1), "Trend: a tolerance must be finite and not negative, got least=-0.1"),
        (lambda: Trend("N", least=2.0), "Trend: least=2.0 is never reached; a relative change is below two"),
        (lambda: Trend(None), "Trend: along=None must name the axis"),
        (lambda: Rate("N", ideal=0.0, atol=0.0), "Rate needs a tolerance above zero, got atol=0"),
        (lambda: Rate("N", ideal=float("inf")), "Rate: ideal=inf must be a finite number, or an expression for one"),
        (lambda: Threshold("N", level=float("nan")), "Threshold: level=nan must be a finite number"),
        (lambda: Threshold("N", level=1.0, rtol=-0.1), "Threshold: a tolerance must be .*, got rtol=-0.1"),
        (lambda: Threshold("N", level=1.0, above="up"), "Threshold: above='up' must be 'below' or 'beyond'"),
        (lambda: Identity(ulps=0), "Identity needs a tolerance above zero, got ulps=0: count the operations"),
        (lambda: Identity(ulps=float("inf")), "Identity: a tolerance must be finite and not negative, got ulps=inf"),
        (lambda: Identity(ulps=4, scale=-1.0), "Identity: a tolerance must be finite and not negative, got scale=-1.0"),
        (lambda: Identity(ulps=sp.Symbol("u")), "Identity: ulps=u must be a number"),
    ],
)
def test_what_could_not_decide_anything_is_refused_in_words(build, words):
    with pytest.raises(DeclarationError, match=words):
        build()


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (Equals(rtol=0.01, atol=1e-6), "equals within 0.01 relative plus 1e-06 absolute"),
        (
            Equals(rtol=0.1, pooled=0.02, estimand="median"),
            "median equals within 0.1 relative, pooled amplitude within",
        ),
        (Identity(ulps=8), "equals in every seed within 8 times machine epsilon"),
        (Identity(ulps=8, scale=3.0), "equals in every seed within 8 times machine epsilon of 3.0"),
        (Slope("log_t"), "log-log slope along log_t within 0.05"),
        (Trend("N", least=0.1), "monotone along N by more than 0.1 relative"),
        (Rate("N", ideal=0.0), "rate of approach to 0.0 along N within 0.1"),
        (Threshold("N", level=1.0), "crosses 1.0 at a value of N"),
    ],
)
def test_reads_as_words(criterion, words):
    assert str(criterion).startswith(words)
