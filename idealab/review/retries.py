"""Whether the same claim was tried before on other seeds: running again until it passes is no verification.

Told by what one ledger holds: a claim under another name or with anything in it altered is another claim, and a run
that is not recorded, or recorded elsewhere, is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from idealab.errors import LedgerError
from idealab.ledger.records import VERIFICATION
from idealab.ledger.store import Ledger
from idealab.verification import Earlier

FORM = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a record of another form comes to."""

_NOT_CLAIMED = {"max_seeds", "block"}
_DECIDED = {"refuted", "partial"}  # against the claim, by cells that are absent at a threshold for any number of looks


_AGAINST = {"breaks": "does_not_matter", "does_not_matter": "breaks"}
"""What a control shows that fails, by what it should."""

REPEATED = "the same claim was tried before on other seeds"
"""How the gate begins that holds such a run back."""


def gate(
    store: Ledger, idea: str, content: Mapping[str, Any], master_seed: int, before: str | None = None
) -> list[str]:
    """The gate that holds a run back, if `failed_before` says that the same claim had failed on other seeds."""
    found = failed_before(store, idea, content, master_seed, before)
    words = (
        f"{REPEATED}: {'; '.join(found[-3:])}; running again until it passes is no "
        "verification: narrow the claim, or raise --seeds under the same master seed"
    )
    return [words] if found else []


def failed_before(
    store: Ledger, idea: str, content: Mapping[str, Any], master_seed: int, before: str | None = None
) -> list[str]:
    """What verifications of the same claim on other seeds had said before these were tried, where not *supported*.

    Parameters
    ----------
    content
        That of the declaration. Claims are the same when signatures, assumptions and experiments are; caps and
        versions may differ.
    before
        The record of a verification: only older ones count. By default all that there are.

    Returns
    -------
    list of str
        In words, one for each master seed, by its last verdict before the first with ``master_seed``; the newest last.
        A run that a budget cut short says nothing, and is no first one either, unless what it saw was enough to find
        the theory wrong: more seeds would not take that back.
    """
    said: dict[int, tuple[str, str]] = {}
    for seed, verdict, sha in _verdicts(store, idea, content):
        if sha == before and store.ahead(sha):
            continue  # its date says nothing, least that it was the first
        if seed == master_seed or sha == before:
            break  # what came later did not choose this seed
        said.pop(seed, None)  # so that the newest stands last
        said[seed] = verdict, sha
    return _words(said)


def failed_elsewhere(store: Ledger, idea: str, content: Mapping[str, Any], seeds: Collection[int]) -> list[str]:
    """What verifications of the same claim said last on other master seeds than these, where not *supported*."""
    found = _verdicts(store, idea, content)
    return _words({seed: (verdict, sha) for seed, verdict, sha in found if seed not in seeds})


def _verdicts(store: Ledger, idea: str, content: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Master seed, verdict and record of every verification of the same claim, the newest last."""
    for sha in store.find(schema=VERIFICATION, idea=idea):
        try:
            result = store.get(sha)["result"]
            seed, verdict = result["environment"]["master_seed"], result["verdict"]
            short, declared = result.get("cut_short", False), store.get(result["declaration"])["content"]
            told = not short or verdict in _DECIDED or _spoke_against(result)
            same = told and _claim(declared) == _claim(content)
        except (LedgerError, *FORM):  # damaged, or written by a version that said other things
            continue
        if same:
            yield seed, verdict, sha


def _spoke_against(result: Mapping[str, Any]) -> bool:
    """Whether a run that a budget cut short had seen a primary signature or a control fail by then."""
    failed = any(one["primary"] and one["refuted_as_stated"] for one in result["signatures"])
    return failed or any(_AGAINST.get(one["expected"]) == one["seen"] for one in result["controls"])


def _words(said: Mapping[int, tuple[str, str]]) -> list[str]:
    return [
        f"{verdict} with master seed {seed} (record {sha[:8]})"
        for seed, (verdict, sha) in said.items()
        if verdict != "supported"
    ]


def runs_before(store: Ledger, declaration: str, master_seed: int | None = None) -> tuple[Earlier, ...]:
    """How often a declaration was run before, by master seed; also the runs that were begun and given up.

    Parameters
    ----------
    master_seed
        The one that is running now, which is not *begun* because of that.
    """
    found = {seed: Earlier(seed, 0) for seed in store.master_seeds(declaration) if seed != master_seed}
    for sha in store.find(schema=VERIFICATION, parent=declaration):
        try:
            result = store.get(sha)["result"]
            seed, verdict = int(result["environment"]["master_seed"]), str(result["verdict"])
        except (LedgerError, *FORM):  # damaged, or says other things
            continue
        finished = found[seed].finished if seed in found else 0
        found[seed] = Earlier(seed, finished + 1, verdict, sha)
    return tuple(found[seed] for seed in sorted(found))


def _claim(content: Mapping[str, Any]) -> Any:
    experiments = [{k: v for k, v in e.items() if k not in _NOT_CLAIMED} for e in content["experiments"]]
    return _plain([content["signatures"], content["assumptions"], experiments])


def _plain(value: Any) -> Any:
    """Lists for tuples, as they come back from the ledger."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
