"""The search and what a sweep declares: no declared value is passed over, and what cannot be searched is said."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import pytest

from idealab import registry
from idealab.cli import main
from idealab.experiment import Condition
from idealab.explore.scope import find_scope
from idealab.registry import Summary


@pytest.fixture
def search(toy):
    """Searches the toy for ``height`` alone, and leaves no trace."""

    def run(knob: str = "a", **options):
        return find_scope(toy.idea(), knob, **({"select": ("height",), "record": False} | options))

    return run


def points_of(found):
    return {point.value: point.verdict for point in found.findings[0].points}


@pytest.fixture
def broken_at(toy):
    """An experiment along a = 1, ..., 6, or another sweep, in which ``height`` is 30 % off at some values alone."""

    def make(*values, knob=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), **changes):
        sound = toy.cached_observer()

        def observe(key, condition):
            seen = sound(key, condition)
            off = jnp.where(jnp.isin(condition["a"], jnp.array(values)), 1.3, 1.0)
            return replace(seen, observables={**seen.observables, "height": off * seen.observables["height"]})

        return toy.experiment(knob=knob, observe=observe, toggles={}, **changes)

    return make


@pytest.mark.parametrize("span", [None, (1.0, 6.0), (6.0, 1.0), (1.0, 100.0)])
def test_no_declared_value_is_passed_over(search, broken_at, span):
    found = search(experiments=(broken_at(4.0),), span=span)
    seen, finding = points_of(found), found.findings[0]
    assert [seen[value] for value in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)] == [*["present"] * 3, "absent", *["present"] * 2]
    assert (finding.status, finding.first.value) == ("breaks", 4)
    assert {point.value for point in finding.recurs} >= ({5, 6} if finding.outward > 0 else {1, 2, 3})
    assert "fails at 4 and holds again at" in finding.proposal
    assert "there is no single edge; to claim the first stretch alone: scope" in finding.proposal
    assert max(point.seeds for point in finding.points) <= 8, "so far from the tolerance a few seeds are enough"


def test_what_is_declared_past_a_break_is_tried_too(search, broken_at):
    assert list(points_of(search(experiments=(broken_at(2.0),), steps=2))) == [1, 2, 3, 4, 5, 6]
    assert list(points_of(search(experiments=(broken_at(1.0),)))) == [1, 2, 3, 4, 5, 6]


def test_only_what_is_declared_within_the_span_is_tried(search, broken_at):
    assert list(points_of(search(experiments=(broken_at(0.0),), span=(2.5, 5.5)))) == [2.5, 3.0, 4.0, 5.0, 5.5]
    zigzag = broken_at(0.0, knob=(1.0, 3.0, 2.0))
    assert list(points_of(search(experiments=(zigzag,), span=(3.0, 1.0)))) == [3.0, 2.0, 1.0]


def test_a_span_keeps_values_of_its_own_where_nothing_is_declared(search, broken_at):
    wide = broken_at(0.0, knob=(1.0, 30.0))
    assert list(points_of(search(experiments=(wide,), span=(1.0, 1000.0)))) == [1.0, 5.6, 30.0, 180.0, 1000.0]


def test_a_span_against_the_sweep_is_searched_with_a_warning(search, toy, broken_at):
    watcher = toy.watcher()
    found = search(experiments=(broken_at(1.0, 2.0),), span=(6.0, 1.0), progress=watcher).findings[0]
    assert watcher.all("warn") == ["a=6..1 runs against the sweep of bench: 6 is taken for the most favourable value"]
    assert found.proposal.startswith("height holds for a from 6 down to ")
    assert f'scope "a >= {found.last.value:g}"' in found.proposal
    search(experiments=(toy.experiment(),), span=(1.0, 2.0), progress=watcher, steps=2)
    search("t", experiments=(toy.experiment(),), span=(2.0, 1.0), progress=watcher, steps=2)
    assert len(watcher.all("warn")) == 1, "one value has no direction"


def test_conditions_in_which_more_than_the_knob_changes_are_said_to_be_left_out(search, toy):
    sweep = tuple(toy.sweep.but(f"a={a:g}", a=a, t=t) for a, t in ((1.0, 2.0), (2.0, 3.0)))
    along = toy.experiment(conditions=sweep)
    found = search(experiments=(along,), steps=2)
    assert found.left_out == ("conditions of bench that differ from a=1 in more than the knob (in t)",)
    assert search(experiments=(along,), settings={"t": 2.0}, steps=2).left_out == ()
    data = tuple(Condition({**toy.sweep.settings, "a": a}, f"data {a:g}", lambda: None) for a in (1.0, 2.0))
    found = search(experiments=(toy.experiment(conditions=data),), steps=2)
    assert found.left_out == ("conditions of bench that differ from data 1 in more than the knob (in data)",)


def test_a_knob_that_is_a_word_elsewhere_leaves_that_experiment_out(search, toy):
    named = toy.experiment(name="named", conditions=(toy.sweep.but("named", a="one"),))
    found = search(experiments=(toy.experiment(), named), span=(1.0, 2.0), steps=2)
    assert [finding.experiment for finding in found.findings] == ["bench"]
    assert found.left_out == ("in named a='one' is how the experiment is built, not a knob",)


# --- On the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, broken_at, toy):
    """``idealab verify toy --find-scope ...``, on the toy that fails at a=4 alone."""
    sweep = broken_at(4.0)
    conditions = tuple(condition.but(str(condition), kind="steel") for condition in sweep.conditions)
    monkeypatch.setattr(registry, "ideas", lambda: {"toy": Summary("toy", "A toy.", ("idealized",))})
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (replace(sweep, conditions=conditions),))
    return lambda knob: main(["verify", "toy", "--select", "height", "--no-record", "--find-scope", knob])


def test_the_command_says_that_it_fails_and_holds_again(command, capsys):
    assert command("a") == 0
    shown = capsys.readouterr().out
    assert "on and off  height" in shown
    assert "fails at 4 and holds again at 5, 6" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        ("noise", "has one value of noise, 0.02; say how far to look, such as --find-scope noise=0.02..0.2"),
        ("a=2..2", "a=2..2 must be two different finite numbers, the most favourable value first"),
        ("t=12..2", "t=12.0 is outside 0 < t < 10: there is a wall at t = 10"),
        ("kind", "kind='steel' is no number; knobs: a, t, noise, "),
        ("nose", "no knob named 'nose'; did you mean 'noise'?"),
    ],
)
def test_the_command_refuses_a_knob_in_one_line_with_the_way_out(command, capsys, knob, words):
    assert command(knob) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert words in shown.err
