"""The options of commands that several processes may run together, and the context that they run in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from idealab.cli.console import say
from idealab.cli.parameters import Duration
from idealab.errors import UsageError

if TYPE_CHECKING:
    from idealab.compute.hosts import Hosts

_OPTIONS = (
    click.option("--distributed", is_flag=True, help="Share the work among the processes that the scheduler started."),
    click.option("--coordinator", metavar="HOST:PORT", help="Where process 0 listens, if no scheduler says so."),
    click.option("--processes", type=click.IntRange(min=1), metavar="N", help="How many processes there are."),
    click.option("--process", type=click.IntRange(min=0), metavar="I", help="Which of them this is, from 0."),
    click.option("--timeout", type=Duration(), metavar="TIME", help="How long to wait for a sign of the others [60s]."),
)
_F = TypeVar("_F", bound=Callable[..., Any])


def on_hosts(command: _F) -> _F:
    """Give a command the options that `together` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def together(
    distributed: bool, coordinator: str | None, processes: int | None, process: int | None, timeout: float | None
) -> Generator[Hosts | None]:
    """Meet the other processes; None where this one is alone.

    Raises
    ------
    UsageError
        If the options do not fit together, or somebody does not come.
    """
    explicit = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in explicit.items() if value is None]
    if not distributed and len(missing) == 3:
        if timeout is not None:
            raise UsageError(
                "--timeout is how long to wait for other processes; give --distributed or --coordinator too"
            )
        yield None
        return
    if 0 < len(missing) < 3:
        raise UsageError(
            f"--coordinator, --processes and --process go together; missing: {', '.join(missing)}. Where a scheduler "
            "knows all three, --distributed alone is enough"
        )
    from idealab.compute.hosts import Hosts

    with Hosts(coordinator, processes, process, 60.0 if timeout is None else timeout) as hosts:
        yield hosts
        if hosts.process:
            say(f"process {hosts.process}: {hosts.blocks} blocks of seeds; process 0 has the report")
