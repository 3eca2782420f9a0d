"""Free slots: lists the starts that are free in professionals' calendars.

Rule it guards: a listed slot can be booked, because booking asks the same calendars the same question; and one
statement answers for any number of professionals and days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple

from rayces_core import clock
from rayces_core.errors import InvalidDataError, ReferenceNotFoundError
from rayces_core.models.appointment import Appointment
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.models.service import Service
from rayces_core.models.user import User
from rayces_core.scheduling.calendar import Calendar, check_duration, listed_starts
from rayces_core.scheduling.calendars import read_calendars, reading
from rayces_core.scheduling.holdings import (
    COLUMNS,
    NOTHING_BESIDE,
    SAME,
    Beside,
    Kept,
    beside_of,
    beside_of_moved,
    with_needs,
)
from rayces_core.scheduling.services import service_id
from rayces_core.scheduling.wall_clock import EPOCH, MINUTE, microseconds
from rayces_core.tenancy.scoping import check_reach

LONGEST_RANGE: Final = timedelta(days=366)
NEAR: Final = timedelta(days=7)


class Slot(NamedTuple):
    """A session that can be booked: aware moments in UTC, and the id of the professional's user."""

    start: datetime
    end: datetime
    professional_id: int


def free_slots(
    professional: Professional | User | int,
    start: datetime,
    end: datetime,
    *,
    service: Service | int | None = None,
    second_professional: Professional | User | int | Kept | None = SAME,
    room: Resource | int | Kept | None = SAME,
    device: Resource | int | Kept | None = SAME,
    room_with: Iterable[str] | None = None,
    duration_minutes: int | None = None,
    step_minutes: int | None = None,
    moving: Appointment | None = None,
    now: datetime | None = None,
) -> list[Slot]:
    """List the sessions that can be booked with a professional, by one statement.

    Args:
        professional: a Professional, its User, or the user's id.
        start, end: aware moments, at most 366 days apart; a session begins at or after `start` and is over at `end`.
        service: a Service or its id: its length and buffers count, and a professional who does not give it has no
            slot, nor has anybody where it is not active. Of one that families may not book, it is what staff may book.
        second_professional: another one whose time the session takes as well, by the same rules: working hours, blocked
            dates, whatever else takes it.
        room, device: a Resource or its id, which the session holds for as long as the professional, buffers included.
        room_with: what a room has to have, where none is named: {"mirror"}. There is a slot where any active room that
            has all of it, and of what the service asks for, is free; `set()` is any room.
        duration_minutes: length of a session, 15 to 480; without it the service's, or the professional's own.
        step_minutes: how far apart starts are offered, counted from the start of each window of the weekly schedule by
            the organization's wall clock; without it the duration. Where the setting `start_every_minutes` binds
            families to a grid, from the window's first start on it, in steps of whole grid steps.
        moving: an appointment that is to be moved, of the service that it has: it does not stand in its own way, but
            other sessions of its student
            and client do; a session is as long as it unless `duration_minutes` is given, and its own professional is
            listed even when not active any more, and it keeps what it holds besides: None gives that back. Of one that
            cannot be moved any more nothing is listed.
        now: the present, aware; without it the clock's.

    Returns:
        Slots, earliest first; none for a professional who is not active. What is listed can be booked by families too;
        with `moving` it is what staff may move that appointment to.

    Raises:
        ReferenceNotFoundError: the organization has no such professional, or no such service.
        CrossTenantError: the instance is another organization's.
        InvalidDataError: an argument is of the wrong type or outside its bounds, or what is stored is not a schedule.
        NaiveDatetimeError: a datetime without a time zone.
        TenantNotSetError: no tenant is bound.
    """
    listing = _Listing(
        start,
        end,
        duration_minutes,
        step_minutes,
        now,
        moving,
        service,
        beside={"second_professional": second_professional, "room": room, "device": device, "room_with": room_with},
    )
    professional_id = id_of(professional)
    calendars = listing.read(ids=[professional_id])
    if not calendars:
        raise ReferenceNotFoundError(
            f"there is no professional of user {professional_id}; give a Professional, its User, or the user's id",
            table="professionals",
            fields=("user_id",),
        )
    return listing.slots(calendars)


