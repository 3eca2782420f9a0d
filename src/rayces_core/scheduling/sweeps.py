"""Sweeps: what time alone brings about. Safe to run from many hosts at once, and again after a crash.

In a tenant's block they are about its appointments, in privileged work about those of every organization.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rayces_core import clock
from rayces_core.errors import InvalidDataError
from rayces_core.models.appointment import EXPIRED, Appointment
from rayces_core.tenancy.organization import on_their_way, taken_apart

BATCH: Final = 500


def expire_overdue(now: datetime | None = None, *, batch_size: int = BATCH) -> int:
    """Cancel every appointment that was not confirmed in time, in batches that each commit by themselves.

    Args:
        now: the present; without it the clock's. batch_size: how many appointments a batch has at most.

    Returns:
        How many this call has cancelled. What another host is working on is left to it.
    """
    moment, size = clock.moment(now), positive(batch_size, "batch_size")
    moving = on_their_way()
    return sum(_expire(moment, size, organization, moving) for organization in taken_apart())


def _expire(moment: datetime, size: int, organization: int | None, moving: list[int]) -> int:
    total, others = 0, " AND organization_id <> ALL (%(moving)s)" if moving else ""
    while True:
        expired = Appointment.lifecycle.move_many(
            "expire",
            f"expires_at < %(now)s{others}",
            {"moving": moving} if moving else {},
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
