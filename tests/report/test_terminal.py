from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.text import Text

from idealab.report.terminal import verification
from idealab.verification import MutationResult, Verification

DECLARED = "8 signatures, 5 conditions · seeds 4 to 64, stops when decided · 2 CPU cores, float64"


def plain(lines: Iterable[Text]) -> list[str]:
    return [line.plain for line in lines]


def row(lines: list[str], *words: str) -> str:
    (found,) = (line for line in lines if all(word in line for word in words))
    return found


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_nothing_is_wider_than_the_screen(
    supported: Verification, troubled: Verification, mutants: MutationResult, width: int
) -> None:
    hinted = replace(troubled, mutants=mutants, hints=("loss clock: refuted as stated; would be present with: " * 4,))
    for result in (supported, troubled, hinted):
        assert max(line.cell_len for line in verification(result, width, DECLARED)) <= width


def test_a_narrow_screen_leaves_out_whole_columns_and_no_signature(supported: Verification) -> None:
    narrow, wide = plain(verification(supported, 80)), plain(verification(supported, 140))
    assert row(narrow, "predicted", "off").split() == ["signature", "predicted", "measured", "off", "tolerance"]
    assert row(wide, "predicted", "off").split()[-2:] == ["evidence", "seeds"]
    for signature in supported.signatures:
        if signature.level == "idealized":
            assert any(signature.name in line and signature.verdict in line for line in narrow)
    assert not any("…" in line for line in (*narrow, *wide))


def test_a_row_holds_what_the_verdict_rests_on(supported: Verification) -> None:
    lines = plain(verification(supported, 140))
    assert row(lines, "approach slope").split("  ")[0] == "present"
    assert " ".join(row(lines, "approach slope").split()) == (
        "present approach slope -Min(1, λ, θ - 1) = -0.5 -0.487 ± 0.004 0.013 0.06 1.8 20"
    )


def test_a_formula_too_long_for_the_screen_gives_way_to_its_value(supported: Verification) -> None:
    assert "-Sum" not in "\n".join(plain(verification(supported, 140)))
    assert "1.0362" in row(plain(verification(supported, 140))[:12], "entropy offset")


def test_the_row_is_that_of_the_weakest_cell(build: SimpleNamespace, supported: Verification) -> None:
    good, bad = build.CELL, replace(build.CELL, measured=1.5, deviation=-7.0, tolerance=0.01, verdict="absent")
    signature = replace(build.SIGNATURE, cells=(good, bad, good), verdict="inconclusive")
    lines = plain(verification(replace(supported, signatures=(signature,)), 140))
    assert "0.07" in row(lines, "loss clock", "1.5")  # 7 tolerances of 0.01, without its sign
    assert "absent at kappa=1, log_t=13.8; 2 of 3 cells present" in "\n".join(lines)


def test_experiments_of_the_model_are_told_apart(supported: Verification) -> None:
    lines = plain(verification(supported, 100))
    assert lines.index("planted, idealized") < lines.index("random data, idealized")


def test_real_data_is_one_line_for_each_data_set(supported: Verification, troubled: Verification) -> None:
    lines = plain(verification(supported, 80))
    assert " ".join(row(lines, "digits 3 against 8").split()) == "digits 3 against 8 present 6 of 6 loss clock 0.2"
    lines = plain(verification(troubled, 80))
    assert " ".join(row(lines, "breast cancer").split()) == "breast cancer absent 0 of 1 loss clock 3.2"


def test_levels_beyond_the_model_alone_can_be_drawn(supported: Verification) -> None:
    networks = tuple(replace(s, level="network", experiment=f"width {s.name}") for s in supported.signatures[:2])
    lines = plain(verification(replace(supported, signatures=networks), 80))
    assert row(lines, "in a network, width loss clock")
    assert not any(line.startswith("signature ") for line in lines)


def test_controls_say_what_they_should_do_and_did(supported: Verification, troubled: Verification) -> None:
    lines = plain(verification(supported, 140))
    assert " ".join(row(lines, "exponential tail").split()) == (
        "exponential tail break break ok angle 0.6132, predicted 0.6134, not 0.3333"
    )
    assert (
        " ".join(row(lines, "step size").split()) == "step size not matter not matter ok margin gap 0.3 tolerances off"
    )
    lines = plain(verification(troubled, 140))
    assert " ".join(row(lines, "exponential tail ", "matter ").split()) == "exponential tail break not matter NOT OK"


def test_a_rival_theory_that_does_not_hold_is_said(build: SimpleNamespace, supported: Verification) -> None:
    assert supported.controls[0].rival is not None
    rival = replace(supported.controls[0].rival, verdict="absent")
    control = replace(supported.controls[0], rival=rival)
    line = row(plain(verification(replace(supported, controls=(control,)), 140)), "exponential tail")
    assert "NOT OK" in line
    assert line.endswith("predicted 0.6134: absent")


def test_what_is_not_a_number_is_called_so(build: SimpleNamespace, supported: Verification) -> None:
    lost = replace(build.CELL, measured=float("nan"), deviation=1e6, verdict="absent")
    signature = replace(build.SIGNATURE, cells=(lost,), verdict="absent", level="real data")
    control = replace(supported.controls[-1], seen="breaks", signatures=(signature,))
    lines = plain(verification(replace(supported, signatures=(signature,), controls=(control,)), 140))
    assert row(lines, "kappa=1").endswith("loss clock not a number")
    assert row(lines, "step size").endswith("NOT OK  loss clock not a number")


