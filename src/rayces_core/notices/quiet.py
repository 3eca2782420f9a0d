"""When a notice goes out: its stage before the session, kept out of the quiet hours of the organization's clocks.

Rule it guards: what is due in quiet hours goes out when they end. A reminder whose session has begun by then goes out
half an hour before they begin, or not at all where nobody was booked by then. It reads no database and no clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rayces_core.fields.notices import QuietHours

AHEAD_OF_QUIET: Final = timedelta(minutes=30)
DAY: Final = timedelta(days=1)


def quiet_until(moment: datetime, hours: QuietHours | None, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours end that the moment lies in; None if it lies in none."""
    span = _span(moment, hours, zone)
    return None if span is None else span[1]


def reminder_due(
    occurs_at: datetime, ahead: timedelta, *, since: datetime, hours: QuietHours | None, zone: ZoneInfo
) -> datetime | None:
    """When a reminder goes out; None if there is no time for it.

    Args:
        ahead: how long before the session. since: from when on the family may be reminded: of what was booked or moved
            later than `ahead`, the reminder is due then.
    """
    due = max(occurs_at - ahead, since)
    span = _span(due, hours, zone)
    if span is not None:
        begin, end = span
        due = end if end < occurs_at else begin - AHEAD_OF_QUIET
    return due if since <= due < occurs_at else None


def _span(moment: datetime, hours: QuietHours | None, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """The quiet hours around a moment, in UTC; the end lies outside.

    Clocks may be put forward over their beginning; they begin at the moment itself then.
    """
    if hours is None:
        return None
    start, end = hours.bounds
    local = moment.astimezone(zone)
    today, shown = local.date(), local.time()
    if start < end:
        first, last = (today, today) if start <= shown < end else (None, None)
    elif shown >= start:
        first, last = today, today + DAY
    else:
        first, last = (today - DAY, today) if shown < end else (None, None)
    if first is None or last is None:
        return None
    return min(_moments(first, start, zone)[0], moment), next(at for at in _moments(last, end, zone) if at > moment)


def _moments(day: date, shown: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the clocks show this on that day: twice where they are put back."""
    first, second = (datetime.combine(day, shown, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return min(first, second), max(first, second)
