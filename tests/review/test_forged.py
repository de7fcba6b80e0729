"""Records that somebody has altered: every field of a verification is built again from what was observed."""

from __future__ import annotations

import copy
import json
import sqlite3
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from idealab import registry
from idealab.errors import LedgerError
from idealab.ledger import index
from idealab.ledger.records import VERIFICATION
from idealab.ledger.store import Ledger
from idealab.review.rejudge import UNVERIFIED, recheck


@pytest.fixture
def made(toy, monkeypatch):
    """A ledger with one verification of the toy, mutants and all."""
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (toy.experiment(),))
    toy.verify(seeds=8, experiments=None)
    return Ledger(toy.ledger)


def words(ledger, change, created="2030-01-01T00:00:00+00:00"):
    """What is said of a copy of the newest verification that was changed."""
    sha = ledger.find(schema=VERIFICATION)[-1]
    record = copy.deepcopy(ledger.get(sha))
    change(record["result"], record)
    forged = ledger.put({**record, "created": created})
    (one,) = recheck(ledger, [forged])
    assert (one.state == "differs") == bool(one.words)
    return "\n".join(one.words)


def places(document, path=()):
    """Every leaf of a result: where it is, and a value that it has not."""
    if isinstance(document, dict):
        for key, inside in document.items():
            yield from places(inside, (*path, key))
    elif isinstance(document, list):
        for k, inside in enumerate(document[:1]):  # the first stands for all
            yield from places(inside, (*path, k))
    elif isinstance(document, bool) or document is None:
        yield path, not document if document is not None else None
    elif isinstance(document, (int, float)):
        yield path, document + 1
    else:
        yield path, f"{document}, or so"


FREE = {tuple(name.split(".")) for name in UNVERIFIED}
SHAPED = {("idea",), ("declaration",), ("environment", "precision"), ("record",)}
"""Another value of these is no record at all."""
CHOICES = {
    "verdict": ("supported", "refuted", "present", "absent"),
    "expected": ("breaks", "does_not_matter"),
    "seen": ("breaks", "does_not_matter", "undecided"),
    "status": ("killed", "survived", "unseen"),
}


def test_whatever_is_altered_is_noticed(made):
    record = made.get(made.find(schema=VERIFICATION)[-1])
    kept = FREE | SHAPED
    found = [(path, value) for path, value in places(record["result"]) if path not in kept and path[:1] not in kept]
    assert len(found) > 80
    forged = {}
    for path, value in found:
        for other in CHOICES.get(path[-1], (value,)):
            altered = copy.deepcopy(record)
            inside = altered["result"]
            for name in path[:-1]:
                inside = inside[name]
            if inside[path[-1]] != other:
                inside[path[-1]] = other
                with suppress(LedgerError):  # of no shape that a verification has, and so not even written
                    forged[made.put(altered)] = path, other
    assert len(forged) > 80
    checked = recheck(made, forged)
    assert [forged[one.record] for one in checked if one.state != "differs"] == []


def test_what_a_forger_wrote_is_noticed(made):
    def lies(result, _):
        result["evidence_log10"] = 300.0
        result["mutants"].update(killed=9999, total=9999, score=1.0, survivors=[], not_resolved=[])
        for signature in result["signatures"]:
            signature.update(tolerance="1e-12 relative", reason="because", formula="x = 42", seeds=4000)
            for cell in signature["cells"]:
                cell.update(standard_error=0.0, deviation=0.0)

    said = words(made, lies)
    for field in ("evidence_log10", "killed", "tolerance", "reason", "formula", "seeds", "standard_error", "deviation"):
        assert f", {field}: recorded " in f", {said}".replace("\n", "\n, "), field


def test_a_signature_that_is_there_twice_is_noticed(made):
    def twice(result, _):
        first = copy.deepcopy(result["signatures"][0])
        result["signatures"].insert(0, {**first, "statement": "forged"})

    assert "height in bench: recorded, and not judged again" in words(made, twice)


@pytest.mark.parametrize("field", ["signatures", "controls", "gates", "remarks"])
def test_what_is_left_out_or_added_is_noticed(made, field):
    def changed(result, _):
        result[field] = result[field][1:] or ["more"]

    assert f"{field}" in words(made, changed)


