"""What the exit code of a command says."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from idealab.errors import IdealabError, NothingMatchedError


class ExitCode(IntEnum):
    """Exit codes; a shell or a CI job may rely on them."""

    SUPPORTED = 0  # all of the ideas asked for; for other commands: done
    REFUTED = 1  # for doctor: something is wrong
    USAGE = 2  # the request could not be carried out: an unknown name, a faulty idea, a ledger that cannot be written
    INTERNAL = 3  # a fault of idealab
    UNDECIDED = 4  # inconclusive or partial
    NOTHING_MATCHED = 5
    INTERRUPTED = 130


_OF_VERDICT = {
    "supported": ExitCode.SUPPORTED,
    "refuted": ExitCode.REFUTED,
    "partial": ExitCode.UNDECIDED,
    "inconclusive": ExitCode.UNDECIDED,
}
_WORST_FIRST = (
    ExitCode.USAGE,
    ExitCode.REFUTED,
    ExitCode.UNDECIDED,
    ExitCode.NOTHING_MATCHED,
    ExitCode.SUPPORTED,
)


def of_verdict(verdict: str) -> ExitCode:
    """Return the code for the verdict on one idea."""
    return _OF_VERDICT[verdict]


def of_error(error: IdealabError) -> ExitCode:
    """Return the code for a request that could not be carried out."""
    return ExitCode.NOTHING_MATCHED if isinstance(error, NothingMatchedError) else ExitCode.USAGE


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the one code that speaks for several ideas: a refuted one outweighs an undecided one."""
    return min(codes, key=_WORST_FIRST.index)
