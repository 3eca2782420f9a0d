"""GroupSession: a session that several students attend, each by an appointment of its own that has a seat in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from peewee import Check, ModelSelect

from rayces_core.database.binding import current
from rayces_core.errors import GroupFullError, TransitionRefusedError
from rayces_core.fields import (
    GeneratedDateTimeField,
    IntegerField,
    StateField,
    StringField,
    UTCDateTimeField,
    settled,
)
from rayces_core.fields.text import is_blank
from rayces_core.models import holdings
from rayces_core.models.appointment_states import EXPIRED
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import OWN_PROFESSIONAL, STAFF
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.state_machine import DatabaseGuard, Guard, Predicate, StateMachine, Writes
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class GroupState(StrEnum):
    """Where a group session stands."""

    OPEN = "open"
    CANCELLED = "cancelled"


OPEN, CANCELLED = GroupState
LARGEST: Final = 500
MADE = "cancel it and make another one with scheduling.create_group_session(...)"
MOVED = "move it with scheduling.reschedule_group(group, start, ...)"
SEATED = "call group.change_capacity(capacity=..., by=...)"
# What a message about a group has besides.
TOLD = (
    *("professional", "name", "scheduled_at", "duration_minutes", "capacity"),
    *("second_professional", "room", "device"),
)

NOT_BEGUN: Final = Guard(
    "begun",
    "`scheduled_at` has not passed",
    "the session has begun; what became of it is told of each appointment",
    lambda group, now: now < group.scheduled_at,
    ("scheduled_at",),
)
# Whoever takes a seat locks the professional too, so what is counted cannot change meanwhile.
LOCKS: Final = (
    """SELECT 1 FROM professionals WHERE organization_id = %(organization_id)s AND user_id = (
        SELECT professional_id FROM group_sessions WHERE organization_id = %(organization_id)s AND id = %(id)s
    ) FOR NO KEY UPDATE""",
)
ATTENDING: Final = """(
    SELECT count(*) FROM appointments
     WHERE organization_id = %(organization_id)s AND group_session_id = %(id)s AND seat IS NOT NULL
)"""
OVERDUE: Final = "organization_id = %(of_organization)s AND group_session_id = %(group)s AND expires_at < %(now)s"


def expire_seats(group_id: int | None, now: datetime, organization_id: int | None = None) -> None:
    """Expire the overdue holds in a group, as a sweep does; its professional is locked already."""
    tenant = current().organization_id if organization_id is None else organization_id
    of = {"of_organization": tenant, "group": group_id}
    seats: Any = GroupSession.appointments
    seats.rel_model.lifecycle.move_many("expire", OVERDUE, of, organization=tenant, now=now, reason=EXPIRED)


def _clear(group: GroupSession, now: datetime) -> None:
    expire_seats(group.id, now, group.organization_id)


UNATTENDED: Final = DatabaseGuard(
    "nobody has a seat",
    LOCKS,
    f"{ATTENDING} = 0",
    lambda *_: TransitionRefusedError(
        "cancel", "attended", "students have seats; cancel it for all with scheduling.cancel_group_session(...)"
    ),
    clear=_clear,
)
# Whoever sits beyond the new capacity takes a free seat below it. Where there is none, the rule of the seat refuses.
RESEATED: Final = """
over AS (
    SELECT id, row_number() OVER (ORDER BY seat) AS turn FROM appointments
     WHERE organization_id = %(organization_id)s AND group_session_id = %(id)s AND seat > %(set_capacity)s
), free AS (
    SELECT number, row_number() OVER (ORDER BY number) AS turn FROM generate_series(1, %(set_capacity)s) AS number
     WHERE number NOT IN (
         SELECT seat FROM appointments
          WHERE organization_id = %(organization_id)s AND group_session_id = %(id)s AND seat IS NOT NULL)
), reseated AS (
    UPDATE appointments AS attending SET seats = %(set_capacity)s, seat = coalesce(free.number, attending.seat)
      FROM moved
      JOIN appointments AS sitting ON sitting.organization_id = %(organization_id)s
                                  AND sitting.group_session_id = moved.id AND sitting.seat IS NOT NULL
      LEFT JOIN over ON over.id = sitting.id LEFT JOIN free USING (turn)
     WHERE attending.organization_id = %(organization_id)s AND attending.id = sitting.id
    RETURNING 1
)"""

ROOMY: Final = DatabaseGuard(
    "no more attend than there will be seats",
    LOCKS,
    f"{ATTENDING} <= %(set_capacity)s",
    lambda group, _: GroupFullError(
        "more students attend than there would be seats; cancel some first, or choose a larger capacity",
        group_session_id=group.id,
        capacity=group.capacity,
    ),
    clear=_clear,
)


class GroupSession(TimestampedTenantModel):
    """A session with seats. While it is open, `scheduled_at` to `occupied_until` is the professional's.

    `open_seats` is the capacity while it is open, and 0 once it is cancelled. The database lets nobody sit in more
    seats than there are, in one seat twice, or at another time than the group's.
    `professional_id` is the id of the professional's user.
    """

    professional = settled(
        TenantForeignKey(Professional, field="user", column_name="professional_id", backref="group_sessions"), MADE
    )
    professional_id: int
    name = StringField(null=True)
    scheduled_at = settled(UTCDateTimeField(), MOVED)
    duration_minutes = settled(IntegerField(default=60), MOVED)
    buffer_minutes = settled(IntegerField(default=0), MOVED)
    occupied_until = GeneratedDateTimeField(null=True)
    capacity = settled(IntegerField(between=(1, LARGEST)), SEATED)
    open_seats = settled(IntegerField(), SEATED)
    state = StateField(GroupState, default=GroupState.OPEN)
    cancelled_at = UTCDateTimeField(null=True)
    cancelled_by = TenantForeignKey(User, backref="cancelled_group_sessions", null=True)
    cancelled_by_id: int | None
    cancellation_reason = StringField(null=True)
    second_professional = holdings.second_professional("group_sessions", MOVED)
    second_professional_id: int | None
    room = holdings.room("group_sessions", MOVED)
    room_id: int | None
    device = holdings.device("group_sessions", MOVED)
    device_id: int | None

    class Meta:
        """The table and its rules."""

        table_name = "group_sessions"
        personal = {"words": "name cancellation_reason", "plain": "state"}
        merging = {"kept": "cancelled_by_id"}
        defaults_in_database = True
        constraints = [
            Check("btrim(name) <> ''", name="group_sessions_name_check"),
            Check(
                "date_trunc('minute', scheduled_at AT TIME ZONE 'UTC') = scheduled_at AT TIME ZONE 'UTC'",
                name="group_sessions_scheduled_at_check",
            ),
            Check("duration_minutes BETWEEN 15 AND 480", name="group_sessions_duration_minutes_check"),
            Check("buffer_minutes BETWEEN 0 AND 1440", name="group_sessions_buffer_minutes_check"),
            Check(f"capacity BETWEEN 1 AND {LARGEST}", name="group_sessions_capacity_check"),
            Check(
                "open_seats = CASE WHEN state = 'open' THEN capacity ELSE 0 END", name="group_sessions_open_seats_check"
            ),
            Check("state IN ('open', 'cancelled')", name="group_sessions_state_check"),
            Check("(cancelled_at IS NOT NULL) = (state = 'cancelled')", name="group_sessions_cancelled_at_check"),
            Check(
                "CASE state WHEN 'cancelled' "
                "THEN cancelled_by_id IS NOT NULL OR coalesce(btrim(cancellation_reason), '') <> '' "
                "ELSE cancelled_by_id IS NULL AND cancellation_reason IS NULL END",
                name="group_sessions_cancellation_reason_check",
            ),
            *holdings.rules("group_sessions"),
        ]

    lifecycle = StateMachine("state", GroupState, journal=StateTransition, keeping=("create", "reschedule"), tells=TOLD)

    if TYPE_CHECKING:
        can_cancel: Predicate
        can_change_capacity: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]
        appointments: TenantSelect[Any]

    @lifecycle.transition(
        source=OPEN,
        target=CANCELLED,
        stamp="cancelled_at",
        permitted=(STAFF, OWN_PROFESSIONAL),
        guards=(NOT_BEGUN,),
        database_guard=UNATTENDED,
    )
    def cancel(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Give the time back, of a group that nobody attends; `scheduling.cancel_group_session` cancels all with it.

        Raises:
            TransitionRefusedError: `attended`, somebody has a seat; `begun`; `no_reason`, neither `by` nor `reason` is
                given. InvalidTransitionError, NotPermittedError.
        """
        if by is None and is_blank(reason or ""):
            raise TransitionRefusedError("cancel", "no_reason", "say who cancels (by=) or why (reason=)")
        return {"open_seats": 0, "cancelled_by": by, "cancellation_reason": reason}

    @lifecycle.transition(
        source=OPEN,
        target=None,
        permitted=(STAFF, OWN_PROFESSIONAL),
        guards=(NOT_BEGUN,),
        database_guard=ROOMY,
        remembers=("capacity",),
        afterwards=RESEATED,
    )
    def change_capacity(
        self, *, capacity: int, by: User | None = None, reason: str | None = None, now: datetime | None = None
    ) -> Writes:
        """Have another number of seats, 1 to 500; the journal's `details` keep the one before.

        Raises:
            GroupFullError: more attend than that. TransitionRefusedError: `begun`. InvalidDataError,
                InvalidTransitionError, NotPermittedError.
        """
        return {"capacity": capacity, "open_seats": capacity}

    @property
    def ends_at(self) -> datetime:
        """When the session itself ends; the buffer comes after."""
        return self.scheduled_at + timedelta(minutes=self.duration_minutes)

    def attending(self) -> int:
        """How many seats are taken, overdue holds included; asks the database."""
        return int(self.appointments.where(self.appointments.model.seat.is_null(False)).count())


# What the seats of its appointments refer to.
GroupSession.add_index(
    GroupSession.organization,
    GroupSession.id,
    GroupSession.professional,
    GroupSession.scheduled_at,
    GroupSession.duration_minutes,
    GroupSession.buffer_minutes,
    GroupSession.open_seats,
    unique=True,
    name="group_sessions_place_key",
)
holdings.add_indexes(GroupSession)
