"""What is said of a search, from what was seen at each value: written out by hand, one letter a value."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from idealab.explore.finding import Finding, Point, Scope
from idealab.report.document import document
from idealab.verification import Cost

VERDICTS = {"p": "present", "u": "undecided", "a": "absent"}


def finding(seen: str, **changes) -> Finding:
    """Letters stand for the verdicts at a=1, 2, 3, ...; outward if ``changes`` do not turn it round."""
    outward = changes.get("outward", 1)
    values = range(1, len(seen) + 1) if outward > 0 else range(len(seen), 0, -1)
    deviations = {"p": 0.1, "u": 1.0, "a": -3.0}
    points = tuple(
        Point(float(value), VERDICTS[letter], deviations[letter], 16, "", changes.get("note", "") * (letter != "p"))
        for value, letter in zip(values, seen, strict=True)
    )
    fields = {
        "signature": "height",
        "experiment": "bench",
        "level": "idealized",
        "primary": True,
        "knob": "a",
        "outward": 1,
        "condition": "a=1, t=2",
        "points": points,
    }
    return Finding(**{**fields, **{name: value for name, value in changes.items() if name != "note"}})


@pytest.mark.parametrize(
    ("seen", "status", "last", "first", "recurs", "gaps"),
    [
        ("pp", "holds everywhere looked", 2, None, [], ()),
        ("ppaa", "breaks", 2, 3, [], ((2, 3), (2, 3))),
        ("pua", "breaks", 1, 3, [], ((1, 2), (2, 3))),
        ("puuua", "breaks", 1, 5, [], ((1, 2), (4, 5))),
        ("pupa", "breaks", 1, 4, [], ((1, 2), (3, 4))),
        ("papa", "breaks", 1, 2, [3], ((1, 2), (1, 2))),
        ("aaa", "never held", None, 1, [], ()),
        ("aua", "never held", None, 1, [], ()),
        ("app", "undecided", None, 1, [2, 3], ()),
        ("u", "undecided", None, None, [], ()),
        ("upa", "undecided", None, 3, [], ()),
        ("ua", "undecided", None, 2, [], ()),
        ("ppu", "undecided", 2, None, [], ()),
        ("pup", "undecided", 1, None, [], ()),
    ],
)
def test_a_bracket_goes_from_the_last_that_held_to_the_first_that_did_not(seen, status, last, first, recurs, gaps):
    found = finding(seen)
    assert found.status == status
    assert (found.last.value if found.last else None, found.first.value if found.first else None) == (last, first)
    assert [point.value for point in found.recurs] == recurs
    assert found.gaps == gaps


def test_a_break_is_proposed_as_a_narrower_claim():
    assert finding("pppa", fresh=8).proposal == (
        'height holds for a from 1 up to 3 (absent from 4); to claim it: scope "a <= 3", conditions up to a=3, and '
        "verify on fresh seeds (--master-seed 8)"
    )
    assert finding("pppa", outward=-1).proposal == (
        'height holds for a from 4 down to 2 (absent from 1); to claim it: scope "a >= 2", conditions down to a=2, and '
        "verify on fresh seeds (--master-seed 1)"
    )


def test_what_holds_again_is_not_said_to_have_one_edge():
    assert finding("pppapp").proposal == (
        "height holds for a from 1 up to 3, fails at 4 and holds again at 5, 6: there is no single edge; "
        'to claim the first stretch alone: scope "a <= 3", conditions up to a=3, and verify on fresh seeds '
        "(--master-seed 1)"
    )
    assert "absent from" not in finding("papa").proposal


@pytest.mark.parametrize(
    ("seen", "changes", "words"),
    [
        ("pa", {}, 'height holds at a=1 (absent from 2); to claim it: scope "a <= 1", conditions up to a=1, and'),
        ("puuaapa", {}, "holds at a=1, fails at 4, 5, 7 and holds again at 6: there is no single edge (undecided at 2"),
        ("puuaapa", {}, "(undecided at 2, 3, where more seeds may decide); to claim the first stretch alone"),
        ("pupa", {}, "(absent from 4; undecided at 2, where more seeds may decide; present at 3); to claim it"),
        ("paua", {}, "(absent from 2; undecided at 3, where more seeds may decide); to claim it"),
        ("p" + "u" * 7 + "a", {}, "undecided at 2, 3, 4, …, 8, where"),
        ("pa", {"note": "2 of 4 seeds did not give a finite number"}, "; at a=2, 2 of 4 seeds did not give a finite"),
        ("pa", {"note": "2 of 4 seeds did not give a finite number"}, "which may be the simulation's fault; to claim"),
        ("pp", {}, "height holds everywhere looked, from a=1 to 2"),
        ("pp", {"edge": "a=3.0 is too much"}, "from a=1 to 2, the edge of what may be set: a=3.0 is too much"),
        ("aa", {}, "never held: it is absent at a=1, the most favourable value; there is no scope to propose"),
        ("aa", {"note": "it blew up"}, "the most favourable value (it blew up); there is no scope"),
        ("app", {}, "present at 2, 3; absent at 1; begin where it holds: --find-scope a=2..1"),
        ("pu", {}, "was not bracketed for a: present at 1; undecided at 2; more seeds may decide it: --seeds 64"),
        ("uu", {"note": "the seed does not reach it"}, "undecided at 1, 2; the seed does not reach it"),
    ],
)
def test_what_else_is_said(seen, changes, words):
    assert words in finding(seen, **changes).proposal


def scope(*findings: Finding) -> Scope:
    return Scope("toy", "a", findings, ("b: no",), 4, 0, 12345, Cost(1.0, 64, 640.0))


@pytest.mark.parametrize(
    ("seen", "claim"),
    [
        (("pppa", "ppaa", "pppp"), "a <= 2"),
        (("pppa", "puaa", "pppp"), "a <= 1"),
        (("pppp", "ppuu", "pppa"), "a <= 2"),
        (("pppp", "pppp", "pppp"), None),
        (("pppa", "aaaa", "pppp"), None),
        (("pppa",), None),
    ],
)
def test_several_signatures_hold_together_where_each_was_seen_to(seen, claim):
    found = scope(*(finding(letters, signature=f"s{k}") for k, letters in enumerate(seen)))
    assert found.to_dict()["together"] == ({} if claim is None else {"bench": claim})


def test_together_is_by_experiment_and_rests_on_primary_signatures():
    findings = [finding("ppaa"), finding("paaa", primary=False), finding("pppa", signature="curve")]
    elsewhere = [finding(seen, experiment="slope", outward=-1) for seen in ("pppa", "ppaa", "pppp")]
    assert {name: f.scope for name, f in scope(*findings, *elsewhere).together.items()} == {
        "bench": "a <= 2",
        "slope": "a >= 3",
    }


@pytest.mark.parametrize(
    ("seen", "found"),
    [(("pa", "u"), True), (("pp", "aa"), True), (("aa", "u"), False), (("u",), False), (("ap",), False)],
)
def test_something_was_found_if_anything_was_bracketed_or_holds(seen, found):
    assert scope(*map(finding, seen)).found is found


def test_the_document_says_it_all_and_is_valid_json():
    nothing = replace(finding("pua").points[0], deviation=float("nan"))
    found = scope(finding("pua"), replace(finding("pa"), points=(nothing,)))
    read = json.loads(document({"schema": "idealab/scope/1", **found.to_dict()}))
    assert (read["idea"], read["knob"], read["tried"], read["left_out"]) == ("toy", "a", 4, ["b: no"])
    assert (read["master_seed"], read["search_seed"], read["cost"]["seeds"]) == (0, 12345, 64)
    first, second = read["findings"]
    assert (first["status"], first["last_present"], first["first_absent"]) == ("breaks", 1.0, 3.0)
    assert first["points"][1] == {
        "value": 2.0,
        "verdict": "undecided",
        "deviation": 1.0,
        "seeds": 16,
        "checkpoint": "",
        "note": "",
    }
    assert first["proposal"] == found.findings[0].proposal
    assert second["points"][0]["deviation"] == {"$float": "nan"}
    assert str(found).splitlines()[0] == f"bench: {first['proposal']}"
