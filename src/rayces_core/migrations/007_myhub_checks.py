"""organization_id and email of MyHub's tables become obligatory, and the rules on role and e-mail hold.

Each rule binds new rows first (NOT VALID), then the old ones are read under a lock that disturbs nobody (VALIDATE);
SET NOT NULL believes a validated CHECK and reads nothing.
"""

from rayces_core.migrations import MigrationDatabase, Migrator, backfill, normal_address

ATOMIC = False

TABLES = ("users", "posts", "likes")

# Rows that a running application wrote after 006 and before the first statement here. As text, whatever type compares
# addresses meanwhile: what is equal in any case is not what the rule asks for.
LATE_ROWS = (
    (
        "users",
        "organization_id = coalesce(organization_id, (SELECT id FROM organizations)), email = {normal}",
        "organization_id IS NULL OR email::text <> {normal}",
    ),
    ("posts", "organization_id = (SELECT organization_id FROM users WHERE id = user_id)", "organization_id IS NULL"),
    ("likes", "organization_id = (SELECT organization_id FROM users WHERE id = user_id)", "organization_id IS NULL"),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in TABLES:
        migrator.sql(f"""
            ALTER TABLE {table}
                ADD CONSTRAINT {table}_organization_id_present CHECK (organization_id IS NOT NULL) NOT VALID,
                ADD CONSTRAINT {table}_organization_id_fkey
                    FOREIGN KEY (organization_id) REFERENCES organizations (id) NOT VALID
        """)
    migrator.sql("""
        ALTER TABLE users
            ADD CONSTRAINT users_email_present CHECK (email IS NOT NULL) NOT VALID,
            ADD CONSTRAINT users_email_check CHECK (email = lower(btrim(email)) AND email <> '') NOT VALID,
            ADD CONSTRAINT users_role_check CHECK (role BETWEEN 0 AND 3) NOT VALID
    """)
    normal = normal_address(database)
    for table, assignment, condition in LATE_ROWS:
        migrator.run(backfill, database, table, assignment.format(normal=normal), condition.format(normal=normal))
    for table in TABLES:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_organization_id_present")
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_organization_id_fkey")
        migrator.sql(f"ALTER TABLE {table} ALTER COLUMN organization_id SET NOT NULL")
        migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT {table}_organization_id_present")
    for rule in ("users_email_present", "users_email_check", "users_role_check"):
        migrator.sql(f"ALTER TABLE users VALIDATE CONSTRAINT {rule}")
    migrator.sql("ALTER TABLE users ALTER COLUMN email SET NOT NULL")
    migrator.sql("ALTER TABLE users DROP CONSTRAINT users_email_present")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("""
        ALTER TABLE users
            ALTER COLUMN email DROP NOT NULL,
            DROP CONSTRAINT IF EXISTS users_email_present,
            DROP CONSTRAINT IF EXISTS users_email_check,
            DROP CONSTRAINT IF EXISTS users_role_check
    """)
    for table in TABLES:
        migrator.sql(f"""
            ALTER TABLE {table}
                ALTER COLUMN organization_id DROP NOT NULL,
                DROP CONSTRAINT IF EXISTS {table}_organization_id_present,
                DROP CONSTRAINT IF EXISTS {table}_organization_id_fkey
        """)
