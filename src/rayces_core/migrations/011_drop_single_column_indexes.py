"""MyHub's indexes without organization_id go; the tenant-first ones have taken their place."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

INDEXES = (
    ("posts", "index_posts_on_user_id", "user_id"),
    ("likes", "index_likes_on_user_id", "user_id"),
    ("likes", "index_likes_on_post_id", "post_id"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for _table, name, _column in INDEXES:
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table, name, column in reversed(INDEXES):
        migrator.sql(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} ({column})")
