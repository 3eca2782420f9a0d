"""Rows whose time is taken already, of their professional or of what else they need: by an appointment or a group.

The database has a rule for each of the two tables and none over both. So whether an appointment lies over a group's
time is asked of each batch, under the locks of the professionals and resources.
"""

from __future__ import annotations

from typing import Final

from rayces_core.importing.record import fault, quoted
from rayces_core.models.appointment_time import holds_time

WHEN: Final = "to_char(r.scheduled_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')"
MOVE: Final = "move one of them, or leave the row out"
FIRST: Final = ("professional_id", "professional_id", "the professional")
# By which column a row needs somebody or something, and by which another one holds them.
HOLDERS: Final = (
    ("professional_id", "second_professional_id", "the professional"),
    ("second_professional_id", "professional_id", "the second professional"),
    ("second_professional_id", "second_professional_id", "the second professional"),
    ("room_id", "room_id", "the room"),
    ("device_id", "device_id", "the device"),
)
# Table → since when its row `o` holds time, whether it does, and what the message calls it.
TAKERS: Final = {
    "appointments": ("o.occupied_from", holds_time("o"), ""),
    "group_sessions": ("o.scheduled_at", "o.state = 'open'", " by a group session"),
}


def taken(by: str, holders: tuple[str, str, str], takes: str, beside: str = "") -> str:
    """A statement that notes the rows whose time a row of the table `by` holds.

    Args:
        takes: condition on `r`, whether it takes time. beside: whether `o` counts, with AND in front.
    """
    ours, theirs, whose = holders
    begins, holds, what = TAKERS[by]
    return fault(
        "scheduled_at",
        WHEN,
        f"'{whose} is taken{what} from ' || "
        "to_char(other.occupied_from AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI') || ' until ' || "
        "to_char(other.occupied_until AT TIME ZONE %(zone)s, 'HH24:MI') || ', buffers included'",
        quoted(MOVE),
        f"""FROM resolved AS r CROSS JOIN LATERAL (
            SELECT {begins} AS occupied_from, o.occupied_until FROM {by} AS o
             WHERE o.organization_id = %(tenant)s AND o.{theirs} = r.{ours} AND {holds}{beside}
               AND o.scheduled_at > r.occupied_from - interval '32 hours'
               AND o.scheduled_at < r.occupied_until + interval '1 day'
               AND {begins} < r.occupied_until AND o.occupied_until > r.occupied_from
             ORDER BY o.scheduled_at LIMIT 1
        ) AS other WHERE r.existing_id IS NULL AND NOT r.faulty AND {takes}""",
    )
