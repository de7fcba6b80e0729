"""``idealab mutate``: the wrong theories that a verification would have noticed, and those that it would not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from idealab.cli.console import draw, width, write
from idealab.cli.exit_code import ExitCode
from idealab.cli.parameters import IdeaName, Level, on_devices
from idealab.cli.progress import watching


@click.command("mutate", short_help="Wrong theories on the same data: killed or not.")
@click.argument("idea", type=IdeaName())
@click.option("--select", multiple=True, metavar="SIGNATURE", help="Mutate only this signature; repeatable.")
@click.option("--level", "levels", multiple=True, type=Level(), help="As for verify; repeatable.")
@click.option("--seeds", type=click.IntRange(min=4), metavar="N", help="As for verify.")
@click.option("--quick", is_flag=True, help="As for verify.")
@click.option("--master-seed", type=click.IntRange(min=0), default=0, show_default=True, help="As for verify.")
@on_devices
@click.option("--ledger", metavar="DIR", help="Where evidence is kept [IDEALAB_LEDGER, or .idealab].")
@click.option("--no-record", is_flag=True, help="Leave no trace, and go on from nothing.")
@click.option("--every", is_flag=True, help="List the killed ones too, each with the cell that killed it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output: every mutant.")
def command(idea: str, levels: Sequence[str], no_record: bool, every: bool, as_json: bool, **options: Any) -> ExitCode:
    """Change each prediction in many ways and hold every mutant against the observations of a verification.

    What was observed before is taken from the ledger; the rest is simulated, for the theory and never for a mutant.
    Exit codes: 0 every mutant that must be killed is, 4 one is alive, 2 usage, 3 internal error.
    """
    with watching(idea) as progress:
        from idealab.verify import verify

        result = verify(idea, progress=progress, record=not no_record, levels=levels, **options)
    if as_json:
        from idealab.report.document import document
        from idealab.report.mutants import as_dict

        write(document(as_dict(result)))
    else:
        from idealab.report.mutants import report

        draw(report(result, width(), every))
    alive = result.mutants is not None and any(mutant.gates for mutant in result.mutants.mutants)
    return ExitCode.UNDECIDED if alive else ExitCode.SUPPORTED
