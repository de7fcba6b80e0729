"""Wrong theories on the toy's observations: what is killed, what cannot be, and what must be; and no seed for it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from idealab.assess.mutants import designs_of
from idealab.assess.outcome import UNTRIED
from idealab.errors import UnknownNameError
from idealab.experiment import Condition, Experiment, Observation
from idealab.idea import Idea, Named, Signature
from idealab.judge.criteria import Equals
from idealab.judge.shapes import Threshold, Trend
from idealab.report.document import document
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.mutation import MUST_KILL
from idealab.verification import MutantResult, MutationResult

a, b, t = sp.symbols("a b t", positive=True)
x = sp.Function("x")


@pytest.fixture
def one(toy):
    """The toy with its height alone, of a tolerance, and no rival or assumption; other fields may change too."""

    def made(tolerance=0.1, factor=1, **changes):
        height = toy.idea(factor, tolerance).signatures["height"]
        signature = replace(height, rivals=Named(), **changes)
        return replace(toy.idea(), signatures=Named(signature), assumptions=Named())

    return made


@pytest.fixture
def sweep(toy):
    """The toy's sweep alone, under one relative noise."""

    def made(noise=0.02, knob=(1.0, 2.0), defect=""):
        found = toy.experiment(defect, knob=knob, toggles={})
        return replace(found, conditions=tuple(c.but(c.label, noise=noise) for c in found.conditions))

    return made


def status(found, signature="height"):
    """What became of each mutant of a signature, by its words."""
    return {mutant.words: mutant.status for mutant in found.mutants.mutants if mutant.signature == signature}


# --- What becomes of a mutant -----------------------------------------------------------------------------------------


def test_what_no_tolerance_hides_is_killed_and_says_where(toy, one, sweep):
    found = toy.verify(theory=one(), experiments=(sweep(),), record=False)
    whole = {m.operator: m for m in found.mutants.mutants if m.operator in ("x2", "x1/2", "sign")}
    assert {m.status for m in whole.values()} == {"killed"}
    assert {op: round(m.distance) for op, m in whole.items()} == {"x2": 10, "x1/2": 5, "sign": 20}
    assert all(m.where.startswith("bench, a=") for m in whole.values())
    assert whole["x2"].formula == "2·a·t² + 2·b"
    assert found.verdict == "supported"


def test_what_lies_within_the_tolerance_is_set_apart(toy, one, sweep):
    found = toy.verify(theory=one(), experiments=(sweep(0.001),), record=False)
    near = {m.operator: m for m in found.mutants.mutants if m.operator in ("x1.05", "x0.95", "x1.1")}
    assert {m.status for m in near.values()} == {"unresolvable"}
    assert near["x1.05"].distance == pytest.approx(0.5)
    assert near["x1.1"].distance == pytest.approx(1.0), "a tenth more is not told from the theory by a tenth"
    tight = toy.verify(theory=one(0.02), experiments=(sweep(0.001),), record=False)
    assert {status(tight)[words] for words in ("1.05 times", "0.95 times", "1.1 times")} == {"killed"}


def test_a_mutant_that_noise_hides_survives_below_the_cap_that_shows_it(toy, one, sweep):
    found = [toy.verify(theory=one(), experiments=(sweep(0.1),), seeds=n, record=False) for n in (4, 64)]
    assert [status(one_of)["1/2 times"] for one_of in found] == ["survived", "killed"]


def test_a_mutant_that_predicts_no_number_is_no_merit(toy):
    found = toy.verify(select=("energies",), record=False, seeds=4)
    undefined = found.mutants.having("undefined")
    assert [m.words for m in undefined] == ["log(p[n]) → log(log(p[n]))"]
    assert not any(m.gates for m in undefined)
    counted = len(found.mutants.having("killed")) + len(found.mutants.having("survived"))
    assert found.mutants.resolvable_score == len(found.mutants.having("killed")) / counted


@pytest.mark.parametrize("master_seed", range(5))
def test_the_true_theory_is_not_refuted_by_what_kills_the_wrong_ones(toy, master_seed):
    found = toy.verify(experiments=(toy.experiment(toggles={}),), master_seed=master_seed, record=False)
    assert found.verdict == "supported"
    assert len(found.mutants.having("killed")) >= 40
    assert found.hints == ()


# --- A fault of the design --------------------------------------------------------------------------------------------


