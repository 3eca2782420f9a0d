"""SlotRequest: a family waits for a time, and is offered one when it is free, in its turn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from peewee import SQL, Check, ModelSelect

from rayces_core.fields import (
    BooleanField,
    DateField,
    IntegerField,
    JSONField,
    StateField,
    StringField,
    UTCDateTimeField,
    settled,
)
from rayces_core.fields.schemas import END_OF_DAY, WEEKDAYS, Weekdays
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import STAFF
from rayces_core.models.professional import Professional
from rayces_core.models.service import Service
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.state_machine import Permission, Predicate, StateMachine, Writes
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class SlotRequestState(StrEnum):
    """Where a request for a time stands."""

    WAITING = "waiting"
    OFFERED = "offered"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


WAITING, OFFERED, TAKEN, WITHDRAWN, LAPSED = SlotRequestState
ASKED: Final = "withdraw it and ask again with scheduling.request_slot(...)"
# What a message about a request has besides.
TOLD: Final = ("client", "student", "professional", "service", "from_day", "until_day")
OWN: Final = Permission("the family that asked", lambda request, user: request.client_id == user.id, ("client",))
# Who missed an offer goes to the end of the line, unless the centre says otherwise.
PLACE_AFTER: Final = SQL("""greatest(place_at, (
    SELECT CASE WHEN (settings ->> 'slot_offer_keeps_place')::boolean THEN '-infinity' ELSE %(now)s::timestamptz END
    FROM organizations WHERE id = %(organization_id)s
))""")
WEEKDAYS_SQL: Final = ", ".join(f'"{day}"' for day in WEEKDAYS)


class SlotRequest(TimestampedTenantModel):
    """A family's place in the line for a time. Made with `scheduling.request_slot`.

    While it is `offered`, an appointment of it is held for the family, and once it is `taken` that is confirmed: the
    database lets it have no second one.

    Attributes:
        service, duration_minutes: what is asked for; with neither, a session as long as the professional's are.
        professional: with whom; None is anybody who gives it.
        weekdays, from_time, until_time: the session lies within these hours of one of these days, as "14:00" and
            "18:30", by the organization's wall clock.
        from_day, until_day: the first day and the last one; after that it lapses.
        place_at: its place in the line: since when it waits, or when it last missed an offer.
    """

    client = settled(TenantForeignKey(User, backref="slot_requests"), ASKED)
    client_id: int
    student = settled(TenantForeignKey(Student, backref="slot_requests"), ASKED)
    student_id: int
    professional = settled(
        TenantForeignKey(Professional, field="user", column_name="professional_id", backref="slot_requests", null=True),
        ASKED,
    )
    professional_id: int | None
    service = settled(TenantForeignKey(Service, backref="slot_requests", null=True), ASKED)
    service_id: int | None
    duration_minutes = settled(IntegerField(null=True, between=(15, 480)), ASKED)
    weekdays: JSONField[list[str]] = settled(JSONField(Weekdays, default=list(WEEKDAYS)), ASKED)
    from_time = settled(StringField(default="00:00"), ASKED)
    until_time = settled(StringField(default=END_OF_DAY), ASKED)
    from_day = settled(DateField(), ASKED)
    until_day = settled(DateField(), ASKED)
    uses_credit = settled(BooleanField(default=False), ASKED)
    state = StateField(SlotRequestState, default=SlotRequestState.WAITING)
    place_at = UTCDateTimeField()

    if TYPE_CHECKING:
        appointments: TenantSelect[Any]  # rows of a model that knows this one, and not the other way round

    class Meta:
        """The table and its rules."""

        table_name = "slot_requests"
        personal = {"plain": "weekdays from_time until_time state"}
        merging = {"moved": "client_id"}
        defaults_in_database = True
        constraints = [
            Check("duration_minutes BETWEEN 15 AND 480", name="slot_requests_duration_minutes_check"),
            Check("service_id IS NULL OR duration_minutes IS NULL", name="slot_requests_service_id_check"),
            Check(
                "jsonb_typeof(weekdays) = 'array' AND weekdays <> '[]'::jsonb "
                f"AND weekdays <@ '[{WEEKDAYS_SQL}]'::jsonb",
                name="slot_requests_weekdays_check",
            ),
            Check("from_time ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'", name="slot_requests_from_time_check"),
            Check(
                "until_time ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$' AND until_time COLLATE \"C\" > from_time",
                name="slot_requests_until_time_check",
            ),
            Check("until_day BETWEEN from_day AND from_day + 365", name="slot_requests_until_day_check"),
            Check("state IN ('waiting', 'offered', 'taken', 'withdrawn', 'lapsed')", name="slot_requests_state_check"),
        ]

    lifecycle = StateMachine("state", SlotRequestState, journal=StateTransition, tells=TOLD)

    if TYPE_CHECKING:
        can_offer: Predicate
        can_take: Predicate
        can_decline: Predicate
        can_miss: Predicate
        can_withdraw: Predicate
        can_lapse: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]

    @lifecycle.transition(source=WAITING, target=OFFERED, permitted=(STAFF,))
    def offer(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Say that a time is held for it; `scheduling.offer_slots` holds it and says so in one unit of work.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(source=OFFERED, target=TAKEN, permitted=(STAFF,))
    def take(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Say that the offer was accepted; confirming the appointment says so.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(source=OFFERED, target=WAITING, permitted=(STAFF,))
    def decline(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Say that the offer is not wanted: it waits on in its place; cancelling the appointment says so.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(source=OFFERED, target=WAITING, permitted=(STAFF,))
    def miss(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Say that nobody answered the offer: it goes to the end of the line; the hold's expiry says so.

        With the organization's `slot_offer_keeps_place` it keeps its place.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """
        return {"place_at": PLACE_AFTER}

    @lifecycle.transition(source=WAITING, target=WITHDRAWN, permitted=(STAFF, OWN))
    def withdraw(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Take it out of the line; `scheduling.withdraw_slot_request` gives an open offer back as well.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(source=WAITING, target=LAPSED, permitted=(STAFF,))
    def lapse(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Take it out of the line as its last day is over; `scheduling.offer_slots` does it for all of them.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """


SlotRequest.add_index(
    SlotRequest.organization,
    SlotRequest.place_at,
    SlotRequest.id,
    where=SQL("state = 'waiting'"),
    name="index_slot_requests_on_place_at",
)
for _field in (SlotRequest.client, SlotRequest.student):
    SlotRequest.add_index(SlotRequest.organization, _field, name=f"index_slot_requests_on_{_field.column_name}")
for _other in (SlotRequest.professional, SlotRequest.service):
    SlotRequest.add_index(
        SlotRequest.organization,
        _other,
        where=SQL(f"{_other.column_name} IS NOT NULL"),
        name=f"index_slot_requests_on_{_other.column_name}",
    )
