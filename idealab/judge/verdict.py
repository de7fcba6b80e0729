"""From cells to signatures, from signatures and controls to the idea."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from idealab.judge.cells import CellVerdict

SignatureVerdict = Literal["present", "absent", "partial", "inconclusive"]
IdeaVerdict = Literal["supported", "refuted", "partial", "inconclusive"]
Seen = Literal["breaks", "does_not_matter", "undecided"]


@dataclass(frozen=True)
class SignatureConclusion:
    """The verdict on one signature in one experiment, with its scope along the knob."""

    verdict: SignatureVerdict
    scope: str = ""
    refuted_as_stated: bool = False
    recurs: bool = False


def conclude_signature(conditions: Sequence[tuple[str, Sequence[CellVerdict]]]) -> SignatureConclusion:
    """Combine cells into a signature.

    Parameters
    ----------
    conditions
        Label and cell verdicts (one for each checkpoint) of each condition, the most favourable condition first. A
        condition is present when all of its cells are (intersection-union), absent when any is absent.

    Returns
    -------
    SignatureConclusion
        *present*: all conditions present. *absent*: the most favourable is absent. *partial*: at least two leading ones
        present, then an absent one; the scope is the leading stretch. Otherwise *inconclusive*.
    """
    verdicts = [_combine(cells) for _, cells in conditions]
    if all(verdict == "present" for verdict in verdicts):
        return SignatureConclusion("present")
    refuted = "absent" in verdicts
    if verdicts[0] == "absent":
        return SignatureConclusion("absent", refuted_as_stated=True, recurs="present" in verdicts)
    leading = next(i for i, verdict in enumerate(verdicts) if verdict != "present")
    if leading >= 2 and refuted and "undecided" not in verdicts[: verdicts.index("absent")]:
        edge = f"present up to {conditions[leading - 1][0]}, absent from {conditions[leading][0]}"
        return SignatureConclusion("partial", edge, refuted_as_stated=True, recurs="present" in verdicts[leading:])
    return SignatureConclusion("inconclusive", refuted_as_stated=refuted)


def _combine(cells: Sequence[CellVerdict]) -> CellVerdict:
    if "absent" in cells:
        return "absent"
    return "present" if all(cell == "present" for cell in cells) else "undecided"


def seen_of(signatures: Sequence[SignatureVerdict]) -> Seen:
    """What taking an assumption away did: every signature failed, every one held, or neither is certain."""
    if not signatures:
        return "undecided"
    if all(verdict == "absent" for verdict in signatures):
        return "breaks"
    return "does_not_matter" if all(verdict == "present" for verdict in signatures) else "undecided"


@dataclass(frozen=True)
class Claim:
    """A signature's conclusion in one experiment, as the idea sees it."""

    name: str
    conclusion: SignatureConclusion
    idealized: bool
    where: str


@dataclass(frozen=True)
class IdeaConclusion:
    """The verdict on the idea, within which scope, and which gates lowered it."""

    verdict: IdeaVerdict
    scope: str = ""
    gates: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


def conclude_idea(claims: Sequence[Claim], gates: Sequence[str]) -> IdeaConclusion:
    """Combine the primary signatures and the gates into the verdict on the idea.

    The idealized model decides: all present is *supported*, any absent *refuted*, present and partial together are
    *partial*. Real data and networks can narrow a supported idea to the scope in which it was seen, or leave it
    *inconclusive*, never rescue or refute it. A gate (a control that did not do what it must) can only
    lower a verdict to *inconclusive*.

    Parameters
    ----------
    claims
        One for each primary signature in each experiment; where none is idealized, all decide.
    gates
        In words, what did not do what it must.
    """
    if not claims:
        return IdeaConclusion("inconclusive", remarks=("no primary signature was measured",))
    core = [claim for claim in claims if claim.idealized] or list(claims)
    beyond = [claim for claim in claims if claim not in core]
    absent = sorted({c.name for c in core if c.conclusion.verdict == "absent"})
    if absent:
        survivors = sorted({c.name for c in core if c.conclusion.verdict == "present"} - set(absent))
        left = f"; still standing: {', '.join(survivors)}" if survivors else ""
        return IdeaConclusion("refuted", remarks=(f"absent: {', '.join(absent)}{left}",))
    undecided = sorted({c.name for c in core if c.conclusion.verdict == "inconclusive"})
    if undecided:
        return IdeaConclusion("inconclusive", gates=tuple(gates), remarks=(f"undecided: {', '.join(undecided)}",))
    if gates:
        return IdeaConclusion("inconclusive", gates=tuple(gates))
    unsure = sorted({f"{c.name} {c.where}" for c in beyond if c.conclusion.verdict == "inconclusive"})
    if unsure:
        return IdeaConclusion("inconclusive", remarks=(f"undecided: {', '.join(unsure)}",))
    # A partial signature is present in two leading conditions at least, and those are the scope that it leaves.
    narrower = [f"{c.name} {c.where}: {_words(c.conclusion)}" for c in claims if c.conclusion.verdict != "present"]
    return IdeaConclusion("partial", scope="; ".join(narrower)) if narrower else IdeaConclusion("supported")


def _words(conclusion: SignatureConclusion) -> str:
    return conclusion.scope or conclusion.verdict
