"""Calendars elsewhere that cannot be read for long: what they had still counts, and nobody knows what they have now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rayces_core import clock
from rayces_core.models.outside_calendar import OutsideCalendar

LONG: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Failing:
    """A calendar that cannot be read: whose, since when, and why."""

    organization_id: int
    calendar_id: int
    professional_id: int
    name: str
    failing_since: datetime
    failure: str


def failing_calendars(lasting: timedelta = LONG, *, now: datetime | None = None) -> list[Failing]:
    """List the calendars that could not be read for so long, those that fail longest first.

    In a tenant's block they are its own, in privileged work those of every organization.
    """
    since = clock.moment(now) - lasting
    found = OutsideCalendar.select().where(OutsideCalendar.failing_since <= since)
    rows = found.order_by(OutsideCalendar.failing_since, OutsideCalendar.organization, OutsideCalendar.id)
    return [
        Failing(row.organization_id, row.id, row.professional_id, row.name, row.failing_since, row.failure or "")
        for row in rows
        if row.failing_since is not None
    ]
