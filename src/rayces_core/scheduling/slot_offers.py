"""Offering: what is free now goes to the families that wait for it, in the order of their places in the line.

Rule it guards: who waits longer and fits is never passed over. One worker at a time looks at an organization's line,
and each offer is a unit of work of its own: the appointment that holds the time, and the request that has it. Of two
that offered beside each other, passing over what the other has locked, one would give the next in line a time that the
first one then could not have for the family before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from operator import attrgetter
from typing import Final, NamedTuple

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import (
    BookingError,
    ClientLimitError,
    InvalidTransitionError,
    NewClientsRefusedError,
    NotPermittedError,
    ReferenceNotFoundError,
    ServiceInactiveError,
    StudentBusyError,
    StudentNotAdmittedError,
)
from rayces_core.fields.schemas import END_OF_DAY, WEEKDAYS
from rayces_core.models.appointment import Appointment
from rayces_core.models.slot_request import WAITING, SlotRequest
from rayces_core.scheduling.availability import LONGEST_RANGE, Slot, find_slots
from rayces_core.scheduling.booking import announce_booking, try_to_book
from rayces_core.scheduling.requests import Request, set_aside, wish_of
from rayces_core.scheduling.settling import until_settled
from rayces_core.scheduling.slot_requests import bound_tenant
from rayces_core.scheduling.sweeps import expire_overdue, positive
from rayces_core.tenancy.organization import Organization

TURN: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('rayces slot requests ' || %(tenant)s::text, 0))"
IN_TURN: Final = (SlotRequest.place_at, SlotRequest.id)
# Where nothing is free on the grid that families are shown: what was booked off it leaves such gaps.
FINE_MINUTES: Final = 5
# The service, the length and the step by which what is free is listed.
Kind = tuple[int | None, int | None, int | None]
# What a request is refused: a time, a professional's, or None for all.
Refused = Slot | int | None
# Whom no time at all can be offered now.
NOT_NOW: Final = (ClientLimitError, NotPermittedError, ReferenceNotFoundError, ServiceInactiveError)


def offer_slots(now: datetime | None = None, *, limit: int | None = None) -> list[Appointment]:
    """Offer every time that is free to whoever waits for it longest, until nobody's turn is met any more.

    For cron or a worker, as often as you like and from as many hosts: who finds another one at work leaves the line to
    it. Overdue holds are expired and requests whose last day is over lapse first.

    Args:
        now: the present; without it the clock's, anew for each offer. limit: at most so many offers.

    Returns:
        The appointments that hold the offered times: pre_confirmed, for the organization's `slot_offer_minutes`.

    Raises:
        TenantNotSetError: no tenant is bound, or the work is privileged.
    """
    tenant, most = bound_tenant(), None if limit is None else positive(limit, "limit")
    expire_overdue(now)
    _lapse(clock.moment(now), Organization.get_by_id(tenant))
    offered: list[Appointment] = []
    free = _Free(clock.moment(now), Organization.get_by_id(tenant))
    while most is None or len(offered) < most:
        offer = _offer_next(clock.moment(now), tenant, free)
        if offer is None:
            break
        offered.append(offer)
    return offered


def _lapse(now: datetime, organization: Organization) -> None:
    today = now.astimezone(organization.zone).date()
    SlotRequest.lifecycle.move_many("lapse", "until_day < %(today)s", {"today": today}, skip_locked=True, now=now)


def _offer_next(now: datetime, tenant: int, free: _Free) -> Appointment | None:
    """Make the next offer; None where there is none to make, or somebody else is at it."""
    with current().engine.atomic():
        (is_ours,) = current().engine.run_prepared(TURN, {"tenant": tenant}).fetchone()
        line = list(SlotRequest.select().where(SlotRequest.state == WAITING).order_by(*IN_TURN)) if is_ours else []
        if not line:
            return None
        free.look_at(line)
        offers = (_offer(request, free, now) for request in line)
        return next((offer for offer in offers if offer is not None), None)


def _offer(request: SlotRequest, free: _Free, now: datetime) -> Appointment | None:
    """Hold the first time for the request that can be had; None if there is none."""
    for slot in free.fitting(request):
        try:
            with current().engine.atomic():
                offer = _hold(request, slot, now)
        except (*NOT_NOW, InvalidTransitionError):
            free.refuse(request)
            return None
        except StudentNotAdmittedError:
            if request.student.on_leave_until is None:  # nor on any later day
                free.refuse(request)
                return None
            free.refuse(request, slot)
        except NewClientsRefusedError:
            free.refuse(request, slot.professional_id)
        except StudentBusyError:
            free.refuse(request, slot)
        except BookingError:
            free.drop(request, slot)
        else:
            free.take(offer)
            return offer
    return None


def _hold(request: SlotRequest, slot: Slot, now: datetime) -> Appointment:
    wish = wish_of(slot.start, request.duration_minutes, set_aside(False, False, False, False), False, now)
    asked = Request(
        student_id=request.student_id,
        professional_id=slot.professional_id,
        client_id=request.client_id,
        wish=wish,
        uses_credit=request.uses_credit,
        notes=None,
        key=None,
        draft=False,
        confirm=False,
        service_id=request.service_id,
        slot_request_id=request.id,
    )
    appointment, _ = until_settled(lambda: try_to_book(asked, None, request.client))
    announce_booking(appointment, None, now)
    request.offer(now=now)
    return appointment


class _Hours(NamedTuple):
    """A free time by the wall clock: minutes of its day."""

    begins: int
    ends: int
    slot: Slot


BEGINS: Final = attrgetter("begins")


class _Free:
    """What is free as the line is looked at: each kind of session is listed once, however many wait for it.

    What is taken meanwhile is refused when it is booked, and what is freed is found by the next look at the line. What
    was refused once is not asked for again, so that statements grow with the offers, and not with who waits as well.
    """

    def __init__(self, now: datetime, organization: Organization) -> None:
        self._now, self._zone = now, organization.zone
        self._start = now + timedelta(minutes=organization.policy.slot_offer_notice_minutes)
        self._line: list[SlotRequest] = []
        self._earlier: dict[int | None, list[Slot]] = {}
        self._listed: dict[Kind, dict[date, list[_Hours]]] = {}
        self._refused: set[tuple[int, Refused]] = set()

    def look_at(self, line: list[SlotRequest]) -> None:
        """Take up who waits now, and what was offered to them before: no time is offered twice."""
        self._line, self._earlier = line, defaultdict(list)
        waiting = [request.id for request in line]
        for each in Appointment.select().where(Appointment.slot_request.in_(waiting)):
            self._earlier[each.slot_request_id].append(Slot(each.scheduled_at, each.ends_at, each.professional_id))

    def fitting(self, request: SlotRequest) -> Iterator[Slot]:
        """The times that a request asks for, the earliest first: on the grid that families see, then between."""
        if (request.id, None) in self._refused:
            return
        earlier = self._earlier.get(request.id, [])
        for step in (None, FINE_MINUTES):
            for hours in self._asked_for(request, self._days(request, step)):
                if not self._was_refused(request, hours.slot) and not any(
                    _overlap(hours.slot, other) for other in earlier
                ):
                    yield hours.slot

    def refuse(self, request: SlotRequest, what: Refused = None) -> None:
        """Offer the request that time, or this professional's, or nothing at all any more."""
        self._refused.add((request.id, what))

    def drop(self, request: SlotRequest, slot: Slot) -> None:
        """Nobody who asks for this kind of session can have that time."""
        for step in (None, FINE_MINUTES):
            for hours in self._listed.get((request.service_id, request.duration_minutes, step), {}).values():
                hours[:] = [each for each in hours if each.slot != slot]

    def take(self, offer: Appointment) -> None:
        """The professional's time is held, for whatever kind of session."""
        held = Slot(offer.scheduled_at, offer.occupied_until or offer.ends_at, offer.professional_id)
        for days in self._listed.values():
            for hours in days.values():
                hours[:] = [each for each in hours if not _overlap(each.slot, held)]

    def _was_refused(self, request: SlotRequest, slot: Slot) -> bool:
        return not self._refused.isdisjoint(((request.id, slot), (request.id, slot.professional_id)))

    def _asked_for(self, request: SlotRequest, days: dict[date, list[_Hours]]) -> Iterator[_Hours]:
        opens, closes = _minutes(request.from_time), _minutes(request.until_time)
        for day, free in days.items():
            if request.from_day <= day <= request.until_day and WEEKDAYS[day.weekday()] in request.weekdays:
                first, last = (bisect_left(free, minute, key=BEGINS) for minute in (opens, closes))
                for hours in free[first:last]:
                    if hours.ends <= closes and request.professional_id in (None, hours.slot.professional_id):
                        yield hours

    def _days(self, request: SlotRequest, step: int | None) -> dict[date, list[_Hours]]:
        kind = (request.service_id, request.duration_minutes, step)
        if kind not in self._listed:
            self._listed[kind] = self._list(*kind)
        return self._listed[kind]

    def _list(self, service: int | None, minutes: int | None, step: int | None) -> dict[date, list[_Hours]]:
        days: dict[date, list[_Hours]] = defaultdict(list)
        waiting = [each for each in self._line if (each.service_id, each.duration_minutes) == (service, minutes)]
        furthest = self._start + LONGEST_RANGE
        last = min(max(each.until_day for each in waiting), furthest.astimezone(self._zone).date())
        end = min(datetime.combine(last + timedelta(days=1), time(), self._zone), furthest)
        if end <= self._start:
            return days
        named = [each.professional_id for each in waiting if each.professional_id is not None]
        free = find_slots(
            self._start,
            end,
            professionals=named if len(named) == len(waiting) else None,
            service=service,
            duration_minutes=minutes,
            step_minutes=step,
            now=self._now,
        )
        for slot in free:
            begins = slot.start.astimezone(self._zone)
            at = begins.hour * 60 + begins.minute
            days[begins.date()].append(_Hours(at, self._end_of(slot, begins.date()), slot))
        for hours in days.values():  # an hour that the clock shows twice is not in order
            hours.sort(key=BEGINS)
        return days

    def _end_of(self, slot: Slot, day: date) -> int:
        """Minutes of the day at which it ends; of one that ends on another day, its midnight is the day's end."""
        ends = slot.end.astimezone(self._zone)
        return (ends.date() - day).days * _minutes(END_OF_DAY) + ends.hour * 60 + ends.minute


def _overlap(one: Slot, other: Slot) -> bool:
    return one.professional_id == other.professional_id and one.start < other.end and other.start < one.end


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
