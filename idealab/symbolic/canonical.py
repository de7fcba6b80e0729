"""A hash of an expression that depends on the formula alone."""

# Sympy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path
from typing import Any

import sympy as sp

from idealab.errors import DeclarationError
from idealab.symbolic.layout import name_of

Expr = Any  # Sympy's own annotations stop at Basic

_UNORDERED = (sp.Add, sp.Mul, sp.Max, sp.Min, sp.And, sp.Or, sp.Eq, sp.Ne)
_MIRRORED: dict[type, str] = {sp.StrictGreaterThan: "StrictLessThan", sp.GreaterThan: "LessThan"}


def expression_hash(expression: Expr) -> str:
    """Hash an expression, SHA-256 in hexadecimal.

    The order in which terms and factors were typed, the sides of an inequality, symbol assumptions and the process do
    not enter. Two formulas that are equal only after algebra, such as (x + 1)**2 and its expansion, differ.

    Raises
    ------
    DeclarationError
        If the expression holds a Dummy or Wild symbol, whose name does not identify it.
    """
    return _digest(expression, {}).hex()


def identity(*expressions: Expr) -> str:
    """All that decides what this package makes of expressions: they with their assumptions, its source, and Sympy's."""
    return repr((*map(sp.srepr, expressions), _source(), sp.__version__, sys.version))


@cache
def _source() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _digest(node: Expr, known: dict[Any, bytes]) -> bytes:
    if node not in known:
        known[node] = hashlib.sha256(_content(node, known)).digest()
    return known[node]


def _content(node: Expr, known: dict[Any, bytes]) -> bytes:
    kind = type(node).__name__
    if isinstance(node, (sp.Dummy, sp.Wild)):
        raise DeclarationError(f"{node} is a {kind} symbol, which no name identifies; use sympy.Symbol({node.name!r})")
    if isinstance(node, (sp.Symbol, sp.Idx, sp.IndexedBase)):
        label = "Symbol" if isinstance(node, sp.Symbol) else kind
        return f"{label}:{name_of(node)}".encode()
    if isinstance(node, sp.Float):
        sign, mantissa, exponent, _ = node._mpf_  # pyright: ignore[reportPrivateUsage]
        return f"Float:{sign}:{int(mantissa)}:{exponent}".encode()
    if isinstance(node, sp.Rational):
        return f"Rational:{node.p}/{node.q}".encode()
    arguments = list(node.args)
    if isinstance(node, (sp.Add, sp.Mul)):  # a nested sum of sums, typed with evaluate=False, is the same sum
        arguments = list(type(node).make_args(node))
        while any(type(a) is type(node) for a in arguments):
            arguments = [b for a in arguments for b in (a.args if type(a) is type(node) else (a,))]
    digests = [_digest(a, known) for a in arguments]
    if isinstance(node, _UNORDERED):
        digests.sort()
    elif type(node) in _MIRRORED:
        kind, digests = _MIRRORED[type(node)], digests[::-1]
    return b"%s(%d):" % (kind.encode(), len(digests)) + b"".join(digests)
