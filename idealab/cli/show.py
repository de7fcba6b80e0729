"""``idealab show``: the signature card of an idea."""

from __future__ import annotations

import click

from idealab.cli.console import draw, width
from idealab.cli.parameters import IdeaName
from idealab.cli.progress import watching


@click.command("show", short_help="The signature card: what an idea says must be seen.")
@click.argument("idea", type=IdeaName())
def command(idea: str) -> None:
    """The signature card: statement, scope, failure modes, signatures with formulas, assumptions."""
    with watching(idea) as progress:
        progress.stage("deriving")
        from idealab.registry import load, load_experiments, pair
        from idealab.report.card import card

        theory, experiments = load(idea), load_experiments(idea)
        pair(theory, experiments)
        lines = list(card(theory, experiments, width()))
    draw(lines)
