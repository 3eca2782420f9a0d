"""What was sold of a package is kept with the sale, its name and until when it holds; and a duplicate stays one.

Of what waits for its payment, or failed and may be paid after all, it is what the package says on the day of this
migration. What is written without these by an earlier version goes by what its package says when it is completed.
A merge gives the duplicate an address that is nobody's; who has such a one is a duplicate, so that it does not come back
as a user without credits and sessions. An earlier version, which writes the address first, merges nobody meanwhile.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

RULES = {
    "users_merged_email_check": "merged_into_id IS NOT NULL "
    r"OR email::text !~ '^merged-[0-9a-f]{8}-[0-9]+@merged\.invalid$'",
    "credit_transactions_package_name_check": "package_name IS NULL OR credit_package_id IS NOT NULL",
    "credit_transactions_valid_days_check": "valid_days IS NULL OR package_name IS NOT NULL "
    "AND valid_days BETWEEN 0 AND 36500",
    "credit_transactions_valid_until_check": "valid_until IS NULL OR package_name IS NOT NULL AND valid_days IS NULL "
    "AND valid_until < DATE '9999-01-01'",
}
COLUMNS = "package_name, valid_days, valid_until"
# As the admin role, since row-level security shows the owner no row; it may change a settled entry where it erases. What
# a sale says is nobody's to change after this.
AGREED = """
    SET LOCAL ROLE {admin};
    SET LOCAL rayces.erasing TO 'on';
    UPDATE credit_transactions AS entry
       SET package_name = package.name, valid_days = package.valid_days, valid_until = package.valid_until
      FROM credit_packages AS package
     WHERE package.organization_id = entry.organization_id AND package.id = entry.credit_package_id
       AND entry.status <> 'completed' AND entry.package_name IS NULL;
    SET LOCAL rayces.erasing TO '';
    RESET ROLE
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE credit_transactions
            ADD COLUMN IF NOT EXISTS package_name character varying,
            ADD COLUMN IF NOT EXISTS valid_days integer,
            ADD COLUMN IF NOT EXISTS valid_until date
    """)
    for name, rule in RULES.items():
        table = "users" if name.startswith("users") else "credit_transactions"
        migrator.sql(f"""
            ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};
            ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID
        """)
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    admin = quote_identifier(database.admin_role)
    # Each by itself: Citus asks no placement that another role has changed in the same transaction.
    migrator.sql(f"GRANT UPDATE ({COLUMNS}) ON credit_transactions TO {admin}")
    migrator.sql(AGREED.format(admin=admin))
    migrator.sql(f"REVOKE UPDATE ({COLUMNS}) ON credit_transactions FROM {admin}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE users DROP CONSTRAINT IF EXISTS users_merged_email_check")
    migrator.sql("""
        ALTER TABLE credit_transactions
            DROP COLUMN IF EXISTS valid_until,
            DROP COLUMN IF EXISTS valid_days,
            DROP COLUMN IF EXISTS package_name
    """)
