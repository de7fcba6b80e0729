"""idealab as a library: what a researcher types at a prompt or in a notebook, through the public names alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
import sympy as sp

import idealab


@pytest.fixture
def own():
    """An idea and its experiment, as someone would write them who has read the front page: a square of noisy side."""
    a, y = sp.symbols("a y", positive=True)
    square = (
        idealab.Derivation("square", "the area of a square")
        .given("side", "the side", sp.Eq(y, a))
        .derive("area", "the side times itself", lambda known: sp.Eq(y, known["side"].rhs ** 2))
    )
    area = idealab.Signature("area", "grows as the square", "area", square, idealab.Equals(rtol=0.05), "a blunt pen")
    idea = idealab.Idea(
        name="square",
        statement="Areas grow as squares.",
        scope="the plane",
        failure_modes=(),
        references=(idealab.Reference("euclid", "Euclid", -300, "Elements", "Book II"),),
        signatures=idealab.Named(area),
        assumptions=idealab.Named(),
    )

    def observe(key, condition):
        side = condition["side"] * (1 + 0.1 * jax.random.uniform(key))
        return idealab.Observation({"a": side}, {"area": side**2 + 0.001 * condition["bias"]})

    def experiment(bias=1.0):
        return idealab.Experiment(
            name="paper",
            statement="a square on paper",
            level="idealized",
            observe=observe,
            observables=("area",),
            conditions=(idealab.Condition({"side": 1.0, "bias": bias}), idealab.Condition({"side": 3.0, "bias": bias})),
        )

    return idea, experiment


def test_an_idea_of_ones_own_is_verified(own, toy):
    idea, experiment = own
    found = idealab.verify(idea, experiments=(experiment(),), ledger=str(toy.ledger))
    assert isinstance(found, idealab.Verification)
    assert (found.verdict, len(found.record)) == ("supported", 64)
    wrong = idealab.verify(idea, experiments=[experiment(200.0)], seeds=8, record=False)
    assert wrong.verdict == "refuted"


def test_a_verification_shows_itself_in_a_notebook(own):
    idea, experiment = own
    found = idealab.verify(idea, experiments=(experiment(),), record=False)
    assert "area" in found._repr_html_()
    assert "Supported" in found._repr_html_()
    assert "\\begin{tabular}" in found._repr_latex_()


def test_the_compiled_prediction_is_one_call_away(own):
    idea, _ = own
    prediction = idea.signatures["area"].prediction
    assert (prediction.arguments, prediction.inline) == (("a",), "a²")
    predict = prediction.to_jax()
    assert predict(a=3.0) == 9.0
    assert jax.grad(lambda a: predict(a=a))(3.0) == 6.0
    assert jax.vmap(lambda a: predict(a=a))(jnp.array([1.0, 2.0])).tolist() == [1.0, 4.0]


def test_ideas_are_listed_and_loaded_by_name():
    found = idealab.ideas()
    assert "max_margin" in found
    assert list(found) == sorted(found)
    for name, summary in found.items():
        assert summary.name == name
        assert summary.statement
    with pytest.raises(idealab.UnknownNameError, match="did you mean 'max_margin'"):
        idealab.load("maxmargin")


def test_an_idea_of_ones_own_without_experiments_is_told_so(own):
    idea, _ = own
    with pytest.raises(idealab.UsageError, match="square"):
        idealab.verify(idea, record=False)


def test_every_error_is_an_idealab_error():
    names = [name for name in idealab.__all__ if name.endswith("Error")]
    assert len(names) == 9
    for name in names:
        assert issubclass(getattr(idealab, name), idealab.IdealabError)
    assert issubclass(idealab.UnknownNameError, (KeyError, idealab.UsageError))