def test_a_parameter_left_at_one_is_a_fault_that_is_told_before_the_run(toy, one, sweep):
    watcher = toy.watcher()
    found = toy.verify(theory=one(), experiments=(sweep(knob=(1.0,)),), progress=watcher, record=False)
    warnings = "\n".join(watcher.all("warn"))
    assert "a fault of the design: no condition tells height from a → a^(3/2); " in warnings
    order = [said[0] for said in watcher.said]
    assert order.index("warn") < order.index("step"), "while nothing has been simulated yet"
    assert status(found)["a² for a"] == "unseen"
    assert {m.distance for m in found.mutants.having("unseen")} == {0.0}
    assert found.verdict == "supported", "it is said, and gates nothing: no mutant of the whole is unseen"


def test_distinct_values_mend_it(toy, one, sweep):
    watcher = toy.watcher()
    found = toy.verify(theory=one(), experiments=(sweep(),), progress=watcher, record=False)
    assert watcher.all("warn") == []
    assert status(found)["a² for a"] == "killed"


# --- No new simulation ------------------------------------------------------------------------------------------------


def test_no_seed_is_run_for_a_mutant(toy):
    told = []
    for mutants in (True, False):
        watcher = toy.watcher()
        found = toy.verify(mutants=mutants, progress=watcher, record=False)
        told.append((found.cost.seeds, sorted(watcher.all("step")), found.verdict, found.gates))
        assert (found.mutants is not None) == mutants
    assert told[0] == told[1]


def test_but_for_one_that_must_be_killed_until_it_is(toy, one, sweep):
    # A tolerance of 45 %: half of it is 1.1 tolerances off, which takes more seeds than the theory itself.
    made = sweep(0.04, knob=(1.0,))
    few = toy.verify(theory=one(0.45, must_kill=()), experiments=(made,), record=False)
    more = toy.verify(theory=one(0.45), experiments=(made,), record=False)
    assert status(few)["1/2 times"] == "survived"
    assert status(more)["1/2 times"] == "killed"
    assert few.cost.seeds < more.cost.seeds < 64
    assert few.verdict == more.verdict == "supported"
    assert few.signatures == more.signatures, "what the theory itself was judged on stays"


# --- What must be killed ----------------------------------------------------------------------------------------------


def test_a_tolerance_that_twice_the_prediction_passes_holds_the_verdict_back(toy, one, sweep):
    found = toy.verify(theory=one(1.2), experiments=(sweep(),), seeds=8, record=False)
    assert found.verdict == "inconclusive"
    assert found.gates[0].startswith("mutants of height that must be killed are alive: 2 times; 1/2 times; ")
    assert status(found)["2 times"] == "unresolvable"
    assert [m.words for m in found.mutants.mutants if m.gates] == ["2 times", "1/2 times"]


def test_that_is_lifted_by_declaring_so(toy, one, sweep):
    found = toy.verify(theory=one(1.2, must_kill=()), experiments=(sweep(),), seeds=8, record=False)
    assert (found.verdict, found.gates) == ("supported", ())
    assert not any(m.gates for m in found.mutants.mutants)
    one_of_two = toy.verify(theory=one(1.2, must_kill=("x1/2",)), experiments=(sweep(),), seeds=8, record=False)
    assert [m.words for m in one_of_two.mutants.mutants if m.gates] == ["1/2 times"]


def test_a_part_that_the_tolerance_does_not_resolve_does_not_gate(toy, one, sweep):
    found = toy.verify(theory=one(0.3, must_kill=MUST_KILL), experiments=(sweep(),), record=False)
    near = [m for m in found.mutants.mutants if m.operator in MUST_KILL and m.status in ("survived", "unresolvable")]
    assert "b → √b" in [m.words for m in near]
    assert not any(m.gates for m in near), "whatever is alive could still be the truth"
    assert found.verdict == "supported"


def test_beyond_the_idealized_model_nothing_gates(toy, one, sweep):
    made = replace(sweep(), name="measured", level="real data")
    found = toy.verify(theory=one(1.2), experiments=(made,), seeds=8, record=False)
    assert found.verdict == "supported"
    assert status(found)["2 times"] == "unresolvable"


def test_an_unknown_kind_of_mutant_is_refused(toy):
    with pytest.raises(UnknownNameError, match=r"no kind of mutant named 'x 2'; did you mean 'x2'\?"):
        replace(toy.idea().signatures["height"], must_kill=("x 2",))


# --- Hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defect", "factor", "tolerance", "hint"),
    [("off", 1, 0.1, "1.1 times"), ("", sp.Rational(11, 10), 0.05, "0.9 times"), ("", 2, 0.05, "1/2 times")],
)
def test_a_refuted_theory_is_told_where_to_look(toy, one, sweep, defect, factor, tolerance, hint):
    theory = one(tolerance, factor)
    found = toy.verify(theory=theory, experiments=(sweep(0.01, defect=defect),), record=False)
    (words,) = found.hints
    assert words.startswith(f"height: refuted as stated; would be present with: {hint}")
    assert found.verdict == "refuted"
    said = repr((found.signatures, found.gates, found.remarks, found.scope))
    assert hint not in said, "a hint is no result"
    without = toy.verify(theory=theory, experiments=(sweep(0.01, defect=defect),), mutants=False, record=False)
    assert (without.verdict, without.remarks, without.hints) == ("refuted", (*found.remarks, UNTRIED), ())