def test_reservations_are_put_into_words(troubled: Verification) -> None:
    text = "\n".join(plain(verification(troubled, 80)))
    for words in (
        "present up to kappa=0.3, absent from kappa=0.1",
        "2 of 8 seeds did not give a finite number",
        "not told apart from its rival logarithmic",
        "held back: control exponential tail: should break, did not matter",
        "note: the budget was spent before every cell was decided",
        "* secondary",
        "not recorded",
    ):
        assert words in text


def test_what_was_not_told_apart_is_said_and_what_was_is_counted(
    supported: Verification, mutants: MutationResult
) -> None:
    text = "\n".join(plain(verification(replace(supported, mutants=mutants), 100)))
    assert "2 of 10 resolvable mutants killed; 2 lie within the tolerance" in text
    assert "margin gap is not told from: 1/2 times; " in text
    assert "fault of the design" in text
    bare = replace(supported, mutants=replace(mutants, mutants=()))
    assert plain(verification(bare, 100)) == plain(verification(supported, 100))


def test_hints_are_called_no_result(supported: Verification) -> None:
    hint = "margin gap: refuted as stated; would be present with: 1.1 times; " + "; ".join(f"γ^{k}" for k in range(30))
    lines = plain(verification(replace(supported, verdict="refuted", hints=(hint,)), 80))
    first = next(k for k, line in enumerate(lines) if line.startswith("hint, no result: margin gap: refuted as stated"))
    assert lines[first + 1].startswith("    times; γ^0; ")
    assert not any("1.1 times" in line for line in lines[lines.index("") :] if "REFUTED" in line)


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        ((96, 128), "about 128 seeds in a cell would decide it: raise --seeds"),
        ((96, None), "no number of seeds would decide it: it lies at the edge of the tolerance"),
    ],
)
def test_how_many_seeds_would_decide_is_said(
    build: SimpleNamespace, supported: Verification, needed: tuple[int | None, int | None], words: str
) -> None:
    cells = tuple(replace(build.CELL, verdict="undecided", seeds_to_decide=seeds) for seeds in needed)
    signature = replace(build.SIGNATURE, cells=(build.CELL, *cells), verdict="inconclusive")
    lines = plain(verification(replace(supported, signatures=(signature,)), 100))
    assert f"    {words}" in lines
    lost = replace(signature, cells=tuple(replace(cell, note="2 of 8 seeds did not give a number") for cell in cells))
    assert "seeds in a cell would" not in "\n".join(plain(verification(replace(supported, signatures=(lost,)), 100)))


def test_what_holds_again_further_out_is_said(build: SimpleNamespace, supported: Verification) -> None:
    signature = replace(build.SIGNATURE, verdict="partial", scope="present up to kappa=1, absent from 2", recurs=True)
    lines = plain(verification(replace(supported, signatures=(signature,)), 100))
    at = lines.index("    present up to kappa=1, absent from 2")
    assert lines[at + 1] == "    holds again further out"
    once = plain(verification(replace(supported, signatures=(replace(signature, recurs=False),)), 100))
    assert "    holds again further out" not in once


@pytest.mark.parametrize(
    ("verdict", "word"),
    [
        ("supported", "SUPPORTED."),
        ("refuted", "REFUTED."),
        ("partial", "PARTIALLY SUPPORTED."),
        ("inconclusive", "INCONCLUSIVE."),
    ],
)
def test_the_last_words(supported: Verification, verdict: str, word: str) -> None:
    lines = plain(verification(replace(supported, verdict=verdict), 140))
    last = lines[len(lines) - lines[::-1].index("") :]  # the paragraph after the last empty line
    assert " ".join(" ".join(last).split()) == (
        f"{word} Evidence 10^1.8. 38 s, 212 seeds, 40 of them from the ledger (a fixed design: 540). record 9ab41c77"
    )


def test_the_declaration_stands_above_the_results(supported: Verification) -> None:
    lines = plain(verification(supported, 140, DECLARED))
    assert lines[1] == f"declared 6f1c2a9e before the first run · {DECLARED}"


def test_colour_repeats_words_and_never_yellow(supported: Verification, troubled: Verification) -> None:
    console = Console(force_terminal=True, color_system="standard", width=140, record=True, file=io.StringIO())
    for result in (supported, troubled):
        for line in verification(result, 140):
            console.print(line)
            for span in line.spans:
                if any(colour in str(span.style) for colour in ("green", "red", "magenta")):
                    assert line.plain[span.start : span.end].strip()
    styled = console.export_text(styles=True)
    # 33 and 93 are yellow, 37 and 97 white, 30 and 90 black: each is unreadable on one of the two backgrounds
    assert not any(f"{code}m" in styled for code in ("33", "93", "37", "97", "30", "90"))
    assert "\x1b[32mpresent" in styled


def test_a_verification_with_no_signature_is_drawn(supported: Verification) -> None:
    bare = replace(supported, signatures=(), controls=(), verdict="inconclusive", remarks=("nothing was measured",))
    assert "note: nothing was measured" in plain(verification(bare, 80))
