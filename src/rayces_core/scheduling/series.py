"""Series: the same session every week, or every few, at the same wall-clock time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import BookingError, InvalidDataError, TenantNotSetError
from rayces_core.models.appointment import Appointment
from rayces_core.scheduling.booking import book
from rayces_core.scheduling.requests import LONGEST_KEY, checked_key
from rayces_core.scheduling.wall_clock import end_of_day
from rayces_core.tenancy.organization import Organization

WEEK: Final = timedelta(weeks=1)
MOST: Final = 520  # ten years of weeks


@dataclass(frozen=True, slots=True)
class Skipped:
    """An occurrence that was not booked: its start, aware in UTC, and the error that says why."""

    scheduled_at: datetime
    error: BookingError


@dataclass(frozen=True, slots=True)
class Series:
    """What came of a series: the appointments booked and the occurrences skipped, each in order of time."""

    booked: tuple[Appointment, ...]
    skipped: tuple[Skipped, ...]


def book_series(
    *,
    scheduled_at: datetime,
    every: timedelta | int = 1,
    count: int | None = None,
    until: date | datetime | None = None,
    skip_conflicts: bool = False,
    idempotency_key: str | None = None,
    now: datetime | None = None,
    **options: Any,
) -> Series:
    """Book the same session every week, or every few, at the same time by the organization's wall clock.

    It is one unit of work: all of them are booked or none, unless conflicts are to be skipped.

    Args:
        scheduled_at: the first start, aware.
        every: how many weeks lie between two, as a number or as a timedelta of whole weeks.
        count: how many sessions there are, at most 520. until: the last day, or moment, that one may begin at. Either.
        skip_conflicts: leave out what cannot be booked, and report it.
        idempotency_key: names the whole series, at most 251 characters; a repetition returns the same appointments.
        options: student, professional, client and the others, as for `book`. With `override_window=True` staff book a
            school year at once; what meets a blocked date is refused, or left out and reported, all the same.

    Returns:
        A Series. Where the clock skips the time of day, the session begins as much later as the clock jumps.

    Raises:
        BookingError: an occurrence cannot be booked (`error.scheduled_at` says which); nothing is.
        InvalidDataError: neither or both of `count` and `until`, or an interval that is no whole weeks.
    """
    first, weeks, moment = clock.utc(scheduled_at, "scheduled_at"), _weeks(every), clock.moment(now)
    checked_key(idempotency_key, LONGEST_KEY - len(f"/{MOST}"))
    starts = _occurrences(first, weeks, _zone(), count, until)
    booked, skipped = [], []
    with current().engine.atomic():
        for number, start in enumerate(starts, 1):
            key = None if idempotency_key is None else f"{idempotency_key}/{number}"
            try:
                with current().engine.atomic() if skip_conflicts else nullcontext():
                    booked.append(book(scheduled_at=start, idempotency_key=key, now=moment, **options))
            except BookingError as error:
                if not skip_conflicts:
                    raise
                skipped.append(Skipped(start, error))
    return Series(tuple(booked), tuple(skipped))


def _occurrences(first: datetime, weeks: int, zone: ZoneInfo, count: object, until: object) -> list[datetime]:
    if (count is None) == (until is None):
        raise InvalidDataError("count", count, "give either count or until")
    if count is not None:
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
            raise InvalidDataError("count", count, f"must be a whole number from 1 to {MOST}")
        return list(islice(_starts(first, weeks, zone), count))
    last = _last_moment(until, zone)
    starts = []
    for start in islice(_starts(first, weeks, zone), MOST + 1):
        if start > last:
            break
        starts.append(start)
    if not starts or len(starts) > MOST:
        raise InvalidDataError("until", until, f"must leave room for 1 to {MOST} sessions")
    return starts


def _starts(first: datetime, weeks: int, zone: ZoneInfo) -> Iterator[datetime]:
    try:
        local = first.astimezone(zone)
        while True:
            yield clock.utc(local, "scheduled_at")
            # Arithmetic within one zone is that of the wall clock.
            local += weeks * WEEK
    except OverflowError:
        raise InvalidDataError("scheduled_at", first, "the series must lie in the years 2 to 9998") from None


def _last_moment(until: object, zone: ZoneInfo) -> datetime:
    if isinstance(until, datetime):
        return clock.utc(until, "until")
    if isinstance(until, date):
        try:
            return end_of_day(until, zone)
        except OverflowError:
            raise InvalidDataError("until", until, "must lie in the years 2 to 9998") from None
    raise InvalidDataError("until", until, f"needs a date or an aware datetime, got {type(until).__name__}")


def _weeks(every: object) -> int:
    if isinstance(every, timedelta) and every % WEEK == timedelta(0):
        every = every // WEEK
    if isinstance(every, bool) or not isinstance(every, int) or not 1 <= every <= MOST:
        raise InvalidDataError("every", every, "must be a number of whole weeks, such as 1 or timedelta(weeks=2)")
    return every


def _zone() -> ZoneInfo:
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("booking needs a tenant; wrap the code in `with db.tenant(...):`")
    return Organization.get_by_id(binding.organization_id).zone
