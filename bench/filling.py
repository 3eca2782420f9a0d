"""Fills an empty, migrated database with organizations, by set-based SQL that every constraint accepts."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg2

from bench.facts import FIRST_DAY, NOW, Agenda, Facts, Ledger
from bench.filling_agenda import SUBDOMAIN as AGENDA
from bench.filling_agenda import agenda_facts, fill_agenda
from bench.filling_ledger import SUBDOMAIN as LEDGER
from bench.filling_ledger import fill_ledger, guardians_for, ledger_facts

MEASURED, OTHER, SAMPLE = "north", "south", "sample"
APPOINTMENTS_A_PROFESSIONAL = 2000
MOST_KEYS = 1000
SAMPLE_ROWS = 1000

AGENDA_SHARE = 5  # the agenda has a fifth of the rows: 20,000 appointments beside 100,000

ORGANIZATION = """
INSERT INTO organizations (name, subdomain, settings) VALUES (
    initcap(%(subdomain)s) || ' Clinic', %(subdomain)s, '{"booking_window_days": 730, "minimum_notice_minutes": 120}'
) RETURNING id
"""

PEOPLE = """
INSERT INTO users (organization_id, email, role, first_name, last_name, jti)
SELECT %(organization)s, 'person' || n || '@example.org', CASE WHEN n <= %(professionals)s THEN 1 ELSE 0 END,
       'Ana', 'Paz ' || n, gen_random_uuid()::text
  FROM generate_series(1, %(professionals)s + %(clients)s) AS n;
INSERT INTO professionals (organization_id, user_id, title, specialization, weekly_schedule, blocked_dates)
SELECT organization_id, id, 'Lic.', 'speech therapy', schedule,
       '[{"start": "2030-01-02", "end": "2030-01-15", "reason": "holidays"}]'
  FROM users, (
        SELECT jsonb_object_agg(
                   day, '[{"start": "08:00", "end": "12:30"}, {"start": "13:30", "end": "24:00"}]'::jsonb
               ) AS schedule
          FROM unnest(ARRAY['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']) AS day
       ) AS week
 WHERE organization_id = %(organization)s AND role = 1;
INSERT INTO students (organization_id, first_name, last_name, primary_contact_id, admission_state)
SELECT organization_id, 'Luz', 'Sosa ' || id, id, 'enrolled'
  FROM users WHERE organization_id = %(organization)s AND role = 0
"""

# Eight sessions a day, 90 minutes apart and at most 75 long, so that no two of a professional overlap.
APPOINTMENTS = """
WITH numbers AS (
    SELECT n, n %% %(professionals)s AS who, n / %(professionals)s AS slot, n %% 20 AS kind
      FROM generate_series(0, %(rows)s - 1) AS n
), planned AS (
    SELECT n, who, slot, n * 7 %% %(clients)s AS family,
           %(first_day)s + make_interval(days => slot / 8, mins => 480 + slot %% 8 * 90) AS begins,
           CASE WHEN kind < 2 THEN 'draft' WHEN kind < 4 THEN 'pre_confirmed' WHEN kind < 10 THEN 'confirmed'
                WHEN kind < 17 THEN 'executed' WHEN kind < 19 THEN 'cancelled' ELSE 'no_show' END AS state
      FROM numbers
), professional AS (
    SELECT user_id, row_number() OVER (ORDER BY user_id) - 1 AS n
      FROM professionals WHERE organization_id = %(organization)s
), student AS (
    SELECT id, primary_contact_id, row_number() OVER (ORDER BY id) - 1 AS n
      FROM students WHERE organization_id = %(organization)s
)
INSERT INTO appointments (
    organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes, state,
    pre_confirmed_at, expires_at, confirmed_at, executed_at, no_show_at, cancelled_at, cancelled_by_id,
    cancellation_reason, notes, professional_notes, uses_credit, credits_used, metadata, created_at, updated_at
)
SELECT %(organization)s, professional.user_id, student.id, student.primary_contact_id, begins,
       CASE planned.n %% 3 WHEN 0 THEN 45 ELSE 60 END, 15, state,
       CASE WHEN state NOT IN ('draft', 'cancelled') THEN begins - interval '9 days' END,
       CASE WHEN state = 'pre_confirmed' THEN begins
            WHEN state NOT IN ('draft', 'cancelled') THEN begins - interval '8 days' END,
       CASE WHEN state IN ('confirmed', 'executed', 'no_show') THEN begins - interval '8 days 3 hours' END,
       CASE WHEN state = 'executed' THEN begins + interval '1 hour' END,
       CASE WHEN state = 'no_show' THEN begins + interval '20 minutes' END,
       CASE WHEN state = 'cancelled' THEN begins - interval '2 days' END,
       CASE WHEN state = 'cancelled' THEN student.primary_contact_id END,
       CASE WHEN state = 'cancelled' THEN 'the child is ill' END,
       CASE WHEN planned.n %% 4 = 0 THEN 'bring the report of the school, page ' || planned.n END,
       CASE WHEN state = 'executed' THEN 'worked on the sounds r and s' END,
       planned.n %% 2 = 0, planned.n %% 2, CASE WHEN planned.n %% 5 = 0 THEN '{"channel": "web"}'::jsonb ELSE '{}' END,
       begins - interval '10 days', begins - interval '1 day'
  FROM planned
  JOIN professional ON professional.n = planned.who
  JOIN student ON student.n = planned.family
 ORDER BY planned.n