def test_where_no_mutant_fits_there_is_no_hint(toy, one, sweep):
    found = toy.verify(theory=one(0.02, 7), experiments=(sweep(0.001),), record=False)
    assert (found.verdict, found.hints) == ("refuted", ())


# --- Logarithms, powers, and what cannot be written -------------------------------------------------------------------

TIMES = 9


def _solved(name, right, start):
    rate = sp.diff(right, t)
    return (
        Derivation(name, "a motion and its solution")
        .given("rate", "how fast it goes", sp.Eq(x(t).diff(t), rate))
        .derive("path", "solved", lambda known: sp.dsolve(known["rate"], x(t), ics={x(start): right.subs(t, start)}))
    )


def clockwork(tolerance: float) -> Idea:
    """A logarithm, a straight line whose slope has one in it, and a square that knows no order of its symbols."""
    square = (
        Derivation("square", "of a difference")
        .given("sides", "the difference", sp.Eq(x(t), a - b))
        .derive("area", "squared", lambda known: sp.Eq(x(t), known["sides"].rhs ** 2))
    )
    close, why = Equals(rtol=tolerance), "made up"
    return Idea(
        name="clockwork",
        statement="Time is told by its logarithm.",
        scope="here",
        failure_modes=(),
        references=(),
        signatures=Named(
            Signature("growth", "", "growth", _solved("growing", sp.log(t), 1), close, why, by_log=(t,)),
            Signature("ramp", "", "ramp", _solved("climbing", t / sp.log(2), 1), close, why, by_log=(t,)),
            Signature("square", "", "square", square, close, why),
        ),
        assumptions=Named(),
    )


def tick(key: jax.Array, condition: Condition) -> Observation:
    log_t = jnp.linspace(condition["first"], condition["last"], TIMES)
    error = 1 + 1e-3 * jnp.sin(jax.random.key_data(key).astype(float).sum() + jnp.arange(TIMES))
    square = (condition["a"] - condition["b"]) ** 2 * error[0]
    return Observation({}, {"growth": log_t * error, "ramp": jnp.exp(log_t) / jnp.log(2) * error, "square": square})


def clock(decades: float) -> Experiment:
    """Times from 100 on over so many decades."""
    first, last = 2 * math.log(10), (2 + decades) * math.log(10)
    times = ("log_t", tuple(np.linspace(first, last, TIMES).tolist()))
    return Experiment(
        name="clock",
        statement="",
        level="idealized",
        observe=tick,
        observables=("growth", "ramp", "square"),
        conditions=(Condition({"first": first, "last": last, "a": 5.0, "b": 2.0}),),
        checkpoints={"growth": times, "ramp": times},
    )


@pytest.mark.parametrize(
    ("decades", "tolerance", "expected"),
    [(2, 0.1, "unresolvable"), (2, 0.02, "killed"), (6, 0.1, "killed"), (6, 0.02, "killed")],
)
def test_a_logarithm_is_told_from_its_best_power_law_where_the_tolerance_allows(toy, decades, tolerance, expected):
    found = toy.verify(
        theory=clockwork(tolerance), experiments=(clock(decades),), select=("growth",), record=False, seeds=16
    )
    (power,) = [m for m in found.mutants.mutants if m.operator == "log to power"]
    log_t = np.linspace(2, 2 + decades, TIMES) * math.log(10)
    slope, factor = np.polyfit(log_t, np.log(log_t), 1)
    assert power.words == f"log(t) → {math.exp(factor):.3g}·t^{slope:.2g}"
    best = np.exp(factor + slope * log_t)
    assert power.distance == pytest.approx(np.max(np.abs(best / log_t - 1)) / tolerance, rel=1e-3)
    assert power.status == expected
    assert found.verdict == "supported"
    assert status(found, "growth")["log(t) → t"] == "killed"


def shaped(criterion, derivation, observable="growth", by_log=(t,)):
    """The clockwork with one signature of that criterion, and the mutants that must be killed by default."""
    signature = Signature("shape", "", observable, derivation, criterion, "made up", by_log=by_log)
    return replace(clockwork(0.1), signatures=Named(signature))


