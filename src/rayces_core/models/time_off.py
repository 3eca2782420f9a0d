"""TimeOffRequest: a professional asks for days or hours off, and the desk decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from peewee import Check, ModelSelect

from rayces_core.errors import TransitionRefusedError
from rayces_core.fields import DateField, StateField, StringField, UTCDateTimeField, settled
from rayces_core.fields.schemas import MOST_BLOCKED
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import STAFF
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.state_machine import DatabaseGuard, Permission, Predicate, StateMachine
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel


class TimeOffState(StrEnum):
    """Where a request for time off stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


REQUESTED, APPROVED, DECLINED, WITHDRAWN = TimeOffState
ASKED: Final = "withdraw it and ask again with scheduling.request_time_off(...)"
# What a message about a request has besides.
TOLD: Final = ("professional", "starts_on", "ends_on", "from_time", "until_time", "note")
OWN: Final = Permission(
    "the professional who asked", lambda request, user: request.professional_id == user.id, ("professional",)
)
_ITS_PROFESSIONAL: Final = """organization_id = %(organization_id)s AND user_id = (
        SELECT professional_id FROM time_off_requests WHERE organization_id = %(organization_id)s AND id = %(id)s)"""
# Whoever books locks the professional too, and decides anew where the row has changed.
ROOM: Final = DatabaseGuard(
    "there is room among the blocked dates",
    (f"SELECT 1 FROM professionals WHERE {_ITS_PROFESSIONAL} FOR NO KEY UPDATE",),
    f"(SELECT jsonb_array_length(blocked_dates) FROM professionals WHERE {_ITS_PROFESSIONAL}) < {MOST_BLOCKED}",
    lambda *_: TransitionRefusedError(
        "approve", "no_room", f"the professional has {MOST_BLOCKED} blocked dates; remove past ones first"
    ),
)
ALONE: Final = DatabaseGuard(
    "the professional is locked, as bookings do",
    ROOM.locks,
    "true",
    lambda *_: TransitionRefusedError("revoke", "locked", "try again"),
)
# Of a request `asked`, as one of `blocked_dates`.
PERIOD: Final = """jsonb_strip_nulls(jsonb_build_object(
              'start', asked.starts_on, 'end', asked.ends_on, 'reason', asked.note,
              'hours', CASE WHEN asked.from_time IS NOT NULL
                            THEN jsonb_build_object('start', asked.from_time, 'end', asked.until_time) END))"""
# In the order of the document's own shape.
IN_ORDER: Final = """period ->> 'start', period ->> 'end', period #>> '{hours,start}' NULLS FIRST,
                         period ->> 'reason' NULLS FIRST"""
BLOCKED: Final = f"""
blocked AS (
    UPDATE professionals AS away SET updated_at = %(now)s, blocked_dates = (
        SELECT jsonb_agg(period ORDER BY {IN_ORDER})
          FROM jsonb_array_elements(away.blocked_dates || {PERIOD}) AS period)
      FROM moved JOIN time_off_requests AS asked
        ON asked.organization_id = %(organization_id)s AND asked.id = moved.id
     WHERE away.organization_id = %(organization_id)s AND away.user_id = asked.professional_id
    RETURNING 1
)"""
# One of them, where it was approved twice; none, where somebody has taken it out already.
FREED: Final = f"""
freed AS (
    UPDATE professionals AS back SET updated_at = %(now)s, blocked_dates = (
        SELECT coalesce(jsonb_agg(period ORDER BY place), '[]')
          FROM jsonb_array_elements(back.blocked_dates) WITH ORDINALITY AS every (period, place)
         WHERE place IS DISTINCT FROM (
               SELECT min(same.place)
                 FROM jsonb_array_elements(back.blocked_dates) WITH ORDINALITY AS same (period, place)
                WHERE same.period = {PERIOD}))
      FROM moved JOIN time_off_requests AS asked
        ON asked.organization_id = %(organization_id)s AND asked.id = moved.id
     WHERE back.organization_id = %(organization_id)s AND back.user_id = asked.professional_id
    RETURNING 1
)"""


