"""Cells without chance: three refinements of one run, on sequences whose limit is known; and an integrator."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from idealab.experiment import Condition, Experiment, Observation
from idealab.idea import Idea, Named, Signature
from idealab.judge.cells import OFF_SCALE, RefinedCell, Rules, judge_cells
from idealab.judge.criteria import Equals
from idealab.judge.shapes import Rate
from idealab.symbolic.derivation import Derivation
from idealab.verify import verify
from tests.judge.specimens import curve

RULES = Rules(max_seeds=8, cells=4)


def _cell(deviations, ratio=2.0, **changes):
    x = np.asarray(deviations, float)
    return RefinedCell(np.zeros_like(x), x, np.ones_like(x), x, ratio=ratio, **changes)


def _sequence(limit, error, order, ratio=2.0):
    """``limit + error h^order`` at ``h = ratio^2, ratio, 1``: error is that of the finest."""
    return limit + error * np.array([ratio ** (2 * order), ratio**order, 1.0])


def _judge(cell):
    (decision,) = judge_cells([cell], RULES)
    return decision


# --- Manufactured sequences -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("ratio", [2.0, 3.0, 1.5])
@pytest.mark.parametrize("error", [0.2, -0.2])
def test_the_limit_and_the_order_of_a_power_are_found(order, ratio, error):
    limit, index, words = _cell(_sequence(0.3, error, order, ratio), ratio).extrapolated()
    assert limit == pytest.approx(0.3, abs=1e-9)
    # Roache 1994, eq. 7: GCI = 1.25 |f2 - f1|/(r^p - 1), with f1 the finest; for an exact power 1.25 times its error.
    coarse, fine = _sequence(0.3, error, order, ratio)[1:]
    assert index == pytest.approx(1.25 * abs(fine - coarse) / (ratio**order - 1))
    assert index == pytest.approx(1.25 * abs(error))
    assert f"order {order:.2f}" in words


def test_by_hand_the_differences_shrink_by_four():
    limit, index, words = _cell([0.5, 0.8, 0.875]).extrapolated()
    assert (limit, index) == pytest.approx((0.9, 1.25 * 0.025))
    assert "order 2.00" in words


@pytest.mark.parametrize(
    ("limit", "error", "verdict"),
    [
        (0.0, 0.1, "present"),
        (0.5, 0.3, "present"),  # 0.5 + 1.25 0.3 < 1
        (0.5, 0.5, "undecided"),  # 0.5 + 1.25 0.5 > 1
        (-0.5, 0.3, "present"),
        (0.0, 5.0, "undecided"),  # the limit is right, but nobody can know yet
        (1.5, 0.3, "absent"),  # 1.5 - 1.25 0.3 > 1
        (1.5, 0.5, "undecided"),
        (-1.5, -0.3, "absent"),
        (20.0, 5.0, "absent"),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_the_index_counts_on_the_side_of_caution(limit, error, verdict, order):
    decision = _judge(_cell(_sequence(limit, error, order)))
    assert decision.verdict == verdict
    assert decision.seeds == 3
    assert ("refine further" in decision.note) is (verdict == "undecided")
    assert "three refinements" in decision.note


@pytest.mark.parametrize(
    ("deviations", "verdict"),
    [
        ([0.3, -0.2, 0.1], "undecided"),  # oscillates by half a tolerance
        ([0.03, -0.02, 0.01], "present"),  # oscillates by so little that it is no matter
        ([0.1, 0.2, 0.5], "undecided"),  # grows
        ([5.1, 5.2, 5.4], "absent"),  # grows, but is far out
        ([0.0, 0.2, 0.39], "undecided"),  # converges too slowly to say whereto
        ([0.9, 0.5, 0.49999], "undecided"),  # of order 15: terms that cancel
        ([0.01, 0.005, 0.00499], "present"),
    ],
)
def test_what_does_not_converge_like_a_power_is_as_uncertain_as_it_moved(deviations, verdict):
    decision = _judge(_cell(deviations))
    assert decision.verdict == verdict
    assert "do not converge like a power" in decision.note


def test_what_has_converged_to_rounding_is_taken_as_it_is():
    for x in ([0.5, 0.5, 0.5], [0.7, 0.5, 0.5], [0.5, 0.5 + 2e-15, 0.5]):
        decision = _judge(_cell(x))
        assert decision.verdict == "present"
        assert "nothing moved" in decision.note
    tight = np.array([1.0, 1.0 + 1e-15, 1.0])
    cell = RefinedCell(np.ones(3), tight, np.full(3, 1e-14), (tight - 1) / 1e-14)
    assert cell.extrapolated()[1] == pytest.approx(32 * 2.0**-52 / 1e-14)


def test_terms_that_cancel_are_not_seen_by_three_runs():
    # Said in the docstring: of -3 h + h^2 at h = 4, 2, 1 the last two runs agree, and both are wrong by 2.
    h = np.array([4.0, 2.0, 1.0])
    assert _cell(h**2 - 3 * h).extrapolated()[0] == -2


def test_a_claim_with_one_edge_has_no_lower_one():
    assert _judge(_cell(_sequence(-3.0, 0.1, 1), one_sided=True)).verdict == "present"
    assert _judge(_cell(_sequence(-3.0, 0.1, 1))).verdict == "absent"


def test_a_claim_about_every_seed_is_one_about_every_refinement():
    assert _judge(_cell([0.9, 0.5, 0.2], estimand="every")).verdict == "present"
    decision = _judge(_cell([1.1, 0.5, 0.2], estimand="every"))
    assert (decision.verdict, decision.note) == ("absent", "within the bound at 2 of 3 refinements")


def test_a_refinement_that_is_lost_is_no_refutation_unless_all_are():
    some = _judge(_cell([OFF_SCALE, 0.1, 0.05]))
    assert (some.verdict, some.note) == ("undecided", "1 of 3 refinements did not give a finite number: refine further")
    assert _judge(_cell([OFF_SCALE] * 3)).verdict == "absent"


def test_no_prediction_is_a_refutation_and_fewer_than_three_runs_say_nothing():
    assert _judge(_cell([0.1, math.nan, 0.1])).lost
    assert _judge(_cell([0.1, 0.05])).verdict == "undecided"


def test_a_rate_without_chance_is_extrapolated_like_any_number():
    sizes = 2.0 ** np.arange(3, 9)
    cells = [
        Rate("N", ideal=1.0).cells(
            curve(
                1 + (5 + step) / sizes[:, None] ** (1 + 0.1 * step), -1.0, sizes, formulas={"ideal": 1.0, "atol": 0.1}
            )
        )[0]
        for step in (0.4, 0.2, 0.1)
    ]
    joined = [
        np.concatenate([getattr(c, n) for c in cells]) for n in ("predicted", "measured", "tolerances", "deviations")
    ]
    decision = _judge(RefinedCell(*joined))
    assert decision.verdict == "present"
    assert "order 1.0" in decision.note


# --- An integrator of order one, through the whole pipeline -----------------------------------------------------------

t = sp.Symbol("t", positive=True)
x = sp.Function("x")


def _idea(factor=1.0, tolerance=1e-2):
    decay = (
        Derivation("decay", "a quantity that decays")
        .given("motion", "what is lost is what there is", sp.Eq(x(t).diff(t), -x(t)))
        .derive("orbit", "solved from one", lambda known: sp.dsolve(known["motion"], x(t), ics={x(0): 1}))
        .derive("measured", "in the units of the clock", lambda known: sp.Eq(x(t), factor * known["orbit"].rhs))
    )
    left = Signature(
        "left", "what is left", "left", decay, Equals(rtol=tolerance), "none: the limit is exact", exact=True
    )
    return Idea("decay", "It decays.", "", (), (), Named(left), Named())


def _observe(key, condition):
    """Explicit Euler: ``x_(k+1) = (1 - h) x_k``, wrong by about ``h/2`` of itself at t = 1."""
    step = condition["step"]
    steps = jnp.round(condition["t"] / step).astype(int)
    left = jax.lax.fori_loop(0, steps, lambda _, value: value * (1 - step), 1.0)
    return Observation({"gradient_evaluations": steps.astype(float)}, {"left": left})


def _forgets_the_step(key, condition):
    return Observation({}, {"left": jnp.exp(-condition["t"])})


def _verify(idea, times=(0.5, 1.0), steps=(0.02, 0.01, 0.005), observe=_observe):
    euler = Experiment(
        name="euler",
        statement="Euler's rule",
        level="idealized",
        observe=observe,
        observables=("left",),
        conditions=tuple(Condition({"t": time, "step": 1.0}, f"t={time:g}") for time in times),
        refinement=("step", steps),
    )
    return verify(idea, experiments=(euler,), record=False)


def test_an_integrator_is_right_in_the_limit():
    found = _verify(_idea())
    assert found.verdict == "supported"
    for cell in found.signatures[0].cells:
        # The finest run is off by a quarter or an eighth of a tolerance (h/2 of itself), the limit by 50 times less.
        assert abs(cell.deviation) < 0.005
        assert abs(cell.measured - cell.predicted) < cell.standard_error < cell.tolerance / 3
        assert cell.verdict == "present"
        assert "order 1.0" in cell.note
        assert cell.seeds == 3
    assert found.cost.seeds == 2 * 3, "one replicate of each refinement of each condition"
    assert found.cost.gradient_evaluations == 25 + 50 + 100 + 50 + 100 + 200
    assert found.cost.fixed_design_seeds == 2 * 3


@pytest.mark.parametrize("factor", [1.03, 0.97])
def test_a_wrong_constant_is_refuted_by_the_limit(factor):
    found = _verify(_idea(sp.Float(factor)))
    assert found.verdict == "refuted"
    assert {cell.verdict for cell in found.signatures[0].cells} == {"absent"}


def test_the_limit_refutes_what_the_finest_run_agrees_with():
    # The theory is 0.5 % low at t = 1, as the finest run is: by two tolerances of the limit.
    found = _verify(_idea(sp.Float(0.995), 2.5e-3), times=(1.0,), steps=(0.004, 0.002, 0.001))
    (cell,) = found.signatures[0].cells
    assert abs(cell.deviation) == pytest.approx(2, rel=0.02)
    assert cell.verdict == "absent"


def test_steps_that_are_too_coarse_leave_it_undecided():
    found = _verify(_idea(), times=(1.0,), steps=(0.5, 0.25, 0.125))
    (cell,) = found.signatures[0].cells
    assert found.verdict == "inconclusive"
    assert cell.verdict == "undecided"
    assert "refine further" in cell.note
    assert cell.seeds_to_decide is None


def test_steps_in_a_ratio_of_three_from_the_finest_to_the_coarsest_are_not_mistaken():
    found = _verify(_idea(), times=(1.0,), steps=(0.05, 0.05 / 3, 0.05 / 9))
    assert found.signatures[0].cells[0].note.startswith("three refinements, order 1.0")
    assert found.verdict == "supported"


def test_a_refinement_that_reaches_nothing_is_called_out():
    found = _verify(_idea(), observe=_forgets_the_step)
    assert found.verdict == "inconclusive"
    assert all("does not reach the experiment" in cell.note for cell in found.signatures[0].cells)
