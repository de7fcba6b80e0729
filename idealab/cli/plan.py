"""``idealab plan``: what a verdict will cost on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from idealab.cli.console import draw, width, write
from idealab.cli.exit_code import ExitCode
from idealab.cli.parameters import Duration, IdeaName, Level, on_devices
from idealab.cli.progress import watching


@click.command("plan", short_help="What a verdict will cost, and what a budget reaches.")
@click.argument("idea", type=IdeaName())
@click.option("--budget", type=Duration(), metavar="TIME", help="Say which tolerance 90, 90s, 2m or 1h reach.")
@click.option("--seeds", type=click.IntRange(min=4), metavar="N", help="As for verify.")
@click.option("--select", multiple=True, metavar="SIGNATURE", help="As for verify; repeatable.")
@click.option("--level", "levels", multiple=True, type=Level(), help="As for verify; repeatable.")
@click.option("--quick", is_flag=True, help="As for verify.")
@click.option("--master-seed", type=click.IntRange(min=0), default=0, show_default=True, help="As for verify.")
@on_devices
@click.option("--ledger", metavar="DIR", help="Where the pilot is kept [IDEALAB_LEDGER, or .idealab].")
@click.option("--no-record", is_flag=True, help="Keep no pilot.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(idea: str, levels: Sequence[str], no_record: bool, as_json: bool, **options: Any) -> ExitCode:
    """Run a pilot of one block of seeds in every condition, and say what a verdict will cost.

    The pilot's seeds are the first of the verification that follows, which takes them from the ledger.
    """
    with watching(idea) as progress:
        from idealab.prepare.plan import plan

        found = plan(idea, progress=progress, record=not no_record, levels=levels, **options)
    if as_json:
        from idealab.report.document import document

        write(document(found.to_dict()))
    else:
        from idealab.report.plan import plan as drawn

        draw(drawn(found, width()))
    return ExitCode.SUPPORTED
