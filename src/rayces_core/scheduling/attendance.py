"""Attendance: who was due on a day, what became of each session, and marking those that nobody has marked.

Rule it guards: a session is unmarked when it is confirmed and has begun; marking is the appointment's own event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, NamedTuple

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.models.appointment import Appointment
from rayces_core.models.professional import Professional
from rayces_core.models.user import User
from rayces_core.scheduling.availability import id_of
from rayces_core.tenancy.organization import day_begins
from rayces_core.tenancy.scoping import check_home

LISTED: Final = f"""
SELECT session.id, session.scheduled_at, session.duration_minutes, session.state,
       coalesce(nullif(btrim(concat_ws(' ', person.first_name, person.last_name)), ''), person.email),
       student.first_name || ' ' || student.last_name, service.name
  FROM appointments AS session
  JOIN organizations AS root ON root.id = %(organization_id)s
  JOIN users AS person ON person.organization_id = %(organization_id)s AND person.id = session.professional_id
  JOIN students AS student ON student.organization_id = %(organization_id)s AND student.id = session.student_id
  LEFT JOIN services AS service ON service.organization_id = %(organization_id)s AND service.id = session.service_id
 WHERE session.organization_id = %(organization_id)s AND session.state IN ('confirmed', 'executed', 'no_show')
   AND session.scheduled_at >= {day_begins("%(day)s::date", "root.time_zone")}
   AND session.scheduled_at < {day_begins("%(day)s::date + 1", "root.time_zone")}
   AND (%(everyone)s::boolean
        OR %(professional)s::bigint IN (session.professional_id, session.second_professional_id))
 ORDER BY session.scheduled_at, 5, 6, session.id"""


class Attendance(NamedTuple):
    """A session that was due: when, with whom, for whom, and its `mark`.

    `mark` is "executed", "no_show", "unmarked" for one that has begun, or "confirmed" for one that has not.
    """

    appointment_id: int
    starts_at: datetime
    duration_minutes: int
    mark: str
    professional: str
    student: str
    service: str | None


MARKS: Final = ("executed", "no_show")


def attendance_list(
    day: date, *, professional: Professional | User | int | None = None, now: datetime | None = None
) -> list[Attendance]:
    """Who was due on a local day, by time: of everyone, or of one professional.

    Args:
        professional: a Professional, its User or the user's id. now: the present, which tells what is unmarked.

    Raises:
        InvalidDataError: the day is none. TenantNotSetError: in privileged work.
    """
    if not isinstance(day, date) or isinstance(day, datetime):
        raise InvalidDataError("day", day, f"needs a date, got {type(day).__name__}")
    if current().privileged:
        raise TenantNotSetError("an attendance list needs a tenant; wrap the code in `with db.tenant(...):`")
    check_home(professional)
    whose = 0 if professional is None else id_of(professional)
    values = {"organization_id": current().organization_id, "day": day, "everyone": professional is None}
    rows = current().engine.run_prepared(LISTED, values | {"professional": whose}).fetchall()
    present = clock.moment(now)
    return [
        Attendance(key, start, minutes, _mark(state, start, present), *who) for key, start, minutes, state, *who in rows
    ]


def _mark(state: str, start: datetime, now: datetime) -> str:
    return "unmarked" if state == "confirmed" and start <= now else state


def mark_attendance(
    marks: Mapping[int, str], *, by: User | None = None, now: datetime | None = None
) -> list[Appointment]:
    """Mark sessions in one go, all of them or none: appointment id → "executed" or "no_show".

    Args:
        by: the acting user, who may do to each what `execute` and `mark_no_show` let that user do.

    Raises:
        InvalidDataError: a mark, or the id of an appointment, is none.
        Appointment.DoesNotExist: there is no such appointment.
        InvalidTransitionError, TransitionRefusedError, NotPermittedError: as the events raise them.
    """
    _check_marks(marks)
    with current().engine.atomic():
        found = [Appointment.get_by_id(key) for key in sorted(marks)]
        for appointment in found:
            event = appointment.execute if marks[appointment.id] == "executed" else appointment.mark_no_show
            event(by=by, now=now)
    return found


def _check_marks(marks: object) -> None:
    if not isinstance(marks, Mapping):
        raise InvalidDataError("marks", marks, "needs ids of appointments with a mark for each")
    for key, mark in marks.items():
        if isinstance(key, bool) or not isinstance(key, int):
            raise InvalidDataError("marks", key, f"needs ids of appointments, got {type(key).__name__}")
        if mark not in MARKS:
            raise InvalidDataError("marks", mark, f"must be one of {', '.join(MARKS)}")
