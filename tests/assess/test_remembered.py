"""Mutants that an earlier process has made are taken from the user's cache directory."""

from __future__ import annotations

import sys

import pytest
import sympy as sp

from idealab.cache import remembered
from idealab.symbolic.prediction import Prediction

mutants = sys.modules["idealab.assess.mutants"]


def test_mutants_are_remembered_as_they_were_made(tmp_path, monkeypatch):
    """From one process to the next: with the theory's assumptions, and the same code."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path)
    monkeypatch.setattr(mutants, "remembered", remembered)
    x, y = sp.symbols("x y", positive=True)
    prediction = Prediction(sp.log(x / y) + sp.exp(-x) * y**2, by_log=(y,))
    distinct = mutants._distinct
    distinct.cache_clear()
    made = distinct(prediction, False)
    distinct.cache_clear()
    assert len(list((tmp_path / "mutants").iterdir())) == 1
    monkeypatch.setattr(mutants, "distinct_mutants", None)  # what is not remembered cannot be made
    again = distinct(prediction, False)
    assert again == made
    assert again[0].mutants is not made[0].mutants
    for one, other in zip(made[0].mutants, again[0].mutants, strict=True):
        assert sp.srepr(one.prediction.expression) == sp.srepr(other.prediction.expression)
        assert one.prediction.code == other.prediction.code
    other = Prediction(sp.log(sp.Symbol("x") / y) + sp.exp(-sp.Symbol("x")) * y**2, by_log=(y,))
    with pytest.raises(TypeError):
        distinct(other, False)  # without the assumption it is another formula
    distinct.cache_clear()
