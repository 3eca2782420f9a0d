"""Fills a migrated database with many small centres at once, by set-based SQL that every constraint accepts.

Rows of all centres lie mixed in the tables, as they do after years of use: a centre's are not side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg2

from bench.facts import FIRST_DAY

PROFESSIONALS, FAMILIES = 2, 10  # of each centre
ENTRIES = 5  # of each family's balance: a purchase, then debits of one credit
BALANCE = 1_000_000
SESSIONS_A_DAY = 8
BATCH_SLOTS = 5  # of every professional, in a transaction

ORGANIZATIONS = """
INSERT INTO organizations (name, subdomain, settings)
SELECT 'Centre ' || n, 'centre-' || n, '{"booking_window_days": 730, "minimum_notice_minutes": 120}'
  FROM generate_series(%(first_tenant)s, %(first_tenant)s + %(tenants)s - 1) AS n
"""

PEOPLE = """
INSERT INTO users (organization_id, email, role, first_name, last_name, jti)
SELECT organizations.id, 'person' || n || '@example.org', CASE WHEN n <= %(professionals)s THEN 1 ELSE 0 END,
       'Ana', 'Paz ' || n, gen_random_uuid()::text
  FROM generate_series(1, %(professionals)s + %(families)s) AS n, organizations
 WHERE subdomain LIKE 'centre-%%'
 ORDER BY n, organizations.id;
INSERT INTO professionals (organization_id, user_id, title, specialization, weekly_schedule)
SELECT organization_id, id, 'Lic.', 'speech therapy', schedule
  FROM users, (
        SELECT jsonb_object_agg(
                   day, '[{"start": "08:00", "end": "12:30"}, {"start": "13:30", "end": "24:00"}]'::jsonb
               ) AS schedule
          FROM unnest(ARRAY['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']) AS day
       ) AS week
 WHERE role = 1
 ORDER BY id;
INSERT INTO students (organization_id, first_name, last_name, primary_contact_id, admission_state)
SELECT organization_id, 'Luz', 'Sosa ' || id, id, 'enrolled' FROM users WHERE role = 0 ORDER BY id;
INSERT INTO credit_balances (organization_id, user_id)
SELECT organization_id, id FROM users WHERE role = 0 ORDER BY id
"""

LEDGER = """
INSERT INTO credit_transactions (
    organization_id, user_id, credit_balance_id, amount, transaction_type, status, balance_before, balance_after,
    sequence, previous_sequence, processed_at, created_at, updated_at
)
SELECT organization_id, user_id, id, CASE place WHEN 1 THEN %(balance)s ELSE -1 END,
       CASE place WHEN 1 THEN 'purchase' ELSE 'appointment_debit' END, 'completed',
       CASE place WHEN 1 THEN 0 ELSE %(balance)s + 2 - place END, %(balance)s + 1 - place, place, nullif(place - 1, 0),
       day, day, day
  FROM credit_balances, generate_series(1, %(entries)s) AS place, LATERAL (
        SELECT now() - make_interval(days => %(entries)s + 1 - place) AS day
       ) AS days
 ORDER BY place, id;
UPDATE credit_balances
   SET balance = %(balance)s + 1 - %(entries)s, lifetime_purchased = %(balance)s, lifetime_used = %(entries)s - 1,
       last_sequence = %(entries)s
"""

# The slots from `first` on, of every professional: so many sessions a day, 90 minutes apart and an hour long.
APPOINTMENTS = """
WITH planned AS (
    SELECT slot, professionals.organization_id, user_id, (slot * 7 + user_id) %% %(families)s AS family,
           %(first_day)s + make_interval(
               days => slot / %(a_day)s, mins => 480 + slot %% %(a_day)s * 90
           ) AS begins,
           (slot + user_id) %% 20 AS kind
      FROM generate_series(%(first)s, %(last)s) AS slot, professionals
), student AS (
    SELECT organization_id, id, primary_contact_id,
           row_number() OVER (PARTITION BY organization_id ORDER BY id) - 1 AS n
      FROM students
), states AS (
    SELECT *, CASE WHEN kind < 14 THEN 'confirmed' WHEN kind < 18 THEN 'executed' ELSE 'cancelled' END AS state
      FROM planned
), added AS (
    INSERT INTO appointments (
        organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes, state,
        pre_confirmed_at, expires_at, confirmed_at, executed_at, cancelled_at, cancellation_reason, created_at,
        updated_at
    )
    SELECT states.organization_id, user_id, student.id, student.primary_contact_id, begins, 60, 15, state,
           CASE WHEN state <> 'cancelled' THEN begins - interval '9 days' END,
           CASE WHEN state <> 'cancelled' THEN begins - interval '8 days' END,
           CASE WHEN state <> 'cancelled' THEN begins - interval '8 days 3 hours' END,
           CASE WHEN state = 'executed' THEN begins + interval '1 hour' END,
           CASE WHEN state = 'cancelled' THEN begins - interval '2 days' END,
           CASE WHEN state = 'cancelled' THEN 'the child is ill' END,
           begins - interval '10 days', begins - interval '1 day'
      FROM states
      JOIN student ON student.organization_id = states.organization_id AND student.n = states.family
     ORDER BY slot, hashint8(user_id)
    RETURNING organization_id, id, state, client_id, updated_at
)
INSERT INTO state_transitions (
    organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, occurred_at
)
SELECT organization_id, 'Appointment', id,
       CASE state WHEN 'confirmed' THEN 'confirm' WHEN 'executed' THEN 'execute' ELSE 'cancel' END,
       CASE state WHEN 'confirmed' THEN 'pre_confirmed' WHEN 'executed' THEN 'confirmed' ELSE 'draft' END,
       state, client_id, updated_at
  FROM added
"""


def fill_tenants(
    url: str, tenants: int, appointments: int, told: Callable[[int], object] = lambda _: None, *, first: int = 1
) -> int:
    """Insert so many centres with about so many appointments each, and a row of the journal for each of them.

    Args:
        told: called with the number of appointments that are there, after each stretch.
        first: the number of the first one, which its subdomain has.

    Returns:
        How many appointments there are.
    """
    connection, made = psycopg2.connect(url), 0
    values = {
        "tenants": tenants, "first_tenant": first, "professionals": PROFESSIONALS, "families": FAMILIES,
        "balance": BALANCE, "entries": ENTRIES, "first_day": FIRST_DAY, "a_day": SESSIONS_A_DAY,
    }  # fmt: skip
    try:
        cursor = connection.cursor()
        # Nothing of it is in use yet; what is lost with the power is filled again.
        cursor.execute("SET synchronous_commit = off")
        for statement in (ORGANIZATIONS, PEOPLE, LEDGER):
            cursor.execute(statement, values)
        connection.commit()
        slots = max(1, appointments // PROFESSIONALS)
        for first in range(0, slots, BATCH_SLOTS):
            cursor.execute(APPOINTMENTS, values | {"first": first, "last": min(first + BATCH_SLOTS, slots) - 1})
            connection.commit()
            made += cursor.rowcount
            told(made)
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")
    finally:
        connection.close()
    return made
