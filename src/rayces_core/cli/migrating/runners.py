"""The runners that a command works with: of this library's migrations, and of a host application's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rayces_core.cli.options import Settings

if TYPE_CHECKING:
    from rayces_core.database.database import Database
    from rayces_core.migrating.execution import Observer
    from rayces_core.migrating.line import Line
    from rayces_core.migrating.places import Place
    from rayces_core.migrations.session import Progress

FINDINGS = 1
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Which:
    """Whose migrations: this library's, then those of the directories named, or of one history only."""

    directories: tuple[str, ...] = ()
    history_tables: tuple[str, ...] = ()
    only: str | None = None

    def places(self) -> list[Place]:
        """Our own place and the host's: those of --directory, else those of pyproject.toml."""
        from rayces_core.migrating.places import configured, in_order, place

        if not self.directories:
            return in_order(configured())
        tables = self.history_tables or (None,) * len(self.directories)
        return in_order(place(*pair) for pair in zip(self.directories, tables, strict=True))

    def line(self, database: Any, on_step: Observer | None = None, on_progress: Progress | None = None) -> Line:
        """The runners of these migrations on a Database, in order."""
        from rayces_core.migrating.line import Line
        from rayces_core.migrating.runner import Runner

        places = self.places()
        options: dict[str, Any] = {"app_role": database.app_role, "admin_role": database.admin_role}
        options |= {"on_step": on_step, "on_progress": on_progress}
        runners = [
            Runner(database.admin_url, each.directory, history_table=each.history_table, **options) for each in places
        ]
        return Line(runners, only=self.only, derived=[each.history_table for each in places if not each.is_named])


def which_migrations(command: Command) -> Command:
    """Let a command take --directory, --history-table and --only, and hand it a `Which`."""

    @wraps(command)
    def all_three(directory: tuple[str, ...], history_table: tuple[str, ...], only: str | None, **others: Any) -> Any:
        if history_table and len(history_table) != len(directory):
            raise click.UsageError("give each --directory its --history-table, in the same order, or none of them")
        return command(which=Which(directory, history_table, only), **others)

    own = click.option(
        "--directory",
        metavar="DIR",
        multiple=True,
        help="Folder of your own migrations, which follow rayces'; repeatable; default: those in pyproject.toml.",
    )
    table = click.option(
        "--history-table",
        metavar="TABLE",
        multiple=True,
        help="Where the history of each --directory is kept; default: myapp/migrations in myapp_migrations.",
    )
    only = click.option("--only", metavar="NAME", help="Only this history: rayces, or a table without _migrations.")
    return own(table(only(all_three)))  # type: ignore[return-value]


def scratch_option(command: Command) -> Command:
    """Let a command take --scratch-url."""
    return click.option(
        "--scratch-url",
        metavar="URL",
        help="Server to make the scratch database on; default: an embedded one (extra `embedded`).",
    )(command)


@contextmanager
def scratch_server(url: str | None) -> Iterator[str]:
    """The URL of the server to rehearse on: the one named, or an embedded one for the length of the block."""
    if url is not None:
        yield url
        return
    from rayces_core.embedded.server import EmbeddedServer

    with EmbeddedServer() as server:
        yield server.url


@contextmanager
def shown_line(settings: Settings, which: Which, doing: str) -> Iterator[Line]:
    """Runners that show on a terminal what they are at, with a bar for backfills and index builds."""
    with progress_shown(settings, doing) as (database, on_step, on_progress):
        yield which.line(database, on_step, on_progress)


@contextmanager
def progress_shown(settings: Settings, doing: str) -> Iterator[tuple[Database, Observer, Progress]]:
    """The database, and two functions that show on a terminal what a runner is at."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    screen = Console(stderr=True)
    # The words come last, so that a narrow terminal cuts them and not the numbers.
    words = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = (SpinnerColumn("line"), TaskProgressColumn(), BarColumn(bar_width=20), words)
    bars = Bars(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    with settings.database() as database, bars:
        task, place = bars.add_task("looking at the migrations", total=None), ""

        def on_step(name: str, step: int, steps: int) -> None:
            nonlocal task, place
            if settings.interruption:
                settings.interruption.check()
            # A task that once had a total keeps it, so each step gets a new one.
            bars.remove_task(task)
            task = bars.add_task(f"{doing} {name}, step {step} of {steps}", total=None)
            place = f"{name}, {step} of {steps}"

        def on_progress(what: str, done: int, total: int) -> None:
            bars.update(task, completed=done, total=total, description=f"{what} ({place})")

        yield database, on_step, on_progress
