"""Verification of group sessions: what no constraint can see, since rows of two tables tell it; it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rayces_core.database.binding import current
from rayces_core.models.appointment import OCCUPYING_SQL
from rayces_core.tenancy.organization import Organization

# Each finding: kind, group session, appointment, what was expected and what is there.
FINDINGS: Final = f"""
SELECT 'over_group' AS kind, held.id AS group_session_id, taken.id AS appointment_id, NULL AS expected, NULL AS found
  FROM group_sessions AS held
  JOIN appointments AS taken
       ON taken.organization_id = %(organization_id)s
      AND taken.scheduled_at > held.scheduled_at - interval '32 hours'
      AND taken.scheduled_at < held.occupied_until + interval '1 day'
      AND taken.occupied_from < held.occupied_until AND taken.occupied_until > held.scheduled_at
 WHERE held.organization_id = %(organization_id)s AND held.state = 'open'
   AND taken.state IN ({OCCUPYING_SQL}) AND taken.group_session_id IS DISTINCT FROM held.id
   AND (taken.professional_id IN (held.professional_id, held.second_professional_id)
        OR taken.second_professional_id IN (held.professional_id, held.second_professional_id)
        OR taken.room_id = held.room_id OR taken.device_id = held.device_id)
UNION ALL
SELECT 'beside', held.id, seat.id,
       concat_ws(', ', held.second_professional_id, held.room_id, held.device_id),
       concat_ws(', ', seat.second_professional_id, seat.room_id, seat.device_id)
  FROM group_sessions AS held
  JOIN appointments AS seat ON seat.organization_id = %(organization_id)s AND seat.group_session_id = held.id
 WHERE held.organization_id = %(organization_id)s AND seat.seat IS NOT NULL
   AND (seat.second_professional_id, seat.room_id, seat.device_id)
       IS DISTINCT FROM (held.second_professional_id, held.room_id, held.device_id)
UNION ALL
SELECT 'seats', held.id, NULL, counted.attending::text, counted.seats::text
  FROM group_sessions AS held
  CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE seat.state IN ({OCCUPYING_SQL})) AS attending, count(DISTINCT seat.seat) AS seats
         FROM appointments AS seat
        WHERE seat.organization_id = %(organization_id)s AND seat.group_session_id = held.id
  ) AS counted
 WHERE held.organization_id = %(organization_id)s
   AND (counted.attending <> counted.seats OR counted.seats > held.open_seats)
ORDER BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class GroupFinding:
    """Something about a group session that is not as it should be.

    Attributes:
        kind: `over_group`, an appointment that lies over the group's time of its professional, room or device: move or
            cancel it; `beside`, somebody attends without what the group holds: reschedule the group onto its own time
            with what it holds; `seats`, other than as many seats as attend, or more than there are.
        appointment_id: None where it is about all who attend. expected, found: as text.
    """

    kind: str
    organization_id: int
    group_session_id: int
    appointment_id: int | None
    expected: str | None
    found: str | None


def verify_groups() -> list[GroupFinding]:
    """Look at all group sessions of the bound organization; in privileged work at every organization's."""
    bound = current().organization_id
    ids = Organization.select(Organization.id).order_by(Organization.id)
    keys = [bound] if bound is not None else [organization.id for organization in ids]
    return [finding for key in keys for finding in _findings(key)]


def _findings(key: int) -> list[GroupFinding]:
    rows = current().engine.run_prepared(FINDINGS, {"organization_id": key}).fetchall()
    return [GroupFinding(kind, key, *rest) for kind, *rest in rows]
