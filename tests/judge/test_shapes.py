"""Power laws, trends and thresholds along an axis, on curves whose shape is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from idealab.errors import DeclarationError
from idealab.judge.shapes import Slope, Threshold, Trend
from tests.judge.specimens import curve, judge, verdicts


def _times(decades, points=8, start=10.0):
    return np.geomspace(start, start * 10.0**decades, points)


def _noisy(values, spread=0.01, seeds=64, seed=0):
    return np.asarray(values)[:, None] * np.exp(spread * np.random.default_rng(seed).normal(size=(len(values), seeds)))


# --- Slope ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decades", "percent"), [(1, 3), (2, 7), (3, 12), (4, 16)])
def test_the_best_power_law_is_nearly_a_logarithm(decades, percent):
    # Linear programming: minimise e subject to |ln c + p ln t - ln ln t| <= e.
    u = np.log(_times(decades, 400))
    rows = np.column_stack([np.ones_like(u), u])
    bound = np.vstack([np.c_[rows, -np.ones_like(u)], np.c_[-rows, -np.ones_like(u)]])
    best = linprog([0, 0, 1], A_ub=bound, b_ub=np.r_[np.log(u), -np.log(u)], bounds=[(None, None)] * 3).fun
    # A factor of exp(e) above and below; as a share of ln t, after centring c, tanh(e).
    assert round(100 * math.tanh(best)) == percent


@pytest.mark.parametrize("decades", [1, 2, 3, 4])
def test_the_bend_refutes_a_logarithm_of_the_predicted_slope(decades):
    t = _times(decades)
    best = np.polyfit(np.log(t), np.log(np.log(t)), 1)[0]
    slope, _, bend = judge(Slope("t"), curve(_noisy(np.log(t)), best, axis=t, along="t"))
    assert slope.verdict == "present"
    assert bend.verdict == "absent"
    lawful = judge(Slope("t"), curve(_noisy(t**best), best, axis=t, along="t"))
    assert {decision.verdict for decision in lawful} == {"present"}
    assert {decision.note for decision in lawful} == {""}


def test_the_bends_in_the_docstring_are_those_of_a_logarithm():
    for start, low, high in ((10.0, 0.12, 0.15), (100.0, 0.04, 0.07), (1000.0, 0.02, 0.04)):
        bends = [
            -Slope("t")
            .cells(replace(curve(_noisy(np.log(t), 0, 1), 0.2, t, "t"), formulas={"atol": np.full((8, 1), 0.05)}))[2]
            .measured[0]
            for t in (_times(decades, start=start) for decades in (1, 2, 3, 4))
        ]
        assert low <= round(min(bends), 2) <= round(max(bends), 2) <= high


@pytest.mark.parametrize("sign", [1, -1])
def test_where_the_band_hides_a_logarithm_the_decision_says_so(sign):
    t = _times(2, start=1000.0)
    best = sign * np.polyfit(np.log(t), np.log(np.log(t)), 1)[0]
    found = judge(Slope("t"), curve(_noisy(np.log(t) ** sign), best, axis=t, along="t"))
    assert {decision.verdict for decision in found} == {"present"}
    assert [decision.note for decision in found[:2]] == ["", ""]
    assert found[2].note == "a logarithm of this slope bends by only 0.032 over this axis, which is within the band"
    narrow = judge(Slope("t", atol=0.01), curve(_noisy(np.log(t) ** sign, 0.001), best, axis=t, along="t"))
    assert narrow[2].verdict == "absent"
    assert narrow[2].note == ""


def test_a_bend_late_in_the_curve_is_seen_by_the_last_half():
    t = _times(4, 12)
    broken = t**-0.5 * np.where(t > 1e4, (t / 1e4) ** 0.2, 1.0)
    slope, last, bend = verdicts(Slope("t", atol=0.1), curve(_noisy(broken), -0.5, axis=t, along="t"))
    assert (slope, last, bend) == ("present", "absent", "absent")


def test_the_halves_have_two_different_values_each_however_the_axis_is_spaced():
    for axis in ([1.0, 1.0, 10.0, 20.0, 100.0], [1.0, 2.0, 3.0, 1000.0], [1.0, 900.0, 950.0, 1000.0], [8, 4, 2, 1]):
        t = np.array(axis)
        found = verdicts(Slope("t"), curve(np.repeat((3 * t**-1.5)[:, None], 8, axis=1), -1.5, axis=t, along="t"))
        assert found == ["present"] * 3


def test_the_bend_is_four_times_as_noisy_as_the_slope():
    made = curve(_noisy(np.ones(64), 0.1, 4000), 0.0, axis=_times(4, 64), along="t")
    cells = Slope("t").cells(replace(made, formulas={"atol": np.full(made.measured.shape, 0.05)}))
    slope, last, bend = (np.std(cell.measured) for cell in cells)
    assert last / slope == pytest.approx(8**0.5, rel=0.05)
    assert bend / slope == pytest.approx(4, rel=0.05)


def test_the_sign_of_y_is_no_matter_but_zero_is_no_power_law():
    t = _times(3)
    assert set(verdicts(Slope("t"), curve(-_noisy(t**-0.5), -0.5, axis=t, along="t"))) == {"present"}
    y = _noisy(t**-0.5)
    y[-1] = 0.0
    decisions = judge(Slope("t"), curve(y, -0.5, axis=t, along="t"))
    assert [decision.verdict for decision in decisions] == ["absent"] * 3
    assert not any(decision.note for decision in decisions), "zero was measured: no seed is lost"


def test_a_slope_may_be_a_median():
    y = _noisy(_times(3) ** -0.5)
    y[-1, ::9] = 1e6
    made = curve(y, -0.5, axis=_times(3), along="t")
    assert "present" not in verdicts(Slope("t"), made)
    assert set(verdicts(Slope("t", estimand="median"), made)) == {"present"}


@pytest.mark.parametrize("axis", [[0.0, 1.0, 2.0, 3.0], [-1.0, 1.0, 2.0, 3.0]])
def test_an_axis_without_a_logarithm_is_refused(axis):
    made = curve(np.ones((4, 4)), 0.5, axis=axis, along="width")
    with pytest.raises(DeclarationError, match=r"along 'width' takes logarithms of its values, got .*; .* above zero"):
        judge(Slope("width"), made)


def test_values_in_place_of_an_exponent_are_refused():
    t = _times(3)
    with pytest.raises(DeclarationError, match=r"Slope predicts one number for the whole curve, but it goes from 0.3"):
        judge(Slope("t"), curve(_noisy(t**-0.5), t**-0.5, axis=t, along="t"))
    rival = curve(_noisy(t**-0.5), t**-0.5, axis=t, along="t", own=-0.5)
    assert len(judge(Slope("t"), rival)) == 3, "a mutant may"


# --- Trend ------------------------------------------------------------------------------------------------------------


def test_every_step_has_a_cell_in_the_order_of_the_axis():
    y = np.array([3.0, 1.0, 2.0])[:, None] + 0.01 * np.random.default_rng(0).normal(size=(3, 16))
    decisions = judge(Trend("N"), curve(y, 1.0, axis=[30, 10, 20]))
    cells = Trend("N").cells(curve(y, 1.0, axis=[30, 10, 20]))
    assert [cell.label for cell in cells] == ["N=10 to N=20", "N=20 to N=30"]
    assert [decision.verdict for decision in decisions] == ["present"] * 2
    assert verdicts(Trend("N"), curve(y, -1.0, axis=[30, 10, 20])) == ["absent"] * 2


def test_a_step_the_wrong_way_is_absent_and_named():
    y = np.array([1.0, 2.0, 1.5, 3.0])[:, None] + 0.05 * np.random.default_rng(0).normal(size=(4, 32))
    assert verdicts(Trend("N"), curve(y, 1.0)) == ["present", "absent", "present"]


def test_a_flat_truth_is_neither_present_nor_absent():
    draws = [np.random.default_rng(seed).normal(5, 0.5, (2, 64)) for seed in range(200)]
    found = [verdicts(Trend("N"), curve(y, 1.0))[0] for y in draws]
    # Nominal 5 %; three binomial standard errors at 200 draws are 4.6 %.
    assert found.count("present") <= 200 * 0.096
    assert found.count("absent") <= 2


def test_the_least_change_is_asked_for():
    y = np.array([1.0, 1.2, 1.44])[:, None] + 0.01 * np.random.default_rng(0).normal(size=(3, 32))
    assert verdicts(Trend("N", least=0.1), curve(y, 1.0)) == ["present"] * 2
    assert verdicts(Trend("N", least=0.3), curve(y, 1.0)) == ["absent"] * 2
    assert verdicts(Trend("N", least=0.1), curve(y[::-1], -1.0)) == ["present"] * 2
    assert verdicts(Trend("N", least=0.3), curve(y[::-1], -1.0)) == ["absent"] * 2


@pytest.mark.parametrize(("point", "held"), [(0, [False, True]), (1, [False, False]), (2, [True, False])])
def test_a_seed_that_is_lost_at_one_point_is_lost_to_the_steps_that_meet_there(point, held):
    y = np.array([1.0, 2.0, 4.0])[:, None] + 0.01 * np.random.default_rng(0).normal(size=(3, 16))
    y[point, 3] = np.nan
    decisions = judge(Trend("N"), curve(y, 1.0))
    assert [decision.verdict == "present" for decision in decisions] == held
    assert [not decision.lost for decision in decisions] == held


def test_the_direction_may_be_the_sign_of_an_expression_that_varies():
    y = np.arange(1.0, 5)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(4, 16))
    assert set(verdicts(Trend("N"), curve(y, [0.1, 3.0, 20.0, 4.0]))) == {"present"}
    with pytest.raises(
        DeclarationError, match="Trend along 'N': the prediction is positive at some points and negative"
    ):
        judge(Trend("N"), curve(y, [0.1, 3.0, -20.0, 4.0]))


def test_no_direction_is_no_trend():
    with pytest.raises(DeclarationError, match=r"the prediction is 0, which is neither up nor down; predict \+1 or -1"):
        judge(Trend("N"), curve(np.ones((3, 8)), 0.0))


def test_two_points_at_one_value_have_no_order():
    with pytest.raises(DeclarationError, match=r"Trend along 'N': N=2 and N=2 lie at one value, .*; leave one out"):
        judge(Trend("N"), curve(np.ones((3, 4)), 1.0, axis=[1, 2, 2]))


def test_a_change_of_sign_is_a_change():
    y = np.array([-1.0, 0.0, 1.0])[:, None] + 0.01 * np.random.default_rng(0).normal(size=(3, 16))
    assert verdicts(Trend("N"), curve(y, 1.0)) == ["present"] * 2
    assert verdicts(Trend("N"), curve(np.zeros((3, 16)), 1.0)) == ["undecided"] * 2


# --- Threshold --------------------------------------------------------------------------------------------------------

KNOB = np.array([0.25, 0.5, 0.9, 1.1, 2.0, 4.0])


def _phases(change, seeds=32, spread=0.2):
    rng = np.random.default_rng(0)
    return np.where(change < KNOB, 3.0, 0.5)[:, None] + spread * rng.normal(size=(len(KNOB), seeds))


def test_the_last_point_before_and_the_first_after_bracket_the_change():
    for predicted, found in ((1.0, "pppppp"), (1.05, "pppppp"), (0.7, "ppappp"), (3.0, "pppaap")):
        decisions = judge(Threshold("g", level=1.5), curve(_phases(1.0), predicted, axis=KNOB, along="g"))
        assert "".join(decision.verdict[0] for decision in decisions) == found


def test_the_phase_above_the_level_may_lie_below_the_change():
    made = curve(_phases(1.0)[::-1], 1.0, axis=KNOB[::-1], along="g")
    assert set(verdicts(Threshold("g", level=1.5), made)) == {"present"}
    assert set(verdicts(Threshold("g", level=1.5, above="below"), made)) == {"absent"}


def test_points_that_are_too_near_are_left_out():
    cells = Threshold("g", level=1.5, rtol=0.2).cells(
        replace(curve(_phases(1.0), 1.0, axis=KNOB, along="g"), formulas={"level": np.full((6, 32), 1.5)})
    )
    assert [cell.label for cell in cells] == ["g=0.25", "g=0.5", "g=2", "g=4"]


def test_cells_do_not_come_and_go_with_later_seeds():
    own = np.full((6, 32), 1.0)
    own[:, 9] = 1.1
    made = curve(_phases(1.0), own, axis=KNOB, along="g")
    assert len(judge(Threshold("g", level=1.5, rtol=0.05), made)) == 6


@pytest.mark.parametrize("predicted", [0.1, 5.0])
def test_points_on_one_side_only_are_refused_with_a_way_out(predicted):
    words = rf"Threshold along 'g': the points g=0.25, .* do not lie on both sides .*, {predicted:g}, .*; add some on"
    with pytest.raises(DeclarationError, match=words):
        judge(Threshold("g", level=1.5), curve(_phases(1.0), predicted, axis=KNOB, along="g"))


@pytest.mark.parametrize(("shown", "refuted"), [(0.7, True), (1.05, False), (10.0, True), (0.01, True), (-1.0, True)])
def test_a_rival_is_refuted_by_the_points_between_its_change_and_the_true_one(shown, refuted):
    rival = curve(_phases(1.0), shown, axis=KNOB, along="g", own=1.0)
    found = verdicts(Threshold("g", level=1.5), rival)
    assert len(found) == 6, "the points are the theory's own, wherever the rival lies"
    assert ("absent" in found) is refuted


def test_each_seed_may_have_a_threshold_of_its_own():
    rng = np.random.default_rng(0)
    own = rng.uniform(0.6, 1.9, (1, 64)) * np.ones((6, 1))
    y = np.where(KNOB[:, None] > own, 3.0, 0.5) + 0.1 * rng.normal(size=own.shape)
    assert set(verdicts(Threshold("g", level=1.5), curve(y, own, axis=KNOB, along="g"))) == {"present"}
    shuffled = verdicts(Threshold("g", level=1.5), curve(y, own[:, ::-1], axis=KNOB, along="g", own=own))
    assert shuffled[2:4] == ["undecided"] * 2, "right for half of the seeds"


def test_a_value_on_the_level_is_on_neither_side():
    y = 1.5 + 0.2 * np.random.default_rng(1).normal(size=(6, 64))
    assert set(verdicts(Threshold("g", level=1.5), curve(y, 1.0, axis=KNOB, along="g"))) == {"undecided"}
