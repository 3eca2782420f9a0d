"""What is read besides the calendars where an appointment is to be moved: where its student and client are meanwhile.

Rule it guards: what is listed for a move is what `reschedule` accepts, so nobody is asked to be in two places.
"""

from __future__ import annotations

from typing import Final

from rayces_core.models.appointment_time import holds_time

# Other sessions of the person of an appointment that is to be moved.
_ELSEWHERE: Final = f"""
    SELECT other.scheduled_at AS begins, other.scheduled_at + make_interval(mins => other.duration_minutes) AS ends
      FROM appointments AS moved
      JOIN appointments AS other ON other.organization_id = %(tenant)s AND other.{{person}} = moved.{{person}}
     WHERE moved.organization_id = %(tenant)s AND moved.id = %(moving)s AND other.id <> moved.id
       AND other.scheduled_at > %(start)s - interval '8 hours' AND other.scheduled_at < %(end)s
       AND {holds_time("other")}"""
# Whether it can be moved, and when its student or client is in another session.
MOVING_COLUMNS: Final = f"""
(SELECT moved.group_session_id IS NULL
        AND (moved.state IN ('draft', 'confirmed') OR moved.state = 'pre_confirmed' AND moved.expires_at >= %(now)s)
   FROM appointments AS moved WHERE moved.organization_id = %(tenant)s AND moved.id = %(moving)s),
(SELECT string_agg(timestamptz_send(own.begins) || timestamptz_send(own.ends), '' ORDER BY own.begins)
   FROM ({_ELSEWHERE.format(person="student_id")} UNION ALL {_ELSEWHERE.format(person="client_id")}) AS own)
"""
