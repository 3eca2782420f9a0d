"""What the rows of a metric can be told apart by: `by=`, with the column that each gives and its SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from rayces_core.errors import InvalidDataError

LEADS: Final = ("<1 d", "1-3 d", "3-7 d", "1-2 w", ">2 w")


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to tell rows apart.

    Attributes: `name`, as `by` has it; `column`, of the frame; `kind`, one of `typed.KINDS`; `sql`, over an appointment
    `a` and its local start `clock.local`; `join`, what that needs besides.
    """

    name: str
    column: str
    kind: str
    sql: str
    join: str = ""


PROFESSIONALS: Final = (
    "LEFT JOIN {professionals} AS professional ON professional.organization_id = a.organization_id "
    "AND professional.user_id = a.professional_id"
)
STUDENTS: Final = (
    "LEFT JOIN {students} AS student ON student.organization_id = a.organization_id AND student.id = a.student_id"
)
GROUPS: Final = (
    "LEFT JOIN {group_sessions} AS gathering ON gathering.organization_id = a.organization_id "
    "AND gathering.id = a.group_session_id"
)
LEAD: Final = """CASE WHEN a.created_at_made_up OR a.created_at > a.scheduled_at THEN NULL
         WHEN a.scheduled_at - a.created_at < interval '1 day' THEN '<1 d'
         WHEN a.scheduled_at - a.created_at < interval '3 days' THEN '1-3 d'
         WHEN a.scheduled_at - a.created_at < interval '7 days' THEN '3-7 d'
         WHEN a.scheduled_at - a.created_at < interval '14 days' THEN '1-2 w'
         ELSE '>2 w' END"""

DIMENSIONS: Final = {
    dimension.name: dimension
    for dimension in (
        Dimension("professional", "professional_id", "integer", "a.professional_id"),
        Dimension("specialization", "specialization", "text", "professional.specialization", PROFESSIONALS),
        Dimension("student", "student_id", "integer", "a.student_id"),
        Dimension("client", "client_id", "integer", "a.client_id"),
        Dimension("service", "service_id", "integer", "a.service_id"),
        Dimension("credit_kind", "credit_kind_id", "integer", "a.credit_kind_id"),
        Dimension("room", "room_id", "integer", "a.room_id"),
        Dimension("device", "device_id", "integer", "a.device_id"),
        Dimension("group", "group_name", "text", "gathering.name", GROUPS),
        Dimension("weekday", "weekday", "integer", "extract(isodow FROM clock.local)::int"),
        Dimension("hour", "hour", "integer", "extract(hour FROM clock.local)::int"),
        Dimension("lead", "lead", "lead", LEAD),
        Dimension("grade", "grade", "text", "student.grade_level", STUDENTS),
    )
}


def dimensions(by: object, allowed: Iterable[str] | None = None) -> tuple[Dimension, ...]:
    """The dimensions of these names, in their order.

    Args:
        by: a name, or several. allowed: the names that the metric knows; without it all of DIMENSIONS.

    Raises:
        InvalidDataError: a name that the metric does not know, or one given twice.
    """
    known = tuple(DIMENSIONS if allowed is None else allowed)
    names = [by] if isinstance(by, str) else by
    if not isinstance(names, Iterable):
        raise InvalidDataError("by", by, _unknown(by, known))
    chosen: list[Dimension] = []
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise InvalidDataError("by", name, _unknown(name, known))
        if DIMENSIONS[name] in chosen:
            raise InvalidDataError("by", name, f"{name!r} is named twice")
        chosen.append(DIMENSIONS[name])
    return tuple(chosen)


def _unknown(name: object, known: Sequence[str]) -> str:
    """Why the metric does not know the name, and what it does know."""
    if not isinstance(name, str):
        reason = f"needs a name or several, and {name!r:.60} is none"
    elif name in DIMENSIONS:
        reason = f"this metric cannot be told apart by {name!r}"
    elif not (near := get_close_matches(name.removesuffix("_id"), known, 1)):
        reason = f"there is no {name!r:.60}"
    else:
        return f"there is no {name!r:.60}; did you mean {near[0]!r}?"
    return f"{reason}; use {' or '.join(map(repr, known))}"
