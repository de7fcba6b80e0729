"""A record is judged again from its observations, by the idea that is installed, if it is the one that was declared."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from idealab import registry
from idealab.errors import DeclarationError, UnknownNameError
from idealab.ledger.records import DECLARATION, VERIFICATION
from idealab.ledger.store import Ledger
from idealab.review.rejudge import NotJudged, case_of, recheck
from tests.ledger.conftest import verification

rejudge_module = sys.modules["idealab.review.rejudge"]


@pytest.fixture
def install(toy, monkeypatch):
    """Installs the toy under its name, with an experiment."""

    def put(theory=None, *experiments):
        monkeypatch.setattr(registry, "load", lambda name: theory or toy.idea())
        monkeypatch.setattr(registry, "load_experiments", lambda name: experiments or (toy.experiment(),))

    put()
    return put


@pytest.fixture
def checked(toy, install):
    """What became of every verification in the ledger."""

    def run():
        ledger = Ledger(toy.ledger)
        return recheck(ledger, ledger.find(schema=VERIFICATION))

    return run


def forged(toy, **changes):
    """A copy of the only verification in which something else is said."""
    ledger = Ledger(toy.ledger)
    (sha,) = ledger.find(schema=VERIFICATION)
    record = ledger.get(sha)
    return ledger.put({**record, "created": "2000-01-01T00:00:00+00:00", "result": {**record["result"], **changes}})


@pytest.mark.parametrize("defect", ["", "off", "breaks", "diverges", "undefined"])
def test_what_is_judged_again_is_the_same(toy, install, checked, defect):
    install(None, toy.experiment(defect))
    found = toy.verify(defect, seeds=8)
    (one,) = checked()
    assert (one.record, one.state, one.words) == (found.record, "agrees", ())


@pytest.mark.parametrize(
    "options",
    [
        {"seeds": 16},
        {"select": ["height"]},
        {"settings": {"noise": 0.01}},
        {"settings": {"a": 2.0}},
        {"settings": {"t": 3.0, "noise": 0.05}, "seeds": 4, "quick": True},
        {"mutants": False},
        {"budget": 1e-9},
        {"master_seed": 3, "precision": "float32"},
    ],
    ids=str,
)
def test_what_was_asked_for_is_read_from_the_declaration(toy, checked, options):
    found = toy.verify(**({"seeds": 8, "experiments": None} | options))
    (one,) = checked()
    assert (one.record, one.state, one.words) == (found.record, "agrees", ())


def test_a_gate_that_rests_on_the_past_of_the_ledger_is_taken_from_the_record(toy, install, checked):
    made = toy.experiment("off")
    install(None, made)
    toy.verify(experiments=(made,), seeds=8)
    toy.verify(experiments=(made,), seeds=8, master_seed=1)
    assert [one.state for one in checked()] == ["agrees", "agrees"]


def test_the_same_observations_are_judged_once(toy, checked, monkeypatch):
    toy.verify(seeds=8)
    toy.verify(seeds=8)
    judged, outcome_of = [], rejudge_module.outcome_of
    monkeypatch.setattr(rejudge_module, "outcome_of", lambda *a: (judged.append(1), outcome_of(*a))[1])
    assert [one.state for one in checked()] == ["agrees", "agrees"]
    assert len(judged) == 1


def test_a_forged_verdict_is_noticed(toy, checked):
    toy.verify(seeds=8)
    ledger = Ledger(toy.ledger)
    record = ledger.get(ledger.find(schema=VERIFICATION)[0])
    sha = forged(toy, verdict="refuted" if record["result"]["verdict"] == "supported" else "supported")
    by_name = {one.record: one for one in checked()}
    assert by_name[sha].state == "differs"
    assert by_name[sha].words[0].startswith("verdict: recorded ")


@pytest.mark.parametrize(
    ("field", "factor"), [("measured", 1.05), ("predicted", 1.05), ("seeds", 2), ("verdict", None)]
)
def test_a_forged_number_is_noticed(toy, checked, field, factor):
    toy.verify(seeds=8)
    ledger = Ledger(toy.ledger)
    result = ledger.get(ledger.find(schema=VERIFICATION)[0])["result"]
    signature = result["signatures"][0]
    cell = signature["cells"][0]
    value = "absent" if factor is None else cell[field] * factor
    cells = [{**cell, field: value}, *signature["cells"][1:]]
    sha = forged(toy, signatures=[{**signature, "cells": cells}, *result["signatures"][1:]])
    one = next(one for one in checked() if one.record == sha)
    assert one.state == "differs"
    assert f"{field}: recorded " in one.words[0]


def test_a_signature_that_is_left_out_or_made_up_is_noticed(toy, checked):
    toy.verify(seeds=8)
    ledger = Ledger(toy.ledger)
    result = ledger.get(ledger.find(schema=VERIFICATION)[0])["result"]
    sha = forged(toy, signatures=result["signatures"][1:])
    one = next(one for one in checked() if one.record == sha)
    assert any("not recorded" in line for line in one.words)


CHANGES = {
    "a constant": (
        lambda toy: (toy.idea(1.1), toy.experiment()),
        "declares other things: signatures.height.prediction",
    ),
    "a tolerance": (lambda toy: (toy.idea(1, 0.2), toy.experiment()), "criterion.rtol.text"),
    "the experiment": (lambda toy: (None, toy.experiment(observe=toy.observer("p"))), "experiments.bench.source"),
    "no such experiment": (lambda toy: (None, toy.experiment(name="other")), "no experiment 'bench' of it here"),
    "a range": (lambda toy: (None, toy.experiment(knob=(1.0, 2.0, 3.0))), "conditions.a=3 is new"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_idea_that_has_changed_is_not_judged_and_the_reason_is_said(toy, install, checked, what):
    change, words = CHANGES[what]
    toy.verify(seeds=8)
    install(*change(toy))
    (one,) = checked()
    assert one.state == "not judged"
    assert words in one.words[0]


@pytest.mark.parametrize(
    "error", [UnknownNameError("idea", "toy", ()), DeclarationError("its theory contradicts itself")]
)
def test_an_idea_that_is_not_there_or_does_not_load_is_not_judged(toy, checked, monkeypatch, error):
    toy.verify(seeds=8)

    def load(name):
        raise error

    monkeypatch.setattr(registry, "load", load)
    (one,) = checked()
    assert (one.state, str(error) in one.words[0]) == ("not judged", True)


def test_other_versions_of_packages_do_not_keep_it_from_being_judged(toy, checked, monkeypatch):
    declaration_module = sys.modules["idealab.prepare.declaration"]
    monkeypatch.setattr(declaration_module, "version", lambda name: "0.0.1")
    found = toy.verify(seeds=8)
    monkeypatch.undo()
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (toy.experiment(),))
    assert [one.state for one in checked()] == ["agrees"]
    case = case_of(Ledger(toy.ledger), found.declaration)
    assert [line.split(":")[0] for line in case.versions] == [
        f"versions.{name}" for name in ("jax", "jaxlib", "numpy", "sympy")
    ]


def test_without_an_observation_it_is_not_judged(toy, checked):
    found = toy.verify(seeds=8)
    lost = Ledger(toy.ledger).get(found.record)["parents"][1]
    (toy.ledger / "objects" / lost[:2] / f"{lost}.json").unlink()
    (one,) = checked()
    assert one.state == "not judged"
    assert f"no record {lost}" in one.words[0]


def test_observations_that_do_not_belong_together_make_no_verdict(toy, checked):
    first, second = toy.verify(seeds=8), toy.verify(seeds=8, master_seed=1)
    ledger = Ledger(toy.ledger)
    record, other = ledger.get(first.record), ledger.get(second.record)
    parents = record["parents"]
    strange = ledger.put({**ledger.get(parents[1]), "condition": "nowhere"})
    for wrong, words in (
        ([*parents, other["parents"][1]], "of several master seeds"),
        ([*parents, parents[1]], "are missing or there twice"),
        ([*parents, strange], "'nowhere' in 'bench' was not declared"),
    ):
        sha = ledger.put({**record, "parents": wrong})
        (one,) = recheck(ledger, [sha])
        assert one.state == "differs"
        assert words in one.words[0]


HOSTILE = [
    {},
    {"experiments": 3, "signatures": []},
    {"experiments": [], "signatures": [{"name": "__import__('os').system('true')"}]},
    {"experiments": [{"name": "bench", "conditions": "x" * 9, "max_seeds": "many"}], "signatures": []},
    {
        "experiments": [{"name": "bench", "conditions": [{"settings": {"a": {"b": 1}}}], "max_seeds": 8}],
        "signatures": [],
    },
    {"experiments": [{"name": "bench", "conditions": [], "max_seeds": [10**9]}], "signatures": []},
]


@pytest.mark.parametrize("content", HOSTILE, ids=str)
def test_a_declaration_of_another_form_is_not_judged(toy, install, content):
    ledger = Ledger(toy.ledger)
    sha = ledger.put({"schema": DECLARATION, "idea": "toy", "content": content})
    with pytest.raises(NotJudged, match=r"fits nothing|cannot be used|declares other things"):
        case_of(ledger, sha)


def test_observations_that_miss_what_is_needed_make_no_verdict(toy, checked):
    found = toy.verify(seeds=8)
    ledger = Ledger(toy.ledger)
    record = ledger.get(found.record)
    parents = [record["parents"][0]]
    for sha in record["parents"][1:]:
        batch = ledger.get(sha)
        parents.append(ledger.put({**batch, "observation": {"parameters": {}, "observables": {}}}))
    sha = ledger.put({**record, "parents": parents})
    (one,) = recheck(ledger, [sha])
    assert one.state == "differs"
    assert "do not fit the declaration" in one.words[0]


def test_a_verification_without_its_declaration_is_not_judged(toy, install):
    ledger = Ledger(toy.ledger)
    (one,) = recheck(ledger, [ledger.put(verification(["ab" * 32]))])
    assert (one.state, "no record abab" in one.words[0]) == ("not judged", True)


def test_max_seeds_of_the_installed_experiment_do_not_matter(toy, install, checked):
    toy.verify(seeds=8)
    install(None, replace(toy.experiment(), max_seeds=128))
    assert [one.state for one in checked()] == ["agrees"]
