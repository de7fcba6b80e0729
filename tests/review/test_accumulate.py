"""Runs of one declaration, put together where that is honest."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from idealab import registry
from idealab.errors import UsageError
from idealab.idea import Named
from idealab.judge.cells import Rules, judge_at_once, judge_cells, unit_cell
from idealab.ledger.bundle import export, import_bundle
from idealab.ledger.records import BATCH
from idealab.ledger.store import Ledger
from idealab.review.accumulate import accumulate, declaration_for


@pytest.fixture
def run(toy, monkeypatch):
    """Verifies the height alone of the toy, at one knob, with as much noise as is asked for."""

    def made(defect="", noise=0.02, factor=1.0):
        one = toy.experiment(defect, toggles={}, knob=(1.0,))
        (condition,) = one.conditions
        return replace(one, conditions=(condition.but("", noise=noise, factor=factor * condition["factor"]),))

    def verify(defect="", master_seed=0, noise=0.02, factor=1.0, **options):
        height = replace(toy.idea().signatures["height"], rivals=Named(), must_kill=())
        theory = replace(toy.idea(), signatures=Named(height), assumptions=Named())
        experiment = made(defect, noise, factor)
        monkeypatch.setattr(registry, "load", lambda name: theory)
        monkeypatch.setattr(registry, "load_experiments", lambda name: (experiment,))
        options.setdefault("mutants", False)
        return toy.verify(theory=theory, experiments=(experiment,), master_seed=master_seed, **options)

    return verify


def together(toy, found):
    return accumulate(Ledger(toy.ledger), found.declaration)


def test_evidence_of_several_runs_is_more_than_that_of_one(toy, run):
    runs = [run(master_seed=seed) for seed in (0, 1, 5)]
    found = together(toy, runs[0])
    assert found.verification.verdict == "supported"
    assert [one.master_seed for one in found.runs] == [0, 1, 5]
    assert found.verification.cost.seeds == sum(one.cost.seeds for one in runs)
    assert found.verification.evidence_log10 > 2 * max(one.evidence_log10 for one in runs)
    assert found.verification.record is None
    assert found.verification.environment["master_seeds"] == [0, 1, 5]


def test_runs_that_did_not_decide_decide_together(toy, run):
    runs = [run(noise=0.1, seeds=8, master_seed=seed) for seed in range(8)]
    assert {one.verdict for one in runs} == {"inconclusive"}
    found = together(toy, runs[0])
    (signature,) = found.verification.signatures
    assert (found.verification.verdict, signature.seeds) == ("supported", 64), "past the cap of each: evidence has none"


def test_what_is_wrong_is_refuted_together(toy, run):
    runs = [run("off", noise=0.1, seeds=8, master_seed=seed) for seed in range(8)]
    assert together(toy, runs[0]).verification.verdict == "refuted"


def test_a_run_that_was_given_up_is_taken_too(toy, run):
    first = run(noise=0.1, seeds=32)
    with pytest.raises(KeyboardInterrupt):
        run(noise=0.1, seeds=32, master_seed=1, progress=toy.watcher(1))
    found = together(toy, first)
    assert [one.master_seed for one in found.runs] == [0, 1]
    assert 4 <= found.runs[1].seeds < 32


def test_one_run_is_not_combined(toy, run):
    found = run()
    with pytest.raises(UsageError, match=r"two runs on different master seeds .* only master seed 0 on cpu"):
        together(toy, found)


def on_another_machine(toy, found, tmp_path, change=lambda values: values, **fields):
    """The batches of a run as another machine would bring them in a bundle: the same draws, but for rounding."""
    here, there = Ledger(toy.ledger), Ledger(tmp_path / "there")
    there.put(here.get(found.declaration))
    for sha in here.find(schema=BATCH, parent=found.declaration):
        record = here.get(sha)
        observables = {name: change(np.array(v)).tolist() for name, v in record["observation"]["observables"].items()}
        observation = {**record["observation"], "observables": observables}
        environment = {**record["environment"], "device": "gpu"}
        there.put({**record, "environment": environment, "observation": observation, **fields})
    export(there, (), tmp_path / "there.zip")
    import_bundle(here, tmp_path / "there.zip")


def test_the_same_draws_on_another_machine_are_no_more_evidence(toy, run, tmp_path):
    first = run()
    on_another_machine(toy, first, tmp_path, lambda values: values * (1 + 1e-12))
    with pytest.raises(UsageError, match=r"the same draws as of master seed 0 on .*differ by 1e-12 of the largest"):
        together(toy, first)
    run(master_seed=1)
    found = together(toy, first)
    assert [one.master_seed for one in found.runs] == [0, 1]
    (line,) = found.left_out
    assert "so the same evidence again" in line


def test_fresh_seeds_from_another_machine_are(toy, run, tmp_path):
    first = run()
    on_another_machine(toy, first, tmp_path, lambda values: values[::-1] * (1 + 1e-6), master_seed=7)
    found = together(toy, first)
    assert [(one.master_seed, one.environment["device"]) for one in found.runs] == [(0, "cpu"), (7, "gpu")]
    assert found.verification.environment["machines"] == 2


@pytest.mark.parametrize(
    "change",
    [lambda values: values, lambda values: values * (1 + 1e-12), lambda values: values[::-1]],
    ids=["as it is", "rounded elsewhere", "in another order"],
)
def test_a_copy_under_another_master_seed_is_no_more_evidence(toy, run, tmp_path, change):
    first = run()
    on_another_machine(toy, first, tmp_path, change, master_seed=7)
    second = run(master_seed=1)
    found = together(toy, first)
    assert [one.master_seed for one in found.runs] == [0, 1]
    assert found.verification.cost.seeds == first.cost.seeds + second.cost.seeds
    (line,) = found.left_out
    assert line.startswith("master seed 7 on gpu")
    assert "what was observed is that of master seed 0" in line


def test_another_precision_is_another_experiment(toy, run):
    first = run()
    run(master_seed=1, precision="float32")
    with pytest.raises(UsageError, match="in float32, which is another experiment than float64"):
        together(toy, first)


def test_seeds_past_a_gap_are_left_out(toy, run):
    first = run(noise=0.1, seeds=16)
    run(noise=0.1, seeds=16, master_seed=1)
    ledger = Ledger(toy.ledger)
    lost = [
        s for s in ledger.find(schema=BATCH) if ledger.get(s)["first_seed"] == ledger.get(s)["master_seed"] * 4 == 4
    ]
    (ledger.path / "objects" / lost[0][:2] / f"{lost[0]}.json").unlink()
    found = together(toy, first)
    assert found.runs[1].seeds == 4
    assert all("others before them are missing" in line for line in found.left_out)
    assert found.left_out


def again(toy, found, change=lambda values: values, **fields):
    """The second block of master seed 0 once more, with other numbers, seeds or versions; its name."""
    ledger = Ledger(toy.ledger)
    blocks = [(sha, ledger.get(sha)) for sha in ledger.find(schema=BATCH, parent=found.declaration)]
    (block,) = [one for _, one in blocks if (one["master_seed"], one["first_seed"]) == (0, 4)]
    seen = {name: change(np.array(v)).tolist() for name, v in block["observation"]["observables"].items()}
    observation = {**block["observation"], "observables": seen}
    return ledger.put({**block, "seconds": 9.0, "observation": observation, **fields})


@pytest.fixture
def two(toy, run):
    """Two runs of sixteen seeds."""
    return [run(noise=0.1, seeds=16, master_seed=seed) for seed in (0, 1)]


def test_a_block_that_says_the_same_again_is_not_told_of(toy, two):
    again(toy, two[0])
    found = together(toy, two[0])
    assert found.left_out == ()
    assert found.verification.cost.seeds == sum(one.cost.seeds for one in two)


def test_a_block_that_says_otherwise_of_the_same_seeds_is_told_of(toy, two):
    before = together(toy, two[0])
    sha = again(toy, two[0], lambda values: values * 1.25)
    found = together(toy, two[0])
    (line,) = found.left_out
    assert line.startswith(f"block {sha[:12]}, master seed 0, seeds 4 to 7 of 'a=1, ")
    assert line.endswith(" has some of them too and says otherwise, by 0.2 of the largest number")
    assert found.verification.to_dict() == before.verification.to_dict()


@pytest.mark.parametrize("otherwise", [1.0, 1.25])
def test_a_block_that_begins_within_another_is_told_of(toy, two, otherwise):
    """Seeds 6 to 9, as a run in blocks of another size would leave them."""
    ledger = Ledger(toy.ledger)
    names = [sha for sha in ledger.find(schema=BATCH) if ledger.get(sha)["master_seed"] == 0]
    blocks = sorted((ledger.get(sha) for sha in names), key=lambda one: one["first_seed"])
    assert [one["first_seed"] for one in blocks][:3] == [0, 4, 8]
    parts = {
        part: {name: [*blocks[1]["observation"][part][name][2:], *values[:2]] for name, values in arrays.items()}
        for part, arrays in blocks[2]["observation"].items()
    }
    parts["observables"] = {name: (np.array(v) * otherwise).tolist() for name, v in parts["observables"].items()}
    sha = ledger.put({**blocks[1], "first_seed": 6, "observation": parts})
    (line,) = together(toy, two[0]).left_out
    assert line.startswith(f"block {sha[:12]}, master seed 0, seeds 6 to 9 of 'a=1, ")
    assert line.endswith("before 8, and blocks are not cut" if otherwise == 1 else "by 0.2 of the largest number")


def test_other_versions_are_told_of_and_leave_nothing_out(toy, run, two, tmp_path, monkeypatch):
    assert together(toy, two[0]).versions == ()
    ledger = Ledger(toy.ledger)
    environment = {**ledger.get(ledger.find(schema=BATCH)[0])["environment"], "scipy": "9.9"}
    on_another_machine(toy, two[0], tmp_path, lambda v: v[::-1] * (1 + 1e-6), master_seed=7, environment=environment)
    found = together(toy, two[0])
    here = environment["python"], ledger.get(two[0].declaration)["content"]["versions"]["judge"]
    (line,) = found.versions
    assert line.startswith("scipy: ")
    assert line.endswith("9.9 for master seed 7")
    assert "for master seed 0; " in line
    assert here[0] not in line
    monkeypatch.setattr(sys.modules["idealab.prepare.declaration"], "judge_digest", lambda: "f" * 64)
    judged = together(toy, two[0])
    assert judged.versions[0].startswith("declared with others than those that judge here: versions.judge: ")
    assert here[1][:40] in judged.versions[0]
    assert judged.versions[1:] == found.versions
    assert (judged.left_out, judged.verification.verdict) == (found.left_out, found.verification.verdict)


def test_what_was_declared_differently_is_refused_and_the_difference_said(toy, run):
    first, second = run(), run(seeds=8)
    ledger = Ledger(toy.ledger)
    assert declaration_for(ledger, [first.record, first.declaration]) == first.declaration
    with pytest.raises(
        UsageError, match=r"may not be combined, they were declared differently: .*max_seeds: 64 became 8"
    ):
        declaration_for(ledger, [first.record, second.record])


def test_a_failure_under_another_cap_on_other_seeds_holds_back(toy, run):
    failed = run(noise=0.1, seeds=4, master_seed=9)
    assert failed.verdict == "inconclusive"
    runs = [run(noise=0.1, seeds=64, master_seed=seed) for seed in (0, 1)]
    found = together(toy, runs[0]).verification
    (gate,) = found.gates
    assert gate.startswith("the same claim was tried before on other seeds, under another declaration: ")
    assert f"master seed 9 (record {failed.record[:8]})" in gate
    assert found.verdict == "inconclusive"


def test_an_idea_that_has_changed_is_not_combined(toy, run, monkeypatch):
    runs = [run(master_seed=seed) for seed in (0, 1)]
    monkeypatch.setattr(registry, "load", lambda name: toy.idea(1.1))
    with pytest.raises(UsageError, match=r"cannot be judged here: the idea .* declares other things"):
        together(toy, runs[0])


def test_conditions_of_a_sweep_and_controls_and_mutants_are_judged_together(toy, monkeypatch):
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (toy.experiment(),))
    runs = [toy.verify(master_seed=seed) for seed in (0, 1)]
    found = together(toy, runs[0]).verification
    assert {(s.name, s.verdict) for s in found.signatures} == {(s.name, "present") for s in runs[0].signatures}
    assert all(control.ok for control in found.controls)
    assert found.mutants is not None
    assert len(found.mutants.having("killed")) >= len(runs[0].mutants.having("killed"))


# The rule


def test_the_full_threshold_is_needed_where_runs_are_put_together():
    rules = Rules(64, 1)
    rng = np.random.default_rng(3)
    cells = [unit_cell(rng.normal(0.3, 1.6, 64)) for _ in range(200)]
    once, staged = judge_at_once(cells, rules), judge_cells(cells, rules)
    between = [one for one, other in zip(once, staged, strict=True) if other.verdict == "present" != one.verdict]
    assert between, "what passes by the falling thresholds of one run need not pass here"
    for one in once:
        if one.verdict == "present":
            assert one.evidence_log10 >= math.log10(20)


def test_the_order_of_seeds_makes_no_difference():
    rng = np.random.default_rng(5)
    values = rng.normal(0.2, 1.0, 40)
    one, other = judge_at_once([unit_cell(values), unit_cell(rng.permutation(values))], Rules(8, 3))
    assert (one.verdict, one.seeds) == (other.verdict, other.seeds)
    assert one.evidence_log10 == pytest.approx(other.evidence_log10)


@pytest.mark.parametrize("estimand", ["mean", "median", "every"])
def test_few_seeds_decide_nothing(estimand):
    (found,) = judge_at_once([unit_cell(np.array([0.1, 0.2, 0.1]), estimand)], Rules(64, 3))
    assert (found.verdict, found.seeds) == ("undecided", 3)
    (none,) = judge_at_once([unit_cell(np.array([]), estimand)], Rules(64, 3))
    assert none.verdict == "undecided"


def test_runs_added_until_it_passes_are_rarely_called_present():
    """The attack on accumulation: exactly at the tolerance, add runs of eight seeds until they pass together."""
    rules, rng = Rules(8, 1), np.random.default_rng(0)
    passed, attacks = 0, 400
    for _ in range(attacks):
        values = rng.normal(1.0, 1.0, 80)
        passed += any(judge_at_once([unit_cell(values[:n])], rules)[0].verdict == "present" for n in range(8, 81, 8))
    assert passed <= 0.05 * attacks, "more than alpha"
