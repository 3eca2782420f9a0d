"""Row-level security on every table, and what the two roles may do.

The application's role sees the rows of the organization that `rayces.organization_id` names, and none when it names
none. It can never change whose a row is: UPDATE is granted by column, without organization_id and id. Ledger and
journal are append-only by grant; a ledger row can still be settled while it is pending.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

TENANT_TABLES = (
    "users",
    "posts",
    "likes",
    "professionals",
    "students",
    "appointments",
    "credit_balances",
    "credit_transactions",
    "state_transitions",
)
TABLES = ("organizations", *TENANT_TABLES)

# (SELECT ...) makes PostgreSQL read the setting once for a statement instead of once for a row.
BOUND_TENANT = "(SELECT nullif(current_setting('rayces.organization_id', true), '')::bigint)"

SETTLEMENT = "status, processed_at, balance_after, metadata, updated_at"
APP_GRANTS = {
    "organizations": ("SELECT, UPDATE (name, time_zone, currency, settings, email, phone, address, updated_at)"),
    "users": "SELECT, INSERT, DELETE",
    "posts": "SELECT, INSERT, DELETE",
    "likes": "SELECT, INSERT, DELETE",
    "professionals": "SELECT, INSERT, DELETE",
    "students": "SELECT, INSERT, DELETE",
    # An appointment is cancelled, never deleted: ledger and journal speak of it.
    "appointments": "SELECT, INSERT",
    "credit_balances": "SELECT, INSERT, UPDATE (balance, lifetime_purchased, lifetime_used, updated_at)",
    "credit_transactions": f"SELECT, INSERT, UPDATE ({SETTLEMENT})",
    "state_transitions": "SELECT, INSERT",
}
EDITABLE = ("users", "posts", "likes", "professionals", "students", "appointments")

APPEND_ONLY = {
    "credit_transactions": f"SELECT, INSERT, UPDATE ({SETTLEMENT})",
    "state_transitions": "SELECT, INSERT",
}

# Asks the catalogue, because a database taken over from MyHub has columns that the specification does not list.
GRANT_UPDATE = """
DO $$
BEGIN
    EXECUTE (
        SELECT format('GRANT UPDATE (%s) ON %I TO ', string_agg(quote_ident(attname), ', ' ORDER BY attnum), '{table}')
               || $role${role}$role$
          FROM pg_attribute
         WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
           AND attname NOT IN ('organization_id', 'id')
    );
END
$$
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    for table in TABLES:
        held = f"{'id' if table == 'organizations' else 'organization_id'} = {BOUND_TENANT}"
        migrator.sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        migrator.sql(f"CREATE POLICY rayces_tenant ON {table} TO {app} USING ({held}) WITH CHECK ({held})")
        migrator.sql(f"CREATE POLICY rayces_admin ON {table} TO {admin} USING (true) WITH CHECK (true)")
    # Restrictive, so it only ever narrows: what is completed or failed stays as it is.
    migrator.sql(f"""
        CREATE POLICY rayces_pending_only ON credit_transactions AS RESTRICTIVE FOR UPDATE TO {app}
            USING (status = 'pending') WITH CHECK (true)
    """)
    migrator.sql(f"GRANT USAGE ON SCHEMA {quote_identifier(database.schema)} TO {app}, {admin}")
    for table in TABLES:
        migrator.sql(f"REVOKE ALL ON {table} FROM PUBLIC")
        migrator.sql(f"GRANT {APP_GRANTS[table]} ON {table} TO {app}")
        migrator.sql(f"GRANT {APPEND_ONLY.get(table, 'SELECT, INSERT, UPDATE, DELETE')} ON {table} TO {admin}")
    for table in EDITABLE:
        migrator.sql(GRANT_UPDATE.format(table=table, role=app))


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    for table in TABLES:
        migrator.sql(f"REVOKE ALL ON {table} FROM {app}, {admin}")
    migrator.sql(f"REVOKE USAGE ON SCHEMA {quote_identifier(database.schema)} FROM {app}, {admin}")
    migrator.sql("DROP POLICY rayces_pending_only ON credit_transactions")
    for table in TABLES:
        migrator.sql(f"DROP POLICY rayces_admin ON {table}")
        migrator.sql(f"DROP POLICY rayces_tenant ON {table}")
        migrator.sql(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
