"""``idealab show``: the signature card of an idea."""

from __future__ import annotations

import click

from idealab.cli.console import draw, width, write
from idealab.cli.parameters import IdeaName
from idealab.cli.progress import watching

_FORMATS = ["text", "markdown", "latex", "html", "json"]


@click.command("show", short_help="The signature card: what an idea says must be seen.")
@click.argument("idea", type=IdeaName())
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True, help="Output.")
def command(idea: str, form: str) -> None:
    """The signature card: for each signature what is measured, where, which shape it must have along which knob.

    With it the controls, how near counts as equal and why, how the formula is known; scope and failure modes of the
    idea. All formats say the same.
    """
    with watching(idea) as progress:
        progress.stage("deriving")
        from idealab.registry import load, load_experiments, pair
        from idealab.report.card import card_of

        theory, experiments = load(idea), load_experiments(idea)
        pair(theory, experiments)
        card = card_of(theory, experiments)
    if form == "json":
        from idealab.report.card import as_dict
        from idealab.report.document import document

        write(document(as_dict(card)))
    elif form == "html":
        from idealab.report.html import card_page

        write(card_page(card))
    else:
        from idealab.report import blocks, markup
        from idealab.report.disclosure import disclosed

        written = disclosed(card)
        if form == "text":
            draw(blocks.drawn(idea, written, width()))
        else:
            write((markup.markdown if form == "markdown" else markup.latex)(idea, written))
