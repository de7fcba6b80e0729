from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idealab.cli import main, pages
from idealab.ledger import BATCH, DECLARATION, VERIFICATION, Ledger
from idealab.verification import Verification

CONTENT = {
    "statement": "A toy.",
    "scope": "in the nursery",
    "signatures": [
        {
            "name": "clock",
            "observable": "product",
            "prediction": {"text": "1/(eta*gamma**2)", "sha256": "0" * 64},
            "known": "derived",
            "criterion": {"kind": "Equals", "rtol": {"text": "0.001", "sha256": "1" * 64}, "reason": "it is small"},
            "exact": False,
            "primary": True,
            "must_kill": [],
            "rivals": {},
        }
    ],
    "assumptions": [],
    "experiments": [],
}


@pytest.fixture
def recorded(tmp_path: Path, found: Callable[..., Verification]) -> Callable[..., str]:
    """Puts a verification of the toy into the ledger."""
    ledger = Ledger(tmp_path / "ledger")

    def put(idea: str = "toy", minute: int = 0, **changes: Any) -> str:
        declaration = ledger.put({"schema": DECLARATION, "idea": idea, "content": CONTENT})
        result = found(idea).to_dict() | {"record": None, "declaration": declaration} | changes
        document = {
            "schema": VERIFICATION,
            "parents": [declaration],
            "idea": idea,
            "created": f"2026-01-31T12:{minute:02d}:00.000000+00:00",
            "result": result,
        }
        return ledger.put(document)

    return put


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["report", *arguments, "--ledger", str(tmp_path / "ledger")])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_the_kit_of_a_record_is_written(toy, recorded, report, tmp_path):
    sha = recorded()
    code, out, err = report(sha[:8], "--to", str(tmp_path / "kit"))
    assert code == 0
    assert out == f"7 files in {tmp_path / 'kit'}, from record {sha[:8]}: toy, supported\n"
    assert "note: toy is not installed here, or predicts something else" in err
    assert sha in (tmp_path / "kit" / "main.tex").read_text()


def test_the_name_of_an_idea_means_its_latest_verification(toy, recorded, report, tmp_path):
    recorded(minute=1)
    late, other = recorded(minute=5), recorded("other", minute=9)
    recorded(minute=3)
    assert late[:8] in report("toy", "--to", str(tmp_path / "kit"))[1]
    assert other[:8] in report("other", "--to", str(tmp_path / "other"))[1]


def test_what_is_meant_must_be_clear(recorded, report, tmp_path):
    sha = recorded()
    to = ("--to", str(tmp_path / "kit"))
    for asked, complaint in (
        ("other", r"there is no verification of 'other' in .*; run: idealab verify other"),
        ("abcd", "no record begins with 'abcd'"),
        (sha[:2], "too short; give at least 4 digits"),
        ("tyo", "too short"),
        (Ledger(tmp_path / "ledger").get(sha)["parents"][0][:12], "is no verification but has schema="),
    ):
        code, out, err = report(asked, *to)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert re.search(complaint, err), err
    assert not (tmp_path / "kit").exists()


def test_without_a_place_it_says_so(recorded, report):
    code, _, err = report(recorded())
    assert (code, err.splitlines()) == (
        2,
        ["error: say where the paper kit should be written: --to DIR; try 'idealab report --help'"],
    )


def test_a_damaged_record_is_refused(recorded, report, tmp_path):
    sha = recorded()
    file = tmp_path / "ledger" / "objects" / sha[:2] / f"{sha}.json"
    file.write_bytes(file.read_bytes().replace(b"supported", b"refuted__"))
    code, _, err = report(sha, "--to", str(tmp_path / "kit"))
    assert code == 2
    assert "is damaged" in err


