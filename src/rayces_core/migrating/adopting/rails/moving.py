"""The exchange of the tables: the old ones go whole into a schema of their own, ours come in, and back.

Rule it guards: no moment shows half of one and half of the other; whoever reads goes on until the exchange itself,
which waits for no reader longer than 200 ms at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import peewee

from rayces_core.migrating.adopting.rails.old import TABLES
from rayces_core.migrations.retry import RETRYABLE, sqlstate
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

BEFORE, STAGING = "rayces_before", "rayces_staging"
LOCK_TIMEOUT_MS = 200
PAUSE_SECONDS = 0.3

# Our names, whatever has a foreign key on them or on what goes with them, what names an organization, and sequences
# and views that depend on it.
_CLUSTER = """
WITH RECURSIVE moved(oid) AS (
    SELECT c.oid FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace = %(schema)s::regnamespace AND NOT c.relname = ANY (%(kept)s)
       AND (c.relname = ANY (%(names)s) OR EXISTS (
            SELECT FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped))
    UNION
    SELECT d.oid FROM moved m
      CROSS JOIN LATERAL (
        SELECT k.conrelid AS oid FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = m.oid
        UNION ALL
        SELECT r.ev_class FROM pg_depend p JOIN pg_rewrite r ON r.oid = p.objid
         WHERE p.classid = 'pg_rewrite'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjid = m.oid
           AND r.ev_class <> m.oid
      ) AS d
)
SELECT c.relname::text, c.relkind::text
  FROM moved JOIN pg_class c USING (oid) WHERE c.relnamespace = %(schema)s::regnamespace ORDER BY c.relkind, c.relname
"""
_WORDS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}
# A sequence that no column owns does not go with its table.
_FREE_SEQUENCES = """
SELECT c.relname::text FROM pg_class c
 WHERE c.relkind = 'S' AND c.relnamespace = %(schema)s::regnamespace AND c.relname = ANY (%(names)s)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype IN ('a', 'i'))
"""
_OURS = """
SELECT c.relname::text FROM pg_class c
 WHERE c.relkind IN ('r', 'p') AND c.relnamespace = %s::regnamespace ORDER BY 1
"""


def cluster(database: MigrationDatabase, schema: str, ours: Sequence[str], kept: Sequence[str]) -> dict[str, str]:
    """What has to move aside: name → the word that ALTER takes. `ours` are our names, `kept` stay."""
    values = {"schema": quote_identifier(schema), "names": [*TABLES, *ours], "kept": list(kept)}
    rows = database.execute_sql(_CLUSTER, values).fetchall()
    return {name: _WORDS[kind] for name, kind in rows if kind in _WORDS}


def hold_writers(database: MigrationDatabase, schema: str, tables: Sequence[str]) -> None:
    """Let nobody write the tables until the transaction ends; whoever reads goes on."""
    paths = ", ".join(f"{quote_identifier(schema)}.{quote_identifier(name)}" for name in tables)
    database.command(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS:d}; LOCK TABLE {paths} IN SHARE MODE")


def exchange(database: MigrationDatabase, schema: str, aside: dict[str, str]) -> None:
    """Within the transaction: the old tables into BEFORE, ours from STAGING into their place."""
    home, before, staging = (quote_identifier(name) for name in (schema, BEFORE, STAGING))
    sequences = database.execute_sql(
        _FREE_SEQUENCES, {"schema": home, "names": [f"{table}_id_seq" for table in TABLES]}
    ).fetchall()
    database.command(f"CREATE SCHEMA IF NOT EXISTS {before}")
    for name, word in aside.items():
        database.command(f"ALTER {word} {home}.{quote_identifier(name)} SET SCHEMA {before}")
    for (name,) in sequences:
        database.command(f"ALTER SEQUENCE {home}.{quote_identifier(name)} SET SCHEMA {before}")
    for (name,) in database.execute_sql(_OURS, (staging,)).fetchall():
        database.command(f"ALTER TABLE {staging}.{quote_identifier(name)} SET SCHEMA {home}")
    database.command(f"DROP SCHEMA {staging}")
    database.command(f"GRANT USAGE ON SCHEMA {home} TO {_ours(database)}")


def lock_for_exchange(database: MigrationDatabase, schema: str, tables: Sequence[str], seconds: float) -> None:
    """Lock out readers too, asking again for as long as that; raises MigrationError when one does not go."""
    paths = ", ".join(f"{quote_identifier(schema)}.{quote_identifier(name)}" for name in tables)
    deadline = time.monotonic() + seconds
    while True:
        try:
            with database.atomic():
                database.command(
                    f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS:d}; LOCK TABLE {paths} IN ACCESS EXCLUSIVE MODE"
                )
                return
        except peewee.DatabaseError as error:
            if sqlstate(error) not in RETRYABLE or time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def restore(database: MigrationDatabase, schema: str, ours: Sequence[str], aside: dict[str, str]) -> None:
    """Within the transaction: our tables are dropped, and the old ones come back into their place."""
    home, before = quote_identifier(schema), quote_identifier(BEFORE)
    there = [
        name for name in ours if database.one("SELECT to_regclass(%s) IS NOT NULL", f"{home}.{quote_identifier(name)}")
    ]
    if there:
        database.command(f"DROP TABLE {', '.join(f'{home}.{quote_identifier(name)}' for name in there)}")
    for name, word in aside.items():
        database.command(f"ALTER {word} {before}.{quote_identifier(name)} SET SCHEMA {home}")
    rest = database.execute_sql(
        "SELECT relname::text FROM pg_class WHERE relkind = 'S' AND relnamespace = %s::regnamespace", (before,)
    ).fetchall()
    for (name,) in rest:
        database.command(f"ALTER SEQUENCE {before}.{quote_identifier(name)} SET SCHEMA {home}")
    database.command(f"DROP SCHEMA {before}; REVOKE USAGE ON SCHEMA {home} FROM {_ours(database)}")


def _ours(database: MigrationDatabase) -> str:
    """The library's roles as SQL, as far as they are there: an adoption may have been begun before some were."""
    roles = (database.app_role, database.admin_role, database.reader_role, database.auditor_role)
    there = [role for role in roles if database.one("SELECT true FROM pg_roles WHERE rolname = %s", role)]
    return ", ".join(map(quote_identifier, there))
