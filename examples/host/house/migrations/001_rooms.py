"""Rooms, and lines of rent that may name one."""

from rayces_core.migrations import MigrationDatabase, Migrator, Parent

REQUIRES = "036"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.tenant_table(
        "rooms",
        """
        name varchar NOT NULL,
        seats integer CHECK (seats BETWEEN 1 AND 500)
        """,
        parents={"keeper_id": Parent("users", nullable=True, on_delete="SET NULL")},
        unique=["name"],
    )
    migrator.tenant_table(
        "rent_lines",
        """
        number varchar NOT NULL,
        day date NOT NULL,
        description text NOT NULL,
        price_cents bigint NOT NULL CHECK (price_cents >= 0)
        """,
        parents={"client_id": "users", "room_id": Parent("rooms", nullable=True)},
        unique=["number"],
        indexes=[("client_id", "day")],
    )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.drop_tenant_table("rent_lines")
    migrator.drop_tenant_table("rooms")
