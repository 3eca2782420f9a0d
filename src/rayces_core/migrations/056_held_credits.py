"""Credits that a pre-confirmed appointment has reserved: of its client's balance, and what it has itself.

Holds that are there already reserve what their client's balance covers, the earliest first. One that it does not cover
keeps its time and has reserved nothing, as before: its confirmation asks the balance.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

COLUMNS = {"credit_balances": "reserved", "appointments": "reserved_credits"}
RULES = {
    "credit_balances": ("credit_balances_reserved_check", "reserved BETWEEN 0 AND balance"),
    "appointments": (
        "appointments_reserved_credits_check",
        "reserved_credits = 0 OR reserved_credits > 0 AND state = 'pre_confirmed'",
    ),
}
# Row-level security would hide the rows from the owner of the tables. The balances of an organization are locked while
# they are added up: each by itself, as Citus locks the rows of one.
RESERVE = """
    SET LOCAL ROLE {admin};
    DO $holds$
    DECLARE
        tenant bigint;
    BEGIN
        FOR tenant IN
            SELECT DISTINCT organization_id FROM appointments WHERE state = 'pre_confirmed' AND uses_credit ORDER BY 1
        LOOP
            EXECUTE $reserve$
                WITH held AS (
                    SELECT id, user_id, credit_kind_key, balance FROM credit_balances
                     WHERE organization_id = $1 AND balance > 0 AND reserved = 0
                     ORDER BY user_id, credit_kind_key FOR NO KEY UPDATE
                ), wanted AS (
                    SELECT booked.id, held.id AS balance_id, booked.credits_used, held.balance,
                           sum(booked.credits_used) OVER (
                               PARTITION BY held.id ORDER BY booked.pre_confirmed_at, booked.id
                           ) AS total
                      FROM appointments AS booked
                      JOIN held ON held.user_id = booked.client_id
                           AND held.credit_kind_key = coalesce(booked.credit_kind_id, 0)
                     WHERE booked.organization_id = $1 AND booked.state = 'pre_confirmed' AND booked.uses_credit
                       AND booked.credits_used > 0 AND booked.reserved_credits = 0 AND NOT EXISTS (
                           SELECT 1 FROM credit_transactions AS paid
                            WHERE paid.organization_id = $1 AND paid.appointment_id = booked.id
                              AND paid.transaction_type = 'appointment_debit' AND paid.status <> 'failed')
                ), covered AS (
                    SELECT * FROM wanted WHERE total <= balance
                ), booked AS (
                    UPDATE appointments AS mine SET reserved_credits = covered.credits_used
                      FROM covered WHERE mine.organization_id = $1 AND mine.id = covered.id
                )
                UPDATE credit_balances AS mine SET reserved = sums.credits
                  FROM (SELECT balance_id, sum(credits_used) AS credits FROM covered GROUP BY 1) AS sums
                 WHERE mine.organization_id = $1 AND mine.id = sums.balance_id
            $reserve$ USING tenant;
        END LOOP;
    END
    $holds$;
    RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app = quote_identifier(database.app_role)
    for table, column in COLUMNS.items():
        migrator.sql(f"ALTER TABLE {table} ADD COLUMN {column} integer DEFAULT 0 NOT NULL")
        migrator.sql(f"GRANT UPDATE ({column}) ON {table} TO {app}")
        name, rule = RULES[table]
        migrator.sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    migrator.sql(RESERVE.format(admin=quote_identifier(database.admin_role)))


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table, column in COLUMNS.items():
        migrator.sql(f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}")
