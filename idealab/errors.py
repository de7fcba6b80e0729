"""The exceptions of idealab, all of them.

    IdealabError
    ├── UsageError            the request cannot be carried out as given: unknown name, malformed value (exit code 2)
    │   ├── UnknownNameError  a name that is not there; carries the nearest names
    │   ├── NothingMatchedError  what was asked for leaves nothing to run (exit code 5)
    │   └── DeclarationChangedError  what would be run is not what was declared; carries the differences
    ├── DeclarationError      an idea, signature, assumption or experiment contradicts itself and cannot exist
    │   ├── DerivationError   a step of a derivation does not hold; carries the residual
    │   └── PrinterError      an expression has no faithful JAX form
    └── LedgerError           evidence cannot be written, or what is there cannot be trusted

Failure inside a run (a divergence, a solver that gave up) is a value in the record, never an exception.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IdealabError(Exception):
    """Base of every exception that idealab raises on purpose; its text is one line a person can act on."""


class UsageError(IdealabError):
    """The request cannot be carried out as given."""


class UnknownNameError(UsageError, KeyError):
    """A name that is not there.

    Parameters
    ----------
    kind
        What was looked for: ``"idea"``, ``"signature"``, ``"setting"``.
    name
        What was given.
    known
        The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        near = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.known) or 'none'}"
        super().__init__(f"no {kind} named {name!r}; {hint}")

    def __str__(self) -> str:
        # KeyError would print the repr of the message.
        return str(self.args[0])


class NothingMatchedError(UsageError):
    """What was asked for leaves nothing to run."""


class DeclarationChangedError(UsageError):
    """What would be run is not what was declared.

    Parameters
    ----------
    message
        One line without the differences; as text the error has the first of them behind it.
    differences
        All of them, a line each; none where the earlier declaration is known by its hash only.
    """

    def __init__(self, message: str, differences: Iterable[str]) -> None:
        super().__init__(message)
        self.message, self.differences = message, tuple(differences)

    def __str__(self) -> str:
        more = [f"and {len(self.differences) - 3} more"] if len(self.differences) > 3 else []
        return ": ".join(filter(None, (self.message, "; ".join((*self.differences[:3], *more)))))


class DeclarationError(IdealabError):
    """An idea, signature, assumption or experiment contradicts itself and cannot exist."""


class DerivationError(DeclarationError):
    """A step of a derivation does not hold; the message shows the residual."""


class PrinterError(DeclarationError):
    """An expression has no faithful JAX form; the message names the part and what would work."""


class LedgerError(IdealabError):
    """Evidence cannot be written, or what is there cannot be trusted."""
