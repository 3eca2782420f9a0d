"""`rayces outbox`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import Settings, database_options
from rayces_core.cli.working import named, organization_id, stopped_by_signals

if TYPE_CHECKING:
    from rayces_core.database.database import Database
    from rayces_core.outbox.relaying import Relay

STATES = ("pending", "delivered", "dead", "any")


@click.group()
def outbox() -> None:
    """Deliver the messages that changes leave behind, and look after them."""


@outbox.command(epilog="\b\nExamples:\n  rayces outbox run myapp.messages:handlers\n  rayces outbox run --once")
@click.argument("handlers", metavar="[MODULE:NAME]", required=False)
@click.option("--batch", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Messages held at once.")
@click.option(
    "--per-tenant", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Most of one tenant at a time."
)
@click.option(
    "--lease",
    type=click.FloatRange(1, 86_400),
    default=30.0,
    show_default=True,
    help="Seconds until what a relay held that died is due again.",
)
@click.option(
    "--poll", type=click.FloatRange(0.01, 3600), default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option("--attempts", type=click.IntRange(1, 1000), default=12, show_default=True, help="Then it is dead.")
@click.option("--threads", type=click.IntRange(1, 1000), default=4, show_default=True, help="That deliver.")
@click.option("--once", is_flag=True, help="End when nothing is due, instead of waiting for more.")
@database_options
@click.pass_obj
def run(settings: Settings, /, handlers: str | None, once: bool, **options: Any) -> int:
    """Run a relay until SIGTERM or Ctrl-C.

    MODULE:NAME is a mapping of deliverers by name, a function of the Database that gives one, or a function that gives
    a Relay; the current folder is searched first. Without it the signed webhooks of `webhook_endpoints` are sent.

    On SIGTERM it finishes what is being delivered, gives the rest back and ends with 0. Any number may run.
    """
    with settings.database() as database:
        relay = _relay(database, handlers, options)
        with stopped_by_signals(relay.stop):
            if not once:
                relay.run()
            delivered = 0
            while once and (batch := relay.run_once()):
                delivered += batch
    if once:
        click.echo(f"{delivered} messages were taken")
    return 0


def _relay(database: Database, handlers: str | None, options: dict[str, Any]) -> Relay:
    from rayces_core.outbox.relaying import Relay
    from rayces_core.outbox.webhooks import Webhooks

    given: Any = {"webhooks": Webhooks()} if handlers is None else named(handlers)
    if callable(given):
        given = given(database)
    return given if isinstance(given, Relay) else Relay(database, given, **options)


@outbox.command(name="list", epilog="\b\nExamples:\n  rayces outbox list\n  rayces outbox list --state pending --json")
@click.option("--state", type=click.Choice(STATES), default="dead", show_default=True, help="Which messages.")
@click.option("--organization", metavar="NAME", help="Only of this one, by subdomain or id.")
@click.option("--topic", help="Only of this topic.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@database_options
@click.pass_obj
def list_(
    settings: Settings, state: str, organization: str | None, topic: str | None, limit: int, as_json: bool
) -> int:
    """Show messages and how their delivery stands; nothing of their payload."""
    from rayces_core.outbox import keeping

    with settings.database() as database:
        of = organization_id(database, organization)
        found = keeping.listed(
            database, state=None if state == "any" else state, organization=of, topic=topic, limit=limit
        )
        counts = keeping.counted(database, organization=of)
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(each) for each in found)
    else:
        _show(found, counts)
    return 0


def _show(found: list[Any], counts: dict[str, int]) -> None:
    from rayces_core.cli.output import console, moment, table

    screen = console()
    shown = table("Organization", "Message", "Topic", "Subject", "State", "Attempts", "Happened", "Last error")
    for each in found:
        shown.add_row(
            str(each.organization_id),
            each.message_id,
            each.topic,
            f"{each.subject_type} {each.subject_id}",
            each.state,
            str(each.attempts),
            moment(each.occurred_at),
            each.last_error or "",
        )
    if found:
        screen.print(shown)
    screen.print(", ".join(f"{count} {state}" for state, count in counts.items()))


@outbox.command(epilog="\b\nExamples:\n  rayces outbox retry --all\n  rayces outbox retry --topic appointment.confirm")
@click.argument("message_ids", metavar="[MESSAGE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every dead message.")
@click.option("--organization", metavar="NAME", help="Those of this one, by subdomain or id.")
@click.option("--topic", help="Those of this topic.")
@database_options
@click.pass_obj
def retry(
    settings: Settings, message_ids: tuple[str, ...], everything: bool, organization: str | None, topic: str | None
) -> int:
    """Have dead messages delivered after all, to those who do not have them."""
    from rayces_core.outbox import keeping

    if not (message_ids or everything or organization or topic):
        raise click.UsageError("name messages, an --organization or a --topic, or say --all")
    with settings.database() as database:
        count = keeping.retry(
            database,
            message_ids=message_ids or None,
            organization=organization_id(database, organization),
            topic=topic,
        )
    click.echo(f"{count} messages are due again")
    return 0


@outbox.command(epilog="\b\nExamples:\n  rayces outbox prune --days 30\n  rayces outbox prune --days 90 --dead")
@click.option("--days", type=click.FloatRange(0, 36_500), required=True, help="Keep what was settled since then.")
@click.option("--dead", is_flag=True, help="Delete dead messages too.")
@database_options
@click.pass_obj
def prune(settings: Settings, days: float, dead: bool) -> int:
    """Delete messages that were delivered long ago, in small batches."""
    from rayces_core.outbox import keeping

    with settings.database() as database:
        count = keeping.prune(database, older_than=timedelta(days=days), dead=dead)
    click.echo(f"{count} messages are deleted")
    return 0
