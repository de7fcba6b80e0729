from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from idealab.cli import main
from idealab.errors import DeclarationError, LedgerError, NothingMatchedError, UnknownNameError, UsageError
from idealab.explore.finding import Finding, Point, Scope
from idealab.prepare.request import QUICK_SEEDS
from idealab.verification import Cost, Verification

Found = Callable[..., Verification]


def raising(error: BaseException) -> Callable[..., Verification]:
    def answer(idea: str, progress: Any) -> Verification:
        raise error

    return answer


@pytest.mark.parametrize(("verdict", "code"), [("supported", 0), ("refuted", 1), ("partial", 4), ("inconclusive", 4)])
def test_the_exit_code_is_the_verdict(pipeline: Any, found: Found, verdict: str, code: int) -> None:
    pipeline.answer = lambda idea, progress: found(idea, verdict)
    assert main(["verify", "toy"]) == code


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("supported", "supported"), 0),
        (("supported", "partial"), 4),
        (("inconclusive", "refuted"), 1),
        (("supported", NothingMatchedError("none")), 5),
        (("refuted", UsageError("no")), 2),
        (("refuted", NothingMatchedError("none")), 1),
    ],
)
def test_of_several_ideas_the_worst_counts_and_each_is_verified(
    pipeline: Any, found: Found, verdicts: tuple[Any, Any], code: int
) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        verdict = verdicts[idea == "other"]
        if isinstance(verdict, Exception):
            raise verdict
        return found(idea, verdict)

    pipeline.answer = answer
    assert main(["verify", "toy", "other"]) == code
    assert [idea for idea, _ in pipeline.asked] == ["toy", "other"]


def test_the_options_reach_the_pipeline(pipeline: Any, tmp_path: Path) -> None:
    arguments = (
        "verify toy --seeds 16 --budget 2m --select clock --select gap --level real --level idealized --set eta=0.1 "
        "--set n=64 --set loss=logistic --set bias=True --set x=-1e3 --quick --no-record --master-seed 7 "
        f"--ledger {tmp_path} --device cpu:0 --precision float32"
    )
    assert main(arguments.split()) == 0
    ((idea, options),) = pipeline.asked
    assert idea == "toy"
    assert options == {
        "seeds": 16,
        "budget": 120.0,
        "select": ("clock", "gap"),
        "levels": ("real data", "idealized"),
        "settings": {"eta": 0.1, "n": 64, "loss": "logistic", "bias": True, "x": -1000.0},
        "quick": True,
        "record": False,
        "master_seed": 7,
        "ledger": str(tmp_path),
        "device": "cpu:0",
        "precision": "float32",
    }
    assert [type(value) for value in options["settings"].values()] == [float, int, str, bool, float]


def test_the_defaults_are_left_to_the_pipeline(pipeline: Any) -> None:
    main(["verify", "toy"])
    assert pipeline.asked[0][1] == {
        "seeds": None,
        "budget": None,
        "select": (),
        "levels": (),
        "settings": {},
        "quick": False,
        "record": True,
        "master_seed": 0,
        "ledger": None,
        "device": None,
        "precision": None,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2 M", 120), ("1h", 3600), (".5", 0.5)]
)
def test_budgets(pipeline: Any, text: str, seconds: float) -> None:
    main(["verify", "toy", "--budget", text])
    assert pipeline.asked[0][1]["budget"] == seconds


def test_all_and_repeated_names(pipeline: Any) -> None:
    main(["verify", "--all"])
    main(["verify", "other", "other"])
    assert [idea for idea, _ in pipeline.asked] == ["toy", "other", "other"]


