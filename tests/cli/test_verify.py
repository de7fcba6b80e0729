from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idealab.cli import main
from idealab.errors import DeclarationError, LedgerError, NothingMatchedError, UnknownNameError, UsageError
from idealab.verification import Verification

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
        f"--ledger {tmp_path}"
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
