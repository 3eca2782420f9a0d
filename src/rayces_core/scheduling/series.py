"""Series: the same session by a rule, at the same wall-clock time; each appointment knows which occurrence it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from inspect import signature
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.database.messages import Message
from rayces_core.errors import BookingError, IdempotencyConflictError, InsufficientCreditsError, TenantNotSetError
from rayces_core.models.appointment import Appointment
from rayces_core.models.series import AppointmentSeries
from rayces_core.scheduling.booking import book, requested, take
from rayces_core.scheduling.recurrence import MOST, WEEKLY, Recurrence, recurrence
from rayces_core.scheduling.requests import LONGEST_KEY, checked_key
from rayces_core.scheduling.series_places import Place, places
from rayces_core.tenancy.organization import Organization

_BOOK: Final = signature(book)
# What was booked one by one is of the series from now on: its occurrences, each with its own moment.
JOIN = Message(
    """
    UPDATE appointments SET series_id = %(series)s, occurrence_at = occurrence.starts
      FROM unnest(%(ids)s, %(starts)s) AS occurrence (id, starts)
     WHERE appointments.organization_id = %(tenant)s AND appointments.id = occurrence.id""",
    types={"tenant": "bigint", "series": "bigint", "ids": "bigint[]", "starts": "timestamptz[]"},
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An occurrence that was not booked or moved: its start, aware in UTC, and the error that says why."""

    scheduled_at: datetime
    error: BookingError | InsufficientCreditsError


@dataclass(frozen=True, slots=True)
class Series:
    """What came of a series: the appointments booked and the occurrences skipped, each in order of time.

    Attributes: `series`, the AppointmentSeries that they are of; None where nothing was booked.
    """

    booked: tuple[Appointment, ...]
    skipped: tuple[Skipped, ...]
    series: AppointmentSeries | None = None


class _OnlyTriedError(Exception):
    """Leaves a unit of work that was only to be tried."""


@contextmanager
def unit_of_work(*, only_tried: bool) -> Iterator[None]:
    """A unit of work, which is undone at its end where it is only to be tried."""
    with suppress(_OnlyTriedError), current().engine.atomic():
        yield
        if only_tried:
            raise _OnlyTriedError


def book_series(
    *,
    scheduled_at: datetime,
    every: timedelta | int = 1,
    frequency: str = WEEKLY,
    weekdays: Sequence[str] | None = None,
    count: int | None = None,
    until: date | datetime | str | None = None,
    rule: str | None = None,
    skip_conflicts: bool = False,
    dry_run: bool = False,
    idempotency_key: str | None = None,
    now: datetime | None = None,
    **options: Any,
) -> Series:
    """Book the same session again and again, at the same time by the organization's wall clock.

    It is one unit of work: all of them are booked or none, unless conflicts are to be skipped.

    Args:
        scheduled_at: the first start, aware.
        frequency: "weekly"; or "monthly", on the same weekday of the month, such as the second Tuesday: where the first
            one is the fifth of its weekday, on the last.
        every: how many weeks or months lie between two, as a number or as a timedelta of whole weeks.
        weekdays: of a weekly series, several: ["monday", "thursday"]. Without it that of `scheduled_at`.
        count: how many sessions there are, at most 520. until: the last day, or moment, that one may begin at, or
            "school_year_end" by the organization's setting. Either.
        rule: instead of all these, an RRULE of RFC 5545 with COUNT or UNTIL: "FREQ=MONTHLY;BYMONTHDAY=1,15;COUNT=10".
        skip_conflicts: leave out what cannot be booked, and report it.
        dry_run: book nothing, and report what could not be booked.
        idempotency_key: names the whole series, at most 251 characters; a repetition returns the same appointments, and
            books what was left out where the series goes on: where a change has moved it to, and given by whom; what
            was cancelled with the rest of the series is not booked.
        options: student, professional, client and the others, as for `book`. With `override_window=True` staff book a
            school year at once; what meets a blocked date is refused, or left out and reported, all the same.

    Returns:
        A Series. Where the clock skips the time of day, the session begins as much later as the clock jumps.

    Raises:
        BookingError: an occurrence cannot be booked (`error.scheduled_at` says which); nothing is.
        InsufficientCreditsError: the client has not enough for all of them; nothing is booked.
        InvalidDataError: neither or both of `count` and `until`, or a rule that cannot be read, or that does not begin
            with `scheduled_at`.
    """
    first, moment = clock.utc(scheduled_at, "scheduled_at"), clock.moment(now)
    checked_key(idempotency_key, LONGEST_KEY - len(f"/{MOST}"))
    organization = organization_of()
    asked = recurrence(
        first,
        organization.zone,
        frequency=frequency,
        every=every,
        weekdays=weekdays,
        count=count,
        until=until,
        rule=rule,
        year_end=organization.settings.get("school_year_end"),
    )
    starts = asked.starts()
    with unit_of_work(only_tried=dry_run):
        skipping = skip_conflicts or dry_run
        changed = {} if idempotency_key is None else places(idempotency_key, len(starts))
        booked, skipped = _book_each(starts, changed, idempotency_key, skipping, {"now": moment, **options})
        series = _join(asked, booked, changed, idempotency_key, moment)
    if dry_run:
        return Series((), tuple(skipped))
    return Series(tuple(each.appointment for each in booked), tuple(skipped), series)


