"""The page of a verification: all that the record says, nothing that a record could smuggle in."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html import unescape
from itertools import pairwise

import click
import pytest

from idealab.cli.group import group
from idealab.errors import LedgerError
from idealab.ledger.store import Ledger
from idealab.report import canvas, page as module
from idealab.report.figures import controls, distances
from idealab.report.page import page
from idealab.report.recorded import verification
from tests.report.elements import elements

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[31m\u202e&lt;b&gt;\"'"
WHEN = "2026-01-31T12:00:00.000000+00:00"


@pytest.fixture
def drawings(whole):
    """Two of its figures: all of them take seconds, and have tests of their own."""
    with canvas.style():
        return [distances(whole), controls(whole)]


@pytest.fixture
def judged(toy):
    """The toy's verification as it was recorded, and the content of its declaration."""
    result = toy.verify(quick=True)
    ledger = Ledger(toy.ledger)
    return verification(result.record, ledger.get(result.record)), ledger.get(result.declaration)["content"]


def content(result, name=None):
    """A declaration as idealab writes it for a verification made by hand."""
    formula = {"text": name or "1/(eta*gamma**2)", "sha256": "0" * 64}
    signatures = [
        {
            "name": name or s.name,
            "observable": name or "loss",
            "prediction": formula,
            "known": name or "derived",
            "criterion": {"kind": "Equals", "rtol": formula, "estimand": "mean", "reason": name or s.reason},
            "exact": False,
            "primary": True,
            "must_kill": [name or "x2"],
            "rivals": {name or "other": formula},
        }
        for s in result.signatures[:8]
    ]
    conditions = [{"label": name or f"a={a}", "settings": {name or "a": a}} for a in (1, 2)]
    experiment = {
        "name": name or "planted",
        "level": "idealized",
        "observables": [name or "loss"],
        "conditions": conditions,
        "checkpoints": {name or "loss": [name or "t", [1, 10]]},
    }
    assumption = {"name": name or "start", "removal": "breaks", "signatures": [signatures[0]["name"]]}
    return {
        "statement": name or "It settles.",
        "scope": name or "everywhere",
        "signatures": signatures,
        "assumptions": [assumption],
        "experiments": [experiment],
    }


def words(written):
    """What a reader sees, without the style."""
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", written, flags=re.DOTALL)).split())


def test_the_page_of_a_real_record(judged, toy):
    result, declared = judged
    written = page(result, WHEN, declared, toy.idea())
    said = words(written)
    assert said.index("Supported") < said.index("What was claimed") < said.index("What was seen")
    for name in ("height", "curve", "energies", "constant_force", "peaked_noise", result.declaration, result.record):
        assert name in said
    assert "each formula shown has the hash that was declared" in said
    assert "killed" in said
    assert "2026-01-31 12:00 UTC" in said
    assert written.count("<math") >= 3
    assert "derived, from motion; computed by Sympy" in said
    assert not {tag for tag, _ in elements(written)} & {"script", "img", "link", "iframe", "object", "form"}
    assert not re.search(r"https?://|url\(|@import", written)


def test_the_commands_that_check_it_exist(whole):
    lines = re.findall(r"<code>idealab ([^<]*)</code>", page(whole, WHEN, content(whole)))
    assert [line.split()[0] for line in lines] == ["ledger", "verify"]
    for line in lines:
        command, arguments = group, shlex.split(line)
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), arguments.pop(0))
            assert found is not None, line
            command = found
        assert command.make_context("idealab", arguments).params is not None
    named = replace(whole, idea="a; rm -rf")
    assert "idealab verify" not in page(named, WHEN, content(named))


def test_without_the_idea_its_formulas_are_text(judged):
    result, declared = judged
    written = page(result, WHEN, declared)
    assert "<math" not in written
    assert "<code>a*t**2 + b</code>" in written
    assert "not installed where this page was written" in words(written)


def test_an_idea_that_has_changed_does_not_speak_for_the_record(judged, toy):
    result, declared = judged
    written = page(result, WHEN, declared, toy.idea(2))
    assert "The idea has changed since, where this page was written: the formulas of height, curve are" in words(
        written
    )
    assert "<code>a*t**2 + b</code>" in written
    assert "<math" in written  # that of the energies is the same


def test_what_went_wrong_is_said(troubled):
    said = words(page(troubled, WHEN, content(troubled)))
    for sentence in (
        "Partially supported, loss clock in planted: present up to kappa=0.3, absent from kappa=0.1",
        "Held back, because: control exponential tail: should break, did not matter",
        "the budget was spent before every cell was decided",
        "present up to kappa=0.3, absent from kappa=0.1",
        "2 of 8 seeds did not give a finite number",
        "not told apart from its rival logarithmic",
        "not ok",
    ):
        assert sentence in said


def test_every_verdict_is_a_word_and_a_shape(troubled):
    written = page(troubled, WHEN, content(troubled))
    for verdict, shape in (("present", "<circle"), ("absent", "l8 8m0 -8l-8 8"), ("undecided", "l5 5l-5 5l-5 -5z")):
        assert f">{verdict}</span>" in written
        assert shape in written


