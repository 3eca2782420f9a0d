"""Tenant-first indexes of MyHub's tables."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

INDEXES = (
    ("users", "index_users_on_organization_id_and_role", "organization_id, role"),
    ("posts", "index_posts_on_organization_id_and_user_id", "organization_id, user_id"),
    ("likes", "index_likes_on_organization_id_and_post_id", "organization_id, post_id"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table, name, columns in INDEXES:
        migrator.sql(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} ({columns})")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for _table, name, _columns in reversed(INDEXES):
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