def organization_of() -> Organization:
    """The bound organization; raises TenantNotSetError."""
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("booking needs a tenant; wrap the code in `with db.tenant(...):`")
    return Organization.get_by_id(binding.organization_id)


@dataclass(frozen=True, slots=True)
class _Booked:
    """An occurrence that is booked: its number from 1, when it begins by the rule, and its appointment."""

    number: int
    start: datetime
    appointment: Appointment


def _book_each(
    starts: Sequence[datetime],
    changed: Mapping[int, Place | None],
    key: str | None,
    skipping: bool,
    options: dict[str, Any],
) -> tuple[list[_Booked], list[Skipped]]:
    booked, skipped = [], []
    for number, start in enumerate(starts, 1):
        place = changed.get(number)
        if number in changed and place is None:  # cancelled with the others
            continue
        named = None if key is None else f"{key}/{number}"
        given = _BOOK.bind(scheduled_at=start, idempotency_key=named, **options)
        given.apply_defaults()
        request = requested(**given.arguments)
        if place is not None:
            start, request = place.start, request.elsewhere(place.start, place.beside)
        try:
            with current().engine.atomic() if skipping else nullcontext():
                booked.append(_Booked(number, start, take(request, given.arguments["by"])))
        except (BookingError, InsufficientCreditsError) as error:
            if not skipping:
                raise
            skipped.append(Skipped(start, error))
    return booked, skipped


def _join(
    asked: Recurrence,
    booked: Sequence[_Booked],
    changed: Mapping[int, Place | None],
    key: str | None,
    now: datetime,
) -> AppointmentSeries | None:
    """Make the series, or take that of the request's first coming, and have what is new in it.

    What was left out is of the series that goes on where it is booked now.
    """
    new = [each for each in booked if not each.appointment.was_repeated]
    earlier = (each.appointment for each in booked if each.appointment.was_repeated)
    known = next((appointment.series_id for appointment in earlier if appointment.series_id is not None), None)
    if known is not None:
        series = _as_booked(AppointmentSeries.get_by_id(known))
        if key is not None and series.rule != asked.rule:
            raise IdempotencyConflictError(key)
    elif not new:
        return None
    else:
        moments = {"created_at": now, "updated_at": now}
        series = AppointmentSeries.create(rule=asked.rule, starts_at=asked.first, time_zone=asked.zone.key, **moments)
    of: dict[AppointmentSeries, list[tuple[Appointment, datetime]]] = {}
    for each in new:
        place = changed.get(each.number)
        of.setdefault(series if place is None else place.series, []).append((each.appointment, each.start))
    for one, occurrences in of.items():
        join(one, occurrences)
    return series


def _as_booked(series: AppointmentSeries) -> AppointmentSeries:
    """The series that was booked, of which changes have split this one."""
    while series.follows_id is not None:
        series = AppointmentSeries.get_by_id(series.follows_id)
    return series


def join(series: AppointmentSeries, occurrences: Sequence[tuple[Appointment, datetime]]) -> None:
    """Make appointments the occurrences of a series at these moments."""
    engine = current().engine
    engine.run_message(
        JOIN,
        {
            "tenant": current().organization_id,
            "series": series.id,
            "ids": [appointment.id for appointment, _ in occurrences],
            "starts": [start for _, start in occurrences],
        },
    )
    for appointment, start in occurrences:
        Appointment.lifecycle.take_up(appointment, {"series": series.id, "occurrence_at": start})
