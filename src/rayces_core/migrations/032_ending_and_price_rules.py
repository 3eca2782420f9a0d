"""A stay ends on the day of the admission or later; a price has its currency, and what was paid belongs to a purchase."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

RULES = (
    ("students", "students_discharge_date_check", "discharge_date >= admission_date"),
    ("students", "students_on_leave_until_check", "on_leave_until IS NULL OR admission_state = 'on_leave'"),
    (
        "appointments",
        "appointments_price_cents_check",
        "(price_cents IS NULL) = (currency IS NULL) AND coalesce(price_cents, 0) >= 0",
    ),
    ("appointments", "appointments_currency_check", "currency ~ '^[A-Z]{3}$'"),
    (
        "credit_transactions",
        "credit_transactions_amount_cents_check",
        """(amount_cents IS NULL) = (currency IS NULL)
            AND (amount_cents IS NULL OR amount_cents >= 0 AND transaction_type = 'purchase')""",
    ),
    ("credit_transactions", "credit_transactions_currency_check", "currency ~ '^[A-Z]{3}$'"),
    ("state_transitions", "state_transitions_details_check", "jsonb_typeof(details) = 'object'"),
)
# By hand somebody has to do it; what follows from an appointment's event has that event's actor, who may be nobody.
BY_HAND = "credit_transactions_created_by_id_check"
NAMED = "transaction_type <> 'admin_adjustment' OR created_by_id IS NOT NULL"
# Who came back kept the dates of the stay before. They go where such dates are kept from now on. The admin role does
# it, since row-level security hides every row from an owner that is no superuser.
FORMER_STAYS = """
SET LOCAL ROLE {admin};
WITH former AS (
    SELECT organization_id, id, admission_state, admission_date, discharge_date,
           admission_state IN ('applied', 'waitlisted', 'rejected') AS is_out
      FROM students AS student
     WHERE discharge_date < admission_date
        OR (discharge_date IS NOT NULL AND admission_state <> 'discharged' AND EXISTS (
                SELECT 1 FROM state_transitions AS change
                 WHERE change.organization_id = student.organization_id AND change.subject_type = 'Student'
                   AND change.subject_id = student.id AND change.event = 'reapply'
           ))
       FOR NO KEY UPDATE
), cleared AS (
    UPDATE students AS student
       SET discharge_date = NULL, admission_date = CASE WHEN is_out THEN NULL ELSE student.admission_date END
      FROM former WHERE student.organization_id = former.organization_id AND student.id = former.id
)
INSERT INTO state_transitions
    (organization_id, subject_type, subject_id, event, from_state, to_state, reason, occurred_at, details)
SELECT organization_id, 'Student', id, 'dates_cleared', admission_state, admission_state,
       'the dates of a stay before', now(),
       jsonb_strip_nulls(jsonb_build_object(
           'admission_date', CASE WHEN is_out THEN admission_date END, 'discharge_date', discharge_date))
  FROM former;
RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(FORMER_STAYS.format(admin=quote_identifier(database.admin_role)))
    # The rules bind new rows first, then the old ones are read under a lock that disturbs nobody.
    for table, name, rule in RULES:
        migrator.sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")
    for table, name, _ in RULES:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    exchange(migrator, f"{NAMED} OR appointment_id IS NOT NULL")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    exchange(migrator, NAMED)
    for table, name, _ in reversed(RULES):
        migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")


def exchange(migrator: Migrator, condition: str) -> None:
    # One statement, so that there is no moment without a rule.
    migrator.sql(f"""
        ALTER TABLE credit_transactions
            DROP CONSTRAINT IF EXISTS {BY_HAND},
            ADD CONSTRAINT {BY_HAND} CHECK ({condition}) NOT VALID
    """)
    migrator.sql(f"ALTER TABLE credit_transactions VALIDATE CONSTRAINT {BY_HAND}")
