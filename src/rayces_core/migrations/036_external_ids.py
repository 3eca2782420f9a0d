"""The key by which another program knows a person or an appointment: unique within the organization, where there is one."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

TABLES = ("users", "students", "professionals", "appointments")
# It is looked up as it is written, so blanks around it would make another one of it; and it is indexed, so it is short.
RULE = "external_id = btrim(external_id) AND external_id <> '' AND length(external_id) <= 200"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app = quote_identifier(database.app_role)
    for table in TABLES:
        # No row has one yet, so the rule is of no row.
        migrator.sql(f"""
            ALTER TABLE {table}
                ADD COLUMN external_id character varying,
                ADD CONSTRAINT {table}_external_id_check CHECK ({RULE}) NOT VALID
        """)
        migrator.sql(f"GRANT UPDATE (external_id) ON {table} TO {app}")
    for table in TABLES:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_external_id_check")
        migrator.sql(
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {table}_organization_id_external_id_key "
            f"ON {table} (organization_id, external_id) WHERE external_id IS NOT NULL"
        )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in reversed(TABLES):
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {table}_organization_id_external_id_key")
        migrator.sql(f"ALTER TABLE {table} DROP COLUMN IF EXISTS external_id")
