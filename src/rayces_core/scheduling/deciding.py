"""Whether what is wished can be booked or moved: the first thing that stands in the way, as an error.

Rule it guards: every way to take time asks the same questions. Those about people are asked when a session is made and
when a family moves it; not when staff move it, who then have a reason.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final, NoReturn

from rayces_core.errors import (
    BookingError,
    BookingWindowError,
    ClientLimitError,
    NewClientsRefusedError,
    OutsideScheduleError,
    ProfessionalInactiveError,
    ReferenceNotFoundError,
    SlotTakenError,
    StartOffGridError,
    StudentNotAdmittedError,
    TooSoonError,
)
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_time import ELSEWHERE, client_busy, student_busy
from rayces_core.models.permissions import STAFF
from rayces_core.models.student import AdmissionState
from rayces_core.models.user import User
from rayces_core.scheduling.availability import Slot, nearest_slot
from rayces_core.scheduling.calendar import Refusal, earliest_start, latest_start, refusal
from rayces_core.scheduling.facts import Facts, Wish
from rayces_core.scheduling.wall_clock import microseconds

ADMITTED: Final = (AdmissionState.ADMITTED, AdmissionState.ENROLLED)
# Before the admission there is an evaluation, for which the centre decides with `book_prospects`.
EVALUATED: Final = (AdmissionState.PROSPECT, AdmissionState.APPLIED, AdmissionState.WAITLISTED)
BOOKABLE: Final = (
    "only an admitted or enrolled student can be booked, one who leaves up to the discharge_date, and one on leave "
    "after on_leave_until"
)
# The setting, and what it counts.
LIMITS: Final = {"open_holds_per_client": "open holds", "future_sessions_per_client": "sessions ahead"}


def is_family(by: User | None) -> bool:
    """Whether the acting user is bound by what staff and scripts are not."""
    return by is not None and not STAFF(None, by)


def decide(facts: Facts, wish: Wish, by: User | None, *, given_away: bool = False) -> None:
    """Raise the BookingError that says why not; return if nothing stands in the way.

    `given_away` says that an appointment is moved to another professional.
    """
    try:
        _check_there(facts)
        if wish.moving is None or is_family(by):
            _check_people(facts)
        elif given_away:
            _check_active(facts)
        else:
            facts = replace(facts, calendar=replace(facts.calendar, active=True))
        _check_time(facts, wish, is_family(by))
        _check_busy(facts, wish, is_family(by))
    except BookingError as error:
        error.scheduled_at = wish.start
        raise


def check_limits(wish: Wish, limits: dict[str, int], counts: dict[str, int]) -> None:
    """Raise ClientLimitError where the client has as many as one of the limits allows."""
    for setting, limit in limits.items():
        if counts[setting] >= limit:
            error = ClientLimitError(
                f"the client has {counts[setting]} {LIMITS[setting]}, and {limit} are allowed; confirm or cancel one "
                "first, or ask the centre",
                setting=setting,
                limit=limit,
            )
            error.scheduled_at = wish.start
            raise error


def _check_there(facts: Facts) -> None:
    if facts.student_id is None or facts.client_id is None:
        missing = "student" if facts.student_id is None else "client"
        raise ReferenceNotFoundError(
            f"there is no such {missing} in this organization", table="appointments", fields=(f"{missing}_id",)
        )


def _check_active(facts: Facts) -> None:
    if not facts.calendar.active:
        raise ProfessionalInactiveError("the professional is not active; choose another one")


def _check_people(facts: Facts) -> None:
    _check_active(facts)
    state = facts.admission_state
    may_be_evaluated = state in EVALUATED and facts.policy.book_prospects
    if not (state in ADMITTED or may_be_evaluated or facts.is_expected):
        raise StudentNotAdmittedError(f"the student is {state}; {BOOKABLE}", admission_state=state)
    if not facts.is_welcome:
        raise NewClientsRefusedError(
            "the professional takes no new clients, and this student has had no appointment there"
        )


def _check_time(facts: Facts, wish: Wish, binds_to_grid: bool) -> None:
    refused = refusal(facts.calendar, wish.start, facts.minutes, now=wish.now, aside=wish.aside)
    if refused not in (None, Refusal.TAKEN):
        _refuse(refused, facts, wish)
    if binds_to_grid:
        _check_grid(facts, wish)
    if refused is Refusal.TAKEN:
        raise SlotTakenError(conflicting_id=_conflicting(facts, wish))


def _refuse(refused: Refusal | None, facts: Facts, wish: Wish) -> NoReturn:
    if refused is Refusal.TOO_SOON:
        earliest = earliest_start(facts.calendar, wish.now, wish.aside)
        raise TooSoonError(f"the start has to lie in the future, from {earliest.isoformat()} on", earliest=earliest)
    if refused is Refusal.BEYOND_WINDOW:
        latest, days = latest_start(facts.calendar, wish.now), facts.calendar.booking_window_days
        raise BookingWindowError(f"bookings are taken {days} days ahead, until {latest.isoformat()}", latest=latest)
    nearest = _nearest(facts, wish)
    blocked = refused is Refusal.BLOCKED_DATE
    where = "meets a blocked date" if blocked else "does not lie within the professional's working time"
    reason = (Refusal.BLOCKED_DATE if blocked else Refusal.OUTSIDE_SCHEDULE).value
    raise OutsideScheduleError(f"the session {where}; {_advice(nearest)}", reason=reason, nearest=nearest)


def _check_grid(facts: Facts, wish: Wish) -> None:
    calendar = facts.calendar
    every = calendar.every
    if calendar.start_every_minutes is None or every is None:
        return
    if not calendar.days.is_on_grid(microseconds(wish.start), every):
        nearest = _nearest(facts, wish)
        raise StartOffGridError(
            f"sessions begin every {calendar.start_every_minutes} minutes from midnight; {_advice(nearest)}",
            every_minutes=calendar.start_every_minutes,
            nearest=nearest,
        )


def _check_busy(facts: Facts, wish: Wish, asks_family: bool) -> None:
    if wish.allow_overlap:
        return
    advice = f"{ELSEWHERE}, or ask the centre" if asks_family else "allow_overlap=True books nevertheless"
    if facts.student_busy is not None:
        raise student_busy(facts.student_busy, advice)
    if facts.client_busy is not None:
        raise client_busy(facts.client_busy, advice)


def _conflicting(facts: Facts, wish: Wish) -> int | None:
    until = wish.start + timedelta(minutes=facts.minutes + facts.calendar.buffer_minutes)
    others = Appointment.for_professional(facts.calendar.professional_id).occupying(wish.start, until, now=wish.now)
    other = others.where(Appointment.id != (wish.moving or 0)).order_by(Appointment.scheduled_at).first()
    return None if other is None else other.id


def _nearest(facts: Facts, wish: Wish) -> Slot | None:
    return nearest_slot(
        facts.calendar.professional_id,
        wish.start,
        duration_minutes=facts.minutes,
        now=wish.now,
        moving=wish.moving,
        whatever_state=facts.calendar.active,
    )


def _advice(nearest: Slot | None) -> str:
    return f"the nearest free slot begins at {nearest.start.isoformat()}" if nearest else "no free slot is near"
