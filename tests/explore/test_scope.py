"""The search on the toy, whose truth is known: ``height`` breaks where a > 3, and where |factor - 1| > 0.1."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from idealab.errors import NothingMatchedError, UnknownNameError, UsageError
from idealab.experiment import Condition, Range
from idealab.explore.scope import find_scope, search_seed
from idealab.idea import Named, Rival
from idealab.judge.criteria import Equals
from idealab.judge.shapes import Trend
from idealab.ledger.records import BATCH, VERIFICATION
from idealab.ledger.store import Ledger


@pytest.fixture
def search(toy):
    """Searches the toy for ``height`` alone, which leaves no trace, unless something else is asked for."""

    def run(knob: str = "a", defect: str = "", *, theory=None, **options):
        made = {"experiments": (toy.experiment(defect, toggles={}),), "select": ("height",), "record": False} | options
        return find_scope(theory or toy.idea(), knob, **made)

    return run


def points_of(found, signature=0):
    return {point.value: point.verdict for point in found.findings[signature].points}


# --- What is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("master_seed", [0, 2**32 - 1])
def test_the_value_where_it_breaks_is_bracketed(search, master_seed):
    found = search(defect="breaks", select=(), master_seed=master_seed)
    height, curve, energies = found.findings
    assert height.status == "breaks"
    assert height.last.value <= 3 < height.first.value <= 1.1001 * height.last.value
    assert height.fresh == (master_seed + 1) % 2**32
    assert (curve.status, energies.status) == ("holds everywhere looked", "holds everywhere looked")
    assert found.tried == len(height.points) == len(curve.points)
    assert max(point.seeds for finding in found.findings for point in finding.points) <= 16
    assert found.found


@pytest.mark.parametrize(("span", "truth", "sign"), [((1.0, 3.0), 1.1, 1), ((1.0, 0.2), 0.9, -1)])
def test_outward_is_the_way_of_the_span(search, span, truth, sign):
    found = search("factor", span=span, settings={"noise": 0.002}).findings[0]
    assert (found.status, found.outward) == ("breaks", sign)
    assert sign * found.last.value <= sign * truth <= sign * found.first.value
    near = max(found.last.value / found.first.value, found.first.value / found.last.value)
    assert near < (1.1001 if len(found.between) == 2 else 1.21), "exactly at the tolerance it stays undecided"
    assert [point.value for point in found.points] == sorted((p.value for p in found.points), reverse=sign < 0)


def test_outward_is_the_way_of_the_sweep(search, toy):
    falling = toy.experiment("breaks", knob=(2.0, 1.0))
    assert list(points_of(search(experiments=(falling,), steps=8))) == [2.0, 1.0, 0.5, 0.25]


def test_a_search_past_zero(search):
    found = search("factor", span=(1.0, -1.0), settings={"noise": 0.002}).findings[0]
    assert found.last.value <= 1
    assert found.first.value <= 0.9 <= found.last.value


def test_what_stays_undecided_lies_within_the_bracket(search):
    found = search("factor", span=(1.0, 3.0), settings={"noise": 0.03}).findings[0]
    assert found.status == "breaks"
    assert len(found.between) > 2, "so near to the tolerance 16 seeds decide nothing"
    assert all(point.verdict == "undecided" for point in found.between[1:-1])
    assert found.last.value <= 1.1 <= found.first.value


def test_a_signature_that_never_held_takes_the_declared_values_alone(search):
    found = search(defect="off")
    assert [finding.status for finding in found.findings] == ["never held"]
    assert (found.tried, found.found) == (2, False)
    outside = search(defect="off", span=(3.0, 30.0))
    assert list(points_of(outside)) == [3.0], "where nothing is declared, the first value is enough"


def test_noise_leaves_it_undecided_and_says_what_would_help(search):
    found = search(settings={"noise": 0.5}, steps=6)
    assert (found.findings[0].status, found.found) == ("undecided", False)
    assert found.findings[0].proposal.endswith("more seeds may decide it: --seeds 64")


def test_seeds_that_are_all_alike_are_called_out(search):
    found = search(defect="frozen")
    assert found.findings[0].proposal.endswith("the seed does not reach the experiment")
    assert list(points_of(found)) == [1.0, 2.0]


def test_without_a_break_the_search_ends(search):
    found = search(steps=12)
    assert list(points_of(found)) == [1, 2, 4, 8, 16, 32], "half of the steps; the rest would be for the bracket"
    assert found.findings[0].status == "holds everywhere looked"


def test_steps_are_the_most_values_that_are_tried(search, toy):
    found = search(experiments=(toy.experiment("breaks", knob=(1.0, 100.0)),), steps=5)
    assert found.tried == 5
    assert found.findings[0].last.value <= 3 < found.findings[0].first.value


def test_whole_numbers_are_tried_as_whole_numbers(search, toy):
    conditions = tuple(toy.sweep.but(f"a={a}", a=a, late_factor=1.3) for a in (2, 3))
    found = search(experiments=(toy.experiment(conditions=conditions),), span=(3.2, 4.4))
    assert points_of(found) == {3: "present", 4: "absent"}, "there is nothing between them"
    assert all(isinstance(value, int) for value in points_of(found))


# --- How far may be looked --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "ranges", "edge", "reason"),
    [
        ("t", {"t": Range(0.0, 10.0, "there is a wall")}, 10.0, "is outside 0 < t < 10: there is a wall"),
        ("t", {"t": lambda c: Range(0.0, 7 * c["a"], "by a")}, 7.0, "is outside 0 < t < 7: by a"),
        ("t", {"a": lambda c: Range(0.0, 6 / c["t"], "a t < 6")}, 6.0, r"a=1.0 is outside 0 < a < .*: a t < 6"),
    ],
)
def test_the_edge_of_what_may_be_set_is_reached_and_said(search, toy, knob, ranges, edge, reason):
    made = toy.experiment(conditions=(toy.sweep, toy.sweep.but(t=3.0)), ranges=ranges)
    found = search(knob, experiments=(made,)).findings[0]
    assert found.status == "holds everywhere looked"
    assert 0.97 * edge < found.last.value < edge
    assert re.search(reason, found.proposal)
    assert "the edge of what may be set" in found.proposal


def test_a_span_ends_at_the_edge_too(search, toy):
    found = search("t", span=(2.0, 100.0)).findings[0]
    assert 9.7 < found.last.value < 10
    assert "there is a wall at t = 10" in found.edge


def test_an_edge_is_no_reason_once_it_broke(search, toy):
    made = toy.experiment("breaks", ranges={"a": Range(0.0, 3.5, "heavy")})
    found = search(experiments=(made,)).findings[0]
    assert found.last.value <= 3 < found.first.value < 3.5
    assert "heavy" not in found.proposal


# --- Fresh seeds, and what is kept ------------------------------------------------------------------------------------


def test_a_search_draws_seeds_that_no_verification_draws(search, toy):
    found = search(defect="breaks", steps=8, record=True, ledger=toy.ledger)
    ledger = Ledger(toy.ledger)
    drawn = {ledger.get(sha)["master_seed"] for sha in ledger.find(schema=BATCH)}
    assert drawn == {found.search_seed} == {search_seed(0)}
    assert len({search_seed(k) for k in range(1000)} | {*range(1000)}) == 2000
    claimed = toy.experiment("breaks", knob=(1.0, found.findings[0].last.value))
    confirmed = toy.verify(experiments=(claimed,), master_seed=1, mutants=False)
    assert (confirmed.verdict, confirmed.cost.reused_seeds) == ("supported", 0)


def test_a_search_is_no_verdict_on_the_idea(search, toy):
    search(defect="off", record=True, ledger=toy.ledger)
    assert Ledger(toy.ledger).find(schema=VERIFICATION) == []
    assert Ledger(toy.ledger).find(schema=BATCH)


def test_without_a_record_there_is_no_trace(search, toy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    search(steps=2)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_search_goes_on_and_ends_as_if_it_were_not(search, toy):
    whole = search(defect="breaks", steps=8)
    with pytest.raises(KeyboardInterrupt):
        search(defect="breaks", steps=8, record=True, ledger=toy.ledger, progress=toy.watcher(stop_at=5))
    again = search(defect="breaks", steps=8, record=True, ledger=toy.ledger)
    assert again.cost.reused_seeds >= 16
    assert again.findings == whole.findings


def test_the_watcher_is_told_of_one_run(search, toy):
    watcher = toy.watcher()
    search(defect="breaks", progress=watcher, steps=8)
    assert watcher.all("stage")[:3] == ["deriving", "bench: a=1", "bench: a=2"]
    assert watcher.all("declared") == []
    assert watcher.all("planned")[-1] == len(watcher.all("step"))
    assert watcher.all("planned") == sorted(watcher.all("planned"))


def test_rivals_and_wrong_theories_take_no_seeds(search, toy):
    height = toy.idea().signatures["height"]
    near = Rival("a seventh more", "", toy.idea(1.13).signatures["height"].prediction)
    rivalled = replace(toy.idea(), signatures=Named(replace(height, rivals=Named(near))), assumptions=Named())
    watcher = toy.watcher()
    alone, both = search(steps=4), search(steps=4, theory=rivalled, progress=watcher)
    assert alone.cost.seeds == both.cost.seeds
    assert watcher.all("warn") == []


# --- Several experiments, and claims along the knob -------------------------------------------------------------------


def test_an_experiment_that_cannot_be_searched_is_left_out(search, toy):
    single = toy.experiment(name="single", knob=(1.0,))
    found = search(experiments=(toy.experiment("breaks"), single), steps=6)
    assert {finding.experiment for finding in found.findings} == {"bench"}
    assert found.left_out == (
        "the sweep of single has one value of a, 1; say how far to look, such as --find-scope a=1..10",
    )
    both = search(experiments=(toy.experiment("breaks"), single), span=(1.0, 4.0), steps=8)
    assert [finding.experiment for finding in both.findings] == ["bench", "single"]
    assert both.left_out == ()
    assert [finding.status for finding in both.findings] == ["breaks", "holds everywhere looked"]


def test_a_span_that_begins_outside_a_range_leaves_that_experiment_out(search, toy):
    wide = toy.experiment(name="wide", ranges={})
    found = search("t", experiments=(toy.experiment(), wide), span=(12.0, 16.0), steps=4)
    assert [finding.experiment for finding in found.findings] == ["wide"]
    assert found.left_out == ("experiment 'bench': t=12.0 is outside 0 < t < 10: there is a wall at t = 10",)


def test_a_claim_along_the_sweep_is_left_out(search, toy):
    height = toy.idea().signatures["height"]
    rise = replace(height, name="rise", criterion=Trend(along="a"), rivals=Named())
    along_time = replace(toy.idea().signatures["curve"], criterion=Trend(along="log_t"))
    theory = replace(toy.idea(), signatures=Named(height, rise, along_time), assumptions=Named())
    found = search(theory=theory, select=(), steps=2)
    assert [finding.signature for finding in found.findings] == ["height", "curve"]
    assert found.left_out == ("rise in bench: it is claimed along a sweep",)


def test_an_experiment_without_chance_is_searched_too(search, toy):
    made = toy.experiment("breaks", refinement=("noise", (0.04, 0.02, 0.01)))
    found = search(experiments=(made,), span=(2.0, 4.0), steps=4)
    assert found.findings[0].last.value <= 3 < found.findings[0].first.value
    with pytest.raises(UsageError, match="bench refines noise until it makes no difference; search another knob"):
        search("noise", experiments=(made,), span=(0.01, 1.0))


def test_data_and_held_settings_are_kept(search, toy):
    sweep = tuple(Condition({**toy.sweep.settings, "a": a}, f"data {a:g}", lambda: None) for a in (1.0, 2.0))
    found = search(experiments=(toy.experiment(conditions=sweep),), settings={"t": 3}, steps=4)
    assert found.findings[0].condition == "data 1"
    found = search(settings={"t": 3}, steps=4)
    assert "t=3" in found.findings[0].condition


# --- What is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knob", "options", "error", "words"),
    [
        ("aa", {}, UnknownNameError, "no knob named 'aa'; did you mean 'a'"),
        ("nose", {}, UnknownNameError, "no knob named 'nose'; did you mean 'noise'"),
        ("noise", {}, UsageError, r"one value of noise, 0\.02; say how far to look, such as --find-scope noise=0\.02"),
        ("flat", {}, UsageError, r"has one value of flat, 0; .* flat=0\.\.1$"),
        ("kind", {}, UsageError, "kind='steel' is no number; knobs: a, t, noise"),
        ("bent", {}, UsageError, "bent=False is no number"),
        ("size", {}, UsageError, "size=4 is how the experiment is built, not a knob"),
        ("size", {"span": (1, 9)}, UsageError, "size=4 is how the experiment is built, not a knob"),
        ("a", {"span": (1.0, 1.0)}, UsageError, r"a=1\.\.1 must be two different finite numbers, the most favourable"),
        ("a", {"span": (1.0, math.inf)}, UsageError, r"a=1\.\.inf must be two different finite numbers"),
        ("a", {"span": (1.0, "2")}, UsageError, r"a=1\.\.2 must be two different finite numbers"),
        ("a", {"span": (1.0, 2.0, 3.0)}, UsageError, r"a=1\.\.2\.\.3 must be two different finite numbers"),
        ("t", {"span": (12.0, 2.0)}, UsageError, r"^experiment .*: t=12\.0 is outside 0 < t < 10: there is a wall"),
        ("count", {"span": (1.2, 1.4)}, UsageError, "count is a whole number in bench, and the span holds only 1"),
        ("zigzag", {}, UsageError, r"zigzag goes up and down along the sweep of bench \(1, 3, 2\); say how far"),
        ("a", {"settings": {"a": 2.0}}, UsageError, r"a cannot be held at 2\.0 and searched"),
        ("a", {"settings": {"nose": 2.0}}, UnknownNameError, "no setting named 'nose'; did you mean 'noise'"),
        ("a", {"settings": {"noise": "loud"}}, UsageError, r"noise='loud' must be a float, like 0\.02"),
        ("a", {"settings": {"t": 12.0}}, UsageError, r"t=12\.0 is outside 0 < t < 10"),
        ("a", {"select": ("hight",)}, UnknownNameError, "no signature named 'hight'; did you mean 'height'"),
        ("a", {"levels": ("ideal",)}, UnknownNameError, "no level named 'ideal'; did you mean 'idealized'"),
        ("a", {"levels": ("network",)}, NothingMatchedError, "no experiment at level network; there are experiments"),
        ("a", {"experiments": ()}, NothingMatchedError, "no experiment"),
        ("a", {"seeds": 3}, UsageError, "seeds=3 is too few"),
        ("a", {"steps": 1}, UsageError, "steps=1 must be a whole number from 2"),
        ("a", {"steps": 4.5}, UsageError, "steps=4.5 must be a whole number from 2"),
        ("a", {"master_seed": -1}, UsageError, "master_seed=-1 must be a whole number from 0"),
        ("a", {"master_seed": 2**32}, UsageError, "master_seed=4294967296 must be"),
    ],
)
def test_a_request_that_cannot_be_carried_out_says_the_way_out(search, toy, knob, options, error, words):
    more = {"kind": "steel", "bent": False, "size": 4}
    sweep = [toy.sweep.but(f"{k}", a=k, count=k, zigzag=z, **more) for k, z in ((1, 1.0), (2, 3.0), (3, 2.0))]
    sweep = [condition.but(str(condition), a=float(condition["a"])) for condition in sweep]
    made = toy.experiment(conditions=tuple(sweep))
    with pytest.raises(error, match=words) as caught:
        search(knob, record=True, ledger=toy.ledger, **{"experiments": (made,), **options})
    assert "\n" not in str(caught.value)
    assert not toy.ledger.exists()


def test_what_nothing_measures_cannot_be_searched(search, toy):
    blind = toy.experiment(observables=("energies",))
    with pytest.raises(NothingMatchedError, match="no experiment that has a measures a signature that was asked for"):
        search(experiments=(blind,))


def test_the_tolerance_decides_where_it_breaks(search, toy):
    height = replace(toy.idea().signatures["height"], criterion=Equals(rtol=0.5), rivals=Named())
    theory = replace(toy.idea(), signatures=Named(height), assumptions=Named())
    assert search(defect="breaks", theory=theory, steps=8).findings[0].status == "holds everywhere looked"
