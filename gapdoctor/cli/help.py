"""How help pages look: plain text of 80 columns, options grouped by what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from typer.core import TyperCommand, TyperGroup

from gapdoctor.cli.console import wants_color

MANY = 8
"""More options than these are grouped; fewer are one list."""


class PlainCommand(TyperCommand):
    """A command whose help page groups its options by panel, in the order of their definition."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write `Usage: gapdoctor diagnose [OPTIONS] [CHECKPOINT]`."""
        arguments = [_argument(p) for p in self.params if p.param_type_name == "argument"]
        formatter.write_usage(ctx.command_path, " ".join(["[OPTIONS]", *arguments]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments first, then each panel of options under its own heading."""
        _write_params(self.get_params(ctx), formatter)


class PlainGroup(TyperGroup):
    """The top command: its help page groups the commands by panel."""

    command_class = PlainCommand

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by panel, then the few options of the top command."""
        commands = [c for c in self.commands.values() if not c.hidden]
        for panel, members in _grouped(commands):
            rows = [(str(c.name), c.get_short_help_str(limit=200)) for c in members]
            _write_section(formatter, panel or "Commands", rows)
        _write_params(self.get_params(ctx), formatter)


def _write_params(params: Sequence[Any], formatter: Any) -> None:
    shown = [p for p in params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    if arguments:
        rows = [(_name(p), p.help or "") for p in arguments]
        _write_section(formatter, "Arguments", rows)
    options = [p for p in shown if p.param_type_name == "option"]
    panels = _grouped(options) if len(options) > MANY else [("", options)]
    for panel, members in panels:
        rows = [(_declaration(p), _described(p)) for p in members]
        _write_section(formatter, panel or "Options", rows)


def _write_section(formatter: Any, title: str, rows: list[tuple[str, str]]) -> None:
    heading = f"\033[1m{title}\033[0m" if wants_color("stdout") else title
    with formatter.section(heading):
        formatter.write_dl(rows, col_max=26)


def _grouped(members: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Group by panel; those without one (`--help`) come last."""
    panels = [(getattr(m, "rich_help_panel", None) or "", m) for m in members]
    order = {panel: i for i, panel in enumerate(dict.fromkeys(p for p, _ in panels))}
    order[""] = len(order)
    panels.sort(key=lambda pair: order[pair[0]])
    return [(key, [m for _, m in pairs]) for key, pairs in groupby(panels, key=lambda p: p[0])]


def _name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _argument(param: Any) -> str:
    return _name(param) if param.required else f"[{_name(param)}]"


def _declaration(param: Any) -> str:
    """Return `-c, --config FILE`."""
    opts = sorted([*param.opts, *param.secondary_opts], key=lambda o: o.startswith("--"))
    takes_value = not (getattr(param, "is_flag", False) or getattr(param, "count", False))
    return ", ".join(opts) + (f" {_name(param)}" if takes_value else "")


def _described(param: Any) -> str:
    default = param.default
    if default is None or isinstance(default, bool | list | tuple) or not param.show_default:
        return str(param.help or "")
    return f"{param.help}  [default: {getattr(default, 'value', default)}]"