def test_wrong_theories_that_were_not_noticed_are_named(whole):
    said = words(page(whole, WHEN, content(whole)))
    assert "2 of 10 resolvable mutants killed" in said
    assert "margin gap is not told from: 1/2 times" in said


def test_a_record_that_only_counts_killed_mutants_is_counted(whole, recorded):
    sha, document = recorded(whole)
    del document["result"]["mutants"]["refuted"]
    assert "2 of 10 resolvable mutants killed" in words(page(verification(sha, document), WHEN, content(whole)))


def hostile(result):
    """The same with hostile words wherever a record has words."""
    mutants = result.mutants
    cells = lambda s: tuple(replace(c, condition=HOSTILE, checkpoint=HOSTILE, note=HOSTILE) for c in s.cells)
    bad = lambda s: replace(
        s, name=HOSTILE, statement=HOSTILE, experiment=HOSTILE, formula=HOSTILE, scope=HOSTILE, cells=cells(s)
    )
    return replace(
        result,
        idea=HOSTILE,
        statement=HOSTILE,
        scope=HOSTILE,
        signatures=tuple(map(bad, result.signatures)),
        controls=tuple(
            replace(c, assumption=HOSTILE, statement=HOSTILE, experiment=HOSTILE, condition=HOSTILE)
            for c in result.controls
        ),
        gates=(HOSTILE,),
        remarks=(HOSTILE,),
        hints=(HOSTILE,),
        environment={HOSTILE: {HOSTILE: [HOSTILE]}},
        mutants=replace(mutants, mutants=tuple(replace(m, signature=HOSTILE, words=HOSTILE) for m in mutants.mutants)),
    )


def test_no_words_of_a_record_are_markup(whole):
    tame = replace(whole, gates=("a",), remarks=("b",), hints=("c",))
    bad = hostile(whole)
    written = page(bad, HOSTILE, content(bad, HOSTILE))
    assert elements(written) <= elements(page(tame, WHEN, content(tame)))
    assert "{{ 7*7 }}" in written
    assert "\x1b" not in written
    assert "\u202e" not in written


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.pop("signatures"),
        lambda c: c.update(signatures={"a": 1}),
        lambda c: c.update(statement=["a"]),
        lambda c: c["signatures"][0].update(prediction="1"),
        lambda c: c["signatures"][0].update(criterion=[]),
        lambda c: c["signatures"][0].update(rivals={"a": 1}),
        lambda c: c["signatures"][0]["criterion"].pop("kind"),
        lambda c: c["experiments"][0].update(checkpoints={"loss": ["t", "soon"]}),
        lambda c: c["experiments"][0].update(checkpoints={"loss": 3}),
        lambda c: c["experiments"][0].update(conditions=[{"label": 3, "settings": {}}]),
        lambda c: c["assumptions"][0].update(signatures="loss"),
    ],
)
def test_a_declaration_that_is_none_is_refused_in_one_line(whole, spoil):
    declared = content(whole)
    spoil(declared)
    with pytest.raises(LedgerError, match="declar") as refused:
        page(whole, WHEN, declared)
    assert "\n" not in str(refused.value)


def test_a_setting_of_any_kind_is_shown(whole):
    declared = content(whole)
    declared["experiments"][0]["conditions"] = [
        {"label": str(value), "settings": {"a": value}} for value in ({"x": 1}, [1], None, True)
    ]
    assert "a among {'x': 1}, [1], None, True" in words(page(whole, WHEN, declared))


def test_a_page_stays_below_two_megabytes(whole):
    many = tuple(replace(whole.signatures[0].cells[0], condition=f"{'kappa' * 8}={k}") for k in range(20_000))
    large = replace(
        whole,
        statement="long " * 10**6,
        signatures=(replace(whole.signatures[0], cells=many), *whole.signatures[1:]),
    )
    written = page(large, WHEN, content(large))
    assert len(written.encode()) < 2e6
    every = sum(len(signature.cells) for signature in large.signatures)
    assert f"{every - 1500} more, nearer to what was predicted, are in the record" in words(written)


def test_figures_are_drawn_in_the_colours_of_the_page(whole, drawings):
    written = page(whole, WHEN, content(whole), drawings=drawings)
    assert [drawing.name for drawing in drawings if f'id="{drawing.name}-' not in written] == []
    assert "fill: var(--blue)" in written
    assert not re.search(r"(?:fill|stroke): #(?:0072b2|d9d9d9|ffffff)", written)
    assert all(drawing.caption.split(".")[0] in words(written) for drawing in drawings)


def test_figures_that_would_make_it_too_large_are_named(whole, drawings, monkeypatch):
    monkeypatch.setattr(module, "_ROOM", 10_000)
    written = page(whole, WHEN, content(whole), drawings=drawings)
    assert re.search(r"Left out, because the page would be too large: \w+", words(written))


def test_headings_go_down_one_level_at_a_time(whole, drawings):
    written = page(whole, WHEN, content(whole), drawings=drawings)
    levels = [int(level) for level in re.findall(r"<h(\d)", written)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    pictures = re.findall(r"<svg[^>]*>", written)
    assert all('role="img"' in picture and "aria-label=" in picture for picture in pictures)
