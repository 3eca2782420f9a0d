"""The sessions of a calendar, read in one statement: whose they are, when, where, and how often they were changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.outbox.calendar import CHANGES

CHANGED: Final = ", ".join(f"'{event}'" for event in CHANGES)
IS_OVER: Final = "coalesce(session.state = 'pre_confirmed' AND session.expires_at < %(now)s, false)"
STATUSES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("confirmed", "executed", "no_show", "open"), "CONFIRMED"),
    **dict.fromkeys(("draft", "pre_confirmed"), "TENTATIVE"),
}


@dataclass(frozen=True, slots=True)
class Session:
    """What a calendar may be told of one session.

    Attributes:
        kind: "appointment" or "group". sequence: how many changes there were, with the end of an overdue hold.
        changed_at: when the last one was.
        is_over: whether it is a hold that was not confirmed in time. student: None of a group.
        own: whether the calendar is of the professional's side.
    """

    kind: str
    id: int
    starts_at: datetime
    minutes: int
    state: str
    is_over: bool
    created_at: datetime
    changed_at: datetime
    sequence: int
    own: bool
    student: str | None
    professional: str
    title: str | None
    room: str | None

    @property
    def status(self) -> str:
        """As calendars say it."""
        return "CANCELLED" if self.is_over else STATUSES.get(self.state, "CANCELLED")


def _named(user: str) -> str:
    return f"btrim(concat_ws(' ', {user}.first_name, {user}.last_name))"


def _changes(subject_type: str, row: str) -> str:
    return f"""CROSS JOIN LATERAL (
    SELECT count(*) AS sequence, max(made.occurred_at) AS at FROM state_transitions AS made
     WHERE made.organization_id = %(tenant)s AND made.subject_type = '{subject_type}' AND made.subject_id = {row}.id
       AND made.event IN ({CHANGED})) AS changes"""


_APPOINTMENTS: Final = f"""
SELECT 'appointment', session.id, session.scheduled_at, session.duration_minutes, session.state,
       {IS_OVER},
       session.created_at, greatest(session.updated_at, changes.at, CASE WHEN {IS_OVER} THEN session.expires_at END),
       changes.sequence + {IS_OVER}::integer,
       session.professional_id = %(user)s OR session.second_professional_id = %(user)s IS TRUE,
       {_named("student")}, {_named("giver")}, service.name, room.name
  FROM appointments AS session
  JOIN students AS student ON student.organization_id = %(tenant)s AND student.id = session.student_id
  JOIN users AS giver ON giver.organization_id = %(tenant)s AND giver.id = session.professional_id
  LEFT JOIN services AS service ON service.organization_id = %(tenant)s AND service.id = session.service_id
  LEFT JOIN resources AS room ON room.organization_id = %(tenant)s AND room.id = session.room_id
  {_changes("Appointment", "session")}
 WHERE session.organization_id = %(tenant)s"""
# Whoever gives a group has it once; whoever attends has the own seat.
_OF_USER: Final = """
   AND session.scheduled_at >= %(since)s AND session.scheduled_at < %(until)s
   AND (session.client_id = %(user)s OR student.primary_contact_id = %(user)s
        OR student.secondary_contact_id = %(user)s
        OR session.group_session_id IS NULL
           AND (session.professional_id = %(user)s OR session.second_professional_id = %(user)s))"""
_GROUPS: Final = f"""
SELECT 'group', session.id, session.scheduled_at, session.duration_minutes, session.state, false,
       session.created_at, greatest(session.updated_at, changes.at), changes.sequence, true,
       NULL, {_named("giver")}, session.name, room.name
  FROM group_sessions AS session
  JOIN users AS giver ON giver.organization_id = %(tenant)s AND giver.id = session.professional_id
  LEFT JOIN resources AS room ON room.organization_id = %(tenant)s AND room.id = session.room_id
  {_changes("GroupSession", "session")}
 WHERE session.organization_id = %(tenant)s
   AND session.scheduled_at >= %(since)s AND session.scheduled_at < %(until)s
   AND (session.professional_id = %(user)s OR session.second_professional_id = %(user)s)"""
OF_USER: Final = f"{_APPOINTMENTS}{_OF_USER} UNION ALL {_GROUPS} ORDER BY 3, 1, 2"
ONE: Final = f"{_APPOINTMENTS} AND session.id = %(id)s"


def sessions_of(user_id: int, since: datetime, until: datetime, now: datetime) -> list[Session]:
    """The sessions that the user gives, books or brings a student to, by their start; cancelled ones too."""
    given = {"user": user_id, "since": since, "until": until}
    return _read(OF_USER, given, now)


def session_of(appointment_id: int, user_id: int, now: datetime) -> Session:
    """What a calendar is told of one appointment."""
    (found,) = _read(ONE, {"id": appointment_id, "user": user_id}, now)
    return found


def _read(sql: str, given: dict[str, Any], now: datetime) -> list[Session]:
    binding = current()
    values = given | {"tenant": binding.organization_id, "now": now}
    return [Session(*row) for row in binding.engine.run_prepared(sql, values).fetchall()]
