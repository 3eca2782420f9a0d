"""The runner that a command works with: of this library's migrations, or of a host application's own."""

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
    from rayces_core.migrating.runner import Runner
    from rayces_core.migrations.session import Progress

FINDINGS = 1
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Which:
    """Whose migrations: without a directory this library's."""

    directory: str | None = None
    history_table: str | None = None

    def runner(self, database: Any, on_step: Observer | None = None, on_progress: Progress | None = None) -> Runner:
        """The runner of these migrations on a Database."""
        from rayces_core.migrating.runner import Runner

        options: dict[str, Any] = {} if self.history_table is None else {"history_table": self.history_table}
        options |= {"app_role": database.app_role, "admin_role": database.admin_role}
        return Runner(database.admin_url, self.directory, on_step=on_step, on_progress=on_progress, **options)

    def beneath(self, database: Any) -> list[Runner]:
        """The runners whose migrations come before: this library's, where a host's are asked for."""
        return [] if self.directory is None else [Which().runner(database)]


def which_migrations(command: Command) -> Command:
    """Let a command take --directory and --history-table, and hand it a `Which`."""

    @wraps(command)
    def both(directory: str | None, history_table: str | None, **others: Any) -> Any:
        if (directory is None) != (history_table is None):
            raise click.UsageError("--directory and --history-table belong together: two histories never mix")
        return command(which=Which(directory, history_table), **others)

    own = click.option("--directory", metavar="DIR", help="Folder of your application's own migrations, not rayces'.")
    table = click.option("--history-table", metavar="TABLE", help="Where the history of --directory is kept.")
    return own(table(both))  # type: ignore[return-value]


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
def shown_runner(settings: Settings, which: Which, doing: str) -> Iterator[Runner]:
    """A runner that shows on a terminal what it is at, with a bar for backfills and index builds."""
    with progress_shown(settings, doing) as (database, on_step, on_progress):
        yield which.runner(database, on_step, on_progress)


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
