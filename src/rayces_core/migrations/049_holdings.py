"""What a session holds is held once: its professional, a second one, a room and a device, all by one rule.

They are points of one line, professionals above zero and resources below it, so who is the first professional of one
session is never the second of another that overlaps.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

HOLDS = """(int8multirange(
                    int8range(professional_id, professional_id, '[]'),
                    int8range(coalesce(second_professional_id, 0), coalesce(second_professional_id + 1, 0)),
                    int8range(coalesce(-room_id, 0), coalesce(1 - room_id, 0)),
                    int8range(coalesce(-device_id, 0), coalesce(1 - device_id, 0))
                ))"""
# Table → when a row holds something, whose rows may overlap nevertheless, and which rows are held to it.
RULES = {
    "appointments": (
        "tstzrange(occupied_from, occupied_until) WITH &&",
        ["coalesce(group_session_id, -id) WITH <>"],
        "state IN ('pre_confirmed', 'confirmed', 'executed', 'no_show')",
    ),
    "group_sessions": ("tstzrange(scheduled_at, occupied_until) WITH &&", [], "state = 'open'"),
}
PARENTS = {
    "second_professional_id": "professionals (organization_id, user_id)",
    "room_id": "resources (organization_id, id)",
    "device_id": "resources (organization_id, id)",
}
CHECKS = {
    "second_professional_id": "second_professional_id <> professional_id",
    "device_id": "device_id <> room_id",
}
FEATURES = "services_room_features_check"


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for table, (when, beside, condition) in RULES.items():
        # Time comes first: what is held lies on both sides of zero, so an index of it alone tells little apart.
        _exchange(migrator, table, [when, f"{HOLDS} WITH &&", *beside], condition)
        rules = [
            (f"{table}_organization_id_{column}_fkey", f"FOREIGN KEY (organization_id, {column}) REFERENCES {parent}")
            for column, parent in PARENTS.items()
        ]
        rules += [(f"{table}_{column}_check", f"CHECK ({check})") for column, check in CHECKS.items()]
        _add(migrator, table, rules)
        for column in PARENTS:
            migrator.sql(
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS index_{table}_on_{column} "
                f"ON {table} (organization_id, {column}, scheduled_at) WHERE {column} IS NOT NULL"
            )
    _add(migrator, "services", [(FEATURES, "CHECK (jsonb_typeof(room_features) = 'array')")])


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    migrator.sql(f"ALTER TABLE services DROP CONSTRAINT IF EXISTS {FEATURES}")
    for table, (when, beside, condition) in reversed(RULES.items()):
        for column in PARENTS:
            migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS index_{table}_on_{column}")
            migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_organization_id_{column}_fkey")
        for column in CHECKS:
            migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_{column}_check")
        _exchange(migrator, table, ["professional_id WITH =", when, *beside], condition)


def _exchange(migrator: Migrator, table: str, parts: list[str], condition: str) -> None:
    # A rule of ranges comes no other way: its index is built while nobody writes.
    held = ",\n                ".join(["organization_id WITH =", *parts])
    migrator.sql(f"""
        ALTER TABLE {table}
            DROP CONSTRAINT IF EXISTS {table}_no_overlap,
            ADD CONSTRAINT {table}_no_overlap EXCLUDE USING gist (
                {held}
            ) WHERE ({condition})
    """)


def _add(migrator: Migrator, table: str, rules: list[tuple[str, str]]) -> None:
    for name, rule in rules:
        migrator.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} {rule} NOT VALID")
    for name, _ in rules:
        migrator.sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
