"""A booking as it was asked for: its arguments checked, and whether the acting user may ask for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from rayces_core import clock
from rayces_core.errors import InvalidDataError, NotPermittedError
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.fields.text import LONGEST_NAME, checked_name
from rayces_core.models.appointment import Appointment
from rayces_core.models.permissions import OWN_CLIENT, OWN_CLIENT_BEFORE_CONFIRMATION, STAFF
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.scheduling.calendar import EARLIEST, LATEST, SetAside, check_duration
from rayces_core.scheduling.facts import LONGEST, Facts, Wish
from rayces_core.scheduling.holdings import NOTHING_BESIDE, Beside
from rayces_core.state_machine import check_actor
from rayces_core.tenancy.scoping import check_reach

LONGEST_KEY: Final = LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Request:
    """A booking as it was asked for.

    Attributes: `group_id`, of the group session in which it is a seat; `slot_request_id`, of the request that it is an
    offer for; `first_asked`, the fingerprint of what was asked where it is booked elsewhere, as its series was changed.
    """

    student_id: int
    professional_id: int
    client_id: int
    wish: Wish
    uses_credit: bool
    notes: str | None
    key: str | None
    draft: bool
    confirm: bool
    group_id: int | None = None
    service_id: int | None = None
    slot_request_id: int | None = None
    first_asked: str | None = None

    def again(self, turn: int) -> Request:
        """The same in another attempt."""
        return replace(self, wish=replace(self.wish, again=turn > 0))

    def elsewhere(self, start: datetime, like: Sequence[Appointment]) -> Request:
        """The same at another time, and given by whom and for as long as those are that it stands beside.

        Of what it names besides it holds what they hold. Where they differ it stays as it was asked.
        """
        named, first_asked, wish = self.wish.beside.ids, self.fingerprint, replace(self.wish, start=start)
        ways = {
            (each.professional_id, each.duration_minutes, *(getattr(each, column) for column in named)) for each in like
        }
        if len(ways) != 1:
            return replace(self, wish=wish, first_asked=first_asked)
        ((professional_id, minutes, *held),) = ways
        ids = {column: of for column, of in zip(named, held, strict=True) if of is not None}
        wish = replace(wish, duration_minutes=minutes, beside=replace(wish.beside, ids=ids))
        return replace(self, wish=wish, professional_id=professional_id, first_asked=first_asked)

    def costs(self, facts: Facts) -> int:
        """How many credits confirming it costs."""
        usual = 1 if facts.service is None else facts.service.credits
        return usual if self.uses_credit else 0

    def held_for(self, policy: OrganizationSettings) -> timedelta:
        """How long it waits for its confirmation."""
        if self.slot_request_id is None:
            return timedelta(hours=policy.confirmation_hours)
        return timedelta(minutes=policy.slot_offer_minutes)

    def reserves(self, facts: Facts) -> bool:
        """Whether what it costs is reserved: not of a draft, nor of what is debited at once, or only offered so far."""
        asks = not (self.draft or self.confirm) and self.slot_request_id is None
        return facts.policy.reserve_credits and asks

    @property
    def fingerprint(self) -> str | None:
        """What was asked, in a form that can be compared; None without a key."""
        if self.key is None or self.first_asked is not None:
            return self.first_asked
        wish = self.wish
        if self.group_id is not None:  # wherever it is moved meanwhile
            given = [self.student_id, self.client_id, self.uses_credit, self.notes, self.confirm, wish.allow_overlap]
            return fingerprint_of(["group", self.group_id, *given])
        asked = [
            self.student_id,
            self.professional_id,
            self.client_id,
            wish.start.isoformat(),
            wish.duration_minutes,
            self.uses_credit,
            self.notes,
            self.draft,
            self.confirm,
            wish.aside.schedule,
            wish.allow_overlap,
            *_further(wish.aside),
            *([] if self.service_id is None else [["service", self.service_id]]),
            *wish.beside.as_asked,
        ]
        return fingerprint_of(asked)


@dataclass(frozen=True, slots=True)
class Moving:
    """A move as it was asked for.

    Attributes: `professional_id`, None where the appointment stays with its own; `beside`, what was said of what it is
    to hold besides, by argument, as ids and features.
    """

    professional_id: int | None
    wish: Wish
    reason: str | None
    key: str | None
    beside: dict[str, Any]

    def again(self, turn: int) -> Moving:
        """The same in another attempt."""
        return replace(self, wish=replace(self.wish, again=turn > 0))

    @property
    def fingerprint(self) -> str | None:
        """What was asked, in a form that can be compared; None without a key."""
        if self.key is None:
            return None
        wish, aside = self.wish, self.wish.aside
        place = [wish.moving, self.professional_id, wish.start.isoformat(), wish.duration_minutes, self.reason]
        more = [*_further(aside), *([["beside", self.beside]] if self.beside else [])]
        return fingerprint_of(["reschedule", *place, wish.allow_overlap, aside.schedule, *more])


def _further(aside: SetAside) -> list[str]:
    # Only where given, so that a request of before they were there keeps its fingerprint.
    return [name for name in ("blocked", "window", "notice") if getattr(aside, name)]


def fingerprint_of(asked: list[Any]) -> str:
    """A short text that is the same for the same request."""
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def wish_of(
    scheduled_at: object,
    duration_minutes: object,
    aside: SetAside,
    allow_overlap: bool,
    now: datetime | None,
    moving: int | None = None,
    beside: Beside = NOTHING_BESIDE,
) -> Wish:
    """The time asked for, checked; raises InvalidDataError."""
    start, present = clock.utc(scheduled_at, "scheduled_at"), clock.moment(now)
    for field, moment in (("scheduled_at", start), ("now", present)):
        if not EARLIEST <= moment <= LATEST - LONGEST:
            raise InvalidDataError(field, moment, "must lie in the years 2 to 9998")
    if start.second or start.microsecond:
        raise InvalidDataError("scheduled_at", start, "a session begins on a whole minute; drop the seconds")
    minutes = None if duration_minutes is None else check_duration(duration_minutes)
    return Wish(start, minutes, present, aside, bool(allow_overlap), moving, beside=beside)


def set_aside(schedule: object, blocked: object, window: object, notice: object) -> SetAside:
    """The rules that staff set aside, from the arguments of `book` and `reschedule`."""
    return SetAside(bool(schedule), bool(blocked), bool(window), bool(notice))


def check_overrides(by: User | None, wish: Wish, action: str, said: Iterable[str] = ()) -> None:
    """Raise unless the acting user may set aside what the wish sets aside, and say what is needed besides."""
    if by is None:
        return
    check_actor(by, User)
    given = [f"override_{name}" for name in ("schedule", "blocked", "window", "notice") if getattr(wish.aside, name)]
    given += ["allow_overlap"] if wish.allow_overlap else []
    given += said or wish.beside.given
    if given and not STAFF(None, by):
        raise NotPermittedError(f"{action} with {' and '.join(given)}", by.id, (STAFF.who,))


def person_id(given: object, model: type[Student] | type[User], field: str) -> int:
    """The id of a Student or User, or the id itself; raises InvalidDataError or CrossTenantError."""
    if isinstance(given, model):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError(field, given, f"needs a saved {model.__name__} or an id")
    return given


def checked_key(key: object, longest: int = LONGEST_KEY) -> str | None:
    """The idempotency key, if it can be one; raises InvalidDataError."""
    return checked_name(key, "idempotency_key", longest)


def check_booker(facts: Facts, by: User | None) -> None:
    """Raise unless the acting user may book for this student and client."""
    if by is None or STAFF(None, by) or (by.id == facts.client_id and by.id in facts.contacts):
        return
    allowed = (STAFF.who, "the client, for a student whose contact they are")
    raise NotPermittedError("book for this student and client", by.id, allowed)


def check_mover(facts: Facts, state: str, by: User | None, *, repeated: bool = False) -> None:
    """Raise unless the acting user may move this appointment, or may be told again that it was `repeated`."""
    allowed = (STAFF, OWN_CLIENT if repeated else OWN_CLIENT_BEFORE_CONFIRMATION)
    appointment = SimpleNamespace(client_id=facts.client_id, state=state)
    if by is not None and not any(permission(appointment, by) for permission in allowed):
        raise NotPermittedError("reschedule this Appointment", by.id, tuple(permission.who for permission in allowed))
