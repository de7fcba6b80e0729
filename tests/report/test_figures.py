from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from idealab.report import approach as approaches, canvas, figures
from idealab.report.approach import place_of
from idealab.report.recorded import verification


def test_all_six_are_drawn_from_a_record_that_has_everything(whole):
    drawn = figures.figures(whole)
    assert [d.name for d in drawn] == ["agreement", "distances", "approach", "scope", "controls", "mutants"]
    for drawing in drawn:
        width = canvas.TWO_COLUMNS if drawing.columns == 2 else canvas.ONE_COLUMN
        assert drawing.figure.get_figwidth() <= width
        assert canvas.pdf(drawing).startswith(b"%PDF-")


def test_wide_figures_are_drawn_for_the_text_that_is_named(whole):
    assert drawn_of(figures.agreement, whole, 5.5).figure.get_figwidth() == 5.5
    assert approach(whole, 5.5).figure.get_figwidth() <= 5.5


def drawn_of(draw, *given) -> canvas.Drawing:
    with canvas.style():
        drawing = draw(*given)
    assert isinstance(drawing, canvas.Drawing)
    return drawing


def approach(*given) -> canvas.Drawing:
    return drawn_of(approaches.approach, *given)


def _cell(of, condition, log10_t, left, tolerance, **changes):
    fields = {"predicted": 1.0, "measured": 1.0 + left, "tolerance": tolerance, "standard_error": abs(left) / 100}
    return replace(of, condition=condition, checkpoint=f"t=1e{log10_t}", **(fields | changes))


def test_the_approach_says_its_exponents_and_which_marker_is_which_condition(whole):
    (first, *_), base = whole.signatures, whole.signatures[0].cells[0]
    long = "lambda=1.25, theta=2.125, gamma=0.375, eta=0.0625"
    cells = [_cell(base, long, 4, 1e-3, 1e-1), _cell(base, long, 6, 1e-6, 1e-3), _cell(base, "b=2", 4, 1e-4, 1e-1)]
    cells += [_cell(base, "b=2", 6, 1e-7, 1e-3)]
    drawing = approach(replace(whole, signatures=(replace(first, cells=tuple(cells)),)))
    assert "measured \N{MINUS SIGN}1.50\ntolerance \N{MINUS SIGN}1.00" in _words(drawing)
    assert long in _words(drawing)
    (panel,) = drawing.figure.axes
    guides = [line for line in panel.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]
    slopes = [(y[1] - y[0]) / (x[1] - x[0]) for x, y in (line.get_data() for line in guides)]
    assert slopes == pytest.approx([-1.0, -1.0])


def test_two_points_make_no_line_where_others_have_more(whole):
    (first, *_), base = whole.signatures, whole.signatures[0].cells[0]
    two = replace(first, name="two", cells=tuple(_cell(base, "a=1", k, 10.0**-k, 10.0 ** (2 - k)) for k in (4, 6)))
    three = replace(first, name="three", cells=tuple(_cell(base, "a=1", k, 10.0**-k, 0.1) for k in (4, 5, 6)))
    drawing = approach(replace(whole, signatures=(two, three)))
    assert [panel.get_title().split(",")[0] for panel in drawing.figure.axes] == ["three"]
    assert [panel.get_title().split(",")[0] for panel in approach(replace(whole, signatures=(two,))).figure.axes] == [
        "two"
    ]


def test_no_two_of_many_experiments_look_alike_and_their_names_fit(whole):
    first = whole.signatures[0]
    many = tuple(replace(first, experiment=f"a rather long experiment {k}") for k in range(20))
    drawing = drawn_of(figures.agreement, replace(whole, signatures=many))
    (legend,) = drawing.figure.legends
    looks = [(line.get_marker(), line.get_markeredgecolor()) for line in legend.legend_handles]
    assert len({*looks}) == len(looks) == 20
    assert canvas.FAINT not in {colour for _, colour in looks}, "grey says something else"
    canvas.pdf(drawing)
    box, width = legend.get_window_extent(), drawing.figure.get_figwidth() * drawing.figure.dpi
    assert 0 <= box.x0 < box.x1 <= width


