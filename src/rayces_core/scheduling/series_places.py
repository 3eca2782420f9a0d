"""Where an occurrence of a series goes that was left out, when the series is booked again with its key.

Rule it guards: what a change has moved goes on where it was moved to, with what was left out; what was cancelled is
booked no more. Which occurrence is which is told by the keys of the sessions that are there: "key/3" is the third.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rayces_core.database.binding import current
from rayces_core.models.appointment import Appointment
from rayces_core.models.series import AppointmentSeries
from rayces_core.scheduling.recurrence import read

# One of those that book a series with its key at a time: the others see what it has booked.
TURN: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('rayces series ' || %(tenant)s::text || ' ' || %(key)s::text, 0))"""
Numbered = Mapping[int, Appointment]
Numbering = tuple[AppointmentSeries, int | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an occurrence goes: its start, the series that it is of by now, and the sessions of it on either side."""

    start: datetime
    series: AppointmentSeries
    beside: tuple[Appointment, ...]


def places(key: str, count: int) -> dict[int, Place | None]:
    """Where each of the occurrences goes that nobody has booked, by number from 1; None where it was cancelled.

    Empty where none of them was booked before, and where all were. Whoever changes the series waits until the unit of
    work ends.
    """
    current().engine.run_prepared(TURN, {"tenant": current().organization_id, "key": key})
    booked = _booked(key, count)
    if not booked or len(booked) == count:
        return {}
    known: dict[int, AppointmentSeries] = {}
    while missing := {each.series_id for each in booked.values()} - {None, *known}:
        known |= _locked(missing)
        booked = _booked(key, count)
    chain = _first_numbers(_later_first(known), booked)
    return {number: _place(number, chain, booked) for number in range(1, count + 1) if number not in booked and chain}


def _booked(key: str, count: int) -> dict[int, Appointment]:
    numbers = {f"{key}/{number}": number for number in range(1, count + 1)}
    found = Appointment.select().where(Appointment.idempotency_key.in_(list(numbers)))
    return dict(sorted((numbers[str(each.idempotency_key)], each) for each in found))


def _locked(ids: Iterable[int | None]) -> dict[int, AppointmentSeries]:
    found = AppointmentSeries.select().where(AppointmentSeries.id.in_(sorted(each for each in ids if each is not None)))
    return {each.id: each for each in found.order_by(AppointmentSeries.id).for_update("FOR NO KEY UPDATE")}  # type: ignore[arg-type]


def _later_first(known: Mapping[int, AppointmentSeries]) -> list[AppointmentSeries]:
    """With what each follows, up to the one that was booked; what was split from another comes before it."""
    every, depths = dict(known), dict[int, int]()
    for series in known.values():
        line = [series]
        while (earlier := line[-1].follows_id) is not None:
            every.setdefault(earlier, AppointmentSeries.get_by_id(earlier))
            line.append(every[earlier])
        depths |= {each.id: depth for depth, each in enumerate(reversed(line))}
    return sorted(every.values(), key=lambda series: -depths[series.id])


def _first_numbers(later_first: Iterable[AppointmentSeries], booked: Numbered) -> list[Numbering]:
    """Each series with the number that its first occurrence has; None where nothing tells.

    One that has no session any more is told by the first that was split from it: that began where it ended.
    """
    chain: list[Numbering] = []
    for series in later_first:
        first = _first_number(series, booked)
        split = [number for other, number in chain if other.follows_id == series.id and number is not None]
        if first is None and split and series.ends_before is not None:
            first = min(split) - bisect_left(_starts(series), series.ends_before)
        chain.append((series, first))
    return chain


def _first_number(series: AppointmentSeries, booked: Numbered) -> int | None:
    if series.follows_id is None:
        return 1
    starts = _starts(series)
    mine = ((number, each) for number, each in booked.items() if each.series_id == series.id)
    known = ((number, each.occurrence_at) for number, each in mine if each.occurrence_at in starts)
    return next((number - starts.index(occurrence) for number, occurrence in known), None)


def _starts(series: AppointmentSeries) -> list[datetime]:
    return read(series.rule, series.starts_at, series.time_zone).starts()


def _place(number: int, chain: Iterable[Numbering], booked: Numbered) -> Place | None:
    for series, first in chain:
        starts = [] if first is None else _starts(series)
        if first is not None and 0 <= number - first < len(starts):
            start = starts[number - first]
            over = series.ends_before is not None and start >= series.ends_before
            return None if over else Place(start, series, _beside(number, series, booked))
    return None


def _beside(number: int, series: AppointmentSeries, booked: Numbered) -> tuple[Appointment, ...]:
    """The next sessions of it before and after, but for what was moved by itself or cancelled."""
    mine = {
        place: each
        for place, each in booked.items()
        if each.series_id == series.id and each.scheduled_at == each.occurrence_at and each.state != "cancelled"
    }
    before, after = [place for place in mine if place < number], [place for place in mine if place > number]
    return tuple(mine[place] for place in (*before[-1:], *after[:1]))
