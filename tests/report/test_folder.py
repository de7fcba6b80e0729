from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from idealab.errors import UsageError
from idealab.report import folder
from idealab.report.folder import LISTING, write

FILES = {"main.tex": b"one", "figure.pdf": b"\x00\xff"}


def there(place: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in place.iterdir() if file.name != LISTING}


def test_files_are_written_and_written_again(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "kit"
    assert write(place, FILES) == [place / "main.tex", place / "figure.pdf"]
    listed = (place / LISTING).read_bytes()
    write(place, FILES)
    assert there(place) == FILES
    assert (place / LISTING).read_bytes() == listed


def test_what_was_written_before_gives_way(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    write(tmp_path, {"main.tex": b"two"})
    assert there(tmp_path) == {"main.tex": b"two"}
    write(tmp_path, FILES)
    assert there(tmp_path) == FILES


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "paper.tex").write_text("mine")
    (tmp_path / "notes").mkdir()
    write(tmp_path, FILES)
    write(tmp_path, {})
    assert {file.name for file in tmp_path.iterdir()} == {"paper.tex", "notes", LISTING}
    assert (tmp_path / "paper.tex").read_text() == "mine"


@pytest.mark.parametrize("listed", [False, True])
def test_a_file_of_that_name_that_is_not_ours_is_refused_before_anything_is_written(
    tmp_path: Path, listed: bool
) -> None:
    if listed:
        write(tmp_path, {"main.tex": b"zero"})
    (tmp_path / "main.tex").write_text("mine")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=r"main\.tex was not written by idealab, or was changed since; move it away"):
        write(tmp_path, FILES)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_file_that_says_the_same_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "main.tex").write_bytes(FILES["main.tex"])
    write(tmp_path, FILES)
    assert there(tmp_path) == FILES


def test_a_file_of_ours_that_was_changed_is_kept_when_it_is_not_needed_any_more(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "figure.pdf").write_bytes(b"edited")
    write(tmp_path, {"main.tex": b"one"})
    assert there(tmp_path) == {"main.tex": b"one", "figure.pdf": b"edited"}


def test_links_and_folders_are_not_ours(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    place = tmp_path / "kit"
    place.mkdir()
    (place / "main.tex").symlink_to(outside)
    with pytest.raises(UsageError, match="not written by idealab"):
        write(place, {"main.tex": b"precious"})
    (place / "main.tex").unlink()
    (place / "main.tex").mkdir()
    with pytest.raises(UsageError, match="not written by idealab"):
        write(place, FILES)
    assert outside.read_text() == "precious"


@pytest.mark.parametrize(
    "listing",
    [
        {"written by": "idealab", "files": {"../victim": ["{sha}"], "/etc/hosts": ["{sha}"], "..": ["{sha}"]}},
        {"written by": "idealab", "files": ["victim"]},
        {"written by": "idealab", "files": {"victim": "{sha}"}},
        {"written by": "idealab"},
    ],
)
def test_a_listing_that_lies_leads_nowhere(tmp_path: Path, listing: object) -> None:
    import hashlib

    place, victim = tmp_path / "kit", tmp_path / "victim"
    place.mkdir()
    victim.write_bytes(b"precious")
    text = json.dumps(listing).replace("{sha}", hashlib.sha256(b"precious").hexdigest())
    (place / LISTING).write_text(text)
    write(place, FILES)
    assert victim.read_bytes() == b"precious"
    assert there(place) == FILES


@pytest.mark.parametrize("text", ["not json", "{}", "[" * 100_000, '{"written by": "somebody"}'])
def test_a_listing_that_is_none_is_a_file_of_somebody(tmp_path: Path, text: str) -> None:
    (tmp_path / LISTING).write_text(text)
    with pytest.raises(UsageError, match=f"{LISTING} was not written by idealab"):
        write(tmp_path, FILES)


def test_a_run_that_is_killed_between_two_files_is_known_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FILES)
    replace, done = folder._replace, list[str]()

    def killed(file: Path, data: bytes) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(file.name)
        replace(file, data)

    monkeypatch.setattr(folder, "_replace", killed)
    new = {"main.tex": b"new", "figure.pdf": b"newer"}
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, new)
    monkeypatch.undo()
    assert there(tmp_path) == {"main.tex": b"new", "figure.pdf": FILES["figure.pdf"]}
    write(tmp_path, new)
    assert there(tmp_path) == new


def test_a_place_that_cannot_be_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*; choose another folder"):
        write(tmp_path / "file", FILES)
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(UsageError, match=r"cannot be written"):
            write(tmp_path / "locked", FILES)
