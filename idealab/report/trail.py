"""A derivation, step by step: for a terminal, for a paper, for a program."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from idealab.report.blocks import Block, Entry, Equation, Words
from idealab.report.formula import Formula, equation, latex as formula_latex
from idealab.report.latex import plain, prose
from idealab.report.table import paragraph

if TYPE_CHECKING:
    from idealab.symbolic.derivation import Derivation, Step

_PLAIN = ("computed by Sympy", "residual reduces to 0")
"""What *derived* and *checked* mean, if nothing else is said."""

SCHEMA = "idealab/derivation/1"


def unicode(derivations: Sequence[Derivation], width: int) -> Iterator[Text]:
    """Draw derivations for a terminal."""
    for i, derivation in enumerate(derivations):
        if i:
            yield Text()
        yield Text.assemble((derivation.name, "bold"), f"   {derivation.known}")
        yield from paragraph(derivation.statement, width)
        for j, step in enumerate(derivation.steps, start=1):
            yield Text()
            yield from paragraph(step.words, width, first=f"{j:3}. ")
            yield from equation(step.equation, width, indent=9)
            yield from paragraph(_how(step), width, first=" " * 5, indent=" " * 7, style="dim")


def blocks(derivation: Derivation, above: Container[int] = ()) -> tuple[Block, ...]:
    """Lay out a derivation, an entry for each step, to be written in any format; steps ``above`` only by name."""
    shared = [step.name for step in derivation.steps if id(step) in above]
    before = (Words((f"it begins with {', '.join(shared)}, as above",)),) if shared else ()
    steps = (
        Entry(step.name, (_basis(step),), (Words((step.words,)), Equation(Formula(step.equation))))
        for step in derivation.steps
        if id(step) not in above
    )
    return Words((f"{derivation.statement} ({derivation.known})",)), *before, *steps


def entries(derivations: Sequence[Derivation]) -> Iterator[Entry]:
    """Lay out several derivations; steps that they share are written once."""
    above = set[int]()
    for derivation in derivations:
        yield Entry(derivation.name, (derivation.known,), blocks(derivation, above))
        above.update(map(id, derivation.steps))


def latex(derivations: Sequence[Derivation], command: str = "") -> str:
    """Write derivations as a LaTeX fragment: numbered equations, each with a label and how it is known (amsmath).

    A step that an earlier derivation has as well is not written again.

    Parameters
    ----------
    command
        What sets a step in place of an equation: a LaTeX command that takes a label, words and a formula.
    """
    lines: list[str] = []
    labels: dict[tuple[str, str], str] = {}
    for derivation in derivations:
        lines.append(rf"\paragraph{{{plain(derivation.name)}}} {prose(derivation.statement)}.")
        here: dict[str, str] = {}
        for step in derivation.steps:
            formula = formula_latex(step.equation)
            label = labels.setdefault((step.name, formula), f"eq:{derivation.name}:{step.name}")
            here[step.name] = label
            if label != f"eq:{derivation.name}:{step.name}":
                continue
            words = f"{prose(step.words)} ({_known(step, here)}):"
            if command:
                lines.append(f"{command}{{{label}}}{{{words}}}{{{formula}}}")
            else:
                lines += [words, r"\begin{equation}", rf"\label{{{label}}}", formula, r"\end{equation}"]
        lines.append("")
    return "\n".join(lines).rstrip()


def _known(step: Step, labels: Mapping[str, str]) -> str:
    """How a step is known, for a reader who knows what *derived* and *checked* mean."""
    if step.kind == "given":
        return "given"
    uses = ", ".join(rf"\eqref{{{labels[used]}}}" for used in step.uses)
    how = "" if step.how in _PLAIN else f"; {prose(step.how)}"
    return step.kind + (f" from {uses}" if uses else "") + how


def as_dict(idea: str, derivations: Sequence[Derivation]) -> dict[str, Any]:
    """Return the document that ``derive --format json`` prints; formulas are text to read, not to evaluate."""
    return {
        "schema": SCHEMA,
        "idea": idea,
        "derivations": [
            {
                "name": derivation.name,
                "statement": derivation.statement,
                "known": derivation.known,
                "steps": [_step(derivation, step) for step in derivation.steps],
            }
            for derivation in derivations
        ],
    }


def _step(derivation: Derivation, step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "words": step.words,
        "equation": str(step.equation),
        "latex": formula_latex(step.equation),
        "kind": step.kind,
        "how": step.how,
        "known": derivation.how_known(step.name),
        "uses": [*step.uses],
        "reference": None if step.reference is None else str(step.reference),
    }


def _how(step: Step) -> str:
    return f"{step.name}: {_basis(step)}"


def _basis(step: Step) -> str:
    if step.kind == "given":
        return "given"
    uses = f", from {', '.join(step.uses)}" if step.uses else ""
    return f"{step.kind}{uses}; {step.how}"
