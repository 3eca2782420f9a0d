"""`rayces migrate rehearse | plan`: what pending migrations do to the tables, measured on a scratch database."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rayces_core.cli.migrating.runners import FINDINGS, Which, scratch_option, scratch_server, which_migrations
from rayces_core.cli.options import Settings, database_options
from rayces_core.showing import counted

if TYPE_CHECKING:
    from rayces_core.migrating.rehearsal import Measurement

    Sizes = dict[str, int | None]

_TO = click.option("--to", metavar="N", help="Last migration to look at, by number or name; default: the newest.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
_SHOWN_CHARACTERS = 80
_SHOWN_TABLES = 3
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_STEP = 1024


@click.command(epilog="\b\nExamples:\n  rayces migrate rehearse\n  rayces migrate rehearse --rows 2 --to 11 --json")
@_TO
@click.option(
    "--rows", type=click.IntRange(0, 1000), default=0, metavar="N", help="Made-up rows for each table; default: none."
)
@scratch_option
@_JSON
@which_migrations
@database_options
@click.pass_obj
def rehearse(
    settings: Settings, which: Which, to: str | None, rows: int, scratch_url: str | None, as_json: bool
) -> int:
    """Run what is pending on a scratch copy of the schema, and measure it.

    A statement blocks when it reads or rewrites a whole table while the application cannot write. The copy is made by
    the same migrations, in a database of its own that is dropped afterwards; your database is only asked for its
    state. Its tables are empty unless --rows is given; then what fails on rows only is seen as well.

    The exit code is 1 if a statement blocks.
    """
    found, _ = _measured(settings, which, to, scratch_url, rows=rows)
    if as_json:
        _print(found, {})
    else:
        _show(found)
    return FINDINGS if any(each.blocks for each in found) else 0


@click.command(epilog="\b\nExamples:\n  rayces migrate plan\n  rayces migrate plan --to 11 --json")
@_TO
@scratch_option
@_JSON
@which_migrations
@database_options
@click.pass_obj
def plan(settings: Settings, which: Which, to: str | None, scratch_url: str | None, as_json: bool) -> None:
    """List every statement that would run, its lock, and how big your tables are that it reads or rewrites.

    Measured as by `rayces migrate rehearse`; nothing is run on your database.
    """
    found, sizes = _measured(settings, which, to, scratch_url, sizes=True)
    if as_json:
        _print(found, sizes)
    else:
        _show(found, sizes)


def _measured(
    settings: Settings, which: Which, to: str | None, scratch_url: str | None, *, sizes: bool = False, rows: int = 0
) -> tuple[list[Measurement], Sizes]:
    from rayces_core.migrating.rehearsal import rehearse, table_sizes

    with settings.database() as database, scratch_server(scratch_url) as server:
        line = which.line(database)
        if to is not None:
            line.one("--to")
        found = rehearse(line.chosen, server, beneath=line.beneath, to=to, rows=rows)
        return found, table_sizes(line.chosen[-1], found) if sizes else {}


def _print(found: list[Measurement], sizes: Sizes) -> None:
    from rayces_core.cli.output import print_json

    print_json(
        asdict(each)
        | {"blocks": each.blocks}
        | ({"bytes": {name: sizes[name] for name in _touched(each)}} if sizes else {})
        for each in found
    )


def _show(found: list[Measurement], sizes: Sizes | None = None) -> None:
    from rayces_core.cli.output import GREEN, RED, console, styled, table

    screen = console()
    if not found:
        screen.print(styled("nothing is pending", GREEN))
        return
    shown = table("Step", "Statement", "Lock", "Reads all of", "Writes anew", "Verdict")
    several = len({each.history for each in found}) > 1
    for each in found:
        shown.add_row(
            f"{f'{each.history} ' if several else ''}{each.migration.partition('_')[0]}, {each.step}",
            _statement(each),
            f"{each.lock} on {_listed(each.locked, sizes)}" if each.lock else "",
            _listed(each.scanned, sizes),
            _listed(each.rewritten, sizes),
            styled("blocks", RED) if each.blocks else styled("ok", GREEN),
        )
    screen.print(shown)
    blocking = [each for each in found if each.blocks]
    for each in blocking:
        screen.print(styled(f"{each.migration}, step {each.step} {each.reason}", RED))
    screen.print(styled(f"{counted(len(found), 'statements')}, {len(blocking)} block", RED if blocking else GREEN))


def _touched(each: Measurement) -> list[str]:
    return sorted({*each.locked, *each.scanned, *each.rewritten})


def _statement(each: Measurement) -> str:
    text = f"{each.call}(): {each.sql}" if each.call else each.sql
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _listed(names: tuple[str, ...], sizes: Sizes | None) -> str:
    if len(names) > _SHOWN_TABLES:
        return f"{len(names)} tables"
    return ", ".join(f"{name} ({_size(sizes[name])})" if sizes else name for name in names)


def _size(size: int | None) -> str:
    if size is None:
        return "new"
    amount, unit = float(size), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}"
