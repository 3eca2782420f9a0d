"""One e-mail, one token and one like of a post for each organization."""

from rayces_core.migrations import MigrationDatabase, MigrationError, Migrator

ATOMIC = False

KEYS = (
    ("users", "users_organization_id_email_key", "organization_id, email"),
    ("users", "users_organization_id_jti_key", "organization_id, jti"),
    ("likes", "likes_organization_id_user_id_post_id_key", "organization_id, user_id, post_id"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.run(refuse_repeated_likes, database)
    for table, name, columns in KEYS:
        migrator.sql(f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} ({columns})")
        migrator.sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table, name, _columns in reversed(KEYS):
        migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def refuse_repeated_likes(database: MigrationDatabase) -> None:
    repeated, first, second = database.execute_sql("""
        SELECT count(*), min(first), min(second) FILTER (WHERE place = 1)
          FROM (SELECT ids[1] AS first, ids[2] AS second, row_number() OVER (ORDER BY ids[1]) AS place
                  FROM (SELECT array_agg(id ORDER BY id) AS ids FROM likes
                         GROUP BY organization_id, user_id, post_id HAVING count(*) > 1) AS likes_of_a_post) AS pairs
    """).fetchone()
    if repeated:
        raise MigrationError(
            f"{repeated} posts are liked more than once by the same user (likes {first} and {second}, for example); "
            "delete the repeated likes, then run the migration again"
        )
