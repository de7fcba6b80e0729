"""``idealab verify``: derive, declare, simulate, judge, record, report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from idealab.cli.console import draw, say, width, write
from idealab.cli.exit_code import ExitCode, of_error, of_verdict, worst
from idealab.cli.parameters import Duration, IdeaName, Level, Setting, on_devices, unambiguous
from idealab.cli.progress import watching
from idealab.cli.together import on_hosts, together
from idealab.errors import IdealabError, NothingMatchedError, UsageError

if TYPE_CHECKING:
    from idealab.cli.progress import Watcher
    from idealab.explore.finding import Scope
    from idealab.verification import Verification

T = TypeVar("T")


class _Knob(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic since click 8.5)
    """``name``, or ``name=from..to`` with the most favourable value first, as the name and the span or None."""

    name = "knob[=from..to]"

    def convert(
        self,
        value: str | tuple[str, tuple[float, float] | None],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, tuple[float, float] | None]:
        """Return the name and the span."""
        if isinstance(value, tuple):  # click converts what is converted already, too
            return value
        name, equals, text = (part.strip() for part in value.partition("="))
        first, dots, last = text.partition("..")
        if not name or bool(equals) != bool(dots):
            self.fail(f"{value!r} must be a knob, or a knob and how far to look, such as eta=0.1..10", param, ctx)
        return name, (self._number(first, param, ctx), self._number(last, param, ctx)) if dots else None

    def _number(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{text.strip()!r} is not a finite number; write from..to, such as 0.1..10", param, ctx)
        return number


@click.command("verify", short_help="Derive, simulate, judge, record.")
@click.argument("ideas", metavar="IDEA...", nargs=-1, type=IdeaName())
@click.option("--all", "every", is_flag=True, help="Verify every idea there is.")
@click.option("--seeds", type=click.IntRange(min=4), metavar="N", help="At most so many seeds in a cell, 4 or more.")
@click.option("--budget", type=Duration(), metavar="TIME", help="Start no new seeds after 90, 90s, 2m or 1h.")
@click.option("--select", multiple=True, metavar="SIGNATURE", help="Judge only this signature; repeatable.")
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=Level(),
    help="Run only idealized, real or network experiments; repeatable [idealized and real].",
)
@click.option(
    "--set", "settings", multiple=True, type=Setting(), help="Hold a knob at a value, as eta=0.1; repeatable."
)
@click.option("--quick", is_flag=True, help="Idealized experiments only, with at most 32 seeds a cell.")
@click.option("--find-scope", type=_Knob(), help="Search how far along a knob it holds instead: KNOB or KNOB=FROM..TO.")
@click.option(
    "--master-seed", type=click.IntRange(min=0), default=0, show_default=True, help="Source of all randomness."
)
@click.option("--declared", metavar="HASH", help="Refuse to run anything but what `idealab declare` gave this hash.")
@on_devices
@on_hosts
@click.option("--ledger", metavar="DIR", help="Where evidence is kept [IDEALAB_LEDGER, or .idealab].")
@click.option("--no-record", is_flag=True, help="Leave no trace, and go on from nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option(
    "--junit-xml", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML for a build server."
)
def command(
    ideas: Sequence[str],
    every: bool,
    as_json: bool,
    junit_xml: Path | None,
    no_record: bool,
    levels: Sequence[str],
    find_scope: tuple[str, tuple[float, float] | None] | None,
    declared: str | None,
    **options: Any,
) -> ExitCode:
    """Derive what an idea predicts, simulate, judge, and record the verdict.

    Exit codes: 0 supported (all ideas asked for), 1 refuted, 2 usage, 3 internal error, 4 inconclusive or partial,
    5 nothing matched, 130 interrupted. With --find-scope: 0 something was found, 4 not.
    """
    names = _asked(ideas, every)
    options["settings"] = unambiguous(options["settings"])
    options["levels"] = levels
    if junit_xml is not None and not junit_xml.absolute().parent.is_dir():
        raise UsageError(f"--junit-xml={str(junit_xml)!r}: there is no folder {str(junit_xml.parent)!r}; make it first")
    shared = {name: options.pop(name) for name in ("distributed", "coordinator", "processes", "process", "timeout")}
    if any(shared.values()) and no_record:
        raise UsageError("--no-record: several processes need the ledger, through which their blocks of seeds go")
    single = len(names) == 1 and find_scope is None
    if declared is not None and not single:
        raise UsageError("--declared holds one verification of one idea; name one, and leave --find-scope out")
    if find_scope is not None:
        if any(shared.values()):
            raise UsageError("--find-scope runs in one process; leave --distributed or --coordinator out")
        _check_search(names, every, junit_xml, options)
        return _search(names[0], *find_scope, {**options, "record": not no_record}, as_json)
    with together(*shared.values()) as hosts:
        rare = {name: value for name, value in (("hosts", hosts), ("declared", declared)) if value is not None}
        quiet = hosts is not None and hosts.process != 0
        return _verify_each(names, {**options, "record": not no_record, **rare}, as_json, junit_xml, quiet)


def _verify_each(
    names: Sequence[str], options: Mapping[str, Any], as_json: bool, junit_xml: Path | None, quiet: bool
) -> ExitCode:
    """Verify one idea after another and report them, unless it is ``quiet``: another process reports."""
    results: list[Verification] = []
    codes: list[ExitCode] = []
    for name in names:
        try:
            result, declared = _verify(name, options)
        except _Interrupted:
            return ExitCode.INTERRUPTED
        except IdealabError as error:
            if len(names) == 1:
                raise
            say(f"error: {name}: {error}")  # the other ideas are verified all the same
            codes.append(of_error(error))
            continue
        results.append(result)
        codes.append(of_verdict(result.verdict))
        if not as_json and not quiet:
            _draw(result, declared, first=len(results) == 1)
    if not quiet:
        _write(results, as_json, junit_xml)
    return worst(codes)


class _Interrupted(Exception):
    """Ctrl-C; what could be said about it has been said."""


def _asked(names: Sequence[str], every: bool) -> tuple[str, ...]:
    from idealab.registry import ideas

    if every and names:
        raise UsageError("name ideas or give --all, not both")
    if not every and not names:
        raise UsageError(f"name an idea, or give --all; known: {', '.join(ideas()) or 'none'}")
    if every and not ideas():
        raise NothingMatchedError("--all matches nothing: there are no ideas")
    return tuple(dict.fromkeys(names or ideas()))


def _verify(name: str, options: Mapping[str, Any]) -> tuple[Verification, str]:
    """Run the pipeline under a progress bar; returns the verification and how its declaration sums itself up."""

    def run(progress: Watcher) -> tuple[Verification, str]:
        from idealab.verify import verify

        return verify(name, progress=progress, **options), progress.summary

    return _watched(name, options["record"], run)


def _watched(name: str, record: bool, run: Callable[[Watcher], T]) -> T:
    """Run under a progress bar; Ctrl-C ends it with a word on what is kept."""
    with watching(name) as progress:
        try:
            return run(progress)
        except KeyboardInterrupt:
            pass
    if not record:
        say("interrupted; nothing was recorded")
    else:
        say("interrupted; every finished block of seeds is in the ledger; run the same command to go on")
    raise _Interrupted


def _check_search(names: Sequence[str], every: bool, junit_xml: Path | None, options: Mapping[str, Any]) -> None:
    if every or len(names) > 1:
        raise UsageError("--find-scope searches the scope of one idea; name one")
    if junit_xml is not None:
        raise UsageError("--find-scope gives no verdict that --junit-xml could report; leave one of the two out")
    if options["budget"] is not None:
        raise UsageError("--find-scope has no --budget; limit it with --seeds, --select or --level")


def _search(
    name: str, knob: str, span: tuple[float, float] | None, options: Mapping[str, Any], as_json: bool
) -> ExitCode:
    """Search how far along a knob the idea holds, and report it."""
    quick = options["quick"]
    kept = ("select", "settings", "master_seed", "ledger", "record", "device", "precision")
    asked = {key: options[key] for key in kept}
    asked["levels"] = options["levels"] or (("idealized",) if quick else ())

    def run(progress: Watcher) -> Scope:
        from idealab.explore.scope import find_scope
        from idealab.prepare.request import QUICK_SEEDS

        if options["seeds"] is not None:
            asked["seeds"] = min(options["seeds"], QUICK_SEEDS) if quick else options["seeds"]
        return find_scope(name, knob, span=span, progress=progress, **asked)

    try:
        found = _watched(name, options["record"], run)
    except _Interrupted:
        return ExitCode.INTERRUPTED
    if as_json:
        from idealab.report.document import document

        write(document({"schema": "idealab/scope/1", **found.to_dict()}))
    else:
        from idealab.report.scope import scope

        draw(scope(found, width()))
    return ExitCode.SUPPORTED if found.found else ExitCode.UNDECIDED


def _draw(result: Verification, declared: str, first: bool) -> None:
    from idealab.report.terminal import verification

    if not first:
        write("")
    draw(verification(result, width(), declared))


def _write(results: Sequence[Verification], as_json: bool, junit_xml: Path | None) -> None:
    if as_json and results:
        from idealab.report.document import verifications

        write(verifications(results))
    if junit_xml is not None:
        from idealab.report.junit import junit

        try:
            junit_xml.write_bytes(junit(results))
        except OSError as error:
            raise UsageError(f"--junit-xml={str(junit_xml)!r} cannot be written: {error.strerror or error}") from error
