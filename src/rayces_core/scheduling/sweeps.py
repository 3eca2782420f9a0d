"""Sweeps: what time alone brings about. Safe to run from many hosts at once, and again after a crash.

In a tenant's block they are about its appointments, in privileged work about those of every organization.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.appointment import EXPIRED, Appointment
from rayces_core.tenancy.organization import on_their_way
from rayces_core.tenancy.sweeping import each_in_turn

BATCH: Final = 500
_OVERDUE_AT: Final = """
SELECT DISTINCT organization_id FROM appointments WHERE state = 'pre_confirmed' AND expires_at < %(now)s"""


def expire_overdue(now: datetime | None = None, *, batch_size: int = BATCH) -> int:
    """Cancel every appointment that was not confirmed in time, in batches that each commit by themselves.

    Args:
        now: the present; without it the clock's. batch_size: how many appointments a batch has at most.

    Returns:
        How many this call has cancelled. What another host is working on is left to it.

    Raises:
        RaycesError: it failed for an organization, or more; it is done for all the others.
    """
    moment, size = clock.moment(now), positive(batch_size, "batch_size")
    return each_in_turn(
        _places(moment), lambda place: _expire(moment, size, place), lambda place: f"expiring holds of {place}"
    )


def _places(moment: datetime) -> list[int | None]:
    """The organizations that have overdue holds, in privileged work; [None] is the bound one."""
    if not current().privileged:
        return [None]
    found = current().engine.run_prepared(_OVERDUE_AT, {"now": moment}).fetchall()
    return sorted({key for (key,) in found} - set(on_their_way()))


def _expire(moment: datetime, size: int, organization: int | None) -> int:
    total = 0
    while True:
        expired = Appointment.lifecycle.move_many(
            "expire",
            "expires_at < %(now)s",
            {},
            limit=size,
            skip_locked=True,
            organization=organization,
            now=moment,
            reason=EXPIRED,
        )
        total += len(expired)
        if len(expired) < size:
            return total


def positive(value: object, field: str) -> int:
    """A number above zero; raises InvalidDataError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidDataError(field, value, "must be a whole number above zero")
    return value