def test_what_rests_on_no_declaration_is_refused(recorded, report, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    document = ledger.get(recorded())
    batch = {
        "schema": BATCH,
        "parents": document["parents"],
        "idea": "toy",
        "experiment": "planted",
        "condition": "kappa=1",
        "precision": "float64",
        "environment": {},
        "master_seed": 0,
        "first_seed": 0,
        "seeds": 1,
        "seconds": 1.0,
        "observation": {"parameters": {}, "observables": {}},
    }
    parent = ledger.put(batch)
    sha = ledger.put(document | {"parents": [parent], "result": document["result"] | {"declaration": parent}})
    code, _, err = report(sha, "--to", str(tmp_path / "kit"))
    assert (code, err) == (2, f"error: record {parent[:8]}, on which {sha[:8]} rests, is no declaration\n")


def test_a_file_of_somebody_is_not_overwritten(toy, recorded, report, tmp_path):
    place = tmp_path / "kit"
    place.mkdir()
    (place / "main.tex").write_text("my paper")
    code, _, err = report(recorded(), "--to", str(place))
    assert code == 2
    assert "main.tex was not written by idealab" in err
    assert [file.name for file in place.iterdir()] == ["main.tex"]


def test_a_theory_that_cannot_be_loaded_leaves_the_record_to_itself(recorded, report, tmp_path, monkeypatch):
    from idealab import registry
    from idealab.errors import DeclarationError

    def broken(name):
        raise DeclarationError(f"the theory of {name} contradicts itself")

    monkeypatch.setattr(registry, "load", broken)
    code, out, err = report(recorded(), "--to", str(tmp_path / "kit"))
    assert code == 0
    assert "toy, supported" in out
    assert "warning: the theory of toy contradicts itself" in err


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(named_toy, tmp_path):
    def idealab(seed: str, *arguments: str) -> str:
        command = [sys.executable, "-m", "idealab", *arguments]
        environment = named_toy | {"PYTHONHASHSEED": seed, "TZ": f"UTC{seed}"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    idealab("0", "verify", "toy")
    for seed in ("1", "2"):
        assert "toy, supported" in idealab(seed, "report", "toy", "--to", f"kit{seed}")
    first, second = (
        {f.name: f.read_bytes() for f in sorted(Path(tmp_path / kit).iterdir())} for kit in ("kit1", "kit2")
    )
    assert first == second
    assert "derivation.tex" in first
    assert not any(os.fsencode(str(tmp_path)) in data for data in first.values())


def test_a_page_is_written_where_it_is_asked_for(recorded, report, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_drawings", lambda result, progress: ())
    sha = recorded("nowhere")
    code, out, err = report(sha[:8], "--html", "--to", str(tmp_path / "site"))
    file = tmp_path / "site" / f"nowhere-{sha[:8]}.html"
    assert (code, out, err) == (0, f"{file}, from record {sha[:8]}: nowhere, supported\n", "")
    assert file.read_text().startswith("<!doctype html>")
    monkeypatch.chdir(tmp_path)
    assert report("nowhere", "--html")[1] == f"{file.name}, from record {sha[:8]}: nowhere, supported\n"
    assert (tmp_path / file.name).read_text() == file.read_text()


def test_the_index_of_all_ideas(recorded, report, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_drawings", lambda result, progress: ())
    recorded("nowhere")
    place = tmp_path / "site"
    assert report("--all", "--to", str(place)) == (0, f"{place / 'index.html'}, with 1 page\n", "")
    assert "not verified yet" in (place / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name one RECORD, or ask for --all"),
        (("--html",), "name one RECORD, or ask for --all"),
        (("toy", "--all", "--to", "x"), "name one RECORD, or ask for --all"),
        (("--all",), "say where the index and its pages should be written: --to DIR"),
    ],
)
def test_what_does_not_go_together_is_refused(report, arguments, complaint):
    code, out, err = report(*arguments)
    assert (code, out, err) == (2, "", f"error: {complaint}; try 'idealab report --help'\n")


def test_a_declaration_that_no_page_can_be_made_of_is_refused(recorded, report, tmp_path, monkeypatch):
    monkeypatch.setitem(CONTENT, "experiments", [3])
    code, out, err = report(recorded("nowhere"), "--html", "--to", str(tmp_path))
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: declaration [0-9a-f]{8}\.experiments\[0\] is 3, but a record has .*\n", err)
