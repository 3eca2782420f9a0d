"""Professionals with hours and appointments, and what is free with them."""

from datetime import timedelta

from rayces_core.scheduling import free_slots
from tests.factory import make_professional, make_student
from tests.scheduling.oracle import hours, schedule_json, utc

DAY = utc(2031, 3, 3)
NOW = utc(2031, 3, 1)
NINE_TO_ONE = schedule_json(hours((9, 13)))
HOUR = timedelta(hours=1)

TAKE = """
INSERT INTO appointments (
    organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes,
    buffer_before_minutes, state, pre_confirmed_at, expires_at, confirmed_at, executed_at, no_show_at, cancelled_at,
    cancellation_reason
)
SELECT %(organization)s, %(professional)s, %(student)s, %(professional)s, %(at)s, %(minutes)s, %(buffer)s,
       %(before)s, state, CASE WHEN state <> 'draft' THEN now() END,
       CASE WHEN state <> 'draft' THEN timestamptz '2100-01-01 00:00Z' END,
       CASE WHEN state IN ('confirmed', 'executed', 'no_show') THEN now() END,
       CASE WHEN state = 'executed' THEN now() END, CASE WHEN state = 'no_show' THEN now() END,
       CASE WHEN state = 'cancelled' THEN now() END, CASE WHEN state = 'cancelled' THEN 'ill' END
  FROM (VALUES (%(state)s)) AS given (state)
RETURNING id
"""


def take(db, professional_id, at, *, minutes=60, buffer=0, before=0, state="confirmed", student=None):
    """An appointment of the professional; gives its id."""
    values = {"organization": db.organization_id, "professional": professional_id, "at": at, "minutes": minutes}
    student_id = student or make_student().id
    return db.execute_sql(
        TAKE, values | {"buffer": buffer, "before": before, "state": state, "student": student_id}
    ).fetchone()[0]


def make_one(**columns):
    """A professional who works from nine to one every day, without a buffer."""
    return make_professional(**({"weekly_schedule": NINE_TO_ONE, "buffer_minutes": 0} | columns))


def free(professional, start=DAY, end=DAY + 24 * HOUR, **options):
    return [slot.start.hour for slot in free_slots(professional, start, end, **({"now": NOW} | options))]
