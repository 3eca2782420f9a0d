"""The ledger's policies by command, and the one row of organizations that a look-up by subdomain may see.

A restrictive policy on top of a permissive one kept settled entries as they are; one that only opens what may be opened
says the same in fewer words, and survives where a restrictive one is turned into a permissive one without a word.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

BOUND_TENANT = "(SELECT nullif(current_setting('rayces.organization_id', true), '')::bigint)"
HELD = f"organization_id = {BOUND_TENANT}"
PENDING = "status = 'pending'"

# A tenant is found by its subdomain before it is bound; once one is bound, this opens nothing.
LOOKED_UP = (
    "subdomain = nullif(current_setting('rayces.lookup', true), '') "
    "AND nullif(current_setting('rayces.organization_id', true), '') IS NULL"
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    for name in ("rayces_pending_only", "rayces_tenant", "rayces_admin"):
        migrator.sql(f"DROP POLICY {name} ON credit_transactions")
    for name, role, held in (("rayces_tenant", app, HELD), ("rayces_admin", admin, "true")):
        pending = PENDING if held == "true" else f"{held} AND {PENDING}"
        for command, condition in (
            ("select", f"USING ({held})"),
            ("insert", f"WITH CHECK ({held})"),
            ("update", f"USING ({pending}) WITH CHECK ({held})"),
        ):
            migrator.sql(f"CREATE POLICY {name}_{command} ON credit_transactions FOR {command} TO {role} {condition}")
    migrator.sql("DROP POLICY IF EXISTS rayces_lookup ON organizations")  # made by hand, as the doctor advises
    migrator.sql(f"CREATE POLICY rayces_lookup ON organizations FOR SELECT TO {app} USING ({LOOKED_UP})")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app, admin = quote_identifier(database.app_role), quote_identifier(database.admin_role)
    migrator.sql("DROP POLICY rayces_lookup ON organizations")
    for name in ("rayces_tenant", "rayces_admin"):
        for command in ("select", "insert", "update"):
            migrator.sql(f"DROP POLICY {name}_{command} ON credit_transactions")
    migrator.sql(f"CREATE POLICY rayces_tenant ON credit_transactions TO {app} USING ({HELD}) WITH CHECK ({HELD})")
    migrator.sql(f"CREATE POLICY rayces_admin ON credit_transactions TO {admin} USING (true) WITH CHECK (true)")
    migrator.sql(f"""
        CREATE POLICY rayces_pending_only ON credit_transactions AS RESTRICTIVE FOR UPDATE TO {app}
            USING ({PENDING}) WITH CHECK (true)
    """)
