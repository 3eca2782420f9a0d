"""`rayces calendars`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id

if TYPE_CHECKING:
    from rayces_core.calendars import Failing, Refreshed

FINDINGS = 1


@click.group()
@database_options
def calendars() -> None:
    """Look after the calendars elsewhere that professionals have added."""


@calendars.command(
    epilog="\b\nExamples:\n  rayces calendars refresh\n  rayces calendars refresh --organization north --every 0 --json"
)
@click.option("--organization", metavar="NAME", help="Only this one's, by subdomain or id; default: those of all.")
@click.option(
    "--every",
    metavar="MINUTES",
    type=click.IntRange(min=0),
    default=15,
    show_default=True,
    help="How long after an attempt a calendar is due again.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Longest time for one address.",
)
@click.option(
    "--allow",
    "allowed",
    metavar="NETWORK",
    multiple=True,
    help="Read there though it is not public; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def refresh(
    settings: Settings, organization: str | None, every: int, seconds: float, allowed: tuple[str, ...], as_json: bool
) -> int:
    """Read the calendars that are due, and note when their professionals are busy.

    Run it every few minutes, from as many hosts as you like: a calendar is read by one of them. One that cannot be read
    keeps the times that it had, and is tried again.

    The exit code is 1 if any calendar could not be read.
    """
    from rayces_core.calendars import Fetcher, refresh_calendars

    with settings.database() as database:
        done = refresh_calendars(
            database,
            organization=None if organization is None else subdomain_or_id(organization),
            every=timedelta(minutes=every),
            fetcher=Fetcher(seconds=seconds, allowed=allowed),
        )
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(each) for each in done)
    else:
        _show(done)
    return FINDINGS if any(each.outcome == "failed" for each in done) else 0


@calendars.command(
    epilog="\b\nExamples:\n  rayces calendars failing\n  rayces calendars failing --organization north --days 1"
)
@click.option("--organization", metavar="NAME", help="Only this one's, by subdomain or id; default: those of all.")
@click.option("--days", type=click.IntRange(min=0), default=3, show_default=True, help="For how long at least.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def failing(settings: Settings, organization: str | None, days: int, as_json: bool) -> int:
    """List the calendars that cannot be read for days.

    What they had when they were read last still counts; what they have now, nobody knows.

    The exit code is 1 if there are any.
    """
    from rayces_core.calendars import failing_calendars

    with settings.database() as database, ExitStack() as stack:
        if organization is None:
            stack.enter_context(database.privileged(reason="rayces calendars failing"))
        else:
            stack.enter_context(database.tenant(subdomain_or_id(organization)))
        found = failing_calendars(timedelta(days=days))
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(each) for each in found)
    else:
        _show_failing(found)
    return FINDINGS if found else 0


def _show_failing(found: list[Failing]) -> None:
    from rayces_core.cli.output import console, table

    screen = console()
    shown = table("Organization", "Calendar", "Name", "Since", "Why")
    for each in found:
        since = f"{each.failing_since:%Y-%m-%d %H:%M}"
        shown.add_row(str(each.organization_id), str(each.calendar_id), each.name, since, each.failure)
    if found:
        screen.print(shown)
    screen.print(f"Calendars that fail: {len(found)}")


def _show(done: list[Refreshed]) -> None:
    from rayces_core.cli.output import console, table

    screen = console()
    shown = table("Organization", "Calendar", "Outcome", "Why", "New", "Gone")
    for each in done:
        numbers = each.organization_id, each.calendar_id
        shown.add_row(*map(str, numbers), each.outcome, each.reason or "", str(each.added), str(each.removed))
    if done:
        screen.print(shown)
    screen.print(f"Calendars read: {len(done)}")
