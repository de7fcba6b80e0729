"""``idealab derive``: the derivations of an idea, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from idealab.cli.console import draw, width, write
from idealab.cli.parameters import IdeaName
from idealab.cli.progress import watching

if TYPE_CHECKING:
    from idealab.idea import Signature
    from idealab.symbolic.derivation import Derivation


@click.command("derive", short_help="Where its predictions come from, step by step.")
@click.argument("idea", type=IdeaName())
@click.argument("signature", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["unicode", "latex", "json"]),
    default="unicode",
    show_default=True,
    help="Output.",
)
def command(idea: str, signature: str | None, form: str) -> None:
    """The derivation of what an idea predicts: each equation, and how it is known.

    With SIGNATURE, only the steps that its prediction rests on.
    """
    with watching(idea) as progress:
        progress.stage("deriving")
        from idealab.registry import load
        from idealab.report import trail
        from idealab.report.document import document

        theory = load(idea)
        derivations: Sequence[Derivation] = (
            [*theory.derivations.values()] if signature is None else [_only(theory.signatures[signature])]
        )
    if form == "unicode":
        draw(trail.unicode(derivations, width()))
    else:
        write(trail.latex(derivations) if form == "latex" else document(trail.as_dict(idea, derivations)))


def _only(signature: Signature) -> Derivation:
    """The signature's derivation without the steps that its prediction does not rest on."""
    from dataclasses import replace

    whole = signature.derivation
    needed, asked = set[str](), [signature.step or whole.steps[-1].name]
    while asked:
        name = asked.pop()
        needed.add(name)
        asked += [used for used in whole[name].uses if used not in needed]
    return replace(whole, steps=tuple(step for step in whole.steps if step.name in needed))
