"""`rayces outbox`."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id

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
        with _stopped_by_signals(relay):
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

    given: Any = {"webhooks": Webhooks()} if handlers is None else _named(handlers)
    if callable(given):
        given = given(database)
    return given if isinstance(given, Relay) else Relay(database, given, **options)


def _named(handlers: str) -> Any:
    module, colon, name = handlers.partition(":")
    if not colon or not module or not name:
        raise click.UsageError(f"{handlers!r} is not MODULE:NAME, such as myapp.messages:handlers")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise click.UsageError(f"there is no module {error.name}") from error
    except AttributeError as error:
        raise click.UsageError(f"{module} has no {name}") from error


@contextmanager
def _stopped_by_signals(relay: Relay) -> Iterator[None]:
    """For the block, the first SIGTERM or Ctrl-C stops the relay gently; another Ctrl-C does at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.default_int_handler)
        relay.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@outbox.command(epilog="\b\nExamples:\n  rayces outbox remind --hours 24 --hours 1")
@click.option(
    "--hours",
    type=click.FloatRange(1 / 60, 87_840),
    required=True,
    multiple=True,
    help="How long before a session; give each stage there is, and all of them each time.",
)
@database_options
@click.pass_obj
def remind(settings: Settings, hours: tuple[float, ...]) -> int:
    """Leave a message for each session that comes so soon, of every organization; run it every few minutes.

    Each session is told of once for each stage, and only for the nearest, from however many hosts this runs.
    """
    from rayces_core import scheduling

    with settings.database() as database, database.privileged(reason="rayces outbox remind"):
        told = scheduling.due_reminders([timedelta(hours=each) for each in hours], tell=True)
    click.echo(f"{len(told)} reminders are left in the outbox")
    return 0


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
        of = _organization(database, organization)
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
            organization=_organization(database, organization),
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


def _organization(database: Database, name: str | None) -> int | None:
    if name is None:
        return None
    from rayces_core.errors import UnknownTenantError

    key = subdomain_or_id(name)
    found = database.find_tenant(key)
    if found is None:
        raise UnknownTenantError(key)
    return int(found.id)
