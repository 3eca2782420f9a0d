"""The extension that lets an exclusion constraint compare ids beside ranges."""

from rayces_core.migrations import MigrationDatabase, Migrator


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # The comment marks the extension as made here, so that going back leaves one that someone else installed.
    migrator.sql("""
        DO $$
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist') THEN
                CREATE EXTENSION btree_gist;
                COMMENT ON EXTENSION btree_gist IS 'installed by rayces_core';
            END IF;
        END
        $$
    """)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # Without CASCADE: whoever came to depend on the extension since keeps it.
    migrator.sql("""
        DO $$
        BEGIN
            IF EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist'
                          AND obj_description(oid, 'pg_extension') = 'installed by rayces_core') THEN
                DROP EXTENSION btree_gist;
            END IF;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            COMMENT ON EXTENSION btree_gist IS NULL;
        END
        $$
    """)
