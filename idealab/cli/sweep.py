"""``idealab sweep``: many verifications as jobs, on this machine or on Slurm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from idealab.cli.console import draw, say, width, write
from idealab.cli.exit_code import ExitCode, of_verdict, worst
from idealab.cli.parameters import IdeaName, Level, Setting, on_devices
from idealab.cli.progress import watching
from idealab.errors import UsageError

MOST = 10_000
"""Jobs in one sweep: more are more likely a slip than wanted."""


class Settings(Setting):
    """``name=a,b,c`` as the name and the values, each read as `Setting` reads it."""

    name = "name=a,b,c"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name and the values."""
        if isinstance(value, tuple):  # click converts what is converted already, too
            return value  # pyright: ignore[reportUnknownVariableType]
        name, _, text = value.partition("=")
        values = tuple(Setting.convert(self, f"{name}={part}", param, ctx)[1] for part in text.split(","))
        if len({*values}) < len(values):
            self.fail(f"{value!r} gives a value twice; give each once", param, ctx)
        return name.strip(), values


class MasterSeeds(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic since click 8.5)
    """``0..4`` or ``0,3,7`` as a tuple of master seeds."""

    name = "from..to"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the seeds."""
        if isinstance(value, tuple):
            return value
        span = re.fullmatch(r"\s*(\d{1,10})\s*\.\.\s*(\d{1,10})\s*", value, re.ASCII)
        if span and 0 <= int(span[2]) - int(span[1]) < MOST:
            return tuple(range(int(span[1]), int(span[2]) + 1))
        if re.fullmatch(r"\s*\d{1,10}(\s*,\s*\d{1,10})*\s*", value, re.ASCII):
            return tuple(dict.fromkeys(int(part) for part in value.split(",")))
        self.fail(
            f"{value!r} must be master seeds from the first to the last, as 0..4, or a list, as 0,3,7", param, ctx
        )


@click.command("sweep", short_help="Many verifications as jobs, here or on Slurm.")
@click.argument("ideas", metavar="IDEA...", nargs=-1, required=True, type=IdeaName())
@click.option(
    "--set",
    "settings",
    multiple=True,
    type=Settings(),
    help="Values of a knob, as eta=0.1,0.2; repeatable: the product.",
)
@click.option("--master-seeds", type=MasterSeeds(), default="0", show_default=True, help="As 0..4 or 0,3,7.")
@click.option("--seeds", type=click.IntRange(min=4), metavar="N", help="As for verify.")
@click.option("--select", multiple=True, metavar="SIGNATURE", help="As for verify; repeatable.")
@click.option("--level", "levels", multiple=True, type=Level(), help="As for verify; repeatable.")
@click.option("--quick", is_flag=True, help="As for verify.")
@on_devices
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="How many at once [here 1, on Slurm all].")
@click.option(
    "--slurm",
    multiple=True,
    type=Setting(),
    help="Submit to Slurm, asking for partition=gpu, timeout_min=60; repeatable.",
)
@click.option("--ledger", metavar="DIR", help="Where evidence is kept [IDEALAB_LEDGER, or .idealab].")
@click.option("--to", "logs", metavar="DIR", help="Where the jobs' logs go [jobs, in the ledger].")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(
    ideas: Sequence[str],
    settings: Sequence[tuple[str, tuple[Any, ...]]],
    master_seeds: tuple[int, ...],
    slurm: Sequence[tuple[str, Any]],
    as_json: bool,
    **options: Any,
) -> ExitCode:
    """Verify each idea with each combination of settings and master seeds, every one as a job of its own.

    What was finished is in the ledger: the same command goes on from there. Exit codes as for verify of several ideas;
    2 if a job failed.
    """
    from idealab.explore.sweep import sweep, trials
    from idealab.report.sweep import as_dict, sweep as drawn

    wanted = trials(tuple(dict.fromkeys(ideas)), _once("--set", settings), master_seeds)
    if len(wanted) > MOST:
        raise UsageError(f"these are {len(wanted)} verifications; a sweep has at most {MOST}: give fewer values")
    asked = _once("--slurm", slurm) if slurm else None
    with watching("sweep") as progress:
        progress.unit = "jobs"
        try:
            found = sweep(wanted, slurm=asked, progress=progress, **options)
        except KeyboardInterrupt:
            say("interrupted; running jobs are cancelled; every finished block is in the ledger; run it again to go on")
            return ExitCode.INTERRUPTED
    if as_json:
        from idealab.report.document import document

        write(document(as_dict(found)))
    else:
        draw(drawn(found, width()))
    nothing = ExitCode.NOTHING_MATCHED
    return worst(of_verdict(t.verdict) if t.verdict else ExitCode.USAGE if t.matched else nothing for t in found)


def _once(option: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{option} gives {name} twice; give it once")
    return dict(pairs)
