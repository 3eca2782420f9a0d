"""`rayces slots`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id

if TYPE_CHECKING:
    from rayces_core.database.database import Database

FINDINGS = 1


@click.group(name="slots")
def slots() -> None:
    """Offer times that are free to the families that wait for them, and end holds that are over."""


@slots.command(epilog="\b\nExamples:\n  rayces slots offer\n  rayces slots offer --organization north")
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@database_options
@click.pass_obj
def offer(settings: Settings, organization: str | None) -> int:
    """Offer what is free now, first to who waits longest.

    Each offer holds the time for the family for a while; one that nobody answered goes to the next in line. Run it
    every few minutes, from as many hosts as you like: no time is offered twice.

    The exit code is 1 if the line of an organization could not be looked at; the others' are all the same.
    """
    from rayces_core.cli.output import console
    from rayces_core.errors import RaycesError
    from rayces_core.scheduling import offer_slots

    made, failed = 0, False
    with settings.database() as database:
        for name in _waited_at(database) if organization is None else [subdomain_or_id(organization)]:
            try:
                with database.tenant(name):
                    made += len(offer_slots())
            except RaycesError as error:
                if organization is not None:
                    raise
                failed = True
                click.echo(f"organization {name}: {error}", err=True)
    console().print(f"Offers made: {made}")
    return FINDINGS if failed else 0


@slots.command(epilog="\b\nExamples:\n  rayces slots expire\n  rayces slots expire --organization north")
@click.option("--organization", metavar="NAME", help="Only this one, by subdomain or id; default: all of them.")
@database_options
@click.pass_obj
def expire(settings: Settings, organization: str | None) -> None:
    """Cancel appointments that were not confirmed in time, and free what they reserve.

    Run it every few minutes, from as many hosts as you like: each is cancelled once.
    """
    from rayces_core.cli.output import console
    from rayces_core.scheduling import expire_overdue

    with settings.database() as database, ExitStack() as stack:
        if organization is None:
            stack.enter_context(database.privileged(reason="rayces slots expire"))
        else:
            stack.enter_context(database.tenant(subdomain_or_id(organization)))
        ended = expire_overdue()
    console().print(f"Appointments cancelled: {ended}")


def _waited_at(database: Database) -> list[int]:
    """Active organizations in which somebody waits, or has an offer that may be overdue."""
    from rayces_core.models import Organization, SlotRequest

    with database.privileged(reason="rayces slots offer"):
        waiting = SlotRequest.select(SlotRequest.organization).where(SlotRequest.state.in_(["waiting", "offered"]))
        at_home = Organization.active & Organization.moving.is_null()
        active = Organization.select(Organization.id).where(at_home, Organization.id.in_(waiting))
        return [row.id for row in active.order_by(Organization.id)]