def test_of_a_trend_only_the_direction_can_be_wrong(toy):
    theory = shaped(Trend("log_t"), _solved("growing", sp.log(t), 1))
    found = toy.verify(theory=theory, experiments=(clock(2),), record=False)
    told = status(found, "shape")
    assert (found.verdict, found.gates) == ("supported", ())
    assert not {"2 times", "1/2 times", "1.1 times"} & set(told), "the same claim"
    assert found.mutants.equivalent >= 6
    assert told["its sign"] == "killed"
    wrong = toy.verify(theory=shaped(Trend("log_t"), _solved("falling", -sp.log(t), 1)), experiments=(clock(2),))
    assert wrong.verdict == "refuted"
    assert "its sign" in wrong.hints[0]


def test_of_a_threshold_what_lies_between_two_points_is_not_resolved(toy):
    crossing = (
        Derivation("crossing", "when the ramp is as high as the wall")
        .given("wall", "as high as this", sp.Eq(t, a**4))
        .derive("when", "in logarithms", lambda known: sp.Eq(sp.log(t), sp.expand_log(sp.log(known["wall"].rhs))))
    )
    theory = shaped(Threshold("log_t", a**4 / sp.log(2)), crossing, "ramp", ())
    found = toy.verify(theory=theory, experiments=(clock(2),), record=False)
    told = status(found, "shape")
    assert (found.verdict, found.gates) == ("supported", ())
    assert {told[words] for words in ("2 times", "1/2 times", "its sign")} == {"killed"}
    assert told["1.05 times"] == "unresolvable", "no point lies between: add some"
    assert found.mutants.having("unseen") == []


def test_what_is_the_same_function_written_otherwise_is_only_counted(toy):
    found = toy.verify(theory=clockwork(0.1), experiments=(clock(2),), select=("square",), record=False)
    assert found.mutants.equivalent == 1
    assert not [words for words in status(found, "square") if "swapped" in words]
    assert found.mutants.to_dict()["total"] == len(found.mutants.mutants) + 1


def test_a_mutant_that_cannot_be_written_is_counted_as_left_out(toy):
    found = toy.verify(theory=clockwork(0.1), experiments=(clock(2),), select=("ramp",), record=False)
    assert len(found.mutants.refused) == 1
    assert found.mutants.refused[0].startswith("log(2) → 0: ")  # by which t is divided
    assert found.mutants.to_dict()["refused"] == list(found.mutants.refused)
    assert found.verdict == "supported"
    assert len(found.mutants.having("killed")) > 5


def test_the_designs_know_no_observation(toy):
    from idealab.assess.assessment import questions_of
    from idealab.compute.run import Task

    made, theory = clock(2), clockwork(0.1)
    tasks = [Task(made, made.conditions[0])]
    designs = designs_of(questions_of(theory, list(theory.signatures.values()), tasks))
    assert [design.signature.name for design in designs] == ["growth", "ramp", "square"]
    assert all(len(design.mutants) > 5 and not design.unseen for design in designs)
    assert not tasks[0].batches


# --- The score --------------------------------------------------------------------------------------------------------


def results(**counts):
    made = MutantResult("height", "x2", "2 times", "2·a", "killed", 1.0, "", False)
    mutants = tuple(replace(made, status=name) for name, count in counts.items() for _ in range(count))
    return MutationResult(mutants, 2, ("why",))


def test_the_scores_are_shares_of_all_and_of_what_the_tolerance_resolves():
    found = results(killed=6, survived=2, unresolvable=3, unseen=1, undefined=0)
    assert (found.score, found.resolvable_score) == (0.5, 0.75)
    assert math.isnan(results().score)
    assert math.isnan(results(unresolvable=2).resolvable_score)
    assert results(unresolvable=2).score == 0


def test_the_document_names_what_is_alive_and_counts_the_rest(toy):
    found = toy.verify(experiments=(toy.experiment(toggles={}),), record=False)
    told = json.loads(document(found.to_dict()))["mutants"]
    named = [len(told[name]) for name in ("survivors", "not_seen", "not_resolved")]
    assert told["total"] == told["equivalent"] + told["killed"] + sum(named) + told["undefined"]
    assert (told["unresolvable"], told["unseen"]) == (named[2], named[1])
    assert told["resolvable_score"] == told["killed"] / (told["killed"] + named[0])
    assert {entry["status"] for entry in told["survivors"]} == {"survived"}


def test_the_ledger_holds_them_and_a_run_that_goes_on_says_the_same(toy):
    from idealab.ledger.store import Ledger

    found, again = toy.verify(), toy.verify()
    assert again.cost.reused_seeds == again.cost.seeds
    assert found.mutants == again.mutants
    kept = Ledger(toy.ledger).get(again.record)["result"]["mutants"]
    assert kept["killed"] == len(found.mutants.having("killed"))
