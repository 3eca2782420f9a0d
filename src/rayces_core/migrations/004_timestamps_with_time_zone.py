"""created_at and updated_at of users, posts and likes become timestamptz and fill themselves in.

Rails stored UTC. The runner's session is in UTC, in which PostgreSQL changes this type without touching a row.
"""

from rayces_core.migrations import MigrationDatabase, Migrator


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in ("likes", "posts", "users"):
        migrator.sql(f"""
            ALTER TABLE {table}
                ALTER COLUMN created_at TYPE timestamp with time zone,
                ALTER COLUMN updated_at TYPE timestamp with time zone,
                ALTER COLUMN created_at SET DEFAULT now(),
                ALTER COLUMN updated_at SET DEFAULT now()
        """)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in ("likes", "posts", "users"):
        migrator.sql(f"""
            ALTER TABLE {table}
                ALTER COLUMN created_at DROP DEFAULT,
                ALTER COLUMN updated_at DROP DEFAULT,
                ALTER COLUMN created_at TYPE timestamp(6) without time zone,
                ALTER COLUMN updated_at TYPE timestamp(6) without time zone
        """)
