"""Experiments are blind to the answer: while one observes, no prediction can be evaluated.

This is what is left to the run. What an experiment carries is looked at before:
see `idealab.compute.source.refuse_answers`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from idealab.errors import DeclarationError

NOT_BLIND = (
    "so it would confirm any theory; measure the observable in the simulation, and report as parameters what the "
    "prediction needs"
)

_OBSERVING: ContextVar[bool] = ContextVar("observing", default=False)


@contextmanager
def observing() -> Generator[None]:
    """While an experiment observes; a context of one thread."""
    token = _OBSERVING.set(True)
    try:
        yield
    finally:
        _OBSERVING.reset(token)


def refuse_while_observing() -> None:
    """Raise `DeclarationError` if an experiment observes: it would confirm whatever theory it is given."""
    if _OBSERVING.get():
        raise DeclarationError(f"the experiment evaluates a prediction while it observes, {NOT_BLIND}")
