from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from idealab.errors import LedgerError, UsageError
from idealab.export import folder
from idealab.export.folder import FORMATS, export
from idealab.ledger import Ledger, bundle

NEEDS = {"parquet": "pyarrow", "huggingface": "pyarrow", "mlflow": "mlflow"}
FILES = {"signatures", "cells", "controls", "mutants", "observations"}


def exported(kept, form: str, to: Path, **options) -> Path:
    if form in NEEDS:
        pytest.importorskip(NEEDS[form], reason=f"{NEEDS[form]} is not installed")
    export(kept.verification[:12], form, to, ledger=kept.ledger, **options)
    return to


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "mlflow"])
def test_no_name_of_a_record_becomes_the_name_of_a_file(kept, tmp_path: Path, form: str) -> None:
    to = exported(kept, form, tmp_path / "a" / "b")
    ending = "csv" if form in ("csv", "zenodo") else "parquet"
    added = {"README.md", "bundle.zip"}
    extra = {"zenodo": {*added, ".zenodo.json"}, "huggingface": added}.get(form, set())
    assert {path.name for path in to.rglob("*")} == {f"{name}.{ending}" for name in FILES} | extra
    assert {path.name for path in tmp_path.iterdir()} == {"a", "ledger"}
    assert [path.name for path in to.parent.iterdir()] == ["b"], "nothing is left over"


def test_the_bundle_brings_the_record_into_another_ledger(kept, tmp_path: Path) -> None:
    to = exported(kept, "zenodo", tmp_path / "deposit")
    elsewhere = Ledger(tmp_path / "elsewhere")
    assert bundle.import_bundle(elsewhere, to / "bundle.zip").new == 3
    assert elsewhere.get(kept.verification) == kept.ledger.get(kept.verification)
    page = (to / "README.md").read_text(encoding="utf-8")
    assert "idealab ledger import bundle.zip --ledger evidence" in page


class Tags(HTMLParser):
    """Collects the tags of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def test_zenodo_gets_its_metadata(kept, tmp_path: Path) -> None:
    to = exported(kept, "zenodo", tmp_path / "deposit", creators=("Noether, <Emmy>\n",), licence="cc-by-4.0")
    stated = json.loads((to / ".zenodo.json").read_text(encoding="utf-8"))
    assert stated["creators"] == [{"name": "Noether, <Emmy>"}]
    assert (stated["license"], stated["upload_type"]) == ("cc-by-4.0", "dataset")
    assert stated["version"] == kept.verification[:8]
    assert "\n" not in stated["title"]
    page = Tags()
    page.feed(stated["description"])
    assert page.tags == {"p"}
    assert kept.verification in stated["description"]


def test_zenodo_is_told_no_author_and_no_licence_that_nobody_named(kept, tmp_path: Path) -> None:
    to = exported(kept, "zenodo", tmp_path / "deposit")
    assert not {"creators", "license"} & set(json.loads((to / ".zenodo.json").read_text(encoding="utf-8")))


def test_the_card_of_a_data_set_names_every_table(kept, tmp_path: Path) -> None:
    to = exported(kept, "huggingface", tmp_path / "card", licence='mit"\nx: y')
    card = (to / "README.md").read_text(encoding="utf-8")
    _, front, _ = card.split("---\n", 2)
    stated = yaml.safe_load(front)
    assert set(stated) == {"pretty_name", "license", "tags", "configs"}
    assert stated["license"] == 'mit" x: y'
    assert "=cmd" in stated["pretty_name"]
    assert {config["config_name"] for config in stated["configs"]} == FILES
    for config in stated["configs"]:
        assert (to / config["data_files"]).is_file()


@pytest.mark.parametrize("form", ["zenodo", "huggingface"])
def test_nothing_of_a_record_is_markup_in_the_page(kept, tmp_path: Path, form: str) -> None:
    page = (exported(kept, form, tmp_path / "folder", creators=("[x](y)",)) / "README.md").read_text(encoding="utf-8")
    body = page.split("---\n\n", 1)[-1]
    found = Tags()
    found.feed(MarkdownIt("commonmark").enable("table").render(body))
    assert found.tags == {"h1", "p", "ul", "li"}
    assert "‮" not in page
    assert "refuted" in body
    assert kept.verification in body


def test_what_is_no_verification_is_refused(kept, tmp_path: Path) -> None:
    for name in (kept.declaration, kept.batch):
        with pytest.raises(LedgerError, match="is no verification but has schema='idealab/"):
            export(name, "csv", tmp_path / "out", ledger=kept.ledger)
    with pytest.raises(UsageError, match="no record begins with 'ffff0000'"):
        export("ffff0000", "csv", tmp_path / "out", ledger=kept.ledger)
    with pytest.raises(UsageError, match="format='xml' must be one of csv, parquet, zenodo, huggingface, mlflow"):
        export(kept.verification, "xml", tmp_path / "out", ledger=kept.ledger)
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_taken_is_left_as_it_is(kept, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for place in ("mine", "file"):
        with pytest.raises(UsageError, match="is there and not an empty folder; name one that is not there yet"):
            export(kept.verification, "csv", tmp_path / place, ledger=kept.ledger)
    with pytest.raises(UsageError, match=r"cannot be written: (Not a directory|File exists)"):
        export(kept.verification, "csv", tmp_path / "file" / "out", ledger=kept.ledger)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert len(list(exported(kept, "csv", tmp_path / "empty").iterdir())) == 5


def test_a_folder_appears_whole_or_not_at_all(kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(tables: object, place: Path) -> None:
        (place / "cells.csv").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_csv", fails)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        export(kept.verification, "csv", tmp_path / "out", ledger=kept.ledger)
    assert {path.name for path in tmp_path.iterdir()} == {"ledger"}


def test_a_damaged_batch_is_said_and_nothing_is_written(kept, tmp_path: Path) -> None:
    (kept.ledger.path / "objects" / kept.batch[:2] / f"{kept.batch}.json").write_text("{}")
    with pytest.raises(LedgerError, match="is damaged"):
        export(kept.verification, "csv", tmp_path / "out", ledger=kept.ledger)
    assert not (tmp_path / "out").exists()
