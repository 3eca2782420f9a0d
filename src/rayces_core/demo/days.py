"""When the moments of the demo's centres are: days and hours of weeks that are counted from this one."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Protocol

from rayces_core.tenancy.organization import Organization


class OnADay(Protocol):
    """What is on a day of a week."""

    @property
    def week(self) -> int:
        """Counted from this one."""

    @property
    def day(self) -> int:
        """0 on Monday."""


class AtAnHour(OnADay, Protocol):
    """What begins at an hour of a day."""

    @property
    def at(self) -> str:
        """By the organization's clock."""


def monday_of(organization: Organization, now: datetime, week: int) -> date:
    """The first day of a week."""
    today = now.astimezone(organization.zone).date()
    return today - timedelta(days=today.weekday()) + timedelta(weeks=week)


def day_of(organization: Organization, of: OnADay, now: datetime) -> date:
    """The date of something."""
    return monday_of(organization, now, of.week) + timedelta(days=of.day)


def starts_at(organization: Organization, of: AtAnHour, now: datetime) -> datetime:
    """The moment at which something begins."""
    begins = datetime.combine(day_of(organization, of, now), time.fromisoformat(of.at), organization.zone)
    return begins.astimezone(now.tzinfo)
