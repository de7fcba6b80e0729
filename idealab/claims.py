"""The claims that a repository pins: ``claims.toml``, read and checked; `idealab.pytest_plugin` puts them to the test.

    schema = "idealab/claims/1"

    [clock]                          # the claim's name
    idea = "max_margin"              # by default the claim's name
    declared = "46b21a71..."         # what `idealab declare` printed for the same request
    verdict = "supported"            # the default
    select = ["loss_clock"]          # and seeds, levels, settings, quick, master_seed, precision: as for `verify`

    [clock.expect]                   # by default each primary signature is "present"
    "loss_clock[digits]" = "partial"

What is expected of a signature holds everywhere, or in the one experiment that is named in brackets.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from idealab.errors import UnknownNameError, UsageError
from idealab.judge.verdict import IdeaVerdict, SignatureVerdict

SCHEMA = "idealab/claims/1"

_VERDICTS: tuple[str, ...] = get_args(IdeaVerdict)
_SEEN: tuple[str, ...] = get_args(SignatureVerdict)
_WORDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list of names", dict: "a table"}
_REQUEST: Mapping[str, type] = {
    "seeds": int,
    "select": list,
    "levels": list,
    "settings": dict,
    "quick": bool,
    "master_seed": int,
    "precision": str,
}
_FIELDS: Mapping[str, type] = {"idea": str, "declared": str, "verdict": str, "expect": dict, **_REQUEST}


@dataclass(frozen=True)
class Claim:
    """What is claimed of an idea, and how it is asked.

    Parameters
    ----------
    name
        What the claim is called in its file.
    idea
        The idea's name.
    verdict
        The verdict that is claimed.
    declared
        Hash of the declaration, or its first 16 digits or more; None where none is pinned.
    expect
        What must be seen of a signature, by its name or as ``signature[experiment]``; of all others *present*.
    request
        The other arguments of `idealab.verify`.
    """

    name: str
    idea: str
    verdict: str
    declared: str | None
    expect: Mapping[str, str]
    request: Mapping[str, Any]

    def expected(self, signature: str, experiment: str) -> str | None:
        """What is claimed in so many words of a signature in an experiment; None where nothing is."""
        return self.expect.get(f"{signature}[{experiment}]", self.expect.get(signature))


def read(file: Path) -> tuple[Claim, ...]:
    """Read the claims of a file.

    Raises
    ------
    UsageError
        If the file cannot be read, is no TOML, is of another schema, claims nothing, or holds what no claim has.
    """
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file.name} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # TOML's errors, and text that is not UTF-8
        raise UsageError(f"{file.name} is not TOML: {' '.join(str(error).split())}") from error
    schema = content.pop("schema", None)
    if schema != SCHEMA:
        raise UsageError(
            f"{file.name} begins with schema={schema!r}; expected schema = {SCHEMA!r} before the claims (if it is for "
            "another program, a schema of its own says so, or pytest --ignore, or -p no:idealab)"
        )
    if not content:
        raise UsageError(f"{file.name} claims nothing; add a table such as [max_margin]")
    return tuple(claim_of(f"{file.name}: [{_name(name)}]", name, value) for name, value in content.items())


def _name(name: str) -> str:
    """A claim's name on one line."""
    return " ".join(name.split())


def claim_of(where: str, name: str, table: Any) -> Claim:
    """Read one claim; ``where`` says where it stands, for a line that refuses it.

    Raises
    ------
    UsageError
        If it holds what no claim has, or a field of the wrong kind.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{where} is {table!r}; expected a table: write [{_name(name)}], and its fields below it")
    fields = cast("dict[str, Any]", table)
    for field, value in fields.items():
        if field not in _FIELDS:
            raise UsageError(f"{where} {UnknownNameError('field', field, _FIELDS)}")
        kind = _FIELDS[field]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)) or not _names(value):
            raise UsageError(f"{where} {field} = {value!r} must be {_WORDS[kind]}")
    verdict, expect = fields.get("verdict", "supported"), fields.get("expect", {})
    if verdict not in _VERDICTS:
        raise UsageError(f"{where} verdict = {verdict!r} must be one of {', '.join(_VERDICTS)}")
    for signature, seen in expect.items():
        if seen not in _SEEN:
            raise UsageError(f"{where} expect: {signature} = {seen!r} must be one of {', '.join(_SEEN)}")
    request = {field: value for field, value in fields.items() if field in _REQUEST}
    return Claim(_name(name), fields.get("idea", name), verdict, fields.get("declared"), expect, request)


def _names(value: Any) -> bool:
    return not isinstance(value, list) or all(isinstance(name, str) for name in cast("list[Any]", value))
