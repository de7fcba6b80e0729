"""A verification as a supplement to a paper: figures, tables, numbers, derivation, references, and a text around them.

It is made from the record and its declaration alone. Where the idea is installed and predicts what was declared, by the
hashes of its formulas, its formulas, derivation, failure modes and references come with it; otherwise formulas are
shown as the text that was recorded. Nothing that was recorded is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idealab.errors import LedgerError
from idealab.report import canvas, figures, macros, number, tables, trail
from idealab.report.claims import claims
from idealab.report.latex import code, plain, prose, quantity
from idealab.report.references import bibliography

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.report.canvas import Drawing
    from idealab.verification import Verification

_PREAMBLE = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[letterpaper,textwidth=6.75in,textheight=10in,columnsep=0.25in]{geometry}
\usepackage[T1]{fontenc}
\usepackage{lmodern,microtype}
\usepackage[nosumlimits]{amsmath}
\usepackage{amssymb,graphicx,booktabs}
\usepackage[font=footnotesize,labelfont=bf,skip=4pt]{caption}
\usepackage[hidelinks]{hyperref}
\ifdefined\pdftrailerid\pdftrailerid{}\pdfinfoomitdate=1\pdfsuppressptexinfo=-1\fi
\setlength{\parindent}{0pt}\setlength{\parskip}{2pt plus 1pt}
\setcounter{topnumber}{4}\setcounter{dbltopnumber}{4}\setcounter{totalnumber}{8}
\renewcommand{\topfraction}{0.95}\renewcommand{\dbltopfraction}{0.95}\renewcommand{\textfraction}{0.05}
\renewcommand{\floatpagefraction}{0.8}\renewcommand{\dblfloatpagefraction}{0.8}
\setlength{\floatsep}{6pt}\setlength{\dblfloatsep}{6pt}
\setlength{\textfloatsep}{8pt}\setlength{\dbltextfloatsep}{8pt}
\emergencystretch=3em\hbadness=10000
\makeatletter
\renewcommand{\section}{\@startsection{section}{1}{0pt}{-6pt plus -1pt}{1pt}{\normalfont\large\bfseries\raggedright}}
\renewcommand{\paragraph}{\@startsection{paragraph}{4}{0pt}{4pt plus 1pt}{-0.5em}{\normalfont\small\bfseries}}
\makeatother
\let\idealabreferences\thebibliography
\renewcommand{\thebibliography}[1]{\idealabreferences{#1}\setlength{\itemsep}{0pt}\setlength{\parsep}{0pt}}
% A formula or a table that is wider than its column is drawn smaller.
\newsavebox{\idealabbox}\newsavebox{\idealabwords}
\newcommand{\idealabtable}[1]{\sbox{\idealabbox}{#1}%
  \ifdim\wd\idealabbox>\linewidth\resizebox{\linewidth}{!}{\usebox{\idealabbox}}\else\usebox{\idealabbox}\fi}
\newcommand{\idealabfit}[1]{\sbox{\idealabbox}{$\displaystyle #1$}%
  \ifdim\wd\idealabbox>0.9\linewidth\resizebox{0.9\linewidth}{!}{\usebox{\idealabbox}}\else\usebox{\idealabbox}\fi}
% A formula in a line of words: broken where it can be; else drawn smaller, and where that is too small, its text.
\newif\ifidealabwide
\newcommand{\idealabinline}[2]{\idealabwidefalse
  \setbox\idealabwords\vbox{\hsize=\linewidth\hfuzz=\maxdimen\noindent$#1$\par
    \loop\unskip\unpenalty\setbox\idealabbox\lastbox\ifvoid\idealabbox\else
      \setbox\idealabbox\hbox to\linewidth{\unhbox\idealabbox}\ifnum\badness=1000000 \global\idealabwidetrue\fi
    \repeat}%
  \ifidealabwide\sbox{\idealabbox}{$#1$}%
    \ifdim\wd\idealabbox>2\linewidth#2\else\resizebox{\linewidth}{!}{\usebox{\idealabbox}}\fi
  \else$#1$\fi}
% A step of the derivation: label, words, formula; on one line where there is room.
\newcommand{\idealabstep}[3]{\sbox{\idealabwords}{#2}\sbox{\idealabbox}{$\displaystyle #3$}%
  \ifdim\dimexpr\wd\idealabwords+\wd\idealabbox\relax<0.85\linewidth
    \par\noindent\refstepcounter{equation}\label{#1}%
    \usebox{\idealabwords}\hfill\usebox{\idealabbox}\hfill(\theequation)\par
  \else#2\begin{equation}\label{#1}\idealabfit{#3}\end{equation}\fi}
\input{numbers}
"""