def find_slots(
    start: datetime,
    end: datetime,
    *,
    specialization: str | None = None,
    professionals: Iterable[Professional | User | int] | None = None,
    service: Service | int | None = None,
    second_professional: Professional | User | int | Kept | None = SAME,
    room: Resource | int | Kept | None = SAME,
    device: Resource | int | Kept | None = SAME,
    room_with: Iterable[str] | None = None,
    duration_minutes: int | None = None,
    step_minutes: int | None = None,
    moving: Appointment | None = None,
    now: datetime | None = None,
    limit: int | None = None,
) -> list[Slot]:
    """List the sessions that can be booked with any of many professionals, by one statement.

    Args:
        specialization: only professionals who have exactly this one.
        professionals: only these, as in `free_slots`; those the organization does not have give no slots.
        limit: at most so many slots, the earliest.

    Other arguments as for `free_slots`.

    Returns:
        Slots by start, then by `professional_id`.

    Raises:
        ReferenceNotFoundError, CrossTenantError, InvalidDataError, NaiveDatetimeError, TenantNotSetError: as for
            `free_slots`.
    """
    listing = _Listing(
        start,
        end,
        duration_minutes,
        step_minutes,
        now,
        moving,
        service,
        beside={"second_professional": second_professional, "room": room, "device": device, "room_with": room_with},
    )
    _check_choice(specialization, limit)
    ids = None if professionals is None else _ids_of(professionals)
    return listing.slots(listing.read(ids=ids, specialization=specialization), limit)


def _ids_of(professionals: object) -> list[int]:
    if not isinstance(professionals, Iterable):
        raise InvalidDataError("professionals", professionals, "needs a list of professionals, their users or ids")
    return [id_of(professional) for professional in professionals]


def nearest_slot(
    professional_id: int,
    start: datetime,
    *,
    duration_minutes: int,
    now: datetime,
    moving: int | None = None,
    service: int | None = None,
    whatever_state: bool = False,
    beside: Beside = NOTHING_BESIDE,
) -> Slot | None:
    """Find the free slot of a professional that is nearest to a moment; None if there is none within half a year.

    Args:
        moving: id of an appointment that does not stand in the way. whatever_state: also with one who is not active.
        beside: what the session needs besides the professional.
    """
    for far in (NEAR, LONGEST_RANGE / 2):
        listing = _Listing(max(now, start - far), start + far, duration_minutes, None, now)
        listing.service, listing.beside = service, beside
        listing.moving, listing.whatever_state = moving, professional_id if whatever_state else None
        slots = listing.slots(listing.read(ids=[professional_id]))
        if slots:
            return min(slots, key=lambda slot: abs(slot.start - start))
    return None


def _check_choice(specialization: object, limit: object) -> None:
    if specialization is not None and not isinstance(specialization, str):
        raise InvalidDataError("specialization", specialization, f"needs text, got {type(specialization).__name__}")
    if limit is not None and _whole(limit, "limit") < 0:
        raise InvalidDataError("limit", limit, f"{limit} is less than 0")


def id_of(professional: object) -> int:
    """Give the user id of a professional, by which appointments name it.

    Args:
        professional: a Professional, its User, or the user's id.

    Raises:
        CrossTenantError: the instance is another organization's.
        InvalidDataError: neither of these, or an instance that is not saved.
    """
    if isinstance(professional, Professional | User):
        check_reach(professional)
        professional = professional.user_id if isinstance(professional, Professional) else professional.id
    return _whole(professional, "professional")