def test_the_environment_is_that_of_the_batches(made):
    def elsewhere(result, _):
        result["environment"] |= {"jax": "9.9", "device": "1000 TPU", "rack": "7"}

    said = words(made, elsewhere)
    for name in ("jax", "device", "rack"):
        assert f"environment, {name}: recorded " in said


def test_seeds_that_are_left_out_are_asked_for(made):
    """Stopping where it looks best: batches of the last round are no longer named."""

    def fewer(result, record):
        first = [sha for sha in record["parents"][1:] if made.get(sha)["first_seed"] == 0]
        record["parents"] = [record["parents"][0], *first[:-1]]

    assert "cut_short: recorded False, but seeds are missing" in words(made, fewer)


@pytest.fixture
def retried(toy, monkeypatch):
    """A ledger in which a claim failed on one master seed, and a second run was held back for it."""
    installed = (toy.experiment("off"), toy.experiment())
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: installed[1:])
    first = toy.verify(experiments=installed[1:], seeds=4, mutants=False)
    ledger = Ledger(toy.ledger)
    record = copy.deepcopy(ledger.get(first.record))
    record["result"]["environment"]["master_seed"] = 5
    record["result"]["verdict"] = "refuted"
    ledger.put({**record, "created": "2020-01-01T00:00:00+00:00"})
    second = toy.verify(experiments=installed[1:], seeds=8, master_seed=3)
    assert [gate for gate in second.gates if "tried before" in gate]
    return ledger


@pytest.mark.parametrize("days", [0, 1, 1000])
def test_a_retry_is_not_laundered_by_a_copy(retried, days):
    def launder(result, _):
        result.update(gates=[], verdict="supported", earlier=[])

    said = words(retried, launder, (datetime.now(UTC) + timedelta(days)).isoformat())
    assert "verdict: recorded 'supported', judged again 'inconclusive'" in said
    assert "gates, the same claim was tried before on other seeds: refuted with master seed 5" in said


def test_a_retry_whose_first_try_is_elsewhere_stays_held_back(retried, tmp_path):
    """An export brings what a record rests on, and not the try that failed."""
    sha = retried.find(schema=VERIFICATION)[-1]
    there = Ledger(tmp_path / "there")
    for name in (*retried.get(sha)["parents"], sha):
        there.put(retried.get(name))
    (one,) = recheck(there, [sha])
    assert (one.state, one.words) == ("agrees", ())


@pytest.mark.parametrize("less", [[], None, ["at most 32 seeds"], ["at most 8 seeds", "and seen by experts"]], ids=str)
def test_what_a_run_left_out_is_told_by_its_declaration(made, less):
    """Else a verdict on less would pass for the latest on all."""

    def silent(result, _):
        del result["narrowed"]
        result |= {} if less is None else {"narrowed": less}

    assert "narrowed" in words(made, silent)


def test_words_of_ones_own_are_no_account_of_what_a_budget_left(made):
    def told(result, _):
        result["remarks"] = [*result["remarks"], "no doubt is left"]
        result["cut_short"] = True

    said = words(made, told)
    assert "remarks, no doubt is left: recorded, and not judged again" in said
    assert "cut_short: recorded True, but the judge asks for no more" in said


@pytest.fixture
def cut_short(toy, monkeypatch):
    """A ledger with a run whose budget ended after one block of each condition, and the words that it ended with."""
    made = toy.experiment()
    made = replace(made, conditions=tuple(condition.but("", noise=0.3) for condition in made.conditions))
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (made,))
    hours = iter([0.0] + [2.0] * 99)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600 * next(hours))
    monkeypatch.setattr(sys.modules["idealab.prepare.budget"], "time", clock)
    found = toy.verify(experiments=None, budget=3600.0, select=("height",))
    assert (found.cut_short, found.cost.seeds) == (True, 4 * 4)
    return Ledger(toy.ledger), [line for line in found.remarks if line.startswith("given up")]


