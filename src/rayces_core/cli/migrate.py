"""`rayces migrate up | down | status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rayces_core.cli.options import Settings, database_options

if TYPE_CHECKING:
    from rayces_core.migrations.runner import MigrationStatus, Runner

FINDINGS = 1
_STYLES = {"applied": "green", "pending": "yellow", "dirty": "bold red", "changed": "bold red", "missing": "bold red"}
_ADVICE = {
    "dirty": "stopped half way: run `rayces migrate up` to finish it, or `rayces migrate down` to undo it",
    "changed": "its file was edited after it was applied: restore it, and put the change into a new migration",
    "missing": "its file is gone: install the version of rayces-core that has it",
    "pending": "not applied yet: run `rayces migrate up`",
}


@click.group()
@database_options
def migrate() -> None:
    """Apply, undo or list migrations."""


@migrate.command(epilog="\b\nExamples:\n  rayces migrate up\n  rayces migrate up --to 11")
@click.option("--to", metavar="N", help="Last migration to apply, by number or name; default: the newest.")
@database_options
@click.pass_obj
def up(settings: Settings, to: str | None) -> None:
    """Apply what is pending, in order.

    What was stopped half way is finished. Safe on a live database: only one run at a time, and locks are waited for
    half a second at most, then asked for again.
    """
    with _runner(settings, "applying") as runner:
        names = runner.up(to)
    _tell("applied", names, "nothing to apply: the schema is up to date")


@migrate.command(
    epilog="\b\nExamples:\n  rayces migrate down\n  rayces migrate down --count 3\n  rayces migrate down --to 0"
)
@click.option("--to", metavar="N", help="Undo all newer than this migration, by number or name; 0 undoes every one.")
@click.option("--count", type=click.IntRange(min=1), metavar="K", help="Undo the newest K; default: 1.")
@database_options
@click.pass_obj
def down(settings: Settings, to: str | None, count: int | None) -> None:
    """Undo migrations, the newest first.

    Tables and columns that they made are dropped with what is in them.
    """
    if to is not None and count is not None:
        raise click.UsageError("give --to or --count, not both")
    with _runner(settings, "undoing") as runner:
        names = runner.down(to, count=count)
    _tell("undone", names, "nothing to undo")


@migrate.command(epilog="\b\nExamples:\n  rayces migrate status\n  rayces migrate status --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def status(settings: Settings, as_json: bool) -> int:
    """List every migration with its state.

    The exit code is 1 unless all are applied.
    """
    with settings.database() as database:
        states = database.migration_status()
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(state) for state in states)
    else:
        _show(states)
    return 0 if all(state.state == "applied" for state in states) else FINDINGS


@contextmanager
def _runner(settings: Settings, doing: str) -> Iterator[Runner]:
    """A runner that shows on a terminal what it is at."""
    from rich.console import Console

    from rayces_core.migrations.runner import Runner

    # Rich shows nothing where stderr is no terminal.
    progress = Console(stderr=True).status("looking at the migrations", spinner="line")
    with settings.database() as database, progress:

        def on_step(name: str, step: int, steps: int) -> None:
            if settings.interruption:
                settings.interruption.check()
            progress.update(f"{doing} {name}, step {step} of {steps}")

        yield Runner(database.url, app_role=database.app_role, admin_role=database.admin_role, on_step=on_step)


def _tell(done: str, names: list[str], nothing: str) -> None:
    for name in names:
        click.echo(f"{done} {name}")
    if not names:
        click.echo(nothing)


def _show(states: list[MigrationStatus]) -> None:
    from rayces_core.cli.output import console, moment, styled, table

    shown = table("Migration", "State", "Applied at (UTC)", "Took")
    for state in states:
        took = "" if state.duration_ms is None else f"{state.duration_ms} ms"
        shown.add_row(state.name, styled(state.state, _STYLES[state.state]), moment(state.applied_at), took)
    screen = console()
    screen.print(shown)
    for kind, advice in _ADVICE.items():
        found = [state.name for state in states if state.state == kind]
        if found:
            screen.print(styled(f"{len(found)} {kind}: {advice}", _STYLES[kind]))
