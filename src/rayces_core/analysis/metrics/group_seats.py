"""How full group sessions were, and who came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.asking import Asked, Figure, counted, dated, ratio
from rayces_core.analysis.definition import LOCAL, Definition, metric
from rayces_core.models.appointment_time import holds_time

if TYPE_CHECKING:
    import polars as pl

ALLOWED: Final = ("professional", "specialization", "room", "device", "group", "weekday", "hour")
SEATS: Final = "sum(capacity) FILTER (WHERE state = 'open')"
TAKEN: Final = "sum(taken) FILTER (WHERE state = 'open')"
ATTENDED: Final = "sum(attended) FILTER (WHERE state = 'open')"
NO_SHOW: Final = "sum(no_show) FILTER (WHERE state = 'open')"

DEFINITION: Final = Definition(
    text="Seats of the group sessions whose start lies in the period, and how many of them were taken. Seats that are "
    "held, confirmed, executed or missed are taken; cancelled ones and overdue holds are not. Of a cancelled group "
    "no seat is counted.",
    numerator=TAKEN,
    denominator=SEATS,
    source="group_sessions; appointments (group_session_id)",
    zone=LOCAL,
    columns={
        "groups": "group sessions that were not cancelled, those that nobody attends among them",
        "cancelled": "group sessions that were cancelled; none of them is in the other columns",
        "seats": "seats of the groups, as many as they have now",
        "taken": "of these, seats that somebody takes",
        "attended": "of these, seats of students who came",
        "no_show": "of those taken, seats of students who did not come",
        "fill": "taken by seats, a ratio; null without seats",
        "attendance": "attended by attended and no_show, a ratio; null without either",
    },
)
# `by` asks of a group what it asks of an appointment of it.
ROWS: Final = "(SELECT each.*, each.id AS group_session_id FROM {group_sessions} AS each)"
SITTING: Final = f"""
      CROSS JOIN LATERAL (
          SELECT count(*) AS taken, count(*) FILTER (WHERE sitting.state = 'executed') AS attended,
                 count(*) FILTER (WHERE sitting.state = 'no_show') AS no_show
            FROM {{appointments}} AS sitting
           WHERE sitting.organization_id = a.organization_id AND sitting.group_session_id = a.id
             AND {holds_time("sitting")}
      ) AS those"""


@metric(DEFINITION)
def group_seats(
    start: date,
    end: date,
    *,
    every: str | None = None,
    by: Sequence[str] | str = (),
    where: Any = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Count the seats of group sessions, those that were taken, and those whose student came.

    Args:
        start, end: local days of each organization, `end` outside.
        every: "1mo", "1w" (from Monday) or "1d"; without it the whole is one period.
        by: "professional", "specialization", "room", "device", "group" (its name), "weekday" or "hour", or several.
        where: a Peewee expression over Appointment that who attends has to meet; groups and their seats stay whole.
        now: the present, aware, at which overdue holds take no seat; without it the clock's.

    Returns:
        A frame of organization_id, period, the columns of `by`, and the columns that the definition tells.

    Raises:
        TenantNotSetError: nothing is bound. InvalidDataError, NaiveDatetimeError: an argument is malformed.
        MissingExtraError: polars is not installed.
    """
    asked = Asked.of(start, end, every=every, by=by, where=where, now=now, allowed=ALLOWED)
    needed = {
        "state": "a.state",
        "capacity": "a.capacity",
        **{name: f"those.{name}" for name in ("taken", "attended", "no_show")},
    }
    figures = {
        "groups": Figure("count(*) FILTER (WHERE state = 'open')"),
        "cancelled": Figure("count(*) FILTER (WHERE state = 'cancelled')"),
        "seats": Figure(SEATS),
        "taken": Figure(TAKEN),
        "attended": Figure(ATTENDED),
        "no_show": Figure(NO_SHOW),
        "fill": ratio(f"coalesce({TAKEN}, 0)", SEATS),
        "attendance": ratio(ATTENDED, f"{ATTENDED} + {NO_SHOW}"),
    }
    return counted(asked, dated(asked, ROWS, needed, at="a.scheduled_at", joins=SITTING), tuple(needed), figures)
