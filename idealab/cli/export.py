"""``idealab export``: a record for other programs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from idealab.cli.console import say, write
from idealab.cli.progress import watching


@click.command("export", short_help="A record for other programs: tables, Zenodo, Hugging Face, MLflow.")
@click.argument("record")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "zenodo", "huggingface", "mlflow"]),
    default="csv",
    show_default=True,
    help="What to write.",
)
@click.option("--to", required=True, metavar="DIR", help="A folder that is not there yet; for mlflow also a URI.")
@click.option("--creator", "creators", multiple=True, metavar="NAME", help="An author, as 'Family, Given'; repeatable.")
@click.option("--license", "licence", metavar="ID", help="The licence, as cc-by-4.0.")
@click.option("--ledger", metavar="DIR", help="Where the record is [IDEALAB_LEDGER, or .idealab].")
def command(record: str, form: str, to: str, creators: Sequence[str], licence: str | None, ledger: str | None) -> None:
    """Write a record for other programs: the beginning of its hash, or an idea for its latest verification.

    csv and parquet are tables: signatures, cells, controls, mutants that are not killed, observations by seed. zenodo
    and huggingface are folders to upload, with their metadata. For another ledger, there is `idealab ledger export`.
    """
    with watching("export") as progress:
        progress.stage("reading")
        from idealab.cli.report import resolved
        from idealab.export import export
        from idealab.ledger import Ledger

        store = Ledger.at(ledger)
        place = export(resolved(store, record), form, to, ledger=store, creators=creators, licence=licence)
    if form == "zenodo" and not creators:
        say("Zenodo asks for the authors: name them with --creator, or there")
    write(place)
