"""How mutants are drawn: the living by name, the dead by number, or all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest
from rich.text import Text

from idealab.report.document import document
from idealab.report.mutants import ALIVE, STYLE, as_dict, report, section, summary
from idealab.verification import MutationResult, Verification


def plain(lines: Iterable[Text]) -> list[str]:
    return [line.plain for line in lines]


@pytest.fixture
def mutated(supported: Verification, mutants: MutationResult) -> Verification:
    return replace(supported, mutants=mutants)


def test_the_summary_counts_what_the_tolerance_resolves(mutants: MutationResult) -> None:
    assert summary(mutants) == (
        "2 of 10 resolvable mutants killed; 2 lie within the tolerance, 1 equals the theory on every condition, "
        "1 predicts no number"
    )
    assert summary(replace(mutants, mutants=mutants.mutants[:1])) == "1 of 1 resolvable mutant killed"


def test_the_section_names_what_the_experiment_cannot_tell_apart(mutants: MutationResult) -> None:
    lines = plain(section(mutants, 200))
    told = [line for line in lines if line.startswith("  ") and line[2] != " "]
    assert told[0].startswith("  margin gap is not told from: 1/2 times; γ^2 → γ^3; ")
    assert "; and 2 more" in " ".join(line.strip() for line in lines), "six are named"
    assert told[1:] == [
        "  margin gap is told by no condition (a fault of the design) from: R² for R",
        "  margin gap is within its tolerance not told from: log(t) → 3.4·t^0.07",
    ]
    assert "1.05 times" not in " ".join(lines), "small changes are what a tolerance is for"
    assert "log(log(τ))" not in " ".join(lines)


def test_where_all_are_killed_one_line_will_do(mutants: MutationResult) -> None:
    assert plain(section(replace(mutants, mutants=mutants.mutants[:2]), 80)) == ["2 of 2 resolvable mutants killed."]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_nothing_is_wider_than_the_screen(mutated: Verification, width: int) -> None:
    for every in (False, True):
        lines = list(report(mutated, width, every))
        assert max(line.cell_len for line in lines) <= width
    assert mutated.mutants is not None
    assert max(line.cell_len for line in section(mutated.mutants, width)) <= width


def test_the_report_has_a_row_for_each_signature_and_for_each_living_mutant(mutated: Verification) -> None:
    lines = plain(report(mutated, 140))
    assert lines[0] == "max_margin   supported, declared 6f1c2a9e"
    rows = [" ".join(line.split()) for line in lines]
    assert "signature killed survived within tolerance on no condition no number" in rows
    assert "loss clock 2 0 0 0 0" in rows
    assert "margin gap 0 8 2 1 1" in rows
    assert "margin gap 1/2 times x1/2 2.5 not told apart" in rows
    assert "margin gap R² for R symbol squared 0 on no condition told apart" in rows
    assert not any(row.startswith("loss clock 2 times") for row in rows)
    assert rows[-1] == "must be killed and is alive: margin gap, 1/2 times"
    assert any(row.endswith("score 0.200.") for row in rows)
    assert "3 more are the same function, written otherwise." in rows
    assert "left out: log(2) → 0: there is no faithful form" in rows


def test_every_mutant_is_listed_if_asked(mutated: Verification) -> None:
    rows = [" ".join(line.split()) for line in plain(report(mutated, 140, every=True))]
    assert "loss clock 2 times x2 25 killed planted, kappa=1" in rows
    assert "margin gap log(τ) → log(log(τ)) log to log log undefined" in rows


def test_a_narrow_screen_leaves_out_columns_and_no_mutant(mutated: Verification) -> None:
    assert mutated.mutants is not None
    lines = plain(report(mutated, 60, every=True))
    shown = [line for line in lines if line.startswith(("loss clock  ", "margin gap  "))]
    assert len(shown) == 2 + len(mutated.mutants.mutants)


def test_without_mutants_it_says_why(supported: Verification) -> None:
    words = "no mutants: no prediction that was measured can be changed"
    assert plain(report(supported, 80))[1] == words
    assert plain(report(replace(supported, mutants=MutationResult((), 0, ())), 80))[1] == words


def test_the_document_holds_every_mutant_in_full(mutated: Verification) -> None:
    told = json.loads(document(as_dict(mutated)))
    assert mutated.mutants is not None
    assert len(told["mutants"]) == len(mutated.mutants.mutants)
    assert (told["equivalent"], told["refused"]) == (3, ["log(2) → 0: there is no faithful form"])
    assert told["resolvable_score"] == 0.2
    bare = as_dict(replace(mutated, mutants=None))
    assert (bare["mutants"], bare["score"], bare["resolvable_score"]) == ([], None, None)


def test_every_status_has_a_word_and_a_colour(mutants: MutationResult) -> None:
    assert {mutant.status for mutant in mutants.mutants} == set(STYLE)
    assert set(ALIVE) == set(STYLE) - {"killed", "undefined"}
