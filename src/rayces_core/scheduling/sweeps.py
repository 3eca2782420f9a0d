"""Sweeps: what time alone brings about. Safe to run from many hosts at once, and again after a crash.

In a tenant's block they are about its appointments, in privileged work about those of every organization.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.appointment import EXPIRED, Appointment

BATCH: Final = 500
NEAREST: Final = timedelta(minutes=1)
FURTHEST: Final = timedelta(days=3660)

# Rows that somebody else has locked are left to them, or to the next call.
REMIND: Final = """
WITH due AS (
    SELECT organization_id, id FROM appointments
     WHERE {own} state IN ('pre_confirmed', 'confirmed') AND scheduled_at > %(now)s AND scheduled_at <= %(until)s
       AND (state <> 'pre_confirmed' OR expires_at >= %(now)s)
       AND (reminder_minutes IS NULL OR reminder_minutes > %(minutes)s)
     ORDER BY scheduled_at, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE appointments AS reminded SET reminder_minutes = %(minutes)s FROM due
 WHERE reminded.organization_id = due.organization_id AND reminded.id = due.id
RETURNING {columns}"""
COLUMNS: Final = ", ".join(f'reminded."{field.column_name}"' for field in Appointment._meta.sorted_fields)


def expire_overdue(now: datetime | None = None, *, batch_size: int = BATCH) -> int:
    """Cancel every appointment that was not confirmed in time, in batches that each commit by themselves.

    Args:
        now: the present; without it the clock's. batch_size: how many appointments a batch has at most.

    Returns:
        How many this call has cancelled. What another host is working on is left to it.
    """
    moment, size, total = clock.moment(now), _positive(batch_size, "batch_size"), 0
    while True:
        expired = Appointment.lifecycle.move_many(
            "expire", "expires_at < %(now)s", {}, limit=size, skip_locked=True, now=moment, reason=EXPIRED
        )
        total += len(expired)
        if len(expired) < size:
            return total


def due_reminders(within: timedelta, now: datetime | None = None, *, limit: int | None = None) -> list[Appointment]:
    """Take the appointments to remind of: those that begin within this time; each is given out once for each `within`.

    Reminders may come in stages, such as timedelta(days=1) and then timedelta(hours=1). A stage that was missed is
    not made up for once a nearer one was given out. A rescheduled appointment is reminded of anew.

    Args:
        within: how far ahead, a minute to 3660 days; counted in whole minutes. limit: at most so many.

    Returns:
        Appointments, confirmed or held and not overdue, by start. They count as given out once the call is committed:
        in a unit of work that sends the reminders and is undone, they will be given out again.
    """
    if not isinstance(within, timedelta) or not NEAREST <= within <= FURTHEST:
        raise InvalidDataError("within", within, f"must be a timedelta of a minute to {FURTHEST.days} days")
    most = None if limit is None else _positive(limit, "limit")
    moment, tenant = clock.moment(now), current().organization_id
    own = "" if tenant is None else "organization_id = %(tenant)s AND"
    values = {
        "tenant": tenant,
        "now": moment,
        "until": moment + within,
        "minutes": within // timedelta(minutes=1),
        "limit": most,
    }
    cursor = current().engine.run_prepared(REMIND.format(own=own, columns=COLUMNS), values)
    reminded = Appointment._from_rows(cursor.description, cursor.fetchall())
    return sorted(reminded, key=lambda appointment: (appointment.scheduled_at, appointment.id))


def _positive(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidDataError(field, value, "must be a whole number above zero")
    return value
