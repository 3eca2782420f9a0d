"""What commands that go through many rows share: their options, a progress bar on stderr, and the summary as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rayces_core.cli.options import Settings

Progress = Callable[[str, int, int], object]


def _tenant(context: click.Context, option: click.Parameter, value: str) -> str | int:  # noqa: ARG001
    return int(value) if value.isdecimal() else value


tenant_option = click.option(
    "--tenant", metavar="NAME", required=True, callback=_tenant, help="The organization, by subdomain or id."
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def ticking(settings: Settings, stack: ExitStack, *, quiet: bool) -> Progress:
    """A callback that shows on a terminal how far each table has come, and lets Ctrl-C end the command in between."""
    show = None if quiet or not sys.stderr.isatty() else _bars(stack)

    def tick(table: str, done: int, total: int) -> None:
        if settings.interruption is not None:
            settings.interruption.check()
        if show is not None:
            show(table, done, total)

    return tick


def echo_json(summary: Any, *, err: bool = False) -> None:
    """Print a JSON object; what JSON has no word for is text."""
    click.echo(json.dumps(summary, indent=2, ensure_ascii=False, default=str), err=err)


def _bars(stack: ExitStack) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bars = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    tasks: dict[str, Any] = {}

    def show(table: str, done: int, total: int) -> None:
        if table not in tasks:
            tasks[table] = bars.add_task(table, total=total)
        bars.update(tasks[table], completed=done, total=total)

    return show
