"""``idealab ledger``: the evidence: what there is, whether it is sound, what differs, and how it travels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from idealab.cli.console import draw, say, width, write
from idealab.cli.exit_code import ExitCode, of_verdict
from idealab.cli.progress import watching
from idealab.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from idealab.ledger.store import Ledger
    from idealab.review.rejudge import Rechecked

_KINDS = ("verification", "declaration", "batch")
_place = click.option("--ledger", "place", metavar="DIR", help="Which ledger [IDEALAB_LEDGER, or .idealab].")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group("ledger", short_help="The evidence: log, show, check, compare, combine, export, import.")
def command() -> None:
    """The evidence. RECORD is the beginning of a record's hash, long enough to be the only one."""


def _opened(place: str | None) -> Ledger:
    from idealab.ledger.store import Ledger

    return Ledger.at(place)


def _there(place: str | None) -> Ledger:
    """Open a ledger that must be there: of one that is not, nothing is to be said, and least that all is well."""
    store = _opened(place)
    if not store.there:
        raise UsageError(f"there is no ledger {store.path}; name one with --ledger or IDEALAB_LEDGER")
    return store


def _printed(document: dict[str, Any]) -> None:
    from idealab.report.document import document as written

    write(written(document))


@command.command("log")
@_place
@_json
@click.option("--idea", metavar="IDEA", help="Only what is about this idea.")
@click.option("--kind", type=click.Choice(_KINDS), default="verification", show_default=True, help="What to list.")
@click.option("-n", "most", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
def log(place: str | None, as_json: bool, idea: str | None, kind: str, most: int) -> None:
    """What there is, the newest first."""
    from idealab.report import ledger as drawn, number

    store = _there(place)
    names = store.find(schema=f"idealab/{kind}/1", idea=idea)
    shown: list[tuple[str, dict[str, Any]]] = []
    for sha in reversed(names[-most:]):
        try:
            shown.append((sha, store.get(sha)))
        except LedgerError as error:
            say(f"warning: {error}")
    if as_json:
        _printed({"schema": "idealab/log/1", "records": [{"record": sha, **record} for sha, record in shown]})
        return
    if kind == "verification" and shown:
        draw(drawn.log(shown, width(), datetime.fromtimestamp(time.time(), UTC)))
    elif shown:
        draw(drawn.others(shown, width()))
    left = f", of which the newest {most} are shown" if len(names) > most else ""
    plural = kind if len(names) == 1 else "batches" if kind == "batch" else f"{kind}s"
    say(f"{len(names)} {plural} of {number.count(store.count(), 'record')} in {store.path}{left}")
    for line in store.warnings:
        say(f"warning: {line}")


@command.command("show")
@click.argument("record")
@_place
@_json
def show(record: str, place: str | None, as_json: bool) -> None:
    """One record: a verification as it was reported, a declaration, or a block of seeds."""
    store = _opened(place)
    sha = store.resolve(record)
    found = store.get(sha)
    if as_json:
        _printed(found)
        return
    from idealab.ledger.records import DECLARATION, VERIFICATION
    from idealab.report import ledger as drawn

    if found["schema"] == VERIFICATION:
        from idealab.report import recorded, terminal

        result = recorded.verification(sha, found)
        say(f"{found['created']}, from {len(found['parents']) - 1} blocks of seeds")
        draw(terminal.verification(result, width()))
    elif found["schema"] == DECLARATION:
        from idealab.review.retries import runs_before

        draw(drawn.declaration(sha, found, [str(one) for one in runs_before(store, sha)], width()))
    else:
        draw(drawn.batch(sha, found, width()))


@command.command("check")
@click.argument("records", metavar="[RECORD]...", nargs=-1)
@_place
@_json
@click.option("--objects-only", is_flag=True, help="Hash and parse every record, and judge nothing again.")
def check(records: Sequence[str], place: str | None, as_json: bool, objects_only: bool) -> ExitCode:
    """Hash every record again, and build verifications again from what was observed; all, or those named.

    Every field is compared, but for dates, wall-clock, numbers of devices and tales of earlier runs, which follow from
    nothing that is recorded. An idea that is not installed, or that declares other things by now, cannot be judged:
    this is said, and no fault.

    Exit code 1 if something is damaged, incomplete, or judged otherwise; 4 if a RECORD that was named could not be
    judged.
    """
    from idealab.ledger.records import VERIFICATION

    store = _there(place)
    wanted = [store.resolve(record, VERIFICATION) for record in records]
    with watching("check") as progress:
        progress.unit = "records"
        progress.stage("hashing")
        progress.planned(store.count())
        health = store.health(step=lambda: progress.step("hashing"))
        judged: list[Rechecked] = []
        unverified: Sequence[str] = ()
        if not objects_only:
            from idealab.review.rejudge import UNVERIFIED, recheck

            unverified = UNVERIFIED
            sound = [sha for sha, entry in health.entries.items() if entry.schema == VERIFICATION]
            judged = recheck(store, wanted or sound, lambda idea: progress.stage(f"judging {idea} again"))
    if as_json:
        again = [{"record": j.record, "idea": j.idea, "state": j.state, "words": j.words} for j in judged]
        fields = ("objects", "damaged", "incomplete", "ahead", "temporaries", "index", "obstacle")
        _printed(
            {
                "schema": "idealab/check/1",
                "ledger": str(store.path),
                **{name: getattr(health, name) for name in fields},
                "judged": again,
                "unverified": unverified,
            }
        )
    else:
        from idealab.report import ledger as drawn

        draw(drawn.check(health, judged, width()))
        if judged:
            say(f"of verifications, not verified: {', '.join(unverified)}")
    wrong = health.damaged or health.incomplete or [one for one in judged if one.state == "differs"]
    if wrong:
        return ExitCode.REFUTED
    return ExitCode.UNDECIDED if wanted and any(one.state == "not judged" for one in judged) else ExitCode.SUPPORTED


@command.command("compare")
@click.argument("a")
@click.argument("b")
@_place
@_json
def compare(a: str, b: str, place: str | None, as_json: bool) -> ExitCode:
    """What differs between two records: in declaration, environment and numbers, and whether within the tolerance.

    Exit code 1 if they do not agree.
    """
    from idealab.ledger.compare import compare as compared

    store = _opened(place)
    one, other = store.resolve(a), store.resolve(b)
    found = compared(store, one, other)
    if as_json:
        _printed({"schema": "idealab/comparison/1", "a": one, "b": other, **found.to_dict()})
    else:
        from idealab.report import ledger as drawn

        draw(drawn.comparison(found, one, other, width()))
    return ExitCode.SUPPORTED if found.agree else ExitCode.REFUTED


@command.command("combine")
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@_place
@_json
def combine(records: Sequence[str], place: str | None, as_json: bool) -> ExitCode:
    """The evidence of all runs of one declaration together, over master seeds and machines.

    RECORD is a declaration, or verifications of the same one; every run of it that the ledger holds is taken, since to
    choose among them would be to choose the verdict. Exit codes as for verify.
    """
    store = _opened(place)
    names = [store.resolve(record) for record in records]
    with watching("combine") as progress:
        progress.stage("judging all runs together")
        from idealab.review.accumulate import accumulate, declaration_for

        found = accumulate(store, declaration_for(store, names))
    result = found.verification
    if as_json:
        runs = [{"master_seed": r.master_seed, "environment": r.environment, "seeds": r.seeds} for r in found.runs]
        more = {"runs": runs, "left_out": found.left_out, "versions": found.versions}
        _printed({"schema": "idealab/combined/1", **result.to_dict(), **more})
    else:
        from idealab.report import terminal

        draw(terminal.verification(result, width(), f"{len(found.runs)} runs together"))
        for run in found.runs:
            write(f"taken: {run}")
        for line in found.left_out:
            write(f"left out: {line}")
        for line in found.versions:
            write(f"other versions: {line}")
    return of_verdict(result.verdict)


@command.command("export")
@click.argument("records", metavar="[RECORD]...", nargs=-1)
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The bundle, a zip file.")
@_place
def export(records: Sequence[str], to: Path, place: str | None) -> None:
    """Write records, with all that they rest on, into one file that anybody can import; all of them by default.

    Of a declaration everything that was observed and concluded comes along.
    """
    store = _opened(place)
    names = [store.resolve(record) for record in records]
    with watching("export") as progress:
        progress.unit = "records"
        progress.stage("looking")
        from idealab.ledger.bundle import export as exported

        progress.planned(store.count())
        count = exported(store, names, to, lambda: progress.step("writing"))
    say(f"{count} records in {to}, {to.stat().st_size / 2**20:.1f} MiB")


@command.command("import")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_place
def import_(bundles: Sequence[Path], place: str | None) -> None:
    """Take in the records of bundles. Nothing in them is executed; one that is faulty is refused as a whole."""
    from idealab.ledger.bundle import import_bundle

    store = _opened(place)
    for bundle in bundles:
        with watching("import") as progress:
            progress.unit = "steps"
            found = import_bundle(store, bundle, lambda: progress.step("reading"))
        say(f"{found.new} new records from {bundle}, {found.known} were there already")
        for line in (*found.ahead, *store.warnings):
            say(f"warning: {line}")
