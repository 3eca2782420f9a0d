"""What an import from a terminal shows and asks before its first run: how columns are understood, what will happen.

Rule it guards: it asks once, and only where somebody can answer; a script gets neither question nor a file it did not
ask for. What was agreed to is saved beside the file, so the next run of it asks nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from rayces_core.importing import Report

SAMPLES: Final = 3
LONGEST: Final = 40  # of a sample
ARROW: Final = "→"
# What decides how values are read and is no part of a mapping: a run without it would read the file otherwise, unasked.
NOT_KEPT: Final = {
    "date_order": "--date-order",
    "country": "--country",
    "words": "--word",
    "values": "--set",
    "null": "--null",
    "encoding": "--encoding",
}


def can_ask(file: str) -> bool:
    """Whether somebody sits before the command who can look at what it shows and answer."""
    return file != "-" and sys.stdin.isatty() and sys.stdout.isatty()


def saved_beside(file: str, record: str) -> Path:
    """Where the mapping of a file is kept: alumnos.xlsx of students has alumnos.students.toml."""
    path = Path(file)
    return path.with_name(f"{path.stem}.{record}.toml")


def remembered(file: str, record: str, given: dict[str, Any]) -> bool:
    """Whether it was agreed to before how the file is read; then that is used again."""
    beside = saved_beside(file, record)
    if not beside.is_file():
        return False
    click.echo(f"columns are read as {beside} says; delete it to be asked again")
    given["mapping"] = str(beside)
    return True


def show_understanding(report: Report, organization: str) -> None:
    """Show how each column of a checked file is understood, with values as they would be stored."""
    from rayces_core.cli.output import HEADING, console, printable, styled

    screen = console()
    title = f"{printable(report.source)} {ARROW} {report.record_type} of {printable(organization)}"
    screen.print()
    screen.print(styled(title, HEADING))
    screen.print(_columns(report))


def _columns(report: Report) -> RenderableType:
    from rayces_core.cli.output import FAINT, GREEN, YELLOW, printable, styled, table

    shown = table("In the file", "Is read as", "As it will be stored")
    for column, header in report.columns.items():
        shown.add_row(printable(header), styled(column, GREEN), _samples(report.samples.get(column, [])))
    for header in report.unused:
        meant = report.suggestions.get(header)
        hint = f'perhaps {meant}: --map "{printable(header)}={meant}"' if meant else ""
        shown.add_row(styled(printable(header), FAINT), styled("not read", YELLOW), styled(hint, YELLOW))
    for header in report.ignored:
        shown.add_row(styled(printable(header), FAINT), styled("left out", FAINT), "")
    return shown


def _samples(values: list[tuple[str, str]]) -> Text:
    from rich.text import Text

    from rayces_core.cli.output import FAINT

    told = Text()
    for place, (written, stored) in enumerate(values[:SAMPLES]):
        if place:
            told.append(" · ", FAINT)
        elif written != stored:  # once is enough to see what becomes of them
            told.append(f"{_cut(written)} {ARROW} ", FAINT)
        told.append(_cut(stored))
    return told


def _cut(value: str) -> str:
    from rayces_core.cli.output import printable

    bare = " ".join(printable(value).split())
    return bare if len(bare) <= LONGEST else f"{bare[: LONGEST - 1]}…"


def show_outcome(report: Report) -> None:
    """Show what will become of the rows of a checked file."""
    from rich.table import Table

    from rayces_core.cli.output import FAINT, GREEN, HEADING, RED, console, styled

    counts = (
        (report.created, "will be created", GREEN),
        (report.updated, "will be updated", GREEN),
        (report.unchanged, "there already, as they are" if report.unchanged > 1 else "there already, as it is", FAINT),
        (report.skipped, "with problems" if report.skipped > 1 else "with a problem", RED),
    )
    shown = Table.grid(padding=(0, 0, 0, 1))
    shown.add_column(justify="right")
    shown.add_row(styled(f"{report.rows:,}", HEADING), styled("rows" if report.rows != 1 else "row", HEADING))
    for number, what, style in counts:
        if number:
            shown.add_row(styled(f"{number:,}", style), styled(what, style))
    screen = console()
    screen.print(shown)
    screen.print()


def agreed(report: Report, on_error: str) -> str | None:
    """Ask whether to import; returns how rows with problems are treated, or None where the answer is no.

    Where there is nothing to do nothing is asked.
    """
    todo = report.created + report.updated
    if not todo:
        return None
    rows = f"{todo:,} row{'s' * (todo > 1)}"
    left = report.skipped
    without = f" and leave the {left:,} with problems out" if left > 1 else " and leave the one with a problem out"
    question = f"Import {rows}{without if left else ''}?"
    if not click.confirm(click.style(question, bold=True), default=False):
        return None
    return "skip" if left else on_error


def said_no(report: Report) -> int:
    """Say that nothing was written; returns the exit code."""
    from rayces_core.cli.output import console

    todo = report.created + report.updated
    console().print("nothing was written" if todo else "there is nothing to import")
    return 1 if todo or report.problem_count else 0


def not_kept(given: dict[str, Any]) -> list[str]:
    """The options of a run that a saved mapping would lose."""
    return [option for name, option in NOT_KEPT.items() if given.get(name)]


def tell_not_saved(options: list[str]) -> None:
    """Say why nothing is saved, so that the next run asks again."""
    from rayces_core.cli.output import FAINT, console, styled

    said = f"how the columns are read is not saved, since {', '.join(options)} would not be; the next run asks again"
    console().print(styled(said, FAINT))


def tell_saved(path: str | Path, save: Callable[[str], None]) -> None:
    """Save the mapping and say where; a folder that nobody may write to is no reason to stop."""
    from rayces_core.cli.output import FAINT, YELLOW, console, styled

    try:
        save(str(path))
    except OSError as error:
        console().print(styled(f"how the columns are read could not be saved: {error.strerror}", YELLOW))
    else:
        console().print(styled(f"how the columns are read is saved in {path}; the next run asks nothing", FAINT))