def here_of(professional: object, table: str) -> int:
    """The same of one that was not erased, for a row of that table.

    Raises:
        ReferenceNotFoundError: it was. What `id_of` raises.
    """
    key = id_of(professional)
    if User.select().where((User.id == key) & User.erased_at.is_null(False)).exists():
        message = "there is no such professional in this organization any more"
        raise ReferenceNotFoundError(message, table=table, fields=("professional_id",))
    return key


def _whole(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidDataError(field, value, f"needs a whole number, got {type(value).__name__}")
    return value


class _Listing:
    """What is asked for, checked.

    Attributes: `moving`, id of the appointment to be moved; `service`, id of the service; `beside`, what is needed
    besides the professional; `whatever_state`, id of a
    professional who is listed even when not active.
    """

    def __init__(
        self,
        start: object,
        end: object,
        duration: object,
        step: object,
        now: object,
        moving: object = None,
        service: object = None,
        beside: dict[str, Any] | None = None,
    ) -> None:
        self.start, self.end = clock.utc(start, "start"), clock.utc(end, "end")
        self._now = clock.now() if now is None else clock.utc(now, "now")
        self.moving: int | None = None
        self.whatever_state: int | None = None
        self.service = service_id(service)
        asked = beside or {}
        self.beside = beside_of(**{name: None if value is SAME else value for name, value in asked.items()})
        if moving is not None:
            length = self._take_up(moving)
            duration = length if duration is None else duration
            self.beside = beside_of_moved([getattr(moving, column) for column in COLUMNS], asked)
        self._duration = None if duration is None else check_duration(duration)
        self._step = None if step is None else _whole(step, "step_minutes")
        if self.end <= self.start:
            raise InvalidDataError("end", end, "must be after start")
        if self.end - self.start > LONGEST_RANGE:
            raise InvalidDataError("end", end, f"must be at most {LONGEST_RANGE.days} days after start")
        if self._step is not None and self._step < 1:
            raise InvalidDataError("step_minutes", step, f"{step} is less than 1 minute")

    def _take_up(self, moving: object) -> int:
        if not isinstance(moving, Appointment) or moving.id is None:
            raise InvalidDataError("moving", moving, f"needs a saved Appointment, got {type(moving).__name__}")
        check_reach(moving)
        if self.service not in (None, moving.service_id):
            raise InvalidDataError(
                "service", self.service, "an appointment that is moved keeps the service that it has"
            )
        self.moving, self.service, self.whatever_state = moving.id, moving.service_id, moving.professional_id
        return moving.duration_minutes

    def read(self, **choice: Any) -> list[Calendar]:
        """Read the calendars that are asked for, by one statement, and by another what a session needs besides."""
        choice |= {"moving": self.moving, "service": self.service}
        with reading():
            calendars = read_calendars(self.start, self.end, now=self._now, **choice)
            calendars = with_needs(calendars, self.beside, self.start, self.end, self._now, moving=self.moving)
        return [
            replace(calendar, active=True) if calendar.professional_id == self.whatever_state else calendar
            for calendar in calendars
        ]

    def slots(self, calendars: list[Calendar], limit: int | None = None) -> list[Slot]:
        start, end, now = map(microseconds, (self.start, self.end, self._now))
        found: list[tuple[int, int, int]] = []
        for calendar in calendars:
            minutes = self._duration or calendar.session_duration_minutes
            starts = listed_starts(calendar, minutes, self._step or minutes, start, end, now)[:limit]
            found += [(at, at + minutes * MINUTE, calendar.professional_id) for at in starts]
        # Calendars come by professional, and the sort is stable.
        found.sort(key=itemgetter(0))
        moments = _Moments()
        return [Slot(moments[begins], moments[ends], who) for begins, ends, who in found[:limit]]


class _Moments(dict[int, datetime]):
    """Datetimes by microseconds since 1970, each made once."""

    def __missing__(self, at: int) -> datetime:
        self[at] = moment = EPOCH + timedelta(microseconds=at)
        return moment
