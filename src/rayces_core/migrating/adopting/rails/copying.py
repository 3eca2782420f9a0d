"""Rows planned, and copied with their ids into this library's tables, in the transaction that exchanges the tables.

Rule it guards: every row of the old application is in its new table, or whole in `rayces_set_aside`; the new tables
count their ids on from where the old ones stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rayces_core.errors import MigrationError
from rayces_core.migrating.adopting.addresses import AS_GIVEN
from rayces_core.migrating.adopting.rails import centre, ledger, people, sessions, shapes
from rayces_core.migrating.adopting.rails.faults import NOTED, table_of_faults
from rayces_core.migrating.adopting.rails.old import TABLES, Old
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

Plan = Callable[[Old, Mapping[str, str]], Iterator[str]]
PLANS: tuple[tuple[str, Plan], ...] = (
    ("organizations", people.organizations),
    ("users", people.users),
    ("posts", people.posts),
    ("likes", people.likes),
    ("professionals", centre.professionals),
    ("students", centre.students),
    ("appointments", sessions.appointments),
    ("credit_balances", ledger.balances),
    ("credit_transactions", ledger.entries),
)
_STAMPS = ("created_at", "updated_at")
COPIED: dict[str, tuple[str, ...]] = {
    "organizations": (
        *("name", "subdomain", "time_zone", "currency", "settings", "active", "email", "phone", "address", *_STAMPS),
    ),
    "users": (
        *(
            "email",
            AS_GIVEN,
            "uid",
            "provider",
            "role",
            "first_name",
            "last_name",
            "phone",
            "jti",
            "sign_in_count",
        ),
        *("current_sign_in_at", "last_sign_in_at", "current_sign_in_ip", "last_sign_in_ip", *_STAMPS),
    ),
    "posts": ("user_id", "content", *_STAMPS),
    "likes": ("user_id", "post_id", *_STAMPS),
    "professionals": (
        *("user_id", "title", "specialization", "bio", "license_number", "weekly_schedule", "blocked_dates"),
        *("session_duration_minutes", "buffer_minutes", "active", "accepts_new_clients", "session_price_cents"),
        *("currency", *_STAMPS),
    ),
    "students": (
        *("first_name", "last_name", "date_of_birth", "grade_level", "primary_contact_id", "secondary_contact_id"),
        *("medical_notes", "educational_notes", "emergency_contacts", "documents", "admission_state"),
        *("admission_date", "discharge_date", *_STAMPS),
    ),
    "appointments": (
        *("professional_id", "student_id", "client_id", "scheduled_at", "duration_minutes", "state"),
        *("pre_confirmed_at", "expires_at", "confirmed_at", "executed_at", "no_show_at", "cancelled_at"),
        *("cancelled_by_id", "cancellation_reason", "notes", "professional_notes", "uses_credit", "credits_used"),
        *("price_cents", "currency", "metadata", *_STAMPS, "created_at_made_up"),
    ),
    "credit_balances": ("user_id", *_STAMPS),
}
# The tables that get rows.
FILLED = (*TABLES, "state_transitions")
_PROFILES = """
INSERT INTO {new}.professionals (organization_id, user_id, active, accepts_new_clients)
SELECT organization_id, user_id, false, false FROM plan_profiles ORDER BY 1, 2
"""
# One statement: each entry refers to the one before it, and is asked for at the end of the statement.
_ENTRIES = f"""
INSERT INTO {{new}}.credit_transactions (
    id, organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type, status, metadata,
    payment_method, payment_reference, payment_attempt, created_by_id, reason, processed_at, sequence,
    previous_sequence, balance_before, balance_after, refundable_before, refundable_after, created_at,
    updated_at{{carried}}
)
SELECT e.id, e.organization_id, e.user_id, e.credit_balance_id, e.appointment_id, e.amount, e.transaction_type,
       e.status, e.metadata, e.payment_method, e.payment_reference, e.payment_attempt,
       CASE e.transaction_type WHEN 'admin_adjustment' THEN t.actor_id END, e.reason,
       CASE e.status WHEN 'completed' THEN c.processed_at
            WHEN 'failed' THEN least(coalesce(e.told_processed, e.updated_at), now()) END,
       c.place + (t.opening > 0)::int, nullif(c.place + (t.opening > 0)::int - 1, 0),
       t.opening + c.sum_after - e.amount, t.opening + c.sum_after, e.refundable_before, e.refundable_after,
       e.created_at, e.updated_at{{taken}}
  FROM plan_entries AS e JOIN plan_ends AS t USING (credit_balance_id) LEFT JOIN plan_chain AS c ON c.id = e.id
  JOIN {{old}} AS o ON o.id = e.id
UNION ALL
SELECT nextval(pg_get_serial_sequence('{{new}}.credit_transactions', 'id')), organization_id, user_id,
       credit_balance_id, NULL, opening, 'admin_adjustment', 'completed', '{{{{}}}}', NULL, NULL, 1, actor_id,
       '{ledger.OPENING}',
       coalesce(begins, now()), 1, NULL, 0, opening, NULL, NULL, coalesce(begins, now()), now(){{nothing}}
  FROM plan_ends WHERE opening > 0
