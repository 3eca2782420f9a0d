"""On which terms a session is given: length and buffers, as SQL that is read together with the calendar.

Rule it guards: listing, booking and moving read them from the same place, so what is listed is what is booked. Without
a service they are the professional's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Terms:
    """SQL over `professional` and what `joined` brings.

    Attributes: `minutes`, `before` and `after`, the length of a session and its buffers; `columns`, of the service: id
    and version, whether it is offered, whether families may book it, what it costs in credits, the version of the row
    by which the professional gives it, and the features of the room that it needs. They are NULL where there is no
    service.
    """

    joined: str
    minutes: str
    before: str
    after: str
    columns: str


COLUMN_COUNT: Final = 7
OWN: Final = Terms(
    joined="",
    minutes="professional.session_duration_minutes",
    before="professional.buffer_before_minutes",
    after="professional.buffer_minutes",
    columns=", ".join(["NULL"] * COLUMN_COUNT),
)


def _terms(service: str, minutes: str) -> Terms:
    return Terms(
        joined=f"""
LEFT JOIN services AS service ON service.organization_id = %(tenant)s AND service.id = {service}
LEFT JOIN professional_services AS giving ON giving.organization_id = %(tenant)s
      AND giving.service_id = service.id AND giving.professional_id = professional.user_id""",
        minutes=minutes,
        # The longer one. No COALESCE: row-level security keeps it out of an index.
        before="CASE WHEN service.id IS NULL OR service.buffer_before_minutes < professional.buffer_before_minutes "
        "THEN professional.buffer_before_minutes ELSE service.buffer_before_minutes END",
        after="CASE WHEN service.buffer_after_minutes IS NULL THEN professional.buffer_minutes "
        "ELSE service.buffer_after_minutes END",
        columns="service.id, service.xmin::text, service.active, service.families_may_book, service.credits, "
        "giving.xmin::text, service.room_features::text",
    )


OF_SERVICE: Final = _terms(
    "%(service)s", "coalesce(giving.duration_minutes, service.duration_minutes, professional.session_duration_minutes)"
)
# Of a group session, which has no time before it.
OF_GROUP: Final = replace(OWN, before="0")
# Of an appointment that is to be moved, and has a service or none.
OF_MOVED: Final = _terms("moved.service_id", "moved.duration_minutes")
