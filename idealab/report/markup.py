"""Blocks as Markdown and as LaTeX: fragments in which no name and no sentence is markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from idealab.report.blocks import Block, Entry, Equation, Items, Section, Words
from idealab.report.formula import AnyFormula
from idealab.report.inert import inert
from idealab.report.latex import plain, prose

_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~$&!]|^(?=[-+=])|(?<=^\d)[.)]")
_IN_MATHEMATICS = {"<": r"\lt ", ">": r"\gt ", "\n": " ", "](": "]{}(", "`": r"\char96{}"}


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as Markdown, with formulas between dollar signs."""
    return "\n\n".join([f"# {_quiet(title)}", *_markdown(blocks, 2)])


def _quiet(text: str) -> str:
    """Text that Markdown shows as it is: CommonMark lets every punctuation mark be escaped."""
    return _MARKDOWN.sub(lambda found: "\\" + found[0], inert(text))


def _mathematics(formula: AnyFormula) -> str:
    """LaTeX without the signs of which a reader that knows no mathematics would make tags, links or code."""
    latex = formula.latex
    for sign, instead in _IN_MATHEMATICS.items():
        latex = latex.replace(sign, instead)
    return latex


def _markdown(blocks: Sequence[Block], level: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section() | Entry():
                title = block.title if isinstance(block, Section) else block.name
                yield f"{'#' * min(level, 6)} {_quiet(title)}"
                if isinstance(block, Entry) and block.facts:
                    yield f"*{_quiet(' · '.join(block.facts))}*"
                yield from _markdown(block.blocks, level + 1)
            case Words():
                text = "".join(_quiet(run) if isinstance(run, str) else f"${_mathematics(run)}$" for run in block.runs)
                yield f"- **{_quiet(block.label)}** {text}" if block.label else text
            case Items():
                yield "\n".join(f"- {_quiet(item)}" for item in block.items)
            case Equation():
                label = [_quiet(block.label)] if block.label else []
                yield "\n\n".join([*label, f"$$\n{_mathematics(block.formula)}\n$$"])


def latex(title: str, blocks: Sequence[Block]) -> str:
    """Write blocks as a LaTeX fragment, which needs amsmath, below a title if there is one."""
    heading = [rf"\section*{{{plain(title)}}}"] if title else []
    return "\n".join([*heading, *_latex(blocks)])


def _latex(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Section():
                yield rf"\subsection*{{{plain(block.title)}}}"
                yield from _latex(block.blocks)
            case Entry():
                facts = rf" \textit{{{plain(' · '.join(block.facts))}}}" if block.facts else ""
                yield rf"\paragraph{{{plain(block.name)}}}{facts}\par"
                yield from _latex(block.blocks)
            case Words():
                text = "".join(_sentence(run) if isinstance(run, str) else f"${run.latex}$" for run in block.runs)
                label = rf"\textbf{{{plain(block.label)}}} " if block.label else ""
                yield rf"\noindent {label}{text}\par"
            case Items():
                yield r"\begin{itemize}"
                yield from (rf"\item {{}}{prose(item)}" for item in block.items)
                yield r"\end{itemize}"
            case Equation():
                yield from [rf"\noindent {prose(block.label)}"] * bool(block.label)
                yield from (r"\begin{equation*}", block.formula.latex, r"\end{equation*}")


def _sentence(text: str) -> str:
    """A piece of a sentence: `prose` drops the spaces at its ends."""
    return " " * text.startswith(" ") + prose(text.strip()) + " " * (text.endswith(" ") and bool(text.strip()))
