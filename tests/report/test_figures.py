from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from idealab.report import canvas, figures
from idealab.report.approach import place_of
from idealab.report.recorded import verification


def test_all_six_are_drawn_from_a_record_that_has_everything(whole):
    drawn = figures.figures(whole)
    assert [d.name for d in drawn] == ["agreement", "distances", "approach", "scope", "controls", "mutants"]
    for drawing in drawn:
        width = canvas.TWO_COLUMNS if drawing.columns == 2 else canvas.ONE_COLUMN
        assert drawing.figure.get_figwidth() <= width
        assert canvas.pdf(drawing).startswith(b"%PDF-")


def test_what_went_wrong_is_drawn_too(troubled):
    drawn = {d.name: d for d in figures.figures(troubled)}
    assert {"agreement", "distances", "scope", "controls"} <= set(drawn)
    assert "undecided" in _words(drawn["distances"])
    assert "not as it must be" in _words(drawn["controls"])


def test_a_record_without_seeds_controls_and_mutants_has_fewer(supported):
    plain = replace(supported, signatures=supported.signatures[:1], controls=(), mutants=None)
    assert [d.name for d in figures.figures(plain)] == ["agreement", "distances", "scope"]


def _words(drawing: canvas.Drawing) -> str:
    legends = [text.get_text() for legend in drawing.figure.legends for text in legend.get_texts()]
    return " ".join([*legends, *(t.get_text() for axes in drawing.figure.axes for t in axes.texts)])


def test_an_svg_fits_into_a_page_with_others(whole):
    drawn = figures.figures(whole)[:2]
    pages = [canvas.svg(drawing) for drawing in drawn]
    identifiers = [set(re.findall(r'\bid="([^"]+)"', page)) for page in pages]
    assert not identifiers[0] & identifiers[1]
    for page, drawing in zip(pages, drawn, strict=True):
        root = ET.fromstring(page)
        assert root.get("aria-label") == drawing.caption
        assert canvas.INK not in page
        assert "currentColor" in page
        assert "<dc:date" not in page
        used = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
        assert used <= set(re.findall(r'\bid="([^"]+)"', page))


HOSTILE = (
    "$x",
    "a$b$",
    r"\input{/etc/passwd}",
    r"$\frac{1}{$",
    "<script>alert(1)</script>",
    "γ→∞ 学习 😀",
    "a\nb\x00\x1b",
    "x" * 900,
)


def test_hostile_names_are_only_words(whole):
    signatures = [
        replace(s, name=name, experiment=name, cells=tuple(replace(cell, condition=name) for cell in s.cells))
        for s, name in zip(whole.signatures, HOSTILE, strict=False)
    ]
    controls = [replace(c, assumption=name) for c, name in zip(whole.controls, HOSTILE, strict=False)]
    hostile = replace(whole, signatures=tuple(signatures), controls=tuple(controls), mutants=None)
    for drawing in figures.figures(hostile):
        assert canvas.pdf(drawing).startswith(b"%PDF-")
        page = canvas.svg(drawing)
        assert "<script" not in page
        ET.fromstring(page)


def test_infinities_are_at_the_edge(whole):
    first, *rest = whole.signatures
    lost = replace(
        first.cells[0], predicted=math.nan, measured=math.inf, deviation=math.inf, seed_deviations=(math.nan,)
    )
    for drawing in figures.figures(replace(whole, signatures=(replace(first, cells=(lost,)), *rest))):
        canvas.pdf(drawing)


def test_files_are_the_same_byte_for_byte_in_another_process(whole, recorded, tmp_path):
    sha, document = recorded(whole)
    here = [canvas.pdf(d) + canvas.svg(d).encode() for d in figures.figures(verification(sha, document))]
    code = (
        "import sys; from idealab.ledger import Ledger; from idealab.report import canvas, figures\n"
        "from idealab.report.recorded import verification\n"
        "whole = verification(sys.argv[2], Ledger(sys.argv[1]).get(sys.argv[2]))\n"
        "for d in figures.figures(whole): sys.stdout.buffer.write(canvas.pdf(d) + canvas.svg(d).encode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ledger"), sha],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    assert done.stdout == b"".join(here)


def test_the_readers_own_settings_do_not_show(whole):
    import matplotlib as mpl

    before = canvas.pdf(figures.figures(whole)[0])
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "lines.markersize": 20}):
        assert canvas.pdf(figures.figures(whole)[0]) == before
        assert mpl.rcParams["font.size"] == 30


def test_without_matplotlib_it_is_said_what_to_install(whole, monkeypatch):
    from idealab.errors import UsageError

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"matplotlib.*pip install 'idealab\[report\]'"):
        figures.figures(whole)


@pytest.mark.parametrize(
    ("words", "axis", "log10"),
    [
        ("t=1e30", "t", 30.0),
        ("t=e^(10^5)", "t", 1e5 / math.log(10)),
        ("kappa=0.3", "kappa", math.log10(0.3)),
        ("t=2.5e-4", "t", math.log10(2.5e-4)),
        ("t=e^1234", "t", 1234 / math.log(10)),
    ],
)
def test_a_place_is_read_as_it_is_written(words, axis, log10):
    assert place_of(words) == (axis, pytest.approx(log10))


@pytest.mark.parametrize(
    "words", ["", "digits 0 against 1", "kappa=-1", "kappa=0", "t=e^(10^999)", "t=1.2.3", "a=1, b=2"]
)
def test_what_has_no_place_is_left_out(words):
    assert place_of(words) is None