UNION ALL
SELECT nextval(pg_get_serial_sequence('{{new}}.credit_transactions', 'id')), organization_id, user_id,
       credit_balance_id, NULL, closing, 'admin_adjustment', 'completed', '{{{{}}}}', NULL, NULL, 1, actor_id,
       '{ledger.CLOSING}',
       coalesce(ends, now()), length + (opening > 0)::int + 1, nullif(length + (opening > 0)::int, 0),
       b.balance - closing, b.balance, NULL, NULL, coalesce(ends, now()), now(){{nothing}}
  FROM plan_ends AS t JOIN (SELECT id, balance FROM plan_credit_balances) AS b ON b.id = t.credit_balance_id
 WHERE closing < 0
"""
_FIGURES = """
UPDATE {new}.credit_balances AS held
   SET balance = last.balance_after, last_sequence = last.sequence, lifetime_purchased = last.bought,
       lifetime_used = last.used, updated_at = greatest(held.updated_at, last.processed_at)
  FROM (SELECT DISTINCT ON (organization_id, credit_balance_id) organization_id, credit_balance_id, sequence,
               balance_after, processed_at,
               coalesce(sum(amount) FILTER (WHERE transaction_type = 'purchase') OVER whole, 0) AS bought,
               -coalesce(sum(amount) FILTER (WHERE transaction_type IN ('appointment_debit', 'cancellation_refund'))
                         OVER whole, 0) AS used
          FROM {new}.credit_transactions WHERE status = 'completed'
        WINDOW whole AS (PARTITION BY organization_id, credit_balance_id)
         ORDER BY organization_id, credit_balance_id, sequence DESC) AS last
 WHERE last.organization_id = held.organization_id AND last.credit_balance_id = held.id
"""
# As migration 056 does it for holds that are there: the earliest first, what their client's balance covers. One that is
# not covered keeps its time; `rayces credits reserve` names it.
_HOLDS = """
WITH wanted AS (
    SELECT booked.organization_id, booked.id, held.id AS balance_id, booked.credits_used AS credits, held.balance,
           sum(booked.credits_used) OVER (
               PARTITION BY booked.organization_id, held.id ORDER BY booked.pre_confirmed_at, booked.id
           ) AS total
      FROM {new}.appointments AS booked
      JOIN {new}.credit_balances AS held ON held.organization_id = booked.organization_id
           AND held.user_id = booked.client_id AND held.credit_kind_key = coalesce(booked.credit_kind_id, 0)
     WHERE booked.state = 'pre_confirmed' AND booked.uses_credit AND booked.credits_used > 0
       AND booked.expires_at >= now() AND NOT EXISTS (
           SELECT FROM {new}.credit_transactions AS paid
            WHERE paid.organization_id = booked.organization_id AND paid.appointment_id = booked.id
              AND paid.transaction_type = 'appointment_debit' AND paid.status <> 'failed')
), covered AS (
    SELECT * FROM wanted WHERE total <= balance
), booked AS (
    UPDATE {new}.appointments AS mine SET reserved_credits = covered.credits
      FROM covered WHERE mine.organization_id = covered.organization_id AND mine.id = covered.id
)
UPDATE {new}.credit_balances AS mine SET reserved = sums.credits
  FROM (SELECT organization_id, balance_id, sum(credits) AS credits FROM covered GROUP BY 1, 2) AS sums
 WHERE mine.organization_id = sums.organization_id AND mine.id = sums.balance_id
"""
_STEPS_OF_SESSIONS = f"""
INSERT INTO {{new}}.state_transitions (
    organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at, made_up
) SELECT a.organization_id, 'Appointment', a.id, step.event, step.source, step.target, step.actor, step.why, step.at,
         step.told IS DISTINCT FROM step.at
    FROM {{new}}.appointments AS a JOIN plan_appointments AS p USING (id) CROSS JOIN LATERAL (VALUES
        (1, 'pre_confirm', 'draft', 'pre_confirmed', NULL::bigint, '{sessions.REASON}', a.pre_confirmed_at,
            told_pre_confirmed),
        (2, 'confirm', 'pre_confirmed', 'confirmed', NULL, '{sessions.REASON}', a.confirmed_at, told_confirmed),
        (3, 'execute', 'confirmed', 'executed', NULL, '{sessions.REASON}', a.executed_at, told_executed),
        (4, 'mark_no_show', 'confirmed', 'no_show', NULL, '{sessions.REASON}', a.no_show_at, told_no_show),
        (5, 'cancel', CASE WHEN a.confirmed_at IS NOT NULL THEN 'confirmed'
                           WHEN a.pre_confirmed_at IS NOT NULL THEN 'pre_confirmed' ELSE 'draft' END,
            'cancelled', a.cancelled_by_id, a.cancellation_reason, a.cancelled_at, told_cancelled)
    ) AS step (place, event, source, target, actor, why, at, told)
   WHERE step.at IS NOT NULL ORDER BY a.organization_id, a.id, step.place
