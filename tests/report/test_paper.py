"""The paper kit: what is in it, that it is the same every time, and that TeX makes pages of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idealab.errors import LedgerError
from idealab.ledger import Ledger
from idealab.report import macros, paper
from idealab.report.claims import claims
from idealab.report.paper import Source
from idealab.report.recorded import verification

NASTY = r"\input{/etc/passwd}$\x{%&#_^~ 学習 γ² ``--"
TEX = pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("bibtex") is None,
    reason="TeX is not installed: pdflatex and bibtex of texlive-latex-recommended, with lmodern, compile the kit",
)


def source_of(toy, **options) -> Source:
    """A record of the toy, read back, with the toy as the installed idea."""
    found = toy.verify(**options)
    ledger = Ledger(toy.ledger)
    document = ledger.get(found.record)
    declared = ledger.get(found.declaration)["content"]
    return Source(verification(found.record, document), declared, document["created"], toy.idea())


DEFINED = re.compile(
    r"\\idealabdefine\{[0-9a-f]{8}\}\{(?!.*\^\^)[^\\{}%#&$~]+\}\{(?:\\(?:times|infty|mathrm)|[-\w.{}^ ])+\}"
)

MADE: dict[str, Any] = {}
"""The one source that most tests look at, and its kit: made once."""


@pytest.fixture
def source(request) -> Source:
    if "source" not in MADE:
        toy = request.getfixturevalue("toy")
        MADE["source"] = source_of(toy, experiments=(toy.experiment(knob=(1.0, 2.0, 3.0)),))
    return MADE["source"]


@pytest.fixture
def files(source) -> dict[str, bytes]:
    if "files" not in MADE:
        MADE["files"] = paper.kit(source)
    return MADE["files"]


def text(files: dict[str, bytes]) -> str:
    return "\n".join(data.decode() for name, data in files.items() if not name.endswith(".pdf"))


def test_the_kit_holds_what_a_paper_needs(source, files):
    assert set(files) == {
        *("main.tex", "numbers.tex", "claims.tex", "derivation.tex", "references.bib"),
        *("table-signatures.tex", "table-controls.tex", "table-mutants.tex"),
        *(f"figure-{name}.pdf" for name in ("agreement", "distances", "approach", "scope", "controls", "mutants")),
    }
    main = files["main.tex"].decode()
    assert source.result.record in main
    assert "table-mutants" not in main, "the figure says it; the table is for who wants it"
    for wanted in re.findall(r"\\input\{([a-z-]+)\}", main):
        assert f"{wanted}.tex" in files
    for wanted in re.findall(r"\\includegraphics\[[^]]*\]\{([a-z-]+)\}", main):
        assert f"{wanted}.pdf" in files
    for label in re.findall(r"\\ref\{([a-z0-9:-]+)\}", main):
        assert rf"\label{{{label}}}" in text(files)


def test_every_number_that_is_used_is_defined_once_and_names_the_record(source, files):
    record = source.result.record[:8]
    numbers = files["numbers.tex"].decode()
    defined = re.findall(r"^\\idealabdefine\{(\w+)\}\{([^{}]+)\}\{(.+)\}$", numbers, re.M)
    names = [name for _, name, _ in defined]
    assert len(set(names)) == len(names) > 100
    assert {record for record, _, _ in defined} == {record}
    used = re.findall(r"\\idealab\{(\w+)\}\{([^{}]+)\}", files["main.tex"].decode())
    assert len(used) >= 8
    assert set(used) <= {(record, name) for record, name, _ in defined}


def test_a_number_is_found_by_signature_experiment_condition_and_time(source, files):
    numbers, signature = files["numbers.tex"].decode(), source.result.signatures[0]
    cell = next(cell for cell in signature.cells if cell.condition == "a=2")
    place = f"bench/height/{cell.condition}"
    for name, found in (("bench/height", signature.weakest), (place, cell)):
        assert rf"\idealabdefine{{{source.result.record[:8]}}}{{{name}/measured}}{{{found.measured:.7g}}}" in numbers
    curve = next(s for s in source.result.signatures if s.name == "curve").cells[0]
    assert f"{{bench/curve/{curve.condition}, {curve.checkpoint}/tolerance}}" in numbers
    assert "/without constant_force/height/" in numbers


def test_every_table_names_its_record(source, files):
    for name in ("signatures", "controls", "mutants"):
        written = files[f"table-{name}.tex"].decode()
        assert rf"Record \texttt{{{source.result.record[:8]}}}." in written
        assert rf"\label{{tab:{source.result.record[:8]}:{name}}}" in written


def test_two_kits_are_the_same_byte_for_byte(source, files):
    assert paper.kit(source) == files


def test_without_the_idea_formulas_are_recorded_text(source):
    files = paper.kit(replace(source, idea=None))
    assert "derivation.tex" not in files
    assert r"\input{derivation}" not in files["main.tex"].decode()
    claims = files["claims.tex"].decode()
    recorded = source.declared["signatures"][0]["prediction"]["text"]
    assert recorded in claims.replace(r"\allowbreak{}", "")
    assert "equals within $0.1$ relative" in claims
    assert "$" not in claims.split("Predicted")[1].split("Measured")[0]


def test_the_same_theory_is_known_by_its_formulas(toy, source):
    assert paper.same_theory(toy.idea(), source.declared)
    assert not paper.same_theory(toy.idea(factor=2), source.declared)
    assert not paper.same_theory(toy.idea(tolerance=0.2), source.declared)
    assert not paper.same_theory(replace(toy.idea(), statement="Something else."), source.declared)
    with pytest.raises(LedgerError, match="the declaration of the record is not whole"):
        paper.same_theory(toy.idea(), {"signatures": [{"name": "height"}], "assumptions": []})


@pytest.mark.parametrize("declared", [{}, {"signatures": []}, {"signatures": [3]}, {"signatures": [{"name": "x"}]}])
def test_a_declaration_that_is_not_whole_is_refused(source, declared):
    with pytest.raises(LedgerError, match="not whole"):
        paper.kit(replace(source, declared=declared, idea=None))


def test_a_record_that_only_counts_its_killed_mutants_has_no_figure_of_them(source):
    nameless = [replace(m, signature="", distance=float("nan")) for m in source.result.mutants.having("killed")]
    result = replace(source.result, mutants=replace(source.result.mutants, mutants=tuple(nameless)))
    files = paper.kit(replace(source, result=result))
    assert not {"figure-mutants.pdf", "table-mutants.tex"} & set(files)
    assert "fig:mutants" not in files["main.tex"].decode()


def nasty(source: Source) -> Source:
    """The same with a hostile text wherever a record has one."""
    cell = lambda c: replace(c, condition=NASTY, checkpoint=NASTY, note=NASTY)
    wild = lambda s: replace(
        s,
        name=NASTY + s.name,
        statement=NASTY,
        experiment=NASTY,
        formula=NASTY,
        tolerance=NASTY,
        reason=NASTY,
        cells=tuple(cell(c) for c in s.cells),
    )
    result = source.result
    assert result.mutants is not None
    controls = [
        replace(c, assumption=NASTY, statement=NASTY, experiment=NASTY, signatures=tuple(map(wild, c.signatures)))
        for c in result.controls
    ]
    mutants = [
        replace(m, signature=NASTY, words=NASTY, formula=NASTY, status="survived") for m in result.mutants.mutants[:9]
    ]
    result = replace(
        result,
        idea=NASTY,
        statement=NASTY,
        scope=NASTY,
        signatures=tuple(map(wild, result.signatures)),
        controls=tuple(controls),
        mutants=replace(result.mutants, mutants=tuple(mutants)),
        gates=(NASTY,),
        remarks=(NASTY,),
        environment=dict.fromkeys(("platform", "precision", "master_seed", "jax"), NASTY),
    )

    def everywhere(value):
        match value:
            case str():
                return NASTY
            case dict():
                return {name: everywhere(item) for name, item in value.items()}
            case list():
                return [everywhere(item) for item in value]
            case _:
                return value

    return Source(result, everywhere(source.declared), source.created)


def test_nothing_in_a_record_is_a_command(source):
    files = paper.kit(nasty(source))
    written = text(files)
    assert r"\input{/etc" not in written
    assert r"\x{" not in written
    assert "学" not in written
    assert "U+5B66" in written
    for line in files["numbers.tex"].decode().splitlines():
        assert line == "" or line.startswith("%") or line in macros.HEAD or DEFINED.fullmatch(line), line


def test_what_was_said_of_an_earlier_signature_is_referred_to(source):
    (entry,) = [e for e in source.declared["signatures"] if e["name"] == "height"]
    why = "the wall is near, and the friction that the theory leaves out is not known better than this"
    band = {"text": "exp(-a*t)*(1 + t**2 + t**3 + t**4 + t**5 + t**6 + t**7 + t**8)/(1 + a*t)", "sha256": ""}

    def named(name, reason):
        return {**entry, "name": name, "criterion": {**entry["criterion"], "rtol": band, "reason": reason}}

    declared = {"signatures": [named("one", why), named("two", why), named("three", f"twice those: {why}")]}
    first, second, third = claims(source.result, declared, None).split("\n\n")
    assert f"because {why}." in first
    assert "within the tolerance of one, for the same reason as one." in second
    assert "within the tolerance of one, because twice those: see one." in third


def compiled(folder: Path, files: dict[str, bytes]) -> tuple[int, str]:
    """Compile the kit; return how many pages it has, and TeX's log."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    tex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main"]
    for command in (tex, ["bibtex", "-terse", "main"], tex, tex):
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-3000:]
    log = (folder / "main.log").read_text("utf-8", "replace")
    (pages,) = re.findall(r"Output written on main.pdf \((\d+) page", log.replace("\n", ""))
    return int(pages), log


