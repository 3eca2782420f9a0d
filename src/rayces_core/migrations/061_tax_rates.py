"""What is sold may have a tax of its own: services and packages of credits. Without one it is the organization's."""

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier

ATOMIC = False

TABLES = ("services", "credit_packages")


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    app = quote_identifier(database.app_role)
    for table in TABLES:
        name = f"{table}_tax_basis_points_check"
        migrator.sql(f"ALTER TABLE {table} ADD COLUMN tax_basis_points integer")
        migrator.sql(
            f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (tax_basis_points BETWEEN 0 AND 10000) NOT VALID"
        )
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
        migrator.sql(f"GRANT UPDATE (tax_basis_points) ON {table} TO {app}")


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table in TABLES:
        migrator.sql(f"ALTER TABLE {table} DROP COLUMN IF EXISTS tax_basis_points")
