from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idealab.cli import main
from idealab.errors import DeclarationError, NothingMatchedError, UnknownNameError
from idealab.verification import MutantResult, MutationResult, Verification

Found = Callable[..., Verification]
KILLED = MutantResult("clock", "x2", "2 times", "2·t", "killed", 10.0, "nursery, eta=1", False)
ALIVE = replace(KILLED, operator="x1/2", words="1/2 times", formula="t/2", status="survived", where="", gates=True)


def mutated(found: Verification, *mutants: MutantResult) -> Verification:
    return replace(found, mutants=MutationResult(mutants, 1, ()))


@pytest.mark.parametrize(
    ("mutants", "verdict", "code"),
    [
        ((KILLED,), "supported", 0),
        ((KILLED,), "refuted", 0),
        ((KILLED, ALIVE), "inconclusive", 4),
        ((KILLED, replace(ALIVE, gates=False)), "supported", 0),
        ((), "supported", 0),
    ],
)
def test_the_exit_code_says_whether_one_that_must_be_killed_is_alive(
    pipeline: Any, found: Found, mutants: tuple[MutantResult, ...], verdict: str, code: int
) -> None:
    pipeline.answer = lambda idea, progress: mutated(found(idea, verdict), *mutants)
    assert main(["mutate", "toy"]) == code


def test_the_options_reach_the_pipeline(pipeline: Any, tmp_path: Path) -> None:
    arguments = (
        "mutate toy --select clock --level real --level idealized --seeds 16 --quick --master-seed 7 --no-record "
        f"--ledger {tmp_path} --device cpu:0 --precision float32"
    )
    assert main(arguments.split()) == 0
    assert pipeline.asked == [
        (
            "toy",
            {
                "select": ("clock",),
                "levels": ("real data", "idealized"),
                "seeds": 16,
                "quick": True,
                "master_seed": 7,
                "record": False,
                "ledger": str(tmp_path),
                "device": "cpu:0",
                "precision": "float32",
            },
        )
    ]


def test_the_defaults_are_those_of_verify(pipeline: Any) -> None:
    main(["mutate", "toy"])
    main(["verify", "toy"])
    mutate, verify = (options for _, options in pipeline.asked)
    assert mutate.items() <= verify.items(), "so that it goes on from what verify has left"


def test_the_living_are_drawn_and_all_if_asked(pipeline: Any, found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.answer = lambda idea, progress: mutated(found(idea, "inconclusive"), KILLED, ALIVE)
    main(["mutate", "toy"])
    few = capsys.readouterr()
    assert few.err == ""
    assert few.out.splitlines()[0] == "toy   inconclusive, declared 6f1c2a9e"
    assert "must be killed and is alive: clock, 1/2 times" in few.out
    assert "2 times" not in few.out.replace("1/2 times", "")
    main(["mutate", "toy", "--every"])
    assert "nursery, eta=1" in capsys.readouterr().out


def test_the_document_is_one_and_holds_every_mutant(
    pipeline: Any, found: Found, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.answer = lambda idea, progress: mutated(found(idea), KILLED, replace(ALIVE, distance=float("inf")))
    assert main(["mutate", "toy", "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "idealab/mutants/1"
    assert (document["idea"], document["verdict"], document["record"][:4]) == ("toy", "supported", "9ab4")
    assert [mutant["words"] for mutant in document["mutants"]] == ["2 times", "1/2 times"]
    assert document["mutants"][1]["distance"] == {"$float": "inf"}
    assert (document["score"], document["resolvable_score"], document["equivalent"]) == (0.5, 0.5, 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownNameError("signature", "clok", ["clock"]), 2),
        (DeclarationError("contradicts\nitself"), 2),
        (NothingMatchedError("nothing measures it"), 5),
    ],
)
def test_an_error_is_one_line(pipeline: Any, capsys: pytest.CaptureFixture[str], error: Exception, code: int) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        raise error

    pipeline.answer = answer
    assert main(["mutate", "toy"]) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"error: {' '.join(str(error).split())}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("toi", "no idea named 'toi'; did you mean 'toy'?"),
        ("toy --seeds 3", "3 is not in the range x>=4"),
        ("toy --level ideal", "'ideal' is not one of idealized, real, network"),
        ("toy other", "unexpected extra argument"),
        ("", "Missing argument 'IDEA'"),
    ],
)
def test_misuse_is_refused_in_one_line(
    pipeline: Any, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert main(["mutate", *arguments.split()]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert words in shown.err
    assert pipeline.asked == []


def test_an_interruption_is_no_error(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(idea: str, progress: Any) -> Verification:
        raise KeyboardInterrupt

    pipeline.answer = answer
    assert main(["mutate", "toy"]) == 130
    assert capsys.readouterr().err.strip().startswith("interrupted")
