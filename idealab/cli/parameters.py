"""The kinds of value that commands take, checked before anything heavy is imported."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from idealab.errors import UnknownNameError, UsageError

_LEVELS = {"idealized": "idealized", "real": "real data", "network": "network"}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)", re.ASCII)


def on_devices(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where to simulate, and how exactly."""
    device = click.option("--device", metavar="DEVICE", help="Simulate on cpu, gpu, tpu, or one of them, as gpu:1.")
    precision = click.option(
        "--precision", type=click.Choice(["float32", "float64"]), help="Of the simulation [float64 where there is any]."
    )
    return device(precision(command))


def unambiguous(settings: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """The settings by name; raises `UsageError` if one is given two values."""
    chosen: dict[str, Any] = {}
    for name, value in settings:
        if chosen.setdefault(name, value) != value:
            raise UsageError(f"--set gives {name} twice, as {chosen[name]!r} and as {value!r}; give it once")
    return chosen


class IdeaName(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic since click 8.5)
    """The name of an idea that there is."""

    name = "idea"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or raise `UnknownNameError` with the nearest."""
        from idealab.registry import ideas

        known = ideas()
        if value not in known:
            raise UnknownNameError("idea", value, known)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the names that begin with what is typed."""
        from idealab.registry import ideas

        return [
            CompletionItem(name, help=summary.statement)
            for name, summary in ideas().items()
            if name.startswith(incomplete)
        ]


class Level(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic since click 8.5)
    """A level of experiment by its short name, as the name that experiments declare."""

    name = "[idealized|real|network]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the level's name."""
        if value not in (*_LEVELS, *_LEVELS.values()):
            self.fail(f"{value!r} is not one of {', '.join(_LEVELS)}", param, ctx)
        return _LEVELS.get(value, value)


class Duration(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic since click 8.5)
    """A positive time: ``90``, ``90s``, ``2m`` or ``1h``, as seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        match = _DURATION.fullmatch(str(value).strip().lower())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a positive time; write 90, 90s, 2m or 1h", param, ctx)
        return seconds


class Setting(click.ParamType):  # pyright: ignore[reportMissingTypeArgument]  (generic since click 8.5)
    """``name=value`` with the value read as it is written: an integer, a number, true or false, else text."""

    name = "name=value"

    def convert(
        self,
        value: str | tuple[str, float | int | str | bool],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, float | int | str | bool]:
        """Return the name and the value."""
        if isinstance(value, tuple):  # click converts what is converted already, too
            return value
        name, equals, text = (part.strip() for part in value.partition("="))
        if not equals or not name or not text:
            self.fail(f"{value!r} must be name=value, such as eta=0.1", param, ctx)
        return name, self._read(text, param, ctx)

    def _read(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float | int | str | bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if re.fullmatch(r"[+-]?\d{1,15}", text, re.ASCII):
            return int(text)
        try:
            number = float(text)
        except ValueError:
            return text
        if not math.isfinite(number):
            self.fail(f"{text!r} is not a finite number", param, ctx)
        return number