def test_many_signatures_are_rows_and_their_conditions_columns(whole):
    first = whole.signatures[0]
    cells = tuple(replace(first.cells[0], condition=f"a={k}", verdict=v) for k, v in enumerate(("present", "absent")))
    many = tuple(replace(first, name=f"signature_{k}", cells=cells) for k in range(20))
    drawing = drawn_of(figures.scope, replace(whole, signatures=many))
    (panel,) = drawing.figure.axes
    assert [text.get_text() for text in panel.get_xticklabels()] == ["1", "2"]
    assert len(panel.get_yticklabels()) == 20
    drawn = {line.get_marker(): [*line.get_xdata()] for line in panel.lines if len(line.get_xdata())}
    assert drawn == {"o": [0] * 20, "X": [1] * 20}
    assert drawing.figure.get_figheight() < 9, "it fits on a page"


def test_what_is_no_more_than_rounding_or_noise_tells_no_exponent(whole):
    (first, *_), base = whole.signatures, whole.signatures[0].cells[0]
    for change in ({"measured": 1.0 + 1e-14}, {"standard_error": 1e-5}):
        cells = (_cell(base, "a=1", 4, 1e-3, 1e-1), _cell(base, "a=1", 6, 1e-6, 1e-3, **change))
        drawing = approach(replace(whole, signatures=(replace(first, cells=cells),)))
        assert "measured" not in _words(drawing)
        (panel,) = drawing.figure.axes
        grey = [line for line in panel.lines if line.get_color() == canvas.FAINT and line.get_marker() != "None"]
        assert [len(line.get_xdata()) for line in grey] == [1]


def test_beyond_all_powers_the_exponent_is_that_of_the_logarithm(whole):
    (first, *_), base = whole.signatures, whole.signatures[0].cells[0]
    cells = (_cell(base, "a=1", 100, 9e-3, 9e-2), _cell(base, "a=1", 300, 1e-3, 1e-2))
    drawing = approach(replace(whole, signatures=(replace(first, cells=cells),)))
    assert "measured \N{MINUS SIGN}2.00 in ln t\ntolerance \N{MINUS SIGN}2.00 in ln t" in _words(drawing)


def test_a_claimed_power_law_says_what_was_measured_and_predicted(whole):
    law = next(s for s in whole.signatures if s.criterion == "Rate")
    cell = replace(law.cells[0], condition="", predicted=-1.0, measured=-0.98)
    drawing = approach(replace(whole, signatures=(replace(law, cells=(cell,)),)))
    assert "measured \N{MINUS SIGN}0.98\npredicted \N{MINUS SIGN}1.00" in _words(drawing)


def test_a_condition_is_named_in_full(whole):
    long = ", ".join(f"knob_{k}={k}.{k}25" for k in range(8))
    first, *rest = whole.signatures
    cells = tuple(replace(cell, condition=long) for cell in first.cells)
    drawing = drawn_of(figures.scope, replace(whole, signatures=(replace(first, cells=cells), *rest)))
    named = [" ".join(text.get_text().split()) for text in drawing.figure.axes[0].get_yticklabels()]
    assert f"{first.experiment}: {long}" in named
    canvas.pdf(drawing)
    assert all(text.get_window_extent().x0 >= 0 for text in drawing.figure.axes[0].get_yticklabels())


def test_below_what_is_measured_stands_how_far_off_it_is_in_tolerances(whole):
    first, *_ = whole.signatures
    cells = [replace(c, deviation=d) for c, d in zip(first.cells, (0.5, -9.0), strict=False)]
    drawing = drawn_of(figures.agreement, replace(whole, signatures=(replace(first, cells=tuple(cells)),)))
    panel, strip = drawing.figure.axes
    assert strip.get_ylabel() == "off"
    drawn = [y for line in strip.lines if line.get_marker() == "o" for y in line.get_ydata()]
    assert drawn == [0.5, strip.get_ylim()[0]]
    assert strip.get_xlim() == panel.get_xlim()


def test_a_far_value_does_not_press_the_others_into_a_blob(whole):
    first, *_ = whole.signatures
    values = (-792.0, 0.1, 0.2, 0.3, 0.8, 1.1)
    cells = tuple(replace(first.cells[0], predicted=v, measured=v, seed_deviations=()) for v in values)
    panel, strip = drawn_of(figures.agreement, replace(whole, signatures=(replace(first, cells=cells),))).figure.axes
    for axes in (panel, strip):
        low, high = (axes.transData.transform((v, 0))[0] for v in (0.1, 1.1))
        assert high - low > 0.1 * axes.bbox.width


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