def test_what_a_budget_left_is_told_by_the_observations(cut_short):
    ledger, told = cut_short
    assert words(ledger, lambda result, _: None) == ""
    assert any("would do for" in line for line in told)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: f"{line}, and no doubt is left",
        lambda line: "given up for the budget: nothing that matters",
        lambda line: line.replace("times the tolerance", "% of the tolerance"),
        lambda line: line.replace("bench", "beach"),
    ],
)
def test_what_a_budget_left_cannot_be_told_otherwise(cut_short, change):
    ledger, told = cut_short
    for line in [line for line in told if change(line) != line]:

        def otherwise(result, _, line=line):
            result["remarks"] = [change(line) if one == line else one for one in result["remarks"]]

        assert "given up for the budget: bench, " in words(ledger, otherwise)
    assert "not recorded" in words(ledger, lambda result, _: result.update(remarks=result["remarks"][:-1]))


@pytest.mark.parametrize(
    ("part", "value", "line"),
    [
        ("master_seed", 7, "of several master seeds"),
        ("condition", "nowhere", "'nowhere' in 'bench' was not declared"),
        ("observation", {"parameters": {}, "observables": {}}, "do not fit the declaration"),
        ("first_seed", 1, "are missing or there twice"),
    ],
)
def test_observations_that_contradict_what_was_declared_are_no_excuse(made, part, value, line):
    """What keeps a record from being judged must not keep it from being doubted."""

    def lie(result, record):
        result["evidence_log10"] = 99.0
        declaration, first, *others = record["parents"]
        record["parents"] = [declaration, made.put({**made.get(first), part: value}), *others]

    assert line in words(made, lie)


@pytest.mark.parametrize(
    "one", [{"finished": 9, "record": "by nobody"}, {"finished": 0, "verdict": "supported"}], ids=str
)
def test_a_tale_of_an_earlier_run_without_a_record(made, one):
    def told(result, _):
        result["earlier"] = [{"master_seed": 5, "finished": 0, "verdict": "", "record": "", **one}]

    assert "with master seed 5 is told of, and no record of it" in words(made, told)


def test_mutants_that_were_tried_cannot_be_forgotten_unseen(retried):
    said = words(retried, lambda result, _: result.update(mutants=None, hints=[]))
    assert "remarks, no wrong theories were held against the observations: not recorded" in said


def test_a_tale_of_an_earlier_run_that_is_here_and_says_otherwise(retried):
    def told(result, _):
        first = retried.find(schema=VERIFICATION)[0]
        result["earlier"] = [{"master_seed": 5, "finished": 1, "verdict": "supported", "record": first}]

    assert "is not the run that is told of" in words(retried, told)


def test_an_index_that_lies_holds_nothing_back_and_lets_nothing_through(retried, toy):
    """The try that failed is said to be of another idea, or to be a batch, with a checksum that fits."""
    failed = retried.find(schema=VERIFICATION)[0]
    for place, value in ((1, "other"), (0, "idealab/batch/1"), (2, 0.0)):
        entry = [*index.entry_of(retried.get(failed), 0.0)]
        entry[place] = value
        text = json.dumps(entry)
        with sqlite3.connect(toy.ledger / "index.sqlite3") as connection:
            row = text, index._proof(failed, text), failed
            connection.execute("UPDATE entries SET entry = ?, proof = ? WHERE sha = ?", row)
        connection.close()
        found = toy.verify(seeds=4, master_seed=10 + place)
        assert [gate for gate in found.gates if "tried before" in gate], value


@pytest.mark.parametrize("text", ["[1,2]", "3", "null", '["a", "b", 1, [], "", 0]', "[" * 9999, '{"a": 1}'])
def test_a_row_of_another_form_with_a_valid_checksum_is_no_entry(made, toy, text):
    names = made.find()
    with sqlite3.connect(toy.ledger / "index.sqlite3") as connection:
        rows = [(text, index._proof(sha, text), sha) for sha in names]
        connection.executemany("UPDATE entries SET entry = ?, proof = ? WHERE sha = ?", rows)
    connection.close()
    assert set(Ledger(toy.ledger).find()) == set(names)