class TimeOffRequest(TimestampedTenantModel):
    """Days, or the same hours of each of them, that a professional asks to have off.

    Approved, they are among the professional's `blocked_dates`; what is booked there stays, and `hits()` lists it.
    `professional_id` is the id of the professional's user. Made with `scheduling.request_time_off`.

    Attributes:
        starts_on, ends_on: the first and the last day. from_time, until_time: the hours, as "09:00" and "13:00"; None
            where whole days are asked for. note: why, as the professional tells it.
    """

    professional = settled(
        TenantForeignKey(Professional, field="user", column_name="professional_id", backref="time_off_requests"), ASKED
    )
    professional_id: int
    starts_on = settled(DateField(), ASKED)
    ends_on = settled(DateField(), ASKED)
    from_time = settled(StringField(null=True), ASKED)
    until_time = settled(StringField(null=True), ASKED)
    note = settled(StringField(null=True), ASKED)
    state = StateField(TimeOffState, default=TimeOffState.REQUESTED)
    decided_at = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "time_off_requests"
        personal = {"words": "note", "plain": "from_time until_time state"}
        defaults_in_database = True
        constraints = [
            Check("ends_on BETWEEN starts_on AND starts_on + 365", name="time_off_requests_ends_on_check"),
            Check(
                "(from_time IS NULL) = (until_time IS NULL) AND from_time ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'",
                name="time_off_requests_from_time_check",
            ),
            Check(
                "until_time ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$' AND until_time COLLATE \"C\" > from_time",
                name="time_off_requests_until_time_check",
            ),
            Check("note = btrim(note) AND note <> '' AND length(note) <= 500", name="time_off_requests_note_check"),
            Check("state IN ('requested', 'approved', 'declined', 'withdrawn')", name="time_off_requests_state_check"),
            Check("(decided_at IS NULL) = (state = 'requested')", name="time_off_requests_decided_at_check"),
        ]

    lifecycle = StateMachine("state", TimeOffState, journal=StateTransition, tells=TOLD)

    if TYPE_CHECKING:
        can_approve: Predicate
        can_decline: Predicate
        can_withdraw: Predicate
        can_revoke: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]

    @lifecycle.transition(
        source=REQUESTED,
        target=APPROVED,
        stamp="decided_at",
        permitted=(STAFF,),
        database_guard=ROOM,
        afterwards=BLOCKED,
    )
    def approve(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Grant it: the time is among the professional's blocked dates, and nobody books it any more.

        Raises:
            TransitionRefusedError: `no_room`. InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(source=REQUESTED, target=DECLINED, stamp="decided_at", permitted=(STAFF,))
    def decline(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Refuse it, with a `reason` for the professional.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(source=REQUESTED, target=WITHDRAWN, stamp="decided_at", permitted=(STAFF, OWN))
    def withdraw(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Take it back before it is decided on.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(
        source=APPROVED,
        target=WITHDRAWN,
        stamp="decided_at",
        permitted=(STAFF,),
        database_guard=ALONE,
        afterwards=FREED,
    )
    def revoke(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> None:
        """Take it back after it was approved: its time is none of the blocked dates any more, and can be booked.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """

    @property
    def period(self) -> dict[str, Any]:
        """What is asked for, as one of `blocked_dates`."""
        period = {"start": self.starts_on, "end": self.ends_on, "reason": self.note}
        return period | ({"hours": {"start": self.from_time, "end": self.until_time}} if self.from_time else {})

    def hits(self, *, now: datetime | None = None) -> Any:
        """The future sessions that it hits, as `scheduling.TimeOffHits`: before it is approved, and after.

        Once it is approved nothing is made there, so what this gives then is all of it, but for seats of its groups.

        Raises:
            TransactionFailedError: the unit of work, at REPEATABLE READ or SERIALIZABLE, would not see all of them.
        """
        # The calendar is arithmetic of a layer above.
        return import_module("rayces_core.scheduling.time_off").hits_of(self, now)


TimeOffRequest.add_index(
    TimeOffRequest.organization,
    TimeOffRequest.professional,
    TimeOffRequest.starts_on,
    name="index_time_off_requests_on_professional_id",
)