_JUDGE = (
    r"A \emph{cell} is one condition at one time; seeds are its replicates. A seed's deviation is measured minus "
    "predicted, in units of a tolerance that was declared with its reason. The theory holds in a cell when the mean "
    "(or, where declared, median) deviation lies within one unit: an equivalence test by e-processes, which may be "
    "looked at after every block of seeds. A signature is present when all of its cells are; the idea is supported "
    "when all primary signatures are, every control does what it must, every rival formula is refuted, and every "
    r"mutant that must be killed is. The evidence is $\log_{10}$ of the weakest link: it says which bar was cleared."
)


@dataclass(frozen=True)
class Source:
    """What a paper is made of: a verification, the content of its declaration, when it was recorded, and the idea.

    ``idea`` is the installed one, or None where there is none or it predicts something else than what was declared.
    """

    result: Verification
    declared: Mapping[str, Any]
    created: str
    idea: Idea | None = None


def same_theory(idea: Idea, declared: Mapping[str, Any]) -> bool:
    """Whether an idea predicts what was declared, under the same tolerances: by the hashes of all formulas.

    Raises
    ------
    LedgerError
        If the declaration is not one.
    """
    try:
        signatures = [(idea.signatures.get(entry["name"]), entry) for entry in declared["signatures"]]
        for entry in declared["assumptions"]:
            if entry["rival"] is not None:
                assumption = idea.assumptions.get(entry["name"])
                signatures.append((assumption and assumption.rival, entry["rival"]))
        return idea.statement == declared["statement"] and all(
            signature is not None
            and signature.prediction.sha256 == entry["prediction"]["sha256"]
            and [part.sha256 for part in signature.tolerance]
            == [entry["criterion"][name]["sha256"] for name in signature.criterion.formulas]
            for signature, entry in signatures
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise LedgerError(
            f"the declaration of the record is not whole ({error}); it says nothing to compare"
        ) from error


def kit(
    source: Source, progress: Callable[[str], None] = lambda _: None, width: float = canvas.TWO_COLUMNS
) -> dict[str, bytes]:
    """Write all files of the kit, by name; the same record gives the same bytes.

    Parameters
    ----------
    width
        Of the text for which the wide figures are drawn, in inches.
    progress
        Is told the stages, in words.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    canvas.ensure()
    progress("writing")
    texts = _texts(source)
    progress("drawing")
    drawn = figures.figures(source.result, width)
    files = {f"figure-{drawing.name}.pdf": canvas.pdf(drawing) for drawing in drawn}
    texts["main.tex"] = _main(source, drawn)
    return files | {name: text.encode() for name, text in texts.items()}


def _texts(source: Source) -> dict[str, str]:
    """Everything that is put into the text, but for the figures."""
    texts = {
        "numbers.tex": macros.numbers(source.result),
        "claims.tex": claims(source.result, source.declared, source.idea),
        "table-signatures.tex": _tables(
            source, tables.signatures(source.result), "signatures", _signatures_caption(source)
        ),
        "references.bib": bibliography(source.result, source.created, source.idea),
    }
    if source.result.controls:
        words = (
            "Each assumption taken away in turn, at the cell that says most, and what the theory of the broken case "
            "predicts."
        )
        texts["table-controls.tex"] = _tables(source, tables.controls(source.result), "controls", words)
    if source.result.mutants is not None and any(mutant.signature for mutant in source.result.mutants.mutants):
        words = (
            "Wrong formulas held against the same observations: refuted, not refuted, or within the tolerance; and the "
            "distance of the nearest that was refuted, in tolerances."
        )
        texts["table-mutants.tex"] = _tables(source, tables.mutants(source.result), "mutants", words, star="")
    if source.idea is not None:
        derivations = [*source.idea.derivations.values()]
        texts["derivation.tex"] = trail.latex(derivations, command=r"\idealabstep") + "\n"
    return texts


def _signatures_caption(source: Source) -> str:
    secondary = not all(signature.primary for signature in source.result.signatures)
    return (
        "Every signature in every experiment, by the cell that is furthest from present; means with standard errors."
        + (" $^*$ secondary: the verdict does not rest on it." if secondary else "")
    )


def _tables(source: Source, tabulars: Sequence[str], name: str, caption: str, star: str = "*") -> str:
    record = macros.short(source.result)
    captions = [rf"{words} Record \texttt{{{record}}}." for words in (caption, "Continued.")]
    label = _label(source, name)
    parts = [
        "\n".join(
            [
                rf"\begin{{table{star}}}[!t]",
                rf"\caption{{{captions[min(i, 1)]}}}",
                rf"\label{{{label}{'' if i == 0 else f':{i + 1}'}}}",
                r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
                rf"\idealabtable{{{tabular}}}",
                rf"\end{{table{star}}}",
            ]
        )
        for i, tabular in enumerate(tabulars)
    ]
    return "\n".join(parts) + "\n"


def _label(source: Source, name: str) -> str:
    """What a table is referred to by: tables of several records go into one paper."""
    return f"tab:{macros.short(source.result)}:{name}"


def _figure(drawing: Drawing) -> str:
    star, width = ("*", r"\textwidth") if drawing.columns == 2 else ("", r"\columnwidth")
    return "\n".join(
        [
            rf"\begin{{figure{star}}}[!t]",
            r"\centering",
            # Never wider than it was drawn, so that its letters keep their size.
            rf"\includegraphics[width=\ifdim{drawing.figure.get_figwidth():.2f}in<{width} "
            rf"{drawing.figure.get_figwidth():.2f}in\else {width}\fi]{{figure-{drawing.name}}}",
            rf"\caption{{{plain(drawing.caption)}}}",
            rf"\label{{fig:{drawing.name}}}",
            rf"\end{{figure{star}}}",
        ]
    )


def _main(source: Source, drawn: Sequence[Drawing]) -> str:
    record = source.result.record or ""
    figure = {drawing.name: _figure(drawing) for drawing in drawn}
    parts = (
        f"% Made by idealab from the record {record}.\n% pdflatex main; bibtex main; pdflatex main; pdflatex main",
        _PREAMBLE.rstrip(),
        "\\begin{document}\n\\small",
        _title(source),
        *_wide(figure),
        *_claimed(source),
        *_seen(source, figure),
        *_noticed(source, figure),
        *_derived(source),
        "\\nocite{*}\n{\\footnotesize\\raggedright\\bibliographystyle{plain}\n\\bibliography{references}}",
        "\\end{document}\n",
    )
    return "\n\n".join(part for part in parts if part)


def _wide(figure: Mapping[str, str]) -> Iterator[str]:
    """What takes two columns comes first: it is set on the next page at the earliest."""
    yield figure.get("agreement", "")
    yield r"\input{table-signatures}"
    yield figure.get("approach", "")


def _title(source: Source) -> str:
    record, declaration = (source.result.record or "")[:8], source.result.declaration[:8]
    return "\n".join(
        [
            r"\twocolumn[\centering",
            rf"{{\Large\bfseries Supplement: the evidence for \emph{{{plain(source.result.idea)}}}\par}}\vspace{{4pt}}",
            rf"{{\small record \texttt{{{record}}} of {plain(source.created[:10])}, declared as "
            rf"\texttt{{{plain(declaration)}}} before the first run\par}}\vspace{{10pt}}]",
        ]
    )


def _claimed(source: Source) -> Iterator[str]:
    yield r"\section{What is claimed}"
    yield prose(source.result.statement)
    yield rf"\textbf{{Scope.}} {_sentence(str(source.declared.get('scope', '')))}"
    if source.idea is not None and source.idea.failure_modes:
        modes = "; ".join(prose(mode) for mode in source.idea.failure_modes)
        yield rf"{{\footnotesize\textbf{{Known to fail.}} {modes}.\par}}"
    yield r"{\footnotesize\raggedright\input{claims}\par}"


def _seen(source: Source, figure: Mapping[str, str]) -> Iterator[str]:
    result = source.result
    yield r"\section{What was seen}"
    within = f", {prose(result.scope)}" if result.scope else ""
    verdict = {"supported": "Supported", "refuted": "Refuted", "partial": "Partially supported"}.get(
        result.verdict, "Inconclusive"
    )
    fixed = result.cost.fixed_design_seeds
    beforehand = f" (a design that is fixed beforehand: {_number(result, 'fixed design seeds')})" if fixed else ""
    yield (
        rf"\textbf{{{verdict}}}{within}, with evidence $10^{{{_number(result, 'evidence')}}}$ "
        f"from {_number(result, 'seeds')} seeds{beforehand}: "
        f"{_number(result, 'signatures')} signatures in {_number(result, 'cells')} cells. {_gates(source)}"
        rf"Table~\ref{{{_label(source, 'signatures')}}} has the numbers"
        + _see(figure, "agreement", "approach", "distances", "scope")
        + "."
    )
    yield from (figure[name] for name in ("distances", "scope") if name in figure)
    yield rf"{{\footnotesize\textbf{{How it was judged.}} {_JUDGE}\par}}"
    yield rf"{{\footnotesize\textbf{{Where.}} {_environment(source)}\par}}"


def _number(result: Verification, name: str) -> str:
    return rf"\idealab{{{macros.short(result)}}}{{{name}}}"


def _gates(source: Source) -> str:
    said = [f"held back: {words}" for words in source.result.gates] + [*source.result.notes]
    return " ".join(_sentence(words[0].upper() + words[1:]) for words in dict.fromkeys(said)) + (" " if said else "")


def _shown(figure: Mapping[str, str], name: str) -> str:
    return rf" (Figure~\ref{{fig:{name}}})" if name in figure else ""


def _see(figure: Mapping[str, str], *names: str) -> str:
    shown = [rf"Figure~\ref{{fig:{name}}}" for name in names if name in figure]
    return ", " + " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown) if shown else ""


def _noticed(source: Source, figure: Mapping[str, str]) -> Iterator[str]:
    result = source.result
    if result.controls:
        yield r"\section{What each assumption is worth}"
        yield (
            f"Of {_number(result, 'controls')} assumptions that were taken away, "
            f"{_number(result, 'controls as expected')} did what they "
            rf"must (Table~\ref{{{_label(source, 'controls')}}}" + _see(figure, "controls") + ")."
        )
        yield figure.get("controls", "")
        yield r"\input{table-controls}"
    if result.mutants is not None and result.mutants.mutants:
        yield r"\section{Would it have noticed a wrong formula?}"
        alive = tables.survivors(result)
        yield (
            "Each prediction was changed in the ways in which theorists err, and every one of "
            f"{_number(result, 'mutants')} wrong formulas was held against the same observations"
            f"{_shown(figure, 'mutants')}: refuted {_number(result, 'mutants/killed')}, "
            f"not refuted {_number(result, 'mutants/survived')}, "
            f"within the tolerance {_number(result, 'mutants/unresolvable')}. "
            + (f"Not told apart: {'. '.join(alive)}." if alive else "")
        )
        yield figure.get("mutants", "")


def _derived(source: Source) -> Iterator[str]:
    yield r"\section{Derivation}"
    if source.idea is None:
        yield (
            "The record holds formulas as text and as hashes. The derivation lies in the theory of the idea, which was "
            "not installed where this was written, or predicts something else than what was declared."
        )
        return
    yield (
        r"A step is \emph{derived} where Sympy computed it from earlier ones, \emph{checked} where Sympy reduced its "
        r"residual to zero, or did what is said, and \emph{cited} where it rests on a reference."
    )
    yield (
        "{\\footnotesize\\setlength{\\abovedisplayskip}{0pt plus 1pt}\\setlength{\\belowdisplayskip}{0pt plus 1pt}%\n"
        "\\setlength{\\abovedisplayshortskip}{0pt}\\setlength{\\belowdisplayshortskip}{0pt}\\setlength{\\parskip}{0pt}%\n"
        "\\input{derivation}\\par}"
    )


def _environment(source: Source) -> str:
    here, cost = source.result.environment, source.result.cost
    versions = ", ".join(f"{plain(n)} {plain(str(here[n]))}" for n in ("jax", "numpy", "sympy") if n in here)
    return (
        f"{number.duration(cost.seconds)} on {plain(str(here.get('platform', 'an unknown platform')))} in "
        f"{plain(str(here.get('precision', 'unknown precision')))}, "
        f"master seed {plain(str(here.get('master_seed', 'unknown')))}, "
        f"${quantity(cost.gradient_evaluations, 2)}$ evaluations of gradients; {versions}. " + _checked(source)
    )


def _checked(source: Source) -> str:
    record = (source.result.record or "")[:8]
    return (
        r"The declaration, every observation and the verdict are files that are named by their hashes: "
        rf"{code(f'idealab report {record} --to DIR')} makes this text from them again."
    )


def _sentence(text: str) -> str:
    words = prose(text.strip())
    return words if words.endswith((".", "!", "?")) else f"{words}."
