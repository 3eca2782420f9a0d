"""Primary keys of users, posts and likes begin with organization_id, and so do the foreign keys between them.

The indexes are built beside the running application. Then one short transaction exchanges all keys, so that no moment
is without primary or foreign keys, and the old rows are checked afterwards under a lock that disturbs nobody.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

TABLES = ("users", "posts", "likes")

# Deleting a user deletes their posts and likes, deleting a post its likes, as MyHub's `dependent: :destroy` did.
TENANT_KEYS = (
    ("posts", "posts_organization_id_user_id_fkey", "organization_id, user_id", "users (organization_id, id)"),
    ("likes", "likes_organization_id_user_id_fkey", "organization_id, user_id", "users (organization_id, id)"),
    ("likes", "likes_organization_id_post_id_fkey", "organization_id, post_id", "posts (organization_id, id)"),
)
MYHUB_KEYS = (
    ("posts", "fk_rails_5b5ddfd518", "user_id", "users (id)"),
    ("likes", "fk_rails_1e09b5dabf", "user_id", "users (id)"),
    ("likes", "fk_rails_87a8aac469", "post_id", "posts (id)"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in TABLES:
        migrator.sql(
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {table}_organization_id_id_idx ON {table} (organization_id, id)"
        )
    migrator.sql(_exchange("organization_id_id_idx", TENANT_KEYS, "ON DELETE CASCADE"))
    for table, name, _columns, _target in TENANT_KEYS:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in TABLES:
        migrator.sql(f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {table}_id_idx ON {table} (id)")
    migrator.sql(_exchange("id_idx", MYHUB_KEYS, ""))
    for table, name, _columns, _target in MYHUB_KEYS:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    for table in TABLES:
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {table}_organization_id_id_idx")


def _exchange(index: str, keys: tuple[tuple[str, str, str, str], ...], on_delete: str) -> str:
    """The statements, one message, that leave `keys` and a primary key over `<table>_<index>`."""
    # likes before posts before users: the order in which an insert takes its locks.
    drops = [f"ALTER TABLE {key[0]} DROP CONSTRAINT IF EXISTS {key[1]}" for key in (*MYHUB_KEYS, *TENANT_KEYS)]
    primaries = [
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, "
        f"ADD CONSTRAINT {table}_pkey PRIMARY KEY USING INDEX {table}_{index}"
        for table in reversed(TABLES)
    ]
    adds = [
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) REFERENCES {target} {on_delete} NOT VALID"
        for table, name, columns, target in keys
    ]
    return ";\n".join(["LOCK TABLE likes, posts, users IN ACCESS EXCLUSIVE MODE", *drops, *primaries, *adds])