"""
# Who came how far is not known, so the journal begins with where each stands.
_STEPS_OF_STUDENTS = f"""
INSERT INTO {{new}}.state_transitions (
    organization_id, subject_type, subject_id, event, from_state, to_state, reason, occurred_at, made_up
) SELECT organization_id, 'Student', id, 'adopt', 'prospect', admission_state, '{sessions.REASON}', now(), true
    FROM {{new}}.students WHERE admission_state <> 'prospect' ORDER BY organization_id, id
"""
_LOST = "SELECT count(*) FROM {old} AS o WHERE NOT EXISTS (SELECT FROM {new} AS n WHERE n.id = o.id) AND {asked}"
_SEQUENCE = """
SELECT setval(pg_get_serial_sequence(%s, 'id'), greatest({stood}, (SELECT max(id) FROM {new}), 1),
              greatest({stood}, (SELECT max(id) FROM {new})) IS NOT NULL)
"""


def plan(database: MigrationDatabase, old: Old, choices: Mapping[str, str]) -> None:
    """Plan every row, and note what does not fit; in tables of the session that go with the transaction."""
    for statement in (*shapes.functions(), table_of_faults()):
        database.command(statement)
    for table, planned in PLANS:
        for statement in planned(old, choices):
            database.command(statement)
        # What else there is is long, and joined by nobody.
        database.command(f"ANALYZE plan_{table} (id, gone)")


def copy(database: MigrationDatabase, old: Old, new: str) -> dict[str, int]:
    """Copy what was planned into the tables of schema `new` (as SQL); gives table → rows copied."""
    for table in TABLES:
        _set_sequence(database, old, new, table)
    copied = {}
    for table in COPIED:
        copied[table] = _copied(database, old, new, table)
        # Appointments refer to profiles, so those that are made come before them.
        if table == "professionals" and database.one("SELECT to_regclass('pg_temp.plan_profiles') IS NOT NULL"):
            database.command(_PROFILES.format(new=new))
    carried = [quote_identifier(name) for name, _ in old.carried("credit_transactions")]
    facts = {
        "new": new,
        "old": old.path("credit_transactions") if "credit_transactions" in old.columns else "plan_entries",
        "carried": "".join(f", {name}" for name in carried),
        "taken": "".join(f", o.{name}" for name in carried),
        "nothing": "".join(", NULL" for _ in carried),
    }
    database.command(_ENTRIES.format(**facts))
    copied["credit_transactions"] = int(database.one("SELECT count(*) FROM plan_entries"))
    for statement in (_FIGURES, _HOLDS, _STEPS_OF_SESSIONS, _STEPS_OF_STUDENTS):
        database.command(statement.format(new=new))
    for table in TABLES:
        _set_sequence(database, old, new, table)
        _refuse_loss(database, old, new, table)
    return copied


def _copied(database: MigrationDatabase, old: Old, new: str, table: str) -> int:
    whose = ["id"] if table == "organizations" else ["id", "organization_id"]
    carried = [quote_identifier(name) for name, _ in old.carried(table)]
    columns = [*whose, *COPIED[table]]
    # An organization that is made for rows without one has no old row.
    source = f"LEFT JOIN {old.path(table)} AS o ON o.id = p.id" if table in old.columns else ""
    kept = " AND p.id = p.keeper" if table == "credit_balances" else ""
    database.command(
        f"INSERT INTO {new}.{table} ({', '.join([*columns, *carried])}) "
        f"SELECT {', '.join([*(f'p.{name}' for name in columns), *(f'o.{name}' for name in carried)])} "
        f"FROM plan_{table} AS p {source} WHERE p.gone IS NULL{kept} ORDER BY p.id"
    )
    return int(database.one(f"SELECT count(*) FROM {new}.{table}"))


def _set_sequence(database: MigrationDatabase, old: Old, new: str, table: str) -> None:
    stood = "NULL::bigint"
    if table in old.columns:
        sequence = database.one("SELECT pg_get_serial_sequence(%s, 'id')", old.path(table))
        if sequence:
            stood = f"(SELECT CASE WHEN is_called THEN last_value END FROM {sequence})"
        highest = f"(SELECT max(id) FROM {old.path(table)})"
        stood = f"greatest({stood}, {highest})"
    sql = _SEQUENCE.format(stood=stood, new=f"{new}.{table}")
    database.execute_sql(sql, (f"{new}.{table}",))


def _refuse_loss(database: MigrationDatabase, old: Old, new: str, table: str) -> None:
    """The proof, asked of the tables themselves: nothing is in neither place."""
    if table not in old.columns:
        return
    asked = f"NOT EXISTS (SELECT FROM {NOTED} AS f WHERE f.tbl = '{table}' AND f.id = o.id)"
    lost = database.one(_LOST.format(old=old.path(table), new=f"{new}.{table}", asked=asked))
    if lost:
        raise MigrationError(f"{lost} rows of {table} would be in neither place; nothing was changed")