@TEX
def test_it_compiles_into_a_few_pages(files, tmp_path):
    pages, log = compiled(tmp_path / "kit", files)
    assert 2 <= pages <= 4
    assert "undefined" not in log.split("Output written")[0].rsplit("LaTeX2e", 1)[-1]
    assert not re.findall(r"Overfull \\hbox \(\d{3,}", log)


@TEX
def test_a_formula_of_any_width_stays_within_its_column(files, tmp_path):
    """Broken where it can be, drawn smaller where it cannot, and its text where that would be too small."""

    def line(kind, terms, whole):
        return (
            rf"Seen {kind}: \idealabinline{{{whole % '+'.join(f'x_{{{k}}}' for k in range(terms))}}}{{text of {kind}}}."
        )

    lines = [line("broken", 99, "%s"), line("smaller", 25, r"\frac{%s}{y}"), line("replaced", 99, r"\frac{%s}{y}")]
    _, log = compiled(tmp_path / "kit", {**files, "claims.tex": "\n\n".join(lines).encode()})
    assert [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(points) > 2] == []
    if shutil.which("pdftotext"):
        seen = subprocess.run(
            ["pdftotext", "main.pdf", "-"], cwd=tmp_path / "kit", capture_output=True, text=True
        ).stdout
        told = [kind for kind in ("broken", "smaller", "replaced") if f"text of {kind}" in " ".join(seen.split())]
        assert told == ["replaced"]


