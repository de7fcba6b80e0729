"""What an experiment declares: conditions as pytrees, ranges, settings that are replaced, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import DeclarationError, UnknownNameError, UsageError
from idealab.experiment import Condition, Observation, Range

CONDITION = Condition({"eta": 0.5, "width": 8, "loss": "logistic", "biased": True})


def test_floats_and_data_are_traced_and_the_rest_is_static():
    leaves, shape = jax.tree.flatten(Condition(CONDITION.settings, data={"x": np.ones(3)}))
    assert len(leaves) == 2
    assert leaves[0] == 0.5
    back = jax.tree.unflatten(shape, leaves)
    assert dict(back.settings) == dict(CONDITION.settings)
    np.testing.assert_array_equal(back.data["x"], np.ones(3))


def test_conditions_that_differ_in_floats_share_one_compilation():
    traces = []

    @jax.jit
    def total(condition: Condition) -> jax.Array:
        traces.append(condition["width"])
        return condition["eta"] * jnp.ones(condition["width"]).sum()

    assert total(CONDITION) == 4.0
    assert total(CONDITION.but(eta=0.25)) == 2.0
    assert total(CONDITION.but("under another label", eta=0.125)) == 1.0
    assert traces == [8]
    assert total(CONDITION.but(width=2)) == 1.0
    total(CONDITION.but(loss="squared"))
    total(CONDITION.but(biased=False))
    assert traces == [8, 2, 8, 8]


def test_a_condition_is_called_by_its_settings_unless_it_has_a_label():
    assert str(CONDITION) == "eta=0.5, width=8, loss=logistic, biased=True"
    assert str(CONDITION.but("by name")) == "by name"
    assert str(CONDITION.but("by name").but(eta=1e-7)) == "eta=1e-07, width=8, loss=logistic, biased=True"


def test_a_setting_that_is_not_there_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="no setting named 'etta'; did you mean 'eta'"):
        _ = CONDITION["etta"]


def test_an_observation_maps_over_seeds():
    def observe(key: jax.Array) -> Observation:
        return Observation({"b": jax.random.uniform(key)}, {"y": jnp.ones(3)})

    shapes = jax.eval_shape(jax.vmap(observe), jax.random.split(jax.random.key(0), 5))
    assert (shapes.parameters["b"].shape, shapes.observables["y"].shape) == ((5,), (5, 3))


@pytest.mark.parametrize("value", [0.0, 2.0, 3, float("nan"), float("inf"), "one", True])
def test_a_range_states_the_bound_and_the_reason(value):
    with pytest.raises(UsageError, match=r"^eta=.* is outside 0 < eta < 2: not stable past it$"):
        Range(0, 2, "not stable past it").check("eta", value)


def test_a_range_lets_what_is_inside_pass():
    Range(0, 2, "").check("eta", 1)
    Range(0, float("inf"), "").check("eta", 1e300)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level": "ideal"}, "level='ideal' must be one of idealized, real data, network"),
        ({"conditions": ()}, "has no conditions; give at least one point of the sweep"),
        ({"conditions": (CONDITION, CONDITION)}, "two conditions of the same label"),
        ({"max_seeds": 3}, "max_seeds=3 must be at least 4"),
        ({"max_seeds": 64.0}, r"experiment 'bench': max_seeds=64\.0 must be a whole number, an int"),
        ({"max_seeds": True}, "max_seeds=True must be a whole number, an int"),
        ({"max_seeds": "64"}, "max_seeds='64' must be a whole number, an int"),
        ({"max_seeds": None}, "max_seeds=None must be a whole number, an int"),
        ({"block": 4.0}, r"block=4\.0 must be a whole number, an int"),
        ({"block": True}, "block=True must be a whole number, an int"),
        ({"block": np.int64(4)}, r"block=np\.int64\(4\) must be a whole number, an int"),
        ({"block": 0}, "block=0 must be at least 1"),
        ({"checkpoints": {"curve": ("log_t", ())}}, "checkpoints of 'curve' must be finite and not empty"),
        ({"checkpoints": {"curve": ("log_t", (1.0, float("inf")))}}, "must be finite and not empty, got"),
    ],
)
def test_an_experiment_that_contradicts_itself_is_refused(toy, changes, words):
    with pytest.raises(DeclarationError, match=words):
        toy.experiment(**changes)


def test_only_the_settings_that_were_asked_for_are_checked_against_their_range(toy):
    outside = toy.experiment(conditions=(toy.sweep.but(t=10.0),))
    outside.check(())
    with pytest.raises(UsageError, match=r"t=10\.0 is outside 0 < t < 10: there is a wall at t = 10"):
        outside.check(("t",))


def test_a_bound_may_depend_on_the_other_settings(toy):
    def bound(condition: Condition) -> Range:
        return Range(0, 1 / condition["a"], "the bound is 1/a")

    made = toy.experiment(ranges={"noise": bound}, conditions=(toy.sweep.but(a=1.0), toy.sweep.but(a=100.0)))
    with pytest.raises(UsageError, match=r"noise=0\.02 is outside 0 < noise < 0\.01: the bound is 1/a"):
        made.check(("noise",))


def test_settings_are_replaced_in_the_sweep_and_not_in_the_toggles(toy):
    made = toy.experiment(knob=(1.0, 2.0, 3.0))
    changed = made.with_settings({"noise": 0.5})
    assert [(c["a"], c["noise"]) for c in changed.conditions] == [(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)]
    assert changed.toggles == made.toggles
    assert all("noise=0.5" in str(c) for c in changed.conditions), "an old label would not tell"


def test_a_sweep_along_a_replaced_knob_collapses(toy):
    (only,) = toy.experiment(knob=(1.0, 2.0, 3.0)).with_settings({"a": 7.0}).conditions
    assert only["a"] == 7.0


def test_a_loader_that_fails_says_so_in_one_line():
    def load():
        raise OSError("no such file\nand more")

    with pytest.raises(DeclarationError, match=r"a loader of data raised OSError: no such file$"):
        Condition({"a": 1.0}, data=load).realized()


def test_replacing_leaves_apart_what_differs_in_its_data(toy):
    conditions = tuple(Condition({"rows": 3.0}, label, np.ones) for label in ("one", "other"))
    changed = toy.experiment(conditions=conditions).with_settings({"rows": 4.0})
    assert [(str(c), c["rows"]) for c in changed.conditions] == [("one", 4.0), ("other", 4.0)]


def test_replacing_what_no_condition_has_changes_nothing(toy):
    made = toy.experiment()
    assert made.with_settings({"depth": 3}).conditions == made.conditions
