"""The ledger proves its balances: each entry goes on from the one before, and a balance is what its last entry says.

Foreign keys do it, checked at the end of each statement: a balance that is set by hand finds no entry that says so, an
entry that starts from another amount than the one before ended with finds no predecessor.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

PLACE = "credit_transactions_credit_balance_id_sequence_key"
CHAIN = "credit_transactions_chain_key"
BEFORE = "organization_id, credit_balance_id, previous_sequence, balance_before"
AFTER = "organization_id, credit_balance_id, sequence, balance_after"
STARTS = "sequence > 1 OR coalesce(balance_before, 0) = 0"
RULES = (
    (
        "credit_transactions",
        "credit_transactions_sequence_check",
        "CHECK ((sequence IS NOT NULL) = (status = 'completed') AND coalesce(sequence, 1) > 0)",
    ),
    (
        "credit_transactions",
        "credit_transactions_previous_sequence_check",
        "CHECK (previous_sequence IS NOT DISTINCT FROM nullif(sequence - 1, 0))",
    ),
    (
        "credit_transactions",
        "credit_transactions_balance_before_check",
        f"CHECK (balance_before IS NOT DISTINCT FROM balance_after - amount AND ({STARTS}))",
    ),
    (
        "credit_transactions",
        "credit_transactions_previous_fkey",
        f"FOREIGN KEY ({BEFORE}) REFERENCES credit_transactions ({AFTER})",
    ),
    ("credit_balances", "credit_balances_last_sequence_check", "CHECK (last_sequence IS NOT NULL OR balance = 0)"),
    (
        "credit_balances",
        "credit_balances_last_entry_fkey",
        f"FOREIGN KEY (organization_id, id, last_sequence, balance) REFERENCES credit_transactions ({AFTER})",
    ),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    place = "organization_id, credit_balance_id, sequence"
    migrator.sql(f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {PLACE} ON credit_transactions ({place})")
    migrator.sql(
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {CHAIN} ON credit_transactions ({place}, balance_after)"
    )
    for table, name, rule in RULES:
        migrator.sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {rule} NOT VALID")
    for table, name, _ in RULES:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table, name, _ in reversed(RULES):
        migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
    for name in (CHAIN, PLACE):
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
