"""How what a search found is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idealab.explore.finding import Finding, Point, Scope
from idealab.report.scope import scope
from idealab.verification import Cost


def finding(signature: str, *verdicts: str, **changes) -> Finding:
    points = tuple(
        Point(float(2**k), verdict, {"present": 0.12, "undecided": 1.0, "absent": 3.2}[verdict], 6)
        for k, verdict in enumerate(verdicts)
    )
    made = Finding(signature, "bench", "idealized", True, "a", 1, "a=1, t=2, noise=0.02", points)
    return replace(made, **changes)


FOUND = Scope(
    idea="toy",
    knob="a",
    findings=(
        finding("height", "present", "present", "absent"),
        finding("curve", "present", "present", "present"),
        finding("energies", "present", "present", "present", primary=False),
        finding("spread", "present", "undecided", "undecided"),
        finding("weight", "absent", "absent", "absent"),
    ),
    left_out=("the sweep of slope has one value of a, 3; say how far to look, such as --find-scope a=3..30",),
    tried=3,
    master_seed=0,
    search_seed=5,
    cost=Cost(1.25, 36, 360.0, 6),
)


def drawn(result: Scope = FOUND, width: int = 100) -> list[str]:
    return [line.plain for line in scope(result, width)]


def test_what_is_drawn():
    assert drawn() == [
        "toy   how far along a it holds",
        "a search is exploratory and proves nothing: what it proposes must be verified on fresh seeds",
        "",
        "signature               holds to  first absent  off, in tolerances  seeds  values",
        "breaks      height             2             4  0.12, then 3.2         18       3",
        "holds       curve              4                0.12                   18       3",
        "holds       energies *         4                0.12                   18       3",
        "undecided   spread             1                0.12                   18       3",
        "never held  weight                           1  3.2                    18       3",
        "* secondary: the verdict does not rest on it",
        "",
        "bench, at a=1, t=2, noise=0.02 but for a",
        '  height: holds for a from 1 up to 2 (absent from 4); to claim it: scope "a <= 2", conditions up to',
        "    a=2, and verify on fresh seeds (--master-seed 1)",
        "  curve, energies: holds everywhere looked, from a=1 to 4",
        "  spread: was not bracketed for a: present at 1; undecided at 2, 4; more seeds may decide it:",
        "    --seeds 24",
        "  weight: never held: it is absent at a=1, the most favourable value; there is no scope to propose",
        "",
        "left out: the sweep of slope has one value of a, 3; say how far to look, such as --find-scope",
        "          a=3..30",
        "",
        "3 values of a tried.  1.2 s, 36 seeds, 6 of them from the ledger.",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_it_fits_the_width(width):
    slope = replace(FOUND.findings[0], experiment="a slope with quite a long name", signature="height_of_the_body")
    assert max(map(len, drawn(replace(FOUND, findings=(*FOUND.findings, slope)), width))) <= width


def test_several_experiments_are_told_apart():
    findings = (*FOUND.findings[:2], replace(FOUND.findings[0], experiment="slope", condition="a=3"))
    lines = drawn(replace(FOUND, findings=findings, left_out=()))
    assert (lines[4], lines[7]) == ("bench, idealized", "slope, idealized")
    assert lines[8].split()[:2] == ["breaks", "height"]
    assert [line for line in lines if line.endswith("but for a")] == [
        "bench, at a=1, t=2, noise=0.02 but for a",
        "slope, at a=3 but for a",
    ]
    assert [line.strip() for line in lines if "together" in line] == [
        'all primary signatures together: scope "a <= 2"; height is the first to go'
    ]


def test_what_holds_again_further_out_is_not_drawn_as_a_bracket():
    again = finding("height", "present", "absent", "present")
    lines = drawn(replace(FOUND, findings=(again,), left_out=()))
    assert lines[4].split()[:4] == ["on", "and", "off", "height"]
    assert "fails at 2 and holds again at 4: there is no single edge" in " ".join(lines)


def test_every_status_is_a_word_and_colour_only_repeats_it():
    lines = list(scope(FOUND, 100))
    styles = {line.plain.split("  ")[0]: str(line.spans[0].style) for line in lines[4:9]}
    assert styles == {"breaks": "magenta", "holds": "green", "undecided": "magenta", "never held": "bold red"}