"""

JOURNAL = """
INSERT INTO state_transitions (
    organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, occurred_at
)
SELECT organization_id, 'Appointment', id, event, from_state, to_state, client_id, occurred_at
  FROM appointments
 CROSS JOIN LATERAL (VALUES
           ('pre_confirm', 'draft', 'pre_confirmed', pre_confirmed_at),
           ('confirm', 'pre_confirmed', 'confirmed', confirmed_at),
           ('execute', 'confirmed', 'executed', executed_at),
           ('mark_no_show', 'confirmed', 'no_show', no_show_at),
           ('cancel', 'draft', 'cancelled', cancelled_at)
       ) AS change (event, from_state, to_state, occurred_at)
 WHERE organization_id = %(organization)s AND change.occurred_at IS NOT NULL
 ORDER BY id, change.occurred_at
"""

PRE_CONFIRMED = """
INSERT INTO appointments (
    organization_id, professional_id, student_id, client_id, scheduled_at, buffer_minutes, state, pre_confirmed_at,
    expires_at
) VALUES (
    %(organization)s, %(professional)s, %(student)s, %(client)s, %(scheduled_at)s, 15, 'pre_confirmed', %(now)s,
    %(now)s + interval '1 hour'
) RETURNING id
"""


def fill(url: str, rows: int) -> tuple[Facts, Facts]:
    """Insert `rows` appointments of the measured organization, a fifth of that of another, and a small sample's.

    One more organization has what slots are looked for in, a fifth of the rows too, and one has the credits.

    Returns:
        The keys of the measured organization, and of the sample: as varied, but small enough to compare row by row.
    """
    sizes = {MEASURED: rows, OTHER: rows // 5, SAMPLE: min(rows, SAMPLE_ROWS)}
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            made = {subdomain: _organization(cursor, subdomain, size) for subdomain, size in sizes.items()}
            agenda_id = _new_organization(cursor, AGENDA)
            fill_agenda(cursor, agenda_id, rows // AGENDA_SHARE)
            ledger_id = _new_organization(cursor, LEDGER)
            fill_ledger(cursor, ledger_id, guardians_for(rows))
        connection.autocommit = True
        with connection.cursor() as cursor:
            # What the benchmark writes it takes away again; autovacuum would only disturb the clock.
            for table in ("appointments", "state_transitions", "credit_balances", "credit_transactions"):
                cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            cursor.execute("VACUUM ANALYZE")
            agenda = agenda_facts(cursor, agenda_id, rows // AGENDA_SHARE)
            ledger = ledger_facts(cursor, ledger_id)
            measured, sample = (
                _facts(cursor, made[name], name, sizes[name], agenda, ledger) for name in (MEASURED, SAMPLE)
            )
            return measured, sample
    finally:
        connection.close()


def pre_confirmed(url: str, facts: Facts, numbers: Iterable[int]) -> list[int]:
    """Insert an appointment that can be confirmed for each number of a booking; returns their ids."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            return [_pre_confirmed(cursor, facts, number) for number in numbers]
    finally:
        connection.close()


def _pre_confirmed(cursor: psycopg2.extensions.cursor, facts: Facts, number: int) -> int:
    values = {"organization": facts.organization_id, "now": NOW, **facts.new_booking(number)}
    cursor.execute(PRE_CONFIRMED, values)
    return _only_value(cursor)


def _new_organization(cursor: psycopg2.extensions.cursor, subdomain: str) -> int:
    cursor.execute(ORGANIZATION, {"subdomain": subdomain})
    return _only_value(cursor)


def _only_value(cursor: psycopg2.extensions.cursor) -> int:
    value: int
    ((value,),) = cursor.fetchall()
    return value


def _organization(cursor: psycopg2.extensions.cursor, subdomain: str, rows: int) -> int:
    organization_id = _new_organization(cursor, subdomain)
    values = {
        "organization": organization_id,
        "professionals": max(5, rows // APPOINTMENTS_A_PROFESSIONAL),
        "clients": max(20, rows // 100),
        "rows": rows,
        "first_day": FIRST_DAY,
    }
    cursor.execute(PEOPLE, values)
    cursor.execute(APPOINTMENTS, values)
    cursor.execute(JOURNAL, values)
    return organization_id


def _facts(
    cursor: psycopg2.extensions.cursor,
    organization_id: int,
    subdomain: str,
    rows: int,
    agenda: Agenda,
    ledger: Ledger,
) -> Facts:
    def keys(statement: str) -> tuple[int, ...]:
        cursor.execute(statement, {"organization": organization_id, "most": MOST_KEYS})
        return tuple(key for (key,) in cursor)

    mine = "WHERE organization_id = %(organization)s"
    return Facts(
        organization_id=organization_id,
        subdomain=subdomain,
        rows=rows,
        last_id=keys("SELECT max(id) FROM appointments")[0],
        last_transition_id=keys("SELECT max(id) FROM state_transitions")[0],
        ids=keys(f"SELECT id FROM appointments {mine} ORDER BY hashint8(id) LIMIT %(most)s"),
        professionals=keys(f"SELECT user_id FROM professionals {mine} ORDER BY id LIMIT %(most)s"),
        students=keys(f"SELECT id FROM students {mine} ORDER BY id LIMIT %(most)s"),
        clients=keys(f"SELECT id FROM users {mine} AND role = 0 ORDER BY id LIMIT %(most)s"),
        agenda=agenda,
        ledger=ledger,
    )
