"""A user has one balance for each kind of credit, and an entry is of its balance's kind.

NULL is the default kind. Keys compare `credit_kind_key`, which is 0 there: a NULL would be compared with nothing, so
that an entry without a kind could be of a balance that has one.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

TABLES = ("credit_balances", "credit_transactions")
WHOSE = "organization_id, {balance}, user_id, credit_kind_key"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # It writes both tables anew, once: a generated column comes no other way.
    for table in TABLES:
        migrator.sql(f"""
            ALTER TABLE {table}
                ADD COLUMN credit_kind_id bigint,
                ADD COLUMN credit_kind_key bigint GENERATED ALWAYS AS (coalesce(credit_kind_id, 0)) STORED
        """)
        migrator.sql(f"""
            ALTER TABLE {table} ADD CONSTRAINT {table}_organization_id_credit_kind_id_fkey
                FOREIGN KEY (organization_id, credit_kind_id) REFERENCES credit_kinds (organization_id, id)
        """)
        migrator.sql(
            f"CREATE INDEX index_{table}_on_credit_kind_id ON {table} (organization_id, credit_kind_id) "
            "WHERE credit_kind_id IS NOT NULL"
        )
    migrator.sql("""
        ALTER TABLE credit_balances
            DROP CONSTRAINT credit_balances_organization_id_user_id_key,
            ADD CONSTRAINT credit_balances_user_id_credit_kind_key_key
                UNIQUE (organization_id, user_id, credit_kind_key)
    """)
    migrator.sql(f"ALTER TABLE credit_balances ADD CONSTRAINT credit_balances_whose_key UNIQUE ({_whose('id')})")
    migrator.sql(f"""
        ALTER TABLE credit_transactions
            DROP CONSTRAINT credit_transactions_credit_balance_id_user_id_fkey,
            ADD CONSTRAINT credit_transactions_whose_fkey FOREIGN KEY ({_whose("credit_balance_id")})
                REFERENCES credit_balances ({_whose("id")})
    """)
    migrator.sql("ALTER TABLE credit_balances DROP CONSTRAINT credit_balances_organization_id_id_user_id_key")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE credit_transactions DROP CONSTRAINT credit_transactions_whose_fkey")
    migrator.sql("""
        ALTER TABLE credit_balances
            DROP CONSTRAINT credit_balances_whose_key,
            DROP CONSTRAINT credit_balances_user_id_credit_kind_key_key
    """)
    migrator.sql("""
        ALTER TABLE credit_balances
            ADD CONSTRAINT credit_balances_organization_id_user_id_key UNIQUE (organization_id, user_id)
    """)
    migrator.sql("""
        ALTER TABLE credit_balances
            ADD CONSTRAINT credit_balances_organization_id_id_user_id_key UNIQUE (organization_id, id, user_id)
    """)
    migrator.sql("""
        ALTER TABLE credit_transactions ADD CONSTRAINT credit_transactions_credit_balance_id_user_id_fkey
            FOREIGN KEY (organization_id, credit_balance_id, user_id)
            REFERENCES credit_balances (organization_id, id, user_id)
    """)
    for table in reversed(TABLES):
        migrator.sql(f"ALTER TABLE {table} DROP COLUMN credit_kind_key, DROP COLUMN credit_kind_id")


def _whose(balance: str) -> str:
    return WHOSE.format(balance=balance)
