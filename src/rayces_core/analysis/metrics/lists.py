"""Sessions that somebody has to see to now: holds that end soon, holds that have ended, and sessions left open."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, run
from rayces_core.analysis.definition import Definition, metric
from rayces_core.analysis.periods import FIRST_DAY
from rayces_core.errors import InvalidDataError

if TYPE_CHECKING:
    import polars as pl

SOON: Final = timedelta(hours=24)
LONGEST: Final = timedelta(days=366)
MOMENTS: Final = "the present moment; days make no difference"
ENDS: Final = "a.scheduled_at + make_interval(mins => a.duration_minutes)"
COLUMNS: Final = {
    "appointment_id": ("integer", "which session"),
    "client_id": ("integer", "the user who booked it"),
    "professional_id": ("integer", "the user who gives it"),
    "scheduled_at": ("moment", "when it begins"),
    "expires_at": ("moment", "when the hold ends, or would have ended"),
}
SQL: Final = """
SELECT a.organization_id, a.id, a.client_id, a.professional_id, a.scheduled_at, a.expires_at,
       floor(extract(epoch FROM ({until}) - %(now)s) / 60)::bigint
  FROM {{appointments}} AS a WHERE {condition}
 ORDER BY a.organization_id, {until}, a.id
"""


def _defined(text: str, condition: str, left: str) -> Definition:
    columns = {name: meaning for name, (_, meaning) in COLUMNS.items()} | {"minutes_left": left}
    return Definition(
        text=text, numerator=condition, denominator=None, source="appointments", zone=MOMENTS, columns=columns
    )


EXPIRING: Final = _defined(
    "Holds that nobody has confirmed yet and that end soon: after the present, and at most `within` from it.",
    "a.state = 'pre_confirmed' AND a.expires_at > %(now)s AND a.expires_at <= %(now)s + %(within)s",
    "whole minutes until the hold ends",
)
OVERDUE: Final = _defined(
    "Holds that ended, at the present moment or before it, without having been confirmed. They take no time any more; "
    "scheduling.expire_overdue cancels them.",
    "a.state = 'pre_confirmed' AND a.expires_at <= %(now)s",
    "whole minutes since the hold ended, below zero or 0",
)
UNCLOSED: Final = _defined(
    "Confirmed sessions that are over, and of which nobody has said whether they took place.",
    f"a.state = 'confirmed' AND {ENDS} < %(now)s",
    "whole minutes since the session ended, below zero",
)


@metric(EXPIRING)
def expiring_holds(within: timedelta = SOON, *, where: Any = None, now: datetime | None = None) -> pl.DataFrame:
    """List the holds that end within that time, the next one first.

    Args:
        within: how far ahead, more than nothing and at most 366 days.
        where: a Peewee expression over Appointment that they have to meet.
        now: the present, aware; without it the clock's.

    Returns:
        A frame of organization_id and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    if not isinstance(within, timedelta) or not timedelta() < within <= LONGEST:
        reason = f"needs a timedelta of more than nothing and at most {LONGEST.days} days, such as timedelta(hours=48)"
        raise InvalidDataError("within", within, f"{reason}, not {within!r:.60}")
    return _listed(EXPIRING, "a.expires_at", where, now, within)


@metric(OVERDUE)
def overdue_confirmations(*, where: Any = None, now: datetime | None = None) -> pl.DataFrame:
    """List the holds that have ended without a confirmation, the longest first.

    Args:
        where: a Peewee expression over Appointment that they have to meet.
        now: the present, aware; without it the clock's.

    Returns:
        A frame of organization_id and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    return _listed(OVERDUE, "a.expires_at", where, now)


@metric(UNCLOSED)
def unclosed_sessions(*, where: Any = None, now: datetime | None = None) -> pl.DataFrame:
    """List the confirmed sessions that are over and were never closed, the longest first.

    Args:
        where: a Peewee expression over Appointment that they have to meet.
        now: the present, aware; without it the clock's.

    Returns:
        A frame of organization_id and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    return _listed(UNCLOSED, ENDS, where, now)


def _listed(
    definition: Definition, until: str, where: Any, now: datetime | None, within: timedelta = SOON
) -> pl.DataFrame:
    asked = Asked.of(FIRST_DAY, FIRST_DAY.replace(year=3), where=where, now=now)
    schema = {"organization_id": "integer"} | {name: kind for name, (kind, _) in COLUMNS.items()}
    values = {"now": asked.now, "within": within}
    sql = SQL.format(until=until, condition=definition.numerator)
    return run(sql, values, schema | {"minutes_left": "integer"}, where=asked.where)
