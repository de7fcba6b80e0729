from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from idealab import registry
from idealab.cli import main
from idealab.ledger.records import BATCH, DECLARATION, VERIFICATION
from idealab.ledger.store import Ledger
from tests import conftest
from tests.ledger.conftest import batch, declaration, result, verification

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e<script>alert(1)</script>\\input{/etc/passwd}$(id)\x9b31m\r\n[bold]"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with two runs of the toy on different master seeds."""
    monkeypatch.setattr(registry, "load", lambda name: conftest.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (conftest.experiment(),))
    ledger = tmp_path / "ledger"
    for seed in (0, 1):
        conftest.verify(
            conftest.idea(),
            experiments=(conftest.experiment(),),
            seeds=8,
            mutants=False,
            ledger=ledger,
            master_seed=seed,
        )
    monkeypatch.setenv("IDEALAB_LEDGER", str(ledger))
    return ledger


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a ledger command, expects an exit code, returns standard output and error."""

    def run(*arguments: str, code: int = 0) -> Any:
        assert main(["ledger", *arguments]) == code
        return capsys.readouterr()

    return run


def names(place: Path, schema: str) -> Sequence[str]:
    return Ledger(place).find(schema=schema)


def test_log_lists_the_newest_first(place: Path, shown: Any) -> None:
    first, second = names(place, VERIFICATION)
    header, *rows = shown("log").out.splitlines()
    assert header.split()[:2] == ["record", "when,"]
    assert [row.split()[0] for row in rows] == [second[:12], first[:12]]
    assert [row.split()[3] for row in rows] == ["toy", "toy"]
    assert shown("log", "-n", "1").out.count("toy") == 1
    assert "0 verifications of" in shown("log", "--idea", "other").err
    assert "a=1, from seed 0 of master seed 0" in shown("log", "--kind", "batch").out
    assert "runs through a parabola" in shown("log", "--kind", "declaration").out
    records = json.loads(shown("log", "--json").out)["records"]
    assert [record["record"] for record in records] == [second, first]


def test_of_an_empty_ledger_nothing_is_shown_and_nothing_made(tmp_path: Path, shown: Any) -> None:
    place = tmp_path / "none"
    for command in ("log", "check", "check --objects-only"):
        assert f"there is no ledger {place}; name one" in shown(*command.split(), "--ledger", str(place), code=2).err
    assert "no record begins with 'abcd'" in shown("show", "abcd", "--ledger", str(place), code=2).err
    assert (
        "holds no record to export"
        in shown("export", "--to", str(tmp_path / "x.zip"), "--ledger", str(place), code=2).err
    )
    assert not place.exists()


def test_show_draws_each_kind(place: Path, shown: Any) -> None:
    (verdict, _), (declared,), blocks = (names(place, schema) for schema in (VERIFICATION, DECLARATION, BATCH))
    drawn = shown("show", verdict[:8])
    assert "from 8 blocks of seeds" in drawn.err
    assert "height" in drawn.out
    assert f"record {verdict[:8]}" in drawn.out
    drawn = shown("show", declared[:10]).out
    assert "signature height: a*t**2 + b" in drawn
    assert "tolerance Equals, atol 0, rtol 0.100000000000000: friction" in drawn
    assert "run with master seed 0" in drawn
    assert "run with master seed 1" in drawn
    drawn = shown("show", blocks[0][:10]).out
    assert "observables.height" in drawn
    assert "(4,)" in drawn
    assert json.loads(shown("show", declared, "--json").out)["schema"] == DECLARATION


def test_a_prefix_that_fits_none_or_is_short_is_code_2(place: Path, shown: Any) -> None:
    assert "is too short" in shown("show", "abc", code=2).err
    assert "no record begins with" in shown("compare", "0" * 20, "0" * 20, code=2).err
    (declared,) = names(place, DECLARATION)
    assert "(declaration of 'toy') is no verification" in shown("check", declared[:10], code=2).err


def test_check_judges_again(place: Path, shown: Any) -> None:
    found = shown("check").out
    assert "2 of 2 verifications judged again, and found the same" in found
    assert found.endswith("all is well\n")
    assert "judged again" not in shown("check", "--objects-only").out
    one = json.loads(shown("check", names(place, VERIFICATION)[0][:12], "--json").out)
    assert [judged["state"] for judged in one["judged"]] == ["agrees"]
    assert (one["damaged"], one["index"]) == ([], "in step")


def test_check_finds_what_is_wrong(place: Path, shown: Any) -> None:
    ledger = Ledger(place)
    sha = names(place, VERIFICATION)[0]
    record = ledger.get(sha)
    ledger.put({**record, "result": {**record["result"], "verdict": "refuted"}})
    block = names(place, BATCH)[0]
    file = place / "objects" / block[:2] / f"{block}.json"
    file.write_bytes(file.read_bytes()[:-5])
    found = shown("check", code=1).out
    assert "is damaged" in found
    assert f"rests on {block[:12]}" in found
    assert "something is wrong" in found
    assert "only the hashes were checked" in found


def test_check_says_why_an_idea_is_not_judged_and_that_is_no_fault(
    place: Path, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load", lambda name: conftest.idea(1.1))
    found = shown("check").out
    assert "only the hashes were checked" in found
    assert "and 1 more of toy: the idea that is installed here declares other things" in " ".join(found.split())
    assert found.endswith("nothing is damaged; 2 verdicts could not be judged here\n")
    named = shown("check", names(place, VERIFICATION)[0][:12], code=4).out
    assert named.endswith("nothing is damaged; 1 verdict could not be judged here\n")


def test_compare_says_what_differs(place: Path, shown: Any) -> None:
    one, other = names(place, VERIFICATION)
    found = shown("compare", one[:12], other[:12]).out
    assert "declared: the same" in found
    assert "master_seed: 0 became 1" in found
    assert "cells agree" in found
    assert found.endswith("agree\n")
    assert json.loads(shown("compare", one, other, "--json").out)["agree"] is True


def test_combine_judges_all_runs_together(place: Path, shown: Any) -> None:
    found = shown("combine", names(place, VERIFICATION)[0][:12]).out
    assert "2 runs together" in found
    assert "taken: master seed 0 on cpu" in found
    assert "SUPPORTED" in found
    document = json.loads(shown("combine", names(place, DECLARATION)[0][:12], "--json").out)
    assert [run["master_seed"] for run in document["runs"]] == [0, 1]
    assert (document["left_out"], document["versions"]) == ([], [])


def test_combine_says_what_it_left_out_and_that_another_judge_declared(place: Path, shown: Any, monkeypatch) -> None:
    ledger = Ledger(place)
    block = ledger.get(names(place, BATCH)[0])
    observables = {name: [0.0] * len(values) for name, values in block["observation"]["observables"].items()}
    ledger.put({**block, "observation": {**block["observation"], "observables": observables}})
    monkeypatch.setattr(sys.modules["idealab.prepare.declaration"], "judge_digest", lambda: "f" * 64)
    found = " ".join(shown("combine", names(place, VERIFICATION)[0][:12]).out.split())
    assert re.search(r"left out: block \w{12}, master seed \d, seeds 0 to 3 of .* and says otherwise, by", found)
    assert "other versions: declared with others than those that judge here: versions.judge: " in found


def test_export_and_import(place: Path, shown: Any, tmp_path: Path) -> None:
    bundle = tmp_path / "evidence.zip"
    assert "records in" in shown("export", "--to", str(bundle)).err
    assert "is there already" in shown("export", "--to", str(bundle), code=2).err
    other = str(tmp_path / "other")
    assert "new records from" in shown("import", str(bundle), "--ledger", other).err
    assert "0 new records" in shown("import", str(bundle), "--ledger", other).err
    assert set(Ledger(other).find()) == set(Ledger(place).find())
    bundle.write_bytes(bundle.read_bytes()[:1000])
    refused = shown("import", str(bundle), "--ledger", other, code=2).err
    assert refused.count("\n") == 1
    assert "is refused, and nothing was imported" in refused


@pytest.mark.parametrize("command", ["log", "log --kind declaration", "log --kind batch", "check", "show", "compare"])
def test_hostile_names_are_shown_inert(command: str, shown: Any, tmp_path: Path) -> None:
    """No escape reaches the terminal, no line breaks, nothing is markup; in JSON neither."""
    place = tmp_path / "ledger"
    ledger = Ledger(place)
    content = {"statement": HOSTILE, "scope": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    content |= {"signatures": [{"name": HOSTILE, "prediction": {"text": HOSTILE}, "criterion": {"reason": HOSTILE}}]}
    content |= {"experiments": [{"name": HOSTILE, "level": HOSTILE, "max_seeds": HOSTILE, "conditions": []}]}
    name = "$(id)[bold]<script>"
    top = ledger.put(declaration(idea=name, content=content))
    block = ledger.put(batch(top, idea=name, condition=HOSTILE, environment={HOSTILE: HOSTILE}))
    said = result(top, name, statement=HOSTILE, scope=HOSTILE, gates=[HOSTILE], remarks=[HOSTILE])
    verdict = ledger.put(verification([top, block], idea=name, result=said))
    second = ledger.put(declaration(idea="toy", content={HOSTILE: HOSTILE}))
    runs = [command.split()]
    if command == "show":
        runs = [["show", sha] for sha in (top, block, verdict)]
    elif command == "compare":
        runs = [["compare", top, second]]
    for arguments in runs:
        for more in ([], ["--json"]):
            found = shown(*arguments, *more, "--ledger", str(place), code=0)
            for text in (found.out, found.err):
                assert text.replace("\n", "").isprintable(), repr(text)
            if not more and command not in ("check", "log"):
                assert "<script>alert(1)</script>" in "".join(found.out.split()) or "…" in found.out
