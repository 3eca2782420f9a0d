"""How far an organization is on its way to another database, and which one that is; NULL where it is at home."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

# Leaving: it is read here, and written nowhere. Arriving: its rows come in, and it is read elsewhere. Opening: it is
# read here, and not yet written. Left: it lives elsewhere, and what is here is an old copy.
RULE = (
    "CASE WHEN moving IS NULL THEN moving_cell IS NULL "
    "ELSE moving IN ('leaving', 'arriving', 'opening', 'left') AND moving_cell IS NOT NULL END"
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    # No row has one yet, so the rule is of no row.
    migrator.sql(
        "ALTER TABLE organizations ADD COLUMN moving character varying, ADD COLUMN moving_cell character varying"
    )
    migrator.sql(f"ALTER TABLE organizations ADD CONSTRAINT organizations_moving_check CHECK ({RULE}) NOT VALID")
    migrator.sql("ALTER TABLE organizations VALIDATE CONSTRAINT organizations_moving_check")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql("ALTER TABLE organizations DROP COLUMN IF EXISTS moving, DROP COLUMN IF EXISTS moving_cell")
