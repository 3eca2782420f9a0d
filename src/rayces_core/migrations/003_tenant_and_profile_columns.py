"""users, posts and likes get organization_id, still empty; users get role, profile, token and sign-in columns.

Every column is nullable or has a constant default, so no table is rewritten or scanned.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

USER_COLUMNS = {
    "role": "smallint DEFAULT 0 NOT NULL",
    "first_name": "character varying",
    "last_name": "character varying",
    "phone": "character varying",
    "jti": "character varying",
    "sign_in_count": "integer DEFAULT 0 NOT NULL",
    "current_sign_in_at": "timestamp with time zone",
    "last_sign_in_at": "timestamp with time zone",
    "current_sign_in_ip": "inet",
    "last_sign_in_ip": "inet",
}


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in ("likes", "posts", "users"):
        migrator.sql(f"ALTER TABLE {table} ADD COLUMN organization_id bigint")
    added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in USER_COLUMNS.items())
    migrator.sql(f"ALTER TABLE users {added}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    dropped = ", ".join(f"DROP COLUMN {name}" for name in USER_COLUMNS)
    migrator.sql(f"ALTER TABLE users {dropped}")
    for table in ("likes", "posts", "users"):
        migrator.sql(f"ALTER TABLE {table} DROP COLUMN organization_id")
