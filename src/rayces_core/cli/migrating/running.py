"""`rayces migrate up | down | status | fake`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rayces_core.cli.migrating.runners import FINDINGS, Which, shown_line, which_migrations
from rayces_core.cli.options import Settings, database_options
from rayces_core.showing import counted

if TYPE_CHECKING:
    from rayces_core.migrating.line import Line
    from rayces_core.migrating.runner import MigrationStatus

    States = list[tuple[str, MigrationStatus]]

OURS = "rayces"
_STYLES = {"applied": "green", "pending": "yellow", "dirty": "bold red", "changed": "bold red", "missing": "bold red"}
_ADVICE = {
    "dirty": "stopped half way: run `rayces migrate up` to finish it, or `rayces migrate down` to undo it",
    "changed": "its file was edited after it was applied: restore it, and put the change into a new migration",
    "missing": "its file is gone: install the version of rayces-core that has it",
    "pending": "not applied yet: run `rayces migrate up`",
}
_CREATION = """\
-- The database is missing. Run this from another one, as a login that may create databases; then make the script of
-- the migrations, which is written for what it finds.
"""
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of text.")
_SQL = click.option("--sql", "as_sql", is_flag=True, help="Print a script for psql instead; nothing is run.")
_TO = click.option("--to", metavar="N", help="Last migration to apply, by number or name; default: the newest.")


@click.command(
    epilog="\b\nExamples:\n  rayces migrate up\n  rayces migrate up --to 11\n  rayces migrate up --create-database\n"
    "  rayces migrate up --sql > up.sql"
)
@_TO
@click.option("--create-database", "create", is_flag=True, help="Create the database first if it is missing.")
@click.option("--maintenance-db", metavar="NAME", help="Database that it is created from; default: postgres.")
@_SQL
@_JSON
@which_migrations
@database_options
@click.pass_obj
def up(
    settings: Settings,
    which: Which,
    to: str | None,
    create: bool,
    maintenance_db: str | None,
    as_sql: bool,
    as_json: bool,
) -> None:
    """Apply what is pending, in order.

    What was stopped half way is finished. Safe on a live database: only one run at a time, and locks are waited for
    half a second at most, then asked for again.
    """
    if maintenance_db is not None and not create:
        raise click.UsageError("--maintenance-db is for --create-database; give both")
    other = {} if maintenance_db is None else {"maintenance_db": maintenance_db}
    if as_sql:
        _print_script(settings, which, lambda line: _up_script(line, to, create, other), as_json=as_json)
        return
    with shown_line(settings, which, "applying") as line:
        created = create and _created(line, other)
        states = line.up(to)
    if created:
        # Programs read an array of migrations on stdout.
        click.echo(f"created database {line.runners[0].database.database}", err=as_json)
    _tell("applied", states, "nothing to apply: the schema is up to date", as_json=as_json)


@click.command(
    epilog="\b\nExamples:\n  rayces migrate down\n  rayces migrate down --count 3 --dry-run\n"
    "  rayces migrate down --to 17 --yes"
)
@click.option("--to", metavar="N", help="Undo all newer than this migration, by number or name; 0 undoes every one.")
@click.option("--count", type=click.IntRange(min=1), metavar="K", help="Undo the newest K; default: 1.")
@click.option("--yes", is_flag=True, help="Drop tables and columns with the rows that are in them.")
@click.option("--dry-run", is_flag=True, help="Say what would be gone and what is in the way; nothing is run.")
@_SQL
@_JSON
@which_migrations
@database_options
@click.pass_obj
def down(
    settings: Settings,
    which: Which,
    to: str | None,
    count: int | None,
    yes: bool,
    dry_run: bool,
    as_sql: bool,
    as_json: bool,
) -> int:
    """Undo migrations, the newest first.

    Tables and columns that they made are dropped: with rows in them only when --yes is given. What would end half way,
    or make one of several organizations, is refused before anything runs.

    The exit code of --dry-run is 1 when something is in the way, or --yes would be needed.
    """
    if to is not None and count is not None:
        raise click.UsageError("give --to or --count, not both")
    if as_sql and dry_run:
        raise click.UsageError("give --sql or --dry-run, not both")
    if dry_run:
        return _foretell(settings, which, to, count, as_json=as_json)
    if as_sql:
        _print_script(settings, which, lambda line: line.down_script(to, count=count), as_json=as_json)
        return 0
    with shown_line(settings, which, "undoing") as line:
        states = line.down(to, count=count, yes=yes)
    _tell("undone", states, "nothing to undo", as_json=as_json)
    return 0


def _foretell(settings: Settings, which: Which, to: str | None, count: int | None, *, as_json: bool) -> int:
    with settings.database() as database:
        undoing = which.line(database).undoing(to, count=count)
    if as_json:
        from rayces_core.cli.output import print_json

        print_json([asdict(undoing) | {"needs_yes": undoing.needs_yes}])
    else:
        for line in (*undoing.lines(), *undoing.others, *(f"in the way: {each}" for each in undoing.obstacles())):
            click.echo(line)
        undone = counted(len(undoing.migrations), "migrations")
        click.echo(f"{undone} would be undone{', with --yes' if undoing.needs_yes else ''}")
    return FINDINGS if undoing.needs_yes or any(undoing.obstacles()) else 0


@click.command(epilog="\b\nExamples:\n  rayces migrate fake --to 11")
@click.option("--to", metavar="N", required=True, help="Last migration to note as applied, by number or name.")
@_JSON
@which_migrations
@database_options
@click.pass_obj
def fake(settings: Settings, which: Which, to: str, as_json: bool) -> None:
    """Note migrations as applied without running them.

    For a schema that got there by another way; `rayces migrate check` then says whether it really did.
    """
    with shown_line(settings, which, "noting") as line:
        states = line.fake(to)
    _tell("noted", states, "nothing to note: they are all in the history", as_json=as_json)


@click.command(epilog="\b\nExamples:\n  rayces migrate status\n  rayces migrate status --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.option("--allow-newer", is_flag=True, help="Accept what a newer version than this one has applied.")
@which_migrations
@database_options
@click.pass_obj
def status(settings: Settings, which: Which, allow_newer: bool, as_json: bool) -> int:
    """List every migration with its state.

    The exit code is 1 unless all are applied.
    """
    with settings.database() as database:
        states = which.line(database).status()
    if as_json:
        _print(states)
    else:
        _show(states)
    return 0 if all(_is_settled(*each, states, allow_newer=allow_newer) for each in states) else FINDINGS


def _is_settled(history: str, state: MigrationStatus, states: States, *, allow_newer: bool) -> bool:
    known = (each.number for other, each in states if other == history and each.state != "missing")
    newest = max(known, default=0)
    return state.state == "applied" or (allow_newer and state.state == "missing" and state.number > newest)


def _created(line: Line, other: dict[str, str]) -> bool:
    from rayces_core.migrating.creating import ensure_database

    return ensure_database(line.runners[0].database, **other)


def _up_script(line: Line, to: str | None, create: bool, other: dict[str, str]) -> str:
    from rayces_core.migrating.creating import creation_script

    statement = creation_script(line.runners[0].database, **other) if create else ""
    return f"{_CREATION}{statement}" if statement else line.up_script(to)


def _print_script(settings: Settings, which: Which, write: Callable[[Line], str], *, as_json: bool) -> None:
    if as_json:
        raise click.UsageError("give --sql or --json, not both")
    with settings.database() as database:
        click.echo(write(which.line(database)), nl=False)


def _tell(done: str, states: States, nothing: str, *, as_json: bool) -> None:
    if as_json:
        _print(states)
        return
    for history, state in states:
        click.echo(f"{done} {state.name}" if history == OURS else f"{done} {history}: {state.name}")
    if not states:
        click.echo(nothing)


def _print(states: States) -> None:
    from rayces_core.cli.output import print_json

    print_json({"history": history} | asdict(state) for history, state in states)


def _show(states: States) -> None:
    from rayces_core.cli.output import console, moment, styled, table

    several = len({history for history, _ in states}) > 1
    shown = table(*(["History"] if several else []), "Migration", "State", "Applied at (UTC)", "Took")
    for history, state in states:
        took = "" if state.duration_ms is None else f"{state.duration_ms} ms"
        facts = (state.name, styled(state.state, _STYLES[state.state]), moment(state.applied_at), took)
        shown.add_row(*([history] if several else []), *facts)
    screen = console()
    screen.print(shown)
    for kind, advice in _ADVICE.items():
        found = [state.name for _, state in states if state.state == kind]
        if found:
            screen.print(styled(f"{len(found)} {kind}: {advice}", _STYLES[kind]))
