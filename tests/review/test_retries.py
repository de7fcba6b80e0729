"""Running again on other seeds until it passes is no verification, and is held back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idealab.idea import Named
from idealab.ledger.records import DECLARATION, VERIFICATION
from idealab.ledger.store import Ledger
from idealab.review.retries import failed_before


@pytest.fixture
def run(toy):
    """Verifies the height alone of the toy, with nothing that could hold it back but earlier tries."""

    def verify(defect="", master_seed=0, tolerance=0.1, factor=1.0, noise=0.02, **options):
        height = replace(toy.idea(1, tolerance).signatures["height"], rivals=Named(), must_kill=())
        theory = replace(toy.idea(), signatures=Named(height), assumptions=Named())
        made = toy.experiment(defect, toggles={}, knob=(1.0,))
        (condition,) = made.conditions
        made = replace(made, conditions=(condition.but("", factor=factor * condition["factor"], noise=noise),))
        options.setdefault("mutants", False)
        options.setdefault("experiments", (made,))
        return toy.verify(theory=theory, master_seed=master_seed, **options)

    return verify


def held(found):
    return [gate for gate in found.gates if "tried before" in gate]


def test_what_failed_before_is_named_and_holds_the_next_back(run):
    first = run(noise=0.1, seeds=4)
    assert first.verdict == "inconclusive"
    second = run(noise=0.1, seeds=64, master_seed=1)
    assert second.verdict == "inconclusive"
    (gate,) = held(second)
    assert gate == (
        f"the same claim was tried before on other seeds: inconclusive with master seed 0 (record {first.record[:8]}); "
        "running again until it passes is no verification: narrow the claim, or raise --seeds under the same master "
        "seed"
    )
    assert run(noise=0.1, seeds=64, master_seed=1, record=False).verdict == "supported", "but for that"


def test_more_seeds_under_the_same_master_seed_are_no_retry(run):
    assert run(noise=0.1, seeds=4).verdict == "inconclusive"
    more = run(noise=0.1, seeds=64)
    assert (more.verdict, more.gates) == ("supported", ())


def test_another_claim_is_another_claim(run, toy):
    assert run("off").verdict == "refuted"
    wider = run("off", tolerance=0.3, master_seed=1)
    assert (wider.verdict, wider.gates) == ("supported", ())
    elsewhere = run(master_seed=1)
    assert (elsewhere.verdict, elsewhere.gates) == ("supported", ()), "other conditions"
    assert len(Ledger(toy.ledger).find(schema=VERIFICATION)) == 3


def test_a_refuted_claim_stays_refuted_and_a_supported_one_may_be_seen_again(run):
    assert run().verdict == "supported"
    assert (run(master_seed=1).verdict, run(master_seed=2).gates) == ("supported", ())
    run("off")
    again = run("off", master_seed=1)
    assert (again.verdict, again.gates) == ("refuted", ()), "a gate only lowers"


def test_a_run_that_a_budget_cut_short_says_nothing(run):
    short = run(budget=1e-9)
    assert (short.verdict, short.cut_short) == ("inconclusive", True)
    after = run(master_seed=1)
    assert (after.verdict, after.gates) == ("supported", ())


def test_a_theory_that_was_refuted_before_the_budget_was_spent_stays_refuted(run, toy):
    """Else a budget would turn every failure into a trial run."""
    run("off")
    ledger = Ledger(toy.ledger)
    (sha,) = ledger.find(schema=VERIFICATION)
    record = ledger.get(sha)
    assert record["result"]["verdict"] == "refuted"
    content = ledger.get(record["parents"][0])["content"]
    short = ledger.put({**record, "result": {**record["result"], "cut_short": True}})
    (toy.ledger / "objects" / sha[:2] / f"{sha}.json").unlink()
    (words,) = failed_before(Ledger(toy.ledger), "toy", content, 1)
    assert words == f"refuted with master seed 0 (record {short[:8]})"


@pytest.mark.parametrize("part", ["signature", "control"])
def test_what_a_run_cut_short_had_seen_fail_counts(toy, part):
    toy.verify(mutants=False)
    ledger = Ledger(toy.ledger)
    (sha,) = ledger.find(schema=VERIFICATION)
    record = ledger.get(sha)
    content = ledger.get(record["parents"][0])["content"]

    def put(master_seed, **fields):
        environment = {**record["result"]["environment"], "master_seed": master_seed}
        result = {**record["result"], "cut_short": True, "verdict": "inconclusive", "environment": environment}
        ledger.put({**record, "result": {**result, **fields}})

    (control, *others), (signature, *rest) = record["result"]["controls"], record["result"]["signatures"]
    put(4, controls=[{**control, "seen": "undecided"}, *others])
    assert failed_before(ledger, "toy", content, 1) == [], "what is open has not failed"
    if part == "signature":
        put(5, signatures=[{**signature, "refuted_as_stated": True}, *rest])
    else:
        against = {"breaks": "does_not_matter", "does_not_matter": "breaks"}[control["expected"]]
        put(5, controls=[{**control, "seen": against}, *others])
    (words,) = failed_before(ledger, "toy", content, 1)
    assert words.startswith("inconclusive with master seed 5")


def test_seeds_that_were_tried_later_do_not_hold_back_the_first(run):
    first = run(noise=0.1, seeds=4)
    assert first.verdict == "inconclusive"
    assert held(run(noise=0.1, seeds=64, master_seed=1))
    again = run(noise=0.1, seeds=64)
    assert (again.verdict, again.gates) == ("supported", ()), "more seeds of the first master seed"
    assert held(run(noise=0.1, seeds=128, master_seed=1)), "the second stays held back"


def test_each_seed_stays_as_it_was_first_judged(run):
    peek = {"factor": 1.1, "seeds": 16}
    verdicts = [run(**peek, master_seed=seed).verdict for seed in range(3)]
    assert verdicts[0] != "supported"
    assert [bool(held(run(**peek, master_seed=seed))) for seed in range(4)] == [False, True, True, True]


def test_a_seed_is_named_once_by_its_last_verdict(run):
    run(noise=0.1, seeds=4)
    last = run(noise=0.1, seeds=8)
    assert last.verdict == "inconclusive"
    (gate,) = held(run(noise=0.1, master_seed=1))
    assert gate.count("with master seed 0 ") == 1
    assert last.record[:8] in gate


def test_a_seed_that_came_to_support_the_claim_holds_nothing_back(run):
    assert run(noise=0.1, seeds=4).verdict == "inconclusive"
    assert run(noise=0.1, seeds=64).verdict == "supported"
    assert (run(noise=0.1, master_seed=1).verdict, run(noise=0.1, master_seed=1).gates) == ("supported", ())


def test_seeds_that_were_reserved_by_runs_cut_short_are_held_back_all_the_same(run):
    for seed in range(3):
        assert run(noise=0.1, master_seed=seed, budget=1e-9).cut_short
    assert run(noise=0.1, seeds=4).verdict == "inconclusive"
    assert held(run(noise=0.1, seeds=64, master_seed=1))


def test_at_most_three_are_named(run):
    for seed in range(4):
        run(noise=0.1, seeds=4, master_seed=seed)
    (gate,) = held(run(noise=0.1, master_seed=4))
    assert [seed for seed in range(9) if f"with master seed {seed} " in gate] == [1, 2, 3]


def test_a_damaged_record_is_passed_over(run, toy):
    first, second = run(noise=0.1, seeds=4), run(noise=0.1, seeds=4, master_seed=1)
    file = toy.ledger / "objects" / first.record[:2] / f"{first.record}.json"
    file.write_text(file.read_text()[:-40])
    (gate,) = held(run(noise=0.1, master_seed=2))
    assert second.record[:8] in gate
    assert first.record[:8] not in gate


def test_records_of_other_versions_and_other_ideas_are_passed_over(run, toy):
    run(noise=0.1, seeds=4)
    ledger = Ledger(toy.ledger)
    (sha,) = ledger.find(schema=VERIFICATION)
    record = ledger.get(sha)
    content = ledger.get(record["result"]["declaration"])["content"]
    assert len(failed_before(ledger, "toy", content, 1)) == 1
    assert failed_before(ledger, "toy", content, 0) == []
    assert failed_before(ledger, "other", content, 1) == []
    other = "ab" * 32
    ledger.put(
        {
            **record,
            "parents": [other, *record["parents"][1:]],
            "result": {**record["result"], "declaration": other},
            "created": "2020-01-01T00:00:00.000000+00:00",
        }
    )
    assert len(failed_before(ledger, "toy", content, 1)) == 1


@pytest.mark.parametrize("experiments", [["abc"], 3, [[]], {"a": 1}])
def test_a_declaration_of_another_form_stops_no_run(run, toy, experiments):
    run(noise=0.1, seeds=4)
    ledger = Ledger(toy.ledger)
    (sha,) = ledger.find(schema=VERIFICATION)
    record = ledger.get(sha)
    content = {**ledger.get(record["result"]["declaration"])["content"], "experiments": experiments}
    other = ledger.put({"schema": DECLARATION, "idea": "toy", "content": content})
    ledger.put({**record, "parents": [other], "result": {**record["result"], "declaration": other}})
    assert run(noise=0.1, seeds=4, master_seed=1).verdict in {"supported", "inconclusive"}


def test_the_peeking_attack_never_ends_in_supported(run):
    """A theory exactly at its tolerance, run on twenty master seeds: chance supports one in twenty, at most."""
    peek = {"factor": 1.1, "seeds": 16}
    found = [run(**peek, master_seed=seed) for seed in range(20)]
    by_chance = [k for k, one in enumerate(found) if one.signatures[0].verdict == "present"]
    assert len(by_chance) <= 3, "more than three of twenty have probability 0.016 at 5 %"
    failed = next(k for k, one in enumerate(found) if one.verdict != "supported")
    assert failed <= 2
    assert not [one for one in found[failed + 1 :] if one.verdict == "supported"]
    assert all(held(found[k]) for k in by_chance if k > failed)
    assert run(**peek, master_seed=failed + 1).verdict != "supported", "nor does going back to seeds that were tried"
