"""`rayces notices`."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from rayces_core.cli.options import Settings, database_options
from rayces_core.cli.working import named, organization_id, stopped_by_signals
from rayces_core.showing import counted

FINDINGS = 1
STATES = ("queued", "sent", "failed", "skipped", "any")


@click.group()
def notices() -> None:
    """Send what organizations have people told of their sessions, and look after the log."""


@notices.command(epilog="\b\nExamples:\n  rayces notices deliver myapp.notices:senders --once")
@click.argument("senders", metavar="MODULE:NAME")
@click.option("--batch", type=click.IntRange(1, 1000), default=20, show_default=True, help="Notices held at once.")
@click.option(
    "--lease",
    type=click.FloatRange(1, 86_400),
    default=300.0,
    show_default=True,
    help="Seconds until what a worker held that died is due again.",
)
@click.option("--attempts", type=click.IntRange(1, 1000), default=12, show_default=True, help="Then it is given up.")
@click.option("--poll", type=click.FloatRange(0.1, 3600), default=15.0, show_default=True, help="Seconds of rest.")
@click.option("--once", is_flag=True, help="End when nothing is due, instead of waiting for more.")
@database_options
@click.pass_obj
def deliver(
    settings: Settings, senders: str, batch: int, lease: float, attempts: int, poll: float, *, once: bool
) -> int:
    """Make reminders and send what is due until SIGTERM or Ctrl-C.

    MODULE:NAME is a mapping of senders by channel, or a function of the Database that gives one; the current folder is
    searched first. On SIGTERM the notice that is being sent is finished, and the rest goes back. Any number may run.

    The exit code with --once is 1 if an error of the database ended an organization's turn; the others had theirs.
    """
    from rayces_core.notices import delivering
    from rayces_core.outbox.relaying import PASSING

    stopping = threading.Event()
    done: Counter[str] = Counter()
    with settings.database() as database, stopped_by_signals(stopping.set):
        given = named(senders)
        by_channel = given(database) if callable(given) else given
        while not stopping.is_set():
            try:
                delivered = delivering.deliver(
                    database,
                    by_channel,
                    batch=batch,
                    lease=timedelta(seconds=lease),
                    attempts=attempts,
                    is_stopping=stopping.is_set,
                )
                done.update(asdict(delivered))
            except PASSING as error:
                if once:
                    raise
                click.echo(f"the notices cannot be reached, and are tried again until they can: {error}", err=True)
            if once:
                break
            stopping.wait(poll)
    click.echo(", ".join(f"{done[name]} {name}" for name in ("sent", "failed", "skipped", "again")))
    if once and done["halted"]:
        click.echo(f"organizations that are left to the next pass: {done['halted']}", err=True)
        return FINDINGS
    return 0


@notices.command(name="list", epilog="\b\nExamples:\n  rayces notices list\n  rayces notices list --state any --json")
@click.option("--state", type=click.Choice(STATES), default="failed", show_default=True, help="Which notices.")
@click.option("--organization", metavar="NAME", help="Only of this one, by subdomain or id.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def list_(settings: Settings, state: str, organization: str | None, limit: int, *, as_json: bool) -> int:
    """Show notices and how the queue stands; nothing of addresses and words."""
    from rayces_core.notices import keeping

    with settings.database() as database:
        of = organization_id(database, organization)
        found = keeping.listed(database, state=None if state == "any" else state, organization=of, limit=limit)
        stands = keeping.standing(database, organization=of)
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(each) for each in found)
    else:
        _show(found, stands)
    return 0


def _show(found: list[Any], stands: Any) -> None:
    from rayces_core.cli.output import console, moment, table

    screen = console()
    shown = table("Organization", "Notice", "Event", "Channel", "State", "Due", "Reason")
    for each in found:
        shown.add_row(
            str(each.organization_id),
            str(each.id),
            each.event if not each.minutes_before else f"{each.event} {each.minutes_before} min",
            each.channel,
            each.state,
            moment(each.due_at),
            each.reason or "",
        )
    if found:
        screen.print(shown)
    counts = asdict(stands)
    oldest = counts.pop("oldest_due_at")
    screen.print(", ".join(f"{count} {name}" for name, count in counts.items()))
    if oldest is not None:
        screen.print(f"due since {moment(oldest)}")


@notices.command(epilog="\b\nExamples:\n  rayces notices retry --organization north")
@click.option("--organization", metavar="NAME", help="Those of this one, by subdomain or id.")
@database_options
@click.pass_obj
def retry(settings: Settings, organization: str | None) -> int:
    """Have what was given up tried again, of sessions that are still to come."""
    from rayces_core.notices import keeping

    with settings.database() as database:
        count = keeping.retry(database, organization=organization_id(database, organization))
    click.echo(f"{counted(count, 'notices')} due again")
    return 0


@notices.command(epilog="\b\nExamples:\n  rayces notices prune")
@database_options
@click.pass_obj
def prune(settings: Settings) -> int:
    """Forget addresses and delete notices for as long ago as each organization's settings keep them; run it daily."""
    from rayces_core.notices import keeping

    with settings.database() as database:
        pruned = keeping.prune(database)
    click.echo(f"{counted(pruned.deleted, 'notices')} deleted, {counted(pruned.forgotten, 'addresses')} forgotten")
    return 0
