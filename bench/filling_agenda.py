"""Fills the organization whose free time is looked for: many professionals, a month, sessions on every day of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg2

from bench.contenders.by_hand_slots import SLOTS
from bench.facts import FIRST_DAY, Agenda

SUBDOMAIN = "agenda"
DAYS = 30
APPOINTMENTS_A_PROFESSIONAL = 100
# A Monday's midnight where the organization is, and a moment in the morning after it.
START = datetime(FIRST_DAY.year, 3, 3, 3, tzinfo=UTC)
END = START + timedelta(days=DAYS)
NOW = START + timedelta(hours=9, minutes=20)

# Four kinds of week; durations, buffers and days off vary in other rhythms, so that all combinations are there.
PROFESSIONALS = """
INSERT INTO users (organization_id, email, role, first_name, last_name, jti)
SELECT %(organization)s, 'professional' || n || '@example.org', 1, 'Ana', 'Paz ' || n, gen_random_uuid()::text
  FROM generate_series(1, %(professionals)s) AS n;
WITH weeks AS (
    SELECT (ARRAY[1, 1, 2, 1])[kind + 1] AS first_day, (ARRAY[5, 6, 6, 7])[kind + 1] AS last_day, kind,
           (ARRAY[
               '[{"start": "08:00", "end": "12:00"}, {"start": "14:00", "end": "18:00"}]',
               '[{"start": "09:00", "end": "13:30"}, {"start": "15:00", "end": "20:30"}]',
               '[{"start": "10:00", "end": "19:00"}]',
               '[{"start": "07:30", "end": "11:15"}, {"start": "12:00", "end": "15:00"},
                 {"start": "21:00", "end": "24:00"}]'
           ])[kind + 1]::jsonb AS windows
      FROM generate_series(0, 3) AS kind
), schedules AS (
    SELECT kind, jsonb_object_agg((ARRAY[
               'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'
           ])[day], windows) AS schedule
      FROM weeks, generate_series(first_day, last_day) AS day
     GROUP BY kind
)
INSERT INTO professionals (
    organization_id, user_id, title, specialization, weekly_schedule, blocked_dates, session_duration_minutes,
    buffer_minutes, active
)
SELECT organization_id, user_id, 'Lic.', 'speech therapy', schedule,
       CASE WHEN n %% 5 = 0 THEN jsonb_build_array(jsonb_build_object(
           'start', (%(start)s + make_interval(days => n %% 20))::date,
           'end', (%(start)s + make_interval(days => n %% 20 + 2))::date
       )) ELSE '[]' END,
       (ARRAY[45, 60, 30])[n %% 3 + 1], (ARRAY[15, 0, 10])[n / 4 %% 3 + 1], n %% 50 <> 49
  FROM (SELECT organization_id, id AS user_id, row_number() OVER (ORDER BY id)::integer - 1 AS n
          FROM users WHERE organization_id = %(organization)s) AS numbered
  JOIN schedules ON kind = n %% 4;
INSERT INTO students (organization_id, first_name, last_name, admission_state)
SELECT %(organization)s, 'Luz', 'Sosa ' || n, 'enrolled' FROM generate_series(1, %(professionals)s) AS n
"""

# Three or four sessions a day, at least two hours and a quarter apart.
APPOINTMENTS = """
WITH planned AS (
    SELECT user_id, n, session_duration_minutes, (ARRAY[15, 0, 10])[(n + session) %% 3 + 1] AS buffer_then,
           %(start)s + make_interval(
               days => session %% 30, mins => 480 + session / 30 * 180 + (n + session) %% 4 * 15
           ) AS begins,
           CASE WHEN (n + session) %% 20 < 2 THEN 'draft' WHEN (n + session) %% 20 < 5 THEN 'pre_confirmed'
                WHEN (n + session) %% 20 < 18 THEN 'confirmed' ELSE 'cancelled' END AS state
      FROM (SELECT *, row_number() OVER (ORDER BY user_id)::integer - 1 AS n
              FROM professionals WHERE organization_id = %(organization)s) AS professional,
           generate_series(0, %(each)s - 1) AS session
), student AS (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM students WHERE organization_id = %(organization)s
)
INSERT INTO appointments (
    organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes, state,
    pre_confirmed_at, expires_at, confirmed_at, cancelled_at, cancellation_reason, created_at, updated_at
)
SELECT %(organization)s, user_id, student.id, user_id, begins, session_duration_minutes, buffer_then, state,
       CASE WHEN state IN ('pre_confirmed', 'confirmed') THEN begins - interval '9 days' END,
       CASE state WHEN 'pre_confirmed' THEN begins WHEN 'confirmed' THEN begins - interval '8 days' END,
       CASE WHEN state = 'confirmed' THEN begins - interval '8 days 3 hours' END,
       CASE WHEN state = 'cancelled' THEN begins - interval '2 days' END,
       CASE WHEN state = 'cancelled' THEN 'the child is ill' END,
       begins - interval '10 days', begins - interval '1 day'
  FROM planned
  JOIN student USING (n)
 ORDER BY begins, user_id
"""


def fill_agenda(cursor: psycopg2.extensions.cursor, organization_id: int, appointments: int) -> None:
    """Insert the professionals and about so many appointments, a hundred of each professional."""
    values = {
        "organization": organization_id,
        "professionals": professionals_for(appointments),
        "each": APPOINTMENTS_A_PROFESSIONAL,
        "start": START,
    }
    cursor.execute(PROFESSIONALS, values)
    cursor.execute(APPOINTMENTS, values)


def professionals_for(appointments: int) -> int:
    """How many professionals have so many appointments."""
    return max(2, appointments // APPOINTMENTS_A_PROFESSIONAL)


def agenda_facts(cursor: psycopg2.extensions.cursor, organization_id: int, appointments: int) -> Agenda:
    """What the contenders are told of it; the slots are counted by hand, and compared before anything is timed."""
    professionals = professionals_for(appointments)
    cursor.execute(SLOTS, {"organization": organization_id, "start": START, "end": END, "now": NOW})
    return Agenda(
        organization_id=organization_id,
        subdomain=SUBDOMAIN,
        professionals=professionals,
        appointments=professionals * APPOINTMENTS_A_PROFESSIONAL,
        start=START,
        end=END,
        now=NOW,
        slots=cursor.rowcount,
    )
