"""`rayces demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from rayces_core.cli.options import debug_option

if TYPE_CHECKING:
    from rich.console import Console

    from rayces_core.database.database import Database
    from rayces_core.models import Organization

NOT_REFUSED = 1
Result = TypeVar("Result")


@click.command(epilog="\b\nExamples:\n  rayces demo\n  rayces demo --keep ./demo-data")
@click.option("--keep", metavar="DIR", type=click.Path(path_type=Path), help="Keep the database in this folder.")
@debug_option
def demo(keep: Path | None) -> int:
    """Show two tenants that cannot reach each other.

    Starts a real PostgreSQL of its own (extra `embedded`), migrates, loads two centres, then tries to read, write and
    refer across them, by model and by raw SQL. Leaves nothing behind, unless told to keep the database; run again with
    the same folder it finds the same data.

    The exit code is 1 if anything was not refused.
    """
    from rayces_core.cli.output import console
    from rayces_core.database.database import Database

    screen = console()
    with ExitStack() as stack:
        database = _timed(screen, "PostgreSQL started", lambda: stack.enter_context(Database.embedded(keep)))
        refused = _show(screen, database)
        if keep is not None:
            _tell_how_to_go_on(screen, database, keep)
    if keep is None:
        screen.print("\nThe server and its data are gone again. To keep them: rayces demo --keep DIR")
    return 0 if refused else NOT_REFUSED


def _show(screen: Console, database: Database) -> bool:
    from rayces_core.cli.demo_screen import heading, what_a_tenant_sees
    from rayces_core.demo import load_centres

    _timed(screen, "schema migrated", database.migrate)
    ours, theirs = _timed(screen, "two centres loaded", lambda: load_centres(database))
    screen.print(heading("What each tenant sees, with the same code"))
    for organization in (ours, theirs):
        screen.print(what_a_tenant_sees(database, organization))
    return _show_walls(screen, database, ours, theirs)


def _show_walls(screen: Console, database: Database, ours: Organization, theirs: Organization) -> bool:
    from rayces_core.cli.demo_screen import heading, what_was_refused
    from rayces_core.cli.demo_walls import fingerprint, try_everything
    from rayces_core.cli.output import GREEN, RED, styled

    screen.print(heading(f"{ours.name} reaches for rows of {theirs.name} (organization {theirs.id})"))
    before = fingerprint(database, theirs)
    outcomes = try_everything(database, ours, theirs)
    untouched = fingerprint(database, theirs) == before
    for kind, some in groupby(outcomes, key=lambda outcome: outcome.attempt.kind):
        screen.print(what_was_refused(kind, some))
    missed = sum(not outcome.refused for outcome in outcomes)
    if missed or not untouched:
        screen.print(styled(f"{missed} attempts were NOT refused; rows of {theirs.name} changed: {not untouched}", RED))
        return False
    screen.print(styled(f"All {len(outcomes)} attempts were refused; no row of {theirs.name} has changed.", GREEN))
    return True


def _timed(screen: Console, done: str, action: Callable[[], Result]) -> Result:
    started = time.perf_counter()
    result = action()
    screen.print(f"{done} in {time.perf_counter() - started:.1f} s")
    return result


def _tell_how_to_go_on(screen: Console, database: Database, folder: Path) -> None:
    from rayces_core.cli.demo_screen import heading

    code = (
        f"from rayces_core import Database; db = Database.embedded({json.dumps(str(folder.resolve()))}); "
        'print(db.admin_url); input("Enter stops it ")'
    )
    python = shlex.quote(sys.executable)
    rayces = "rayces" if shutil.which("rayces") else f"{python} -m rayces_core"
    screen.print(heading(f"The database is kept in {folder}"))
    screen.print("Its server runs as long as somebody uses it, so it stops with this command. To start and hold it:\n")
    screen.print(f"  {python} -c {shlex.quote(code)}\n", soft_wrap=True)
    screen.print("and meanwhile, in another terminal:\n")
    screen.print(f"  RAYCES_DATABASE_URL={shlex.quote(database.admin_url)} {rayces} doctor", soft_wrap=True)
