"""Reminders: each session is given out once for the nearest stage that covers it, from however many hosts.

In a tenant's block they are about its appointments, in privileged work about those of every active organization.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.fields.schemas import OrganizationSettings
from rayces_core.models.appointment import Appointment
from rayces_core.scheduling.sweeps import positive
from rayces_core.state_machine.telling import columns_of, has_told, is_told, told

NEAREST: Final = timedelta(minutes=1)
FURTHEST: Final = timedelta(days=3660)
MINUTE: Final = timedelta(minutes=1)
LAST: Final = datetime.max.replace(tzinfo=UTC)
QUIET_MINUTES: Final = OrganizationSettings.model_fields["reminder_quiet_minutes"].default

_NAMES: Final = [f'"{field.column_name}"' for field in Appointment._meta.sorted_fields]
# Rows that somebody else has locked are left to them, or to the next call.
REMIND: Final = f"""
WITH due AS (
    SELECT booked.organization_id, booked.id, nearest.minutes
      FROM appointments AS booked
      JOIN organizations AS organization ON organization.id = booked.organization_id AND organization.active
      CROSS JOIN LATERAL (
          SELECT min(stage) AS minutes FROM unnest(%(stages)s::int[]) AS stage
           WHERE booked.scheduled_at <= %(now)s + make_interval(mins => stage)
      ) AS nearest
      CROSS JOIN LATERAL (
          SELECT %(now)s - make_interval(
              mins => coalesce((organization.settings ->> 'reminder_quiet_minutes')::int, {QUIET_MINUTES})
          ) AS moment
      ) AS latest
     WHERE {{own}} booked.scheduled_at > %(now)s AND booked.scheduled_at <= %(until)s
       AND (booked.state = 'confirmed' OR booked.state = 'pre_confirmed' AND booked.expires_at >= %(now)s)
       AND (booked.reminder_minutes IS NULL OR booked.reminder_minutes > nearest.minutes)
       AND booked.pre_confirmed_at <= latest.moment
       AND NOT EXISTS (
           SELECT 1 FROM state_transitions AS moved
            WHERE {{moved}} moved.organization_id = booked.organization_id AND moved.subject_type = 'Appointment'
              AND moved.subject_id = booked.id AND moved.event = 'reschedule' AND moved.occurred_at > latest.moment
       )
     ORDER BY booked.scheduled_at, booked.id LIMIT %(limit)s FOR NO KEY UPDATE OF booked SKIP LOCKED
), reminded AS (
    UPDATE appointments AS booked SET reminder_minutes = due.minutes FROM due
     WHERE {{own}} booked.organization_id = due.organization_id AND booked.id = due.id
    RETURNING {", ".join(f"booked.{name}" for name in _NAMES)}
){{told}}
SELECT {", ".join(_NAMES)} FROM reminded"""


def _told(organization: str) -> str:
    return told(
        "Appointment",
        "remind",
        {
            "from_state": '"state"',
            "to_state": '"state"',
            "actor_id": "NULL::bigint",
            "reason": "NULL::varchar",
            "occurred_at": "%(now)s::timestamptz",
            "minutes_ahead": '"reminder_minutes"',
        },
        columns_of(Appointment, Appointment.lifecycle.tells or ()),
        source="reminded",
        organization=organization,
        at="%(now)s",
        order=" ORDER BY scheduled_at, id",
    )


# Of the bound tenant, and of every organization.
TOLD: Final = {True: _told("%(tenant)s"), False: _told("organization_id")}


def due_reminders(
    stages: Iterable[timedelta] | timedelta,
    now: datetime | None = None,
    *,
    limit: int | None = None,
    tell: bool = False,
) -> list[Appointment]:
    """Take the appointments to remind of: each is given out once for each stage, and for the nearest that covers it.

    A stage that was missed is not made up for, as a nearer one says all of it. Nothing is given out of organizations
    that are not active, of overdue holds, and of what was booked or moved less than the organization's
    `reminder_quiet_minutes` ago, when the family was told of it. A moved appointment is reminded of anew.

    Args:
        stages: how far ahead, as [timedelta(days=1), timedelta(hours=1)]: all that there are, in any order, or the only
            one; each a minute to 3660 days, counted in whole minutes.
        limit: at most so many.
        tell: whether each leaves a message `appointment.remind` in the outbox, in the same statement, about which
            `outbox.Mail` writes an e-mail; default: what is given out is sent by the caller.

    Returns:
        Appointments, confirmed or held and not overdue, by start; `reminder_stage` says which of the stages it is. They
        count as given out once the call is committed: in a unit of work that sends the reminders and is undone, they
        will be given out again.
    """
    minutes = _minutes(stages)
    most = None if limit is None else positive(limit, "limit")
    moment, tenant = clock.moment(now), current().organization_id
    own = "" if tenant is None else "booked.organization_id = %(tenant)s AND"
    values = {
        "tenant": tenant,
        "now": moment,
        "until": moment + min(max(minutes) * MINUTE, LAST - moment),
        "stages": minutes,
        "limit": most,
    }
    moved = "" if tenant is None else "moved.organization_id = %(tenant)s AND"
    sql = REMIND.format(own=own, moved=moved, told=TOLD[tenant is not None] if tell and is_told() else "")
    cursor = current().engine.run_prepared(sql, values)
    reminded = Appointment._from_rows(cursor.description, cursor.fetchall())
    if tell and reminded:
        has_told()
    return sorted(reminded, key=lambda appointment: (appointment.scheduled_at, appointment.id))


def _minutes(stages: object) -> list[int]:
    several = isinstance(stages, Iterable) and not isinstance(stages, str | bytes)
    given: list[object] = list(stages) if several else [stages]  # type: ignore[call-overload]
    minutes = [stage // MINUTE for stage in given if isinstance(stage, timedelta) and NEAREST <= stage <= FURTHEST]
    if not given or len(minutes) < len(given):
        raise InvalidDataError(
            "stages",
            stages,
            f"must be timedeltas of a minute to {FURTHEST.days} days, such as [timedelta(days=1), timedelta(hours=1)]",
        )
    return sorted(set(minutes))
