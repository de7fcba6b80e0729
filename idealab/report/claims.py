"""What was claimed before the first run, signature by signature, for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from idealab.errors import LedgerError
from idealab.report.formula import latex as formula_latex
from idealab.report.latex import code, plain, prose, quantity

if TYPE_CHECKING:
    from idealab.idea import Idea, Signature
    from idealab.symbolic.prediction import Prediction
    from idealab.verification import Verification


_NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?", re.ASCII)
_NARROW = 100
"""Characters of LaTeX up to which a formula fits into a column."""
_SHORT = 60
"""Characters up to which words are repeated rather than referred to."""


def claims(result: Verification, declared: Mapping[str, Any], idea: Idea | None) -> str:
    """Write a list of the declared signatures: statement, formula, observable, tolerance with its reason, rivals.

    Raises
    ------
    LedgerError
        If the declaration is not one.
    """
    words = {signature.name: signature.statement for signature in result.signatures}
    entries = declared.get("signatures")
    if not isinstance(entries, Sequence) or not entries:
        raise LedgerError("the declaration of the record names no signatures; it is not whole")
    said: dict[str, str] = {}
    lines = [r"\providecommand{\idealabinline}[2]{$#1$}% where this stands in another paper"]
    for entry in cast("Sequence[Any]", entries):
        try:
            name = str(entry["name"])
            local = None if idea is None else idea.signatures.get(name)
            lines += [*_claim(entry, words.get(name, ""), local, said), ""]
        except (KeyError, TypeError, AttributeError) as error:
            raise LedgerError(f"a signature of the declaration is not whole: it lacks {error}") from error
    return "\n".join(lines).rstrip() + "\n"


def _claim(entry: Mapping[str, Any], statement: str, local: Signature | None, said: dict[str, str]) -> Iterator[str]:
    """One claim; ``said`` are tolerances and reasons that were given already, and for which signature."""
    kind = ["primary" if entry["primary"] else "secondary", str(entry["known"])]
    kind += ["exact" if entry["exact"] else "asymptotic"]
    words = f": {prose(statement)}" if statement else ""
    yield rf"\textbf{{{plain(entry['name'])}}} ({plain(', '.join(kind))}){words}."
    if local is not None:
        yield f"Predicted: {_inline(formula_latex(local.equation, inline=True), local.prediction)}."
    else:
        yield f"Predicted: {code(str(entry['prediction']['text']))}."
    criterion, name = entry["criterion"], str(entry["name"])
    band, reason = _tolerance(criterion, local), _shortened(str(criterion["reason"]), name, said)
    along = f" along {code(str(criterion['along']))}" if criterion.get("along") else ""
    yield (
        f"Measured as {code(str(entry['observable']))}: {plain(str(criterion['kind']).lower())}{along} within "
        f"{_once(band, name, said)}, {reason}."
    )
    if entry["rivals"]:
        yield f"To be told from: {', '.join(plain(str(rival)) for rival in entry['rivals'])}."


def _once(words: str, name: str, said: dict[str, str]) -> str:
    """What was said of an earlier signature is not said again, unless it is short."""
    first = said.setdefault(words, name)
    return words if first == name or len(words) < _SHORT else f"the tolerance of {plain(first)}"


def _shortened(reason: str, name: str, said: dict[str, str]) -> str:
    """Why; an earlier reason that it repeats is referred to."""
    earlier = next((words for words in said if len(words) >= _SHORT and words in reason), "")
    before, _, after = reason.partition(earlier) if earlier else (reason, "", "")
    said.setdefault(reason, name)
    if not earlier:
        return f"because {prose(reason)}"
    first = plain(said[earlier])
    if reason == earlier:
        return f"for the same reason as {first}"
    return "because " + " ".join(filter(None, (prose(before).strip(), f"see {first}", prose(after).strip())))


def _tolerance(criterion: Mapping[str, Any], local: Signature | None) -> str:
    """The formulas of a criterion by name: from the installed idea, or else the recorded text."""
    if local is not None:
        formulas = dict(zip(local.criterion.formulas, local.tolerance, strict=True))
        shown = {name: _installed(part) for name, part in formulas.items() if part.expression != 0}
    else:
        parts = {name: cast("dict[str, Any]", part) for name, part in criterion.items() if isinstance(part, dict)}
        shown = {name: _recorded(str(part["text"])) for name, part in parts.items() if part["text"] != "0"}
    words = {"rtol": "relative", "atol": "absolute"}
    said = [f"{value} {words[name]}" if name in words else f"{plain(name)} {value}" for name, value in shown.items()]
    return " and ".join(said)


def _recorded(text: str) -> str:
    """A tolerance as it was recorded; a number as a person writes it."""
    return f"${quantity(float(text), 6)}$" if _NUMBER.fullmatch(text) else code(text)


def _installed(formula: Prediction) -> str:
    """A tolerance in a line of text; a number as a person writes it."""
    if not formula.arguments:
        return f"${quantity(float(formula.expression), 6)}$"
    return _inline(formula_latex(formula.expression, inline=True), formula)


def _inline(latex: str, formula: Prediction) -> str:
    """A formula in a line of text; one that may be too wide comes with the text that stands for it then."""
    return rf"\idealabinline{{{latex}}}{{{code(formula.text)}}}" if len(latex) > _NARROW else f"${latex}$"