def test_all_of_nothing_is_nothing_matched(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idealab.registry.ideas", dict)
    assert main(["verify", "--all"]) == 5


def test_json_is_one_document_and_nothing_else(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "toy", "other", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "idealab/verification/1"
    assert [result["idea"] for result in document["results"]] == ["toy", "other"]


def test_a_failed_idea_leaves_the_document_of_the_others(
    pipeline: Any, found: Found, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        if idea == "toy":
            raise DeclarationError("contradicts itself")
        return found(idea)

    pipeline.answer = answer
    assert main(["verify", "--all", "--json"]) == 2
    shown = capsys.readouterr()
    assert [result["idea"] for result in json.loads(shown.out)["results"]] == ["other"]
    assert shown.err == "error: toy: contradicts itself\n"


def test_the_report_is_drawn_without_colours_where_there_is_no_terminal(
    pipeline: Any, found: Found, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        progress.declared("6f1c2a9e", "1 signature, 1 condition")
        return found(idea)

    pipeline.answer = answer
    main(["verify", "toy"])
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert lines[:2] == ["toy   A toy.", "declared 6f1c2a9e before the first run · 1 signature, 1 condition"]
    assert lines[-2:] == ["SUPPORTED.  Evidence 10^9.1.  1.0 s, 6 seeds.", "record 9ab41c77"]


def test_junit(pipeline: Any, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    assert main(["verify", "toy", "--junit-xml", str(file)]) == 0
    (suite,) = ET.parse(file).getroot()
    assert suite.get("name") == "toy"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownNameError("signature", "clok", ["clock"]), 2),
        (UsageError("eta=3.0 is outside 0 < eta < 2: the bound of stability"), 2),
        (DeclarationError("an idea\nin two lines"), 2),
        (LedgerError("the ledger is read-only"), 2),
        (NothingMatchedError("nothing measures it"), 5),
    ],
)
def test_an_error_is_one_line_without_traceback(
    pipeline: Any, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    pipeline.answer = raising(error)
    assert main(["verify", "toy", "--json"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"error: {' '.join(str(error).split())}\n"


def test_an_internal_error_says_how_to_see_more(
    pipeline: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.answer = raising(RuntimeError("boom\nand more"))
    assert main(["verify", "toy"]) == 3
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert shown.startswith("internal error: RuntimeError: boom and more (IDEALAB_TRACEBACK=1 shows")
    monkeypatch.setenv("IDEALAB_TRACEBACK", "1")
    assert main(["verify", "toy"]) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "interrupted; every finished block of seeds is in the ledger; run the same command to go on"),
        (["--no-record"], "interrupted; nothing was recorded"),
        (
            ["other", "--json"],
            "interrupted; every finished block of seeds is in the ledger; run the same command to go on",
        ),
    ],
)
def test_an_interruption_says_what_is_kept(
    pipeline: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        progress.step("planted: kappa=1")
        progress.step("planted: kappa=0.3")
        raise KeyboardInterrupt

    pipeline.answer = answer
    assert main(["verify", "toy", *arguments]) == 130
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"{line}\n")


def test_warnings_go_to_standard_error(pipeline: Any, found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        progress.warn("a record was damaged")
        return found(idea)

    pipeline.answer = answer
    main(["verify", "toy", "--json"])
    shown = capsys.readouterr()
    assert shown.err == "warning: a record was damaged\n"
    json.loads(shown.out)


# --- Searching the scope ----------------------------------------------------------------------------------------------


def scope(idea: str, knob: str, verdicts: str = "ppa") -> Scope:
    """What a search found at 1, 2, 4, ...: present, undecided or absent."""
    words = {"p": "present", "u": "undecided", "a": "absent"}
    points = tuple(Point(float(2**k), words[letter], 0.5, 8) for k, letter in enumerate(verdicts))
    finding = Finding("clock", "nursery", "idealized", True, knob, 1, "eta=0.5", points)
    return Scope(idea, knob, (finding,), (), len(points), 0, 7, Cost(1.0, 24, 10.0))


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands in for `idealab.explore.scope.find_scope`: keeps what it was asked, and answers what a test wants."""

    def find_scope(idea: str, knob: str, *, progress: Any, **options: Any) -> Scope:
        module.asked.append((idea, knob, options))
        return module.answer(idea, knob, progress)

    module: Any = ModuleType("idealab.explore.scope")
    module.asked, module.answer, module.find_scope = [], lambda idea, knob, progress: scope(idea, knob), find_scope
    monkeypatch.setitem(sys.modules, "idealab.explore.scope", module)
    return module


@pytest.mark.parametrize(("verdicts", "code"), [("ppa", 0), ("pp", 0), ("a", 4), ("u", 4), ("pu", 4), ("ap", 4)])
def test_the_exit_code_of_a_search_says_whether_it_found_anything(searching: Any, verdicts: str, code: int) -> None:
    searching.answer = lambda idea, knob, progress: scope(idea, knob, verdicts)
    assert main(["verify", "toy", "--find-scope", "eta"]) == code


def test_the_options_reach_the_search(searching: Any, pipeline: Any, tmp_path: Path) -> None:
    arguments = (
        "verify toy --find-scope eta=0.5..-2e1 --seeds 32 --select clock --level real --set n=64 --no-record "
        f"--master-seed 7 --ledger {tmp_path} --device cpu:0 --precision float32"
    )
    assert main(arguments.split()) == 0
    ((idea, knob, options),) = searching.asked
    assert (idea, knob) == ("toy", "eta")
    assert options == {
        "span": (0.5, -20.0),
        "seeds": 32,
        "select": ("clock",),
        "levels": ("real data",),
        "settings": {"n": 64},
        "record": False,
        "master_seed": 7,
        "ledger": str(tmp_path),
        "device": "cpu:0",
        "precision": "float32",
    }
    assert pipeline.asked == [], "a search is no verification"


@pytest.mark.parametrize(
    ("arguments", "levels", "seeds"),
    [
        ("", (), None),
        ("--quick", ("idealized",), None),
        ("--quick --seeds 64", ("idealized",), QUICK_SEEDS),
        ("--quick --seeds 8 --level real", ("real data",), 8),
    ],
)
def test_a_quick_search_is_of_idealized_experiments(searching: Any, arguments: str, levels: Any, seeds: Any) -> None:
    assert main(["verify", "toy", "--find-scope", "eta", *arguments.split()]) == 0
    ((_, _, options),) = searching.asked
    assert (options["span"], options["levels"], options.get("seeds")) == (None, levels, seeds)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("toy other --find-scope eta", "--find-scope searches the scope of one idea; name one"),
        ("--all --find-scope eta", "--find-scope searches the scope of one idea; name one"),
        ("--find-scope eta", "name an idea, or give --all; known: toy, other"),
        (
            "toy --find-scope eta --junit-xml x.xml",
            "--find-scope gives no verdict that --junit-xml could report; leave",
        ),
        (
            "toy --find-scope eta --budget 9s",
            "--find-scope has no --budget; limit it with --seeds, --select or --level",
        ),
        ("toy --find-scope =1..2", "'=1..2' must be a knob, or a knob and how far to look, such as eta=0.1..10"),
        ("toy --find-scope eta=3", "'eta=3' must be a knob, or a knob and how far to look"),
        ("toy --find-scope eta=", "'eta=' must be a knob, or a knob and how far to look"),
        ("toy --find-scope 1..3", "no such knob: '1..3'"),
        ("toy --find-scope eta=1..", "'' is not a finite number; write from..to, such as 0.1..10"),
        ("toy --find-scope eta=one..2", "'one' is not a finite number; write from..to"),
        ("toy --find-scope eta=1..inf", "'inf' is not a finite number; write from..to"),
        ("toy --find-scope eta=1..2..3", "'2..3' is not a finite number; write from..to"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_in_one_line(
    searching: Any, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    def refuse(idea: str, knob: str, progress: Any) -> Scope:
        raise UsageError(f"no such knob: {knob!r}")

    searching.answer = refuse
    assert main(["verify", *arguments.split()]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert words in shown.err


def test_the_document_of_a_search_is_one_and_nothing_else(searching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "toy", "--find-scope", "eta", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["idea"], document["knob"]) == ("idealab/scope/1", "toy", "eta")
    assert document["findings"][0]["proposal"] == scope("toy", "eta").findings[0].proposal


def test_what_a_search_found_is_drawn(searching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "toy", "--find-scope", "eta"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines()[0] == "toy   how far along eta it holds"
    assert 'scope "eta <= 2"' in shown.out


def test_an_interrupted_search_says_what_is_kept(searching: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(idea: str, knob: str, progress: Any) -> Scope:
        progress.step("nursery: eta=1")
        raise KeyboardInterrupt

    searching.answer = answer
    assert main(["verify", "toy", "--find-scope", "eta"]) == 130
    shown = capsys.readouterr()
    line = "interrupted; every finished block of seeds is in the ledger; run the same command to go on\n"
    assert (shown.out, shown.err) == ("", line)
