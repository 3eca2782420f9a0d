"""Whether what is wished can be booked or moved: the first thing that stands in the way, as an error.

Rule it guards: every way to take time asks the same questions. Those about people are asked when a session is made,
when a draft of one takes its time and when a family moves it; not when staff move it, who then have a reason.
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
    ResourceUnfitError,
    SlotTakenError,
    StartOffGridError,
    StudentNotAdmittedError,
    TooSoonError,
)
from rayces_core.models.appointment import Appointment
from rayces_core.models.appointment_time import ELSEWHERE, client_busy, student_busy, taken_error
from rayces_core.models.permissions import STAFF
from rayces_core.models.student import AdmissionState
from rayces_core.models.user import User
from rayces_core.scheduling.availability import Slot, nearest_slot
from rayces_core.scheduling.calendar import Refusal, chosen, earliest_start, latest_start, refusal, refusal_of
from rayces_core.scheduling.facts import Facts, Wish
from rayces_core.scheduling.holdings import NAMES, SECOND
from rayces_core.scheduling.services import check_booked, check_given
from rayces_core.scheduling.wall_clock import microseconds

ADMITTED: Final = (AdmissionState.ADMITTED, AdmissionState.ENROLLED)
# Before the admission there is an evaluation, for which the centre decides with `book_prospects`.
EVALUATED: Final = (AdmissionState.PROSPECT, AdmissionState.APPLIED, AdmissionState.WAITLISTED)
BOOKABLE: Final = (
    "only an admitted or enrolled student can be booked, one who leaves up to the discharge_date, and one on leave "
    "after on_leave_until"
)
WHERE: Final = {
    Refusal.CLOSED_DAY: "meets a day on which the centre is closed",
    Refusal.BLOCKED_DATE: "meets a blocked date",
    Refusal.BUSY_ELSEWHERE: "meets what {who} has in another calendar",
    Refusal.RESOURCE_BLOCKED: "meets a blocked date of {who}",
    Refusal.OUTSIDE_SCHEDULE: "does not lie within {who}'s working time",
}
# The setting, and what it counts.
LIMITS: Final = {"open_holds_per_client": "open holds", "future_sessions_per_client": "sessions ahead"}


def is_family(by: User | None) -> bool:
    """Whether the acting user is bound by what staff and scripts are not."""
    return by is not None and not STAFF(None, by)


def decide(facts: Facts, wish: Wish, by: User | None, *, given_away: bool = False, anew: bool = False) -> None:
    """Raise the BookingError that says why not; return if nothing stands in the way.

    `given_away` says that an appointment is moved to another professional, `anew` that a draft is to take its time.
    """
    asks_all = wish.moving is None or anew
    try:
        _check_there(facts)
        if asks_all:
            check_booked(facts.service, by)
        elif given_away:
            check_given(facts.service)
        if asks_all or is_family(by):
            _check_people(facts)
        elif given_away:
            _check_active(facts)
        else:
            facts = replace(facts, calendar=replace(facts.calendar, active=True))
        check_time(facts, wish, is_family(by))
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


def check_time(facts: Facts, wish: Wish, binds_to_grid: bool) -> None:
    """Raise the BookingError that says why the professional's time cannot be had."""
    refused = refusal(facts.calendar, wish.start, facts.minutes, now=wish.now, aside=wish.aside)
    if refused not in (None, Refusal.TAKEN, Refusal.BESIDE):
        _refuse(refused, facts, wish)
    if binds_to_grid:
        _check_grid(facts, wish)
    if refused is Refusal.TAKEN:
        raise SlotTakenError(conflicting_id=_conflicting(facts, wish, "professional", facts.calendar.professional_id))
    if refused is Refusal.BESIDE:
        _refuse_beside(facts, wish)


def _refuse_beside(facts: Facts, wish: Wish) -> NoReturn:
    """What the session needs besides the professional cannot be had, though the professional can."""
    calendar = facts.calendar
    need = next(each for each in calendar.needs if not chosen(calendar, each, wish.start, facts.minutes, wish.aside))
    role = need.column.removesuffix("_id")
    if not need.any_of:
        raise ResourceUnfitError(f"there is no active room with {_listed(need.features)}; ask for less, or make one")
    if len(need.any_of) > 1:
        raise taken_error(
            role, None, f"every room with {_listed(need.features)} is taken or blocked; choose another time"
        )
    (held,) = need.any_of
    reason = refusal_of(calendar, held, wish.start, facts.minutes, wish.aside)
    if reason is Refusal.TAKEN:
        raise taken_error(role, _conflicting(facts, wish, role, held.id))
    if reason is not Refusal.INACTIVE:
        _refuse(reason, facts, wish, f"the {NAMES[need.column]}")
    message = f"the {NAMES[need.column]} {held.unfit}; choose another one"
    if need.column == SECOND:
        raise ProfessionalInactiveError(message)
    raise ResourceUnfitError(message, resource_id=held.id)


def _listed(features: tuple[str, ...]) -> str:
    return ", ".join(features) or "whatever features"


def _refuse(refused: Refusal | None, facts: Facts, wish: Wish, who: str = "the professional") -> NoReturn:
    if refused is Refusal.TOO_SOON:
        earliest = earliest_start(facts.calendar, wish.now, wish.aside)
        raise TooSoonError(f"the start has to lie in the future, from {earliest.isoformat()} on", earliest=earliest)
    if refused is Refusal.BEYOND_WINDOW:
        latest, days = latest_start(facts.calendar, wish.now), facts.calendar.booking_window_days
        raise BookingWindowError(f"bookings are taken {days} days ahead, until {latest.isoformat()}", latest=latest)
    nearest = _nearest(facts, wish)
    reason = refused if refused in WHERE else Refusal.OUTSIDE_SCHEDULE
    raise OutsideScheduleError(
        f"the session {WHERE[reason].format(who=who)}; {_advice(nearest)}", reason=reason.value, nearest=nearest
    )


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


def _conflicting(facts: Facts, wish: Wish, role: str, key: int) -> int | None:
    since = wish.start - timedelta(minutes=facts.calendar.buffer_before_minutes)
    until = wish.start + timedelta(minutes=facts.minutes + facts.calendar.buffer_minutes)
    others = Appointment.select().holding(role, key).occupying(since, until, now=wish.now)
    other = others.where(Appointment.id != (wish.moving or 0)).order_by(Appointment.scheduled_at).first()
    return None if other is None else other.id


def _nearest(facts: Facts, wish: Wish) -> Slot | None:
    return nearest_slot(
        facts.calendar.professional_id,
        wish.start,
        duration_minutes=facts.minutes,
        now=wish.now,
        moving=wish.moving,
        service=None if facts.service is None else facts.service.id,
        whatever_state=facts.calendar.active,
        beside=wish.beside,
    )


def _advice(nearest: Slot | None) -> str:
    return f"the nearest free slot begins at {nearest.start.isoformat()}" if nearest else "no free slot is near"
