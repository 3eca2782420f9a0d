"""Where a session names a room there is a room, and where a device a device; and both may be blocked for a while."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

KINDS = ("room", "device")
TABLES = ("appointments", "group_sessions")
BLOCKED = "resources_blocked_dates_check"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # A session's own row need not tell the kind: what it refers to is there for the rows of that kind alone.
    keys = ", ".join(
        f"ADD COLUMN IF NOT EXISTS {kind}_key bigint GENERATED ALWAYS AS (CASE kind WHEN '{kind}' THEN id END) STORED"
        for kind in KINDS
    )
    migrator.sql(f"""
        ALTER TABLE resources {keys},
            ADD COLUMN IF NOT EXISTS blocked_dates jsonb DEFAULT '[]' NOT NULL
    """)
    migrator.sql(f"GRANT UPDATE (blocked_dates) ON resources TO {quote_identifier(database.app_role)}")
    _add(migrator, "resources", BLOCKED, "CHECK (jsonb_typeof(blocked_dates) = 'array')")
    for kind in KINDS:
        migrator.sql(
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS resources_organization_id_{kind}_key "
            f"ON resources (organization_id, {kind}_key)"
        )
    _refer(migrator, "{}_key")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    _refer(migrator, "id")
    for kind in KINDS:
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS resources_organization_id_{kind}_key")
    columns = ("blocked_dates", *(f"{kind}_key" for kind in KINDS))
    migrator.sql(f"ALTER TABLE resources {', '.join(f'DROP COLUMN IF EXISTS {column}' for column in columns)}")


def _refer(migrator: Migrator, key: str) -> None:
    for table in TABLES:
        for kind in KINDS:
            parent = f"resources (organization_id, {key.format(kind)})"
            rule = f"FOREIGN KEY (organization_id, {kind}_id) REFERENCES {parent}"
            _add(migrator, table, f"{table}_organization_id_{kind}_id_fkey", rule)


def _add(migrator: Migrator, table: str, name: str, rule: str) -> None:
    # In one transaction, so that there is no moment without a rule; Citus takes nothing else beside ADD CONSTRAINT.
    migrator.sql(f"""
        ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name};
        ALTER TABLE {table} ADD CONSTRAINT {name} {rule} NOT VALID
    """)
    migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
