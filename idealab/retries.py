"""Whether the same claim was tried before on other seeds: running again until it passes is no verification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idealab.errors import LedgerError
from idealab.ledger.records import VERIFICATION
from idealab.ledger.store import Ledger

_NOT_CLAIMED = {"max_seeds", "block"}


def failed_before(store: Ledger, idea: str, content: Mapping[str, Any], master_seed: int) -> list[str]:
    """What earlier verifications of the same claim on other seeds said, where that was not *supported*.

    Parameters
    ----------
    content
        That of the declaration. Claims are the same when signatures, assumptions and experiments are; caps and
        versions may differ.

    Returns
    -------
    list of str
        In words, the newest last. A run that a budget cut short says nothing.
    """
    found: list[str] = []
    for sha in store.find(schema=VERIFICATION, idea=idea):
        try:
            result = store.get(sha)["result"]
            seed = result["environment"]["master_seed"]
            if seed == master_seed or result["verdict"] == "supported" or result["cut_short"]:
                continue
            claimed = store.get(result["declaration"])["content"]
        except (LedgerError, KeyError, TypeError):  # damaged, or written by a version that said other things
            continue
        if _claim(claimed) == _claim(content):
            found.append(f"{result['verdict']} with master seed {seed} (record {sha[:8]})")
    return found


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
