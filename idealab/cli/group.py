"""The group of commands, each imported when it is asked for, and what happens to errors."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Sequence

import click

from idealab import __version__
from idealab.cli.console import say
from idealab.cli.exit_code import ExitCode, of_error
from idealab.errors import DeclarationChangedError, IdealabError, UnknownNameError

COMMANDS = (
    "list",
    "show",
    "derive",
    "plan",
    "declare",
    "verify",
    "sweep",
    "mutate",
    "report",
    "ledger",
    "export",
    "new",
    "doctor",
)
"""Each lies in the file of its name, as ``command``."""


class Commands(click.Group):
    """A group that knows its commands by name and imports the file of the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a newcomer needs them."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        return importlib.import_module(f"idealab.cli.{cmd_name}").command if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest the nearest: click looks only among commands that are imported already."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="idealab")
def group() -> None:
    """State an idea about how learning works, derive what must follow, and see whether it happens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, see `ExitCode`.

    Every error is one line on standard error. ``IDEALAB_TRACEBACK=1`` shows where an internal one came from.
    """
    try:
        code = group.main(None if arguments is None else [*arguments], prog_name="idealab", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as nothing_asked:
        nothing_asked.show()
        return ExitCode.USAGE
    except SystemExit:  # how click ends when nobody reads its help any more (`--help | head`), and after a completion
        return ExitCode.SUPPORTED
    except click.Abort:  # what click makes of Ctrl-C
        say("interrupted")
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        hint = f"; try '{error.ctx.command_path} --help'" if isinstance(error, click.UsageError) and error.ctx else ""
        say(f"error: {_one_line(error.format_message()).rstrip('.')}{hint}")
        return ExitCode.USAGE
    except DeclarationChangedError as error:
        say(f"error: {_one_line(error.message)}")
        for line in error.differences:
            say(f"  {_one_line(line)}")
        return of_error(error)
    except IdealabError as error:
        say(f"error: {_one_line(str(error))}")
        return of_error(error)
    except Exception as error:
        if os.environ.get("IDEALAB_TRACEBACK"):
            traceback.print_exc()
        hint = "IDEALAB_TRACEBACK=1 shows the traceback; please report it"
        say(f"internal error: {_one_line(f'{type(error).__name__}: {error}')} ({hint})")
        return ExitCode.INTERNAL
    return code or ExitCode.SUPPORTED


def _one_line(text: str) -> str:
    return " ".join(text.split())
