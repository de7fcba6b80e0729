"""The pages in Chromium, as a phone and a desk show them, in the light and the dark, and as they are printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from idealab.ledger.store import Ledger
from idealab.report import canvas
from idealab.report.card import card_of
from idealab.report.figures import agreement, controls, distances
from idealab.report.html import card_page
from idealab.report.index import Entry, entry, index
from idealab.report.page import page
from idealab.report.recorded import verification
from tests.report.browser import CHROMIUM, CONTRAST, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
WIDTHS = (390, 1280)
TOO_WIDE = """[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .formula, thead")
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
CLOSED = """[...document.querySelectorAll("details:not(.bulk)")].filter(e => !e.lastElementChild.checkVisibility())
  .map(e => e.innerText.slice(0, 40))"""
SMALL = """[...document.querySelectorAll("a, summary")].filter(e => e.getClientRects().length && e.closest("p") === null
  && e.getBoundingClientRect().height < 24).map(e => e.innerText)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def pages(toy, tmp_path: Path) -> dict[str, Path]:
    """The page of a verification with figures and without its idea, an index, and a card."""
    result = toy.verify(quick=True)
    ledger = Ledger(toy.ledger)
    result = verification(result.record, ledger.get(result.record))
    with canvas.style():
        drawings = [drawing for draw in (agreement, distances, controls) if (drawing := draw(result))]
    declared = ledger.get(result.declaration)["content"]
    written = {
        "page": page(result, "2026-01-31T12:00", declared, toy.idea(), drawings),
        "quoted": page(result, "2026-01-31T12:00", declared),
        "index": index([entry(result, "2026-01-31T12:00", "page.html"), Entry("other", "Not verified.")]),
        "card": card_page(card_of(toy.idea(), (toy.experiment(),))),
    }
    for name, text in written.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: tmp_path / f"{name}.html" for name in written}


def test_pages_fit_load_nothing_and_can_be_read(browser: Browser, pages: dict[str, Path]) -> None:
    for name, file in pages.items():
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                browser.open(file, width, scheme=scheme)
                browser.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
                where = f"{name}, {width} pixels, {scheme}"
                assert browser.evaluate("document.documentElement.scrollWidth") <= width, where
                assert browser.evaluate(TOO_WIDE) == [], where
                assert browser.evaluate(CONTRAST) == [], where
                assert browser.evaluate(SMALL) == [], where
                assert browser.requests() == [file.as_uri()], where
                assert browser.complaints() == [], where


def test_the_schemes_differ(browser: Browser, pages: dict[str, Path]) -> None:
    grounds = set[str]()
    for scheme in ("light", "dark"):
        browser.open(pages["page"], 1280, scheme=scheme)
        grounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_formulas_are_drawn_as_mathematics(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["page"], 1280)
    heights = browser.evaluate(
        "[...document.querySelectorAll('.equation math')].map(e => e.getBoundingClientRect().height)"
    )
    assert heights
    assert min(heights) > 10
    assert browser.evaluate("document.querySelectorAll('math mrow').length") > 0


WIDE = """[...document.querySelectorAll(".equation, .formula")].filter(e => e.scrollWidth > e.clientWidth).map(e => {
  const style = getComputedStyle(e), end = e.querySelector("math").getBoundingClientRect().right;
  e.scrollLeft = 1e6;
  const moved = end - e.querySelector("math").getBoundingClientRect().right;
  const shadows = style.backgroundImage.split("gradient").length - 1;
  return [style.overflowX, moved >= e.scrollWidth - e.clientWidth - 1, shadows];
})"""


def test_a_formula_wider_than_the_phone_scrolls_to_its_end_and_shows_that_it_does(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["page"], 110)
    browser.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
    found = browser.evaluate(WIDE)
    assert len(found) >= 2
    assert all(one == ["auto", True, 4] for one in found), found


def test_what_is_folded_is_printed(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["page"], 1280)
    assert browser.evaluate(CLOSED) != []
    with browser.printing():
        assert browser.evaluate(CLOSED) == []
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    printed = browser.pdf()
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 2
    assert browser.requests() == [pages["page"].as_uri()]


def test_a_page_that_breaks_the_rules_is_noticed(browser: Browser, tmp_path: Path) -> None:
    """The other tests can fail: a page that is too wide, too pale, loads an image and runs a script."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<p style='width: 3000px; color: #aaa; background: #fff'>pale</p><img src='other.png'><script>alert(1)</script>"
    )
    browser.open(bad, 390)
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
    assert browser.evaluate(TOO_WIDE) != []
    assert browser.evaluate(CONTRAST) == ["pale 2.32"]
    assert len(browser.complaints()) == 2  # the policy refuses both
