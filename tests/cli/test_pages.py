"""The pages that ``idealab report --html`` writes, and the index of all ideas."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idealab import registry
from idealab.cli import pages
from idealab.cli.progress import Watcher
from idealab.cli.report import resolved
from idealab.errors import DeclarationError, UsageError
from idealab.ledger import Ledger
from idealab.verification import Verification


@pytest.fixture
def watcher() -> Watcher:
    return Watcher("report")


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"other": registry.ideas()["other"]}
    monkeypatch.setattr(registry, "ideas", lambda: known)
    monkeypatch.setattr(pages, "_drawings", lambda result, progress: ())  # they have tests of their own


def put(ledger: Ledger, result: Verification, created: str = "2026-01-31T12:00:00+00:00") -> str:
    formula = {"text": "1/(eta*gamma**2)", "sha256": "0" * 64}
    signature = {
        "name": "clock",
        "observable": "product",
        "prediction": formula,
        "known": "derived",
        "criterion": {"kind": "Equals", "rtol": formula, "estimand": "mean", "reason": "the first correction"},
        "exact": False,
        "primary": True,
        "must_kill": [],
        "rivals": {},
    }
    content = {
        "statement": result.statement,
        "scope": "everywhere",
        "signatures": [signature],
        "assumptions": [],
        "experiments": [],
    }
    declaration = ledger.put({"schema": "idealab/declaration/1", "idea": result.idea, "content": content})
    document = {
        "schema": "idealab/verification/1",
        "parents": [declaration],
        "idea": result.idea,
        "created": created,
        "result": replace(result, declaration=declaration, record=None).to_dict(),
    }
    return ledger.put(document)


def test_a_page_is_one_file(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    record = put(ledger, found("toy"))
    file, result = pages.write_page(ledger, record, tmp_path / "new" / "folder", watcher)
    assert result.idea == "toy"
    assert file == tmp_path / "new" / "folder" / f"toy-{record[:8]}.html"
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    text = file.read_text(encoding="utf-8")
    assert "Supported" in text
    assert "<code>1/(eta*gamma**2)</code>" in text


def test_the_index_has_every_idea_and_its_latest_verdict(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    put(ledger, found("toy", "supported"), "2026-01-30T12:00:00+00:00")
    latest = put(ledger, replace(found("toy", "refuted"), gates=("control start: should break",)))
    put(ledger, found("elsewhere", "partial"), "2026-01-29T12:00:00+00:00")
    index, count = pages.write_index(ledger, tmp_path / "site", watcher)
    text = index.read_text(encoding="utf-8")
    said = " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL).split())
    assert "1 refuted, 1 partial, 1 not verified yet." in said
    assert said.index("elsewhere") < said.index("Learning is a other") < said.index("✗ refuted")
    assert "held back: control start: should break" in said
    assert "supported" not in said
    links = re.findall(r'href="([^"]*)"', text)
    assert f"toy-{latest[:8]}.html" in links
    assert all((index.parent / link).is_file() for link in links)
    assert len(links) == count == 2


def test_a_narrower_run_does_not_pass_for_the_verdict(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    narrow = replace(found("toy"), narrowed=("only clock", "quick"))
    put(ledger, narrow, "2026-01-29T12:00:00+00:00")
    index, _ = pages.write_index(ledger, tmp_path / "site", watcher)
    assert "of less than all: only clock; quick" in index.read_text(encoding="utf-8")
    full = put(ledger, found("toy", "refuted"), "2026-01-30T12:00:00+00:00")
    put(ledger, narrow)
    index, _ = pages.write_index(ledger, tmp_path / "site", watcher)
    text = index.read_text(encoding="utf-8")
    assert "since then, on 2026-01-31: supported (only clock; quick)" in text
    assert f"toy-{full[:8]}.html" in text
    assert "of less than all" not in text
    assert resolved(ledger, "toy") == full


def test_an_index_of_nothing(tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ideas", dict)
    index, _ = pages.write_index(Ledger(tmp_path / "ledger"), tmp_path, watcher)
    assert "There are no ideas here" in index.read_text(encoding="utf-8")
    assert not (tmp_path / "ledger").exists()


def test_a_record_that_cannot_be_shown_does_not_stop_the_others(
    found, tmp_path: Path, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    good = ledger.get(put(ledger, found("toy"), "2026-01-30T12:00:00+00:00"))
    bad = {**good, "created": "2026-01-31T12:00:00+00:00", "result": {**good["result"], "mutants": {}}}
    name = ledger.put(bad)
    put(ledger, found("elsewhere"))
    text = pages.write_index(ledger, tmp_path / "site", watcher)[0].read_text(encoding="utf-8")
    assert f"its record {name[:8]} cannot be shown" in text
    assert "1 supported, 2 not verified yet" in text
    assert f"warning: record {name[:8]}: mutants.equivalent is None" in capsys.readouterr().err


def test_no_name_of_an_idea_leads_out_of_the_folder(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for name in ("..", ".", "a" * 100, '"><script>alert(1)<script>', "javascript:alert(1)", "C:outside"):
        put(ledger, found(name))
    index, _ = pages.write_index(ledger, tmp_path / "site", watcher)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html"))
    assert len(files) == 7
    assert all(re.fullmatch(r"site/[a-z0-9_-]+\.html", file) for file in files)
    text = index.read_text(encoding="utf-8")
    assert "<script" not in text
    assert all(re.fullmatch(r"[a-z0-9_-]+\.html", link) for link in re.findall(r'href="([^"]*)"', text))


def test_a_stranger_s_file_is_not_overwritten(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    put(ledger, found("toy"))
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(UsageError, match=r"index\.html was not written by idealab"):
        pages.write_index(ledger, tmp_path, watcher)
    assert [path.name for path in tmp_path.glob("*.html")] == ["index.html"]


def test_a_page_that_is_out_of_date_leaves_with_the_next_index(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    old = put(ledger, found("toy"), "2026-01-30T12:00:00+00:00")
    pages.write_index(ledger, tmp_path / "site", watcher)
    new = put(ledger, found("toy", "refuted"))
    pages.write_index(ledger, tmp_path / "site", watcher)
    there = {path.name for path in (tmp_path / "site").glob("*.html")}
    assert there == {"index.html", f"toy-{new[:8]}.html"} != {"index.html", f"toy-{old[:8]}.html"}


def test_a_folder_that_cannot_be_written(found, tmp_path: Path, watcher: Watcher) -> None:
    ledger = Ledger(tmp_path / "ledger")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written.*choose another folder"):
        pages.write_page(ledger, put(ledger, found("toy")), tmp_path / "file" / "site", watcher)


def test_an_idea_that_cannot_be_loaded_is_quoted(
    found, tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> Any:
        raise DeclarationError("the theory does not load")

    monkeypatch.setattr(registry, "load", broken)
    ledger = Ledger(tmp_path / "ledger")
    file, _ = pages.write_page(ledger, put(ledger, found("other")), tmp_path, watcher)
    assert "not installed where this page was written" in file.read_text(encoding="utf-8")
    assert "warning: the theory does not load" in capsys.readouterr().err


def test_without_matplotlib_the_page_has_no_figures(
    found, tmp_path: Path, watcher: Watcher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    from idealab.report import canvas

    def missing() -> None:
        raise UsageError("figures need matplotlib, which is not installed")

    monkeypatch.setattr(canvas, "ensure", missing)
    ledger = Ledger(tmp_path / "ledger")
    file, _ = pages.write_page(ledger, put(ledger, found("nowhere")), tmp_path, watcher)
    assert "<figure>" not in file.read_text(encoding="utf-8")
    assert "the page is without figures: figures need matplotlib" in capsys.readouterr().err
