"""Declaring without running: the hash to put into a paper or a preregistration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from idealab.compute.run import Progress, Silence
from idealab.experiment import Experiment, Setting
from idealab.idea import Idea
from idealab.ledger.store import Ledger
from idealab.prepare.request import Request, inquire


def declare(
    idea: str | Idea,
    *,
    experiments: Sequence[Experiment] | None = None,
    seeds: int | None = None,
    select: Sequence[str] = (),
    levels: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    quick: bool = False,
    ledger: Ledger | str | Path | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Write down what `idealab.verify.verify` would run under the same arguments, and run nothing.

    Everything that decides a verdict is declared: formulas, tolerances with their reasons, conditions, controls, caps,
    data, the source of the experiments, versions. The master seed and the budget are not.

    Returns
    -------
    str
        SHA-256 of the declaration, 64 hexadecimal digits; ``verify(..., declared=it)`` refuses to run anything else.

    Raises
    ------
    UsageError
        If the request cannot be carried out; `UnknownNameError` and `NothingMatchedError` say so more precisely.
    LedgerError
        If the declaration cannot be written.
    """
    request = Request(
        idea, experiments, seeds, select, levels, settings, quick, ledger=ledger, device=device, precision=precision
    )
    return inquire(request, progress or Silence()).declaration
