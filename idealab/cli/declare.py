"""``idealab declare``: write down what will be run, and print the hash that binds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from idealab.cli.console import say, write
from idealab.cli.parameters import IdeaName, Level, Setting, on_devices, unambiguous
from idealab.cli.progress import watching


@click.command("declare", short_help="Print the hash that binds a run, before any run.")
@click.argument("idea", type=IdeaName())
@click.option("--seeds", type=click.IntRange(min=4), metavar="N", help="As for verify.")
@click.option("--select", multiple=True, metavar="SIGNATURE", help="As for verify; repeatable.")
@click.option("--level", "levels", multiple=True, type=Level(), help="As for verify; repeatable.")
@click.option("--set", "settings", multiple=True, type=Setting(), help="As for verify; repeatable.")
@click.option("--quick", is_flag=True, help="As for verify.")
@on_devices
@click.option("--ledger", metavar="DIR", help="Where the declaration is kept [IDEALAB_LEDGER, or .idealab].")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(idea: str, levels: Sequence[str], settings: Any, as_json: bool, ledger: str | None, **options: Any) -> None:
    """Derive, write the declaration to the ledger, and print its hash, for a paper or a preregistration.

    `idealab verify IDEA --declared HASH`, with the same options, then refuses to run anything else.
    """
    with watching(idea) as progress:
        from idealab.ledger import Ledger
        from idealab.prepare.declare import declare
        from idealab.review.retries import runs_before

        store = Ledger.at(ledger)
        chosen = unambiguous(settings)
        sha = declare(idea, progress=progress, settings=chosen, levels=levels, ledger=store, **options)
        earlier = runs_before(store, sha)
    if as_json:
        from idealab.report.document import document

        found = [{"words": str(one), "master_seed": one.master_seed, "finished": one.finished} for one in earlier]
        write(document({"schema": "idealab/declared/1", "idea": idea, "declaration": sha, "earlier": found}))
        return
    say(progress.summary)
    say("; ".join(map(str, earlier)) or "not run before, as far as this ledger knows")
    write(sha)