def test_claims_stand_in_another_paper_too(source, files):
    assert files["claims.tex"].decode().startswith(r"\providecommand{\idealabinline}[2]{$#1$}")


PAPER = r"""\documentclass{article}
\newcommand{\idealabnumber}[2]{\ensuremath{#2}[#1]}
\input{one}
\input{two}
\begin{document}
\catcode`\==\active \def={!}%% as languages do with signs
\section{Seen: \idealab{%(one)s}{bench/height/measured}}
\newcommand{\ours}{%(two)s}
\idealab{\ours}{bench/height/a=2/measured}, $10^{\idealab{%(one)s}{evidence}}$, \idealab{%(one)s}{%(asked)s}
\end{document}
"""


@TEX
@pytest.mark.parametrize("asked", ["bench/height/a=2/measured", "bench/height/a=5/measured"])
def test_two_records_of_an_idea_go_into_one_paper(source, files, tmp_path, asked):
    """Also where a sign is active, in a heading, and in mathematics; what is not there is an error."""
    result = source.result
    other = result.with_record("0f" * 32)
    names = {"one": result.record[:8], "two": other.record[:8], "asked": asked}
    (tmp_path / "one.tex").write_bytes(files["numbers.tex"])
    (tmp_path / "two.tex").write_text(macros.numbers(other))
    (tmp_path / "main.tex").write_text(PAPER % names)
    tex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main"]
    done = [subprocess.run(tex, cwd=tmp_path, capture_output=True, text=True, check=False) for _ in range(2)][1]
    if "a=5" in asked:
        assert f"Package idealab Error: record {names['one']} has no number '{asked}'" in done.stdout.replace("\n", "")
    else:
        assert done.returncode == 0, done.stdout[-3000:]


@TEX
def test_it_compiles_with_hostile_names_and_without_the_idea(source, tmp_path):
    pages, log = compiled(tmp_path / "kit", paper.kit(nasty(source)))
    assert pages >= 2
    assert "passwd" not in re.findall(r"\(([^()\s]+)", log)


@TEX
def test_a_refuted_idea_compiles_too(toy, tmp_path):
    source = source_of(toy, defect="breaks", experiments=(toy.experiment("breaks", knob=(1.0, 2.0, 4.0, 8.0)),))
    assert source.result.verdict != "supported"
    files = paper.kit(source)
    assert r"\textbf{" in files["table-signatures.tex"].decode()
    compiled(tmp_path / "kit", files)
