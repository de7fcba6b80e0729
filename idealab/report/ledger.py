"""Draws what a ledger holds, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text

from idealab.report import number
from idealab.report.table import Column, fit, paragraph, rows
from idealab.report.terminal import STYLE

if TYPE_CHECKING:
    from idealab.ledger.compare import Comparison
    from idealab.ledger.health import Health
    from idealab.review.rejudge import Rechecked

_SHOWN = 12
"""Cells that are listed before the rest is only counted."""


def log(verifications: Sequence[tuple[str, Mapping[str, Any]]], width: int, now: datetime) -> Iterator[Text]:
    """Draw verifications as rows, in the order given."""
    said = [_said(record) for _, record in verifications]
    when = [datetime.fromisoformat(record["created"]).astimezone(UTC) for _, record in verifications]
    columns = (
        Column("record", tuple(Text(sha[:12]) for sha, _ in verifications)),
        Column("when, UTC", tuple(Text(f"{one:%Y-%m-%d %H:%M}" + (" ahead" if one > now else "")) for one in when)),
        Column("idea", tuple(Text(str(record["idea"])) for _, record in verifications)),
        Column("verdict", tuple(Text(one["verdict"], style=STYLE.get(one["verdict"], "")) for one in said)),
        Column("evidence", tuple(Text(one["evidence"]) for one in said), right=True),
        Column("seeds", tuple(Text(one["seeds"]) for one in said), right=True),
        Column("master seed", tuple(Text(one["master_seed"]) for one in said), right=True),
        Column("declared", tuple(Text(one["declared"]) for one in said)),
    )
    yield from rows(fit(columns, width, spare=("seeds", "master seed", "evidence", "declared")))


def others(records: Sequence[tuple[str, Mapping[str, Any]]], width: int) -> Iterator[Text]:
    """Draw declarations or batches as rows, in the order given."""
    about = [_about(record) for _, record in records]
    columns = (
        Column("record", tuple(Text(sha[:12]) for sha, _ in records)),
        Column("idea", tuple(Text(str(record["idea"])) for _, record in records)),
        Column("about", tuple(map(Text, about))),
    )
    yield from rows(fit(columns, width))


def _about(record: Mapping[str, Any]) -> str:
    if "experiment" not in record:
        return str(_mapping(record["content"]).get("statement", ""))
    first, seed = record["first_seed"], record["master_seed"]
    return f"{record['experiment']}, {record['condition']}, from seed {first} of master seed {seed}"


def _said(record: Mapping[str, Any]) -> dict[str, str]:
    """What a record says in short, whatever form its result has."""
    result = _mapping(record["result"])
    evidence, seeds = result.get("evidence_log10"), _mapping(result.get("cost")).get("seeds")
    return {
        "verdict": str(result.get("verdict", "?")),
        "evidence": number.evidence(float(evidence)) if isinstance(evidence, (int, float)) else "?",
        "seeds": str(seeds) if isinstance(seeds, int) else "?",
        "master_seed": str(_mapping(result.get("environment")).get("master_seed", "?")),
        "declared": (record["parents"] or [""])[0][:8],
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def declaration(sha: str, record: Mapping[str, Any], runs: Sequence[str], width: int) -> Iterator[Text]:
    """Draw a declaration: what is claimed, how it is tested, and what was run of it."""
    content = _mapping(record["content"])
    yield Text.assemble((str(record["idea"]), "bold"), f"   declared {sha}")
    yield from paragraph(str(content.get("statement", "")), width)
    yield from paragraph(str(content.get("scope", "")), width, first="scope: ")
    for signature in map(_mapping, _list(content.get("signatures"))):
        criterion = _mapping(signature.get("criterion"))
        words = f"{signature.get('name')}: {_mapping(signature.get('prediction')).get('text')}"
        yield from paragraph(words, width, first="signature ", indent="    ")
        parts = [f", {name} {_mapping(value).get('text')}" for name, value in criterion.items() if _mapping(value)]
        words = f"{criterion.get('kind')}{''.join(parts)}: {criterion.get('reason')}"
        yield from paragraph(words, width, first="    tolerance ", indent="    ", style="dim")
    for experiment in map(_mapping, _list(content.get("experiments"))):
        conditions, cap = len(_list(experiment.get("conditions"))), experiment.get("max_seeds")
        words = f"{experiment.get('name')}, {experiment.get('level')}: {number.count(conditions, 'condition')}"
        yield from paragraph(f"{words}, at most {cap} seeds in a cell", width, first="experiment ")
    versions = ", ".join(f"{name} {value}" for name, value in _mapping(content.get("versions")).items())
    yield from paragraph(versions, width, first="versions: ")
    yield from paragraph("; ".join(runs) or "not run, as far as this ledger knows", width)


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def batch(sha: str, record: Mapping[str, Any], width: int) -> Iterator[Text]:
    """Draw a block of seeds: where it belongs, and the range of each array."""
    last = record["first_seed"] + record["seeds"] - 1
    yield Text.assemble((record["idea"], "bold"), f"   {record['experiment']}, {record['condition']}")
    yield Text(f"batch {sha}")
    words = f"seeds {record['first_seed']} to {last} of master seed {record['master_seed']}, {record['precision']}"
    yield from paragraph(
        f"{words}, {number.duration(float(record['seconds']))}, declared {record['parents'][0]}", width
    )
    where = ", ".join(f"{name} {value}" for name, value in record["environment"].items())
    yield from paragraph(where, width)
    found = [(part, name, values) for part, named in record["observation"].items() for name, values in named.items()]
    shapes, flat = [_shape(values) for _, _, values in found], [_flat(values) for _, _, values in found]
    finite = [[x for x in numbers if math.isfinite(x)] for numbers in flat]
    ranges = [f"{min(x):.6g} to {max(x):.6g}" if x else "no number" for x in finite]
    lost = [str(len(every) - len(fine)) for every, fine in zip(flat, finite, strict=True)]
    columns = (
        Column("array", tuple(Text(f"{part}.{name}") for part, name, _ in found)),
        Column("shape", tuple(Text(str(shape)) for shape in shapes)),
        Column("range", tuple(map(Text, ranges))),
        Column("not finite", tuple(map(Text, lost)), right=True),
    )
    yield from rows(fit(columns, width))


def _shape(values: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(values, list):
        shape.append(len(cast("list[Any]", values)))
        values = cast("list[Any]", values)[0] if values else None
    return tuple(shape)


def _flat(values: Any) -> list[float]:
    if isinstance(values, list):
        return [x for value in cast("list[Any]", values) for x in _flat(value)]
    return [float(values)] if isinstance(values, (int, float)) else [math.nan]


def check(health: Health, judged: Sequence[Rechecked], width: int) -> Iterator[Text]:
    """Draw the state of a ledger, and what became of the verifications that were judged again."""
    yield Text(f"{number.count(health.objects, 'sound record')} in {health.path}, index {health.index}")
    for line in (*health.damaged, *health.incomplete):
        yield from paragraph(line, width, first="wrong: ", indent="    ", style="red")
    for line in filter(None, (*health.ahead, health.obstacle)):
        yield from paragraph(line, width, first="note: ", indent="    ")
    agree = [one for one in judged if one.state == "agrees"]
    if judged:
        yield Text(f"{len(agree)} of {number.count(len(judged), 'verification')} judged again, and found the same")
    for one in judged:
        if one.state == "differs":
            words = "; ".join(one.words[:3]) + (f"; and {len(one.words) - 3} more" if len(one.words) > 3 else "")
            line = f"{one.record[:12]} of {one.idea}: {words}"
            yield from paragraph(line, width, first="judged otherwise: ", indent="    ", style="red")
    reasons: dict[str, list[str]] = {}
    for one in judged:
        if one.state == "not judged":
            reasons.setdefault(f"{one.idea}: {'; '.join(one.words)}", []).append(one.record[:12])
    for reason, records in reasons.items():
        named = records[0] if len(records) == 1 else f"{records[0]} and {len(records) - 1} more"
        yield from paragraph(f"{named} of {reason}", width, first="only the hashes were checked: ", indent="    ")
    wrong = len(health.damaged) + len(health.incomplete) + sum(one.state == "differs" for one in judged)
    unjudged = sum(one.state == "not judged" for one in judged)
    if wrong:
        yield Text("something is wrong", style="bold red")
    elif unjudged:
        yield Text(f"nothing is damaged; {number.count(unjudged, 'verdict')} could not be judged here", style="yellow")
    else:
        yield Text("all is well", style="green")


def comparison(found: Comparison, one: str, other: str, width: int) -> Iterator[Text]:
    """Draw what differs between two records, A and B."""
    yield Text.assemble(("A", "bold"), f" {one[:12]}   ", ("B", "bold"), f" {other[:12]}   {found.kind}s")
    parts = {"declared": found.declaration, "environment": found.environment}
    if found.kind != "declaration":
        parts |= {"conclusion" if found.kind == "verification" else "what": found.conclusion}
    for name, lines in parts.items():
        yield Text(f"{name}: {'the same' if not lines else ''}".rstrip(), style="bold" if lines else "")
        for line in lines:
            yield from paragraph(str(line), width, first="  ", indent="    ", widest=width)
    if found.kind == "declaration":
        return
    unit = "tolerances" if found.kind == "verification" else "of the largest number"
    what = "cells" if found.kind == "verification" else "arrays"
    if found.cells:
        within = found.cells - len(found.apart)
        largest = "" if math.isnan(found.largest) else f"; the largest difference is {found.largest:.2g} {unit}"
        yield Text(f"{within} of {found.cells} {what} agree{largest}" + (", where present" if largest else ""))
    for where, before, after in found.apart[:_SHOWN]:
        yield from paragraph(f"{where}: A {before}; B {after}", width, first="  ", indent="    ", style="red")
    if len(found.apart) > _SHOWN:
        yield Text(f"  and {len(found.apart) - _SHOWN} more")
    for letter in "AB":
        alone = [where for where, there in found.alone if there == letter]
        if alone:
            shown = "; ".join(alone[:3]) + (f"; and {len(alone) - 3} more" if len(alone) > 3 else "")
            yield from paragraph(shown, width, first=f"only in {letter}: ", indent="    ")
    yield Text("agree" if found.agree else "do not agree", style="green" if found.agree else "bold red")
