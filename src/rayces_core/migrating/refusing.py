"""The event triggers of a hardened database: they refuse what changes the schema to whoever owns nothing of it.

Every role may drop what is its own: since PostgreSQL 16 `DROP OWNED BY CURRENT_USER` of one tenant drops the policies
of the role of all of them, and no grant holds that. Temporary tables are left to everybody. PostgreSQL fires no event
trigger for what databases share (roles, databases, settings), for REASSIGN OWNED, LOCK and TRUNCATE.

Rule it guards: whoever may call their function is let by, which are the owners and logins that were named, nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rayces_core.migrations.session import MigrationDatabase, quote_identifier

SCHEMA: Final = "rayces_hardening"
FUNCTION: Final = f"{SCHEMA}.refuse_ddl"
_EVENTS: Final = {"rayces_refuse_ddl": "ddl_command_start", "rayces_refuse_ddl_done": "ddl_command_end"}
# Which of these concern a temporary table is known once they are done. Nobody else's table can be altered or dropped.
_OF_TEMPORARY_TABLES: Final = (
    "CREATE TABLE", "CREATE TABLE AS", "SELECT INTO", "CREATE INDEX", "ALTER TABLE", "DROP TABLE", "DROP INDEX",
)  # fmt: skip
# It runs as whoever is to be refused, who need have no right to the schema: so it finds itself in the catalogue.
_BODY: Final = f"""
BEGIN
    IF (SELECT coalesce(bool_or(has_function_privilege(p.oid, 'EXECUTE')), true)
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE p.proname = 'refuse_ddl' AND n.nspname = '{SCHEMA}')
       OR tg_event = 'ddl_command_start' AND tg_tag = ANY ('{{{",".join(_OF_TEMPORARY_TABLES)}}}') THEN
        RETURN;
    ELSIF tg_event = 'ddl_command_end' THEN
        IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp') THEN
            RETURN;
        END IF;
    END IF;
    RAISE insufficient_privilege USING
        MESSAGE = 'this database is hardened: ' || tg_tag || ' is refused to ' || quote_ident(current_user),
        HINT = 'The owner of the tables may do it, or a login that was named to rayces migrate harden --login.';
END
"""
_PATH: Final = "pg_catalog, pg_temp"
# Whom the tables and the database belong to; a superuser needs no right to anything.
_OWNERS: Final = """
SELECT r.oid, r.rolname::text FROM pg_roles r
 WHERE NOT r.rolsuper AND r.oid IN ((SELECT relowner FROM pg_class WHERE oid = to_regclass('organizations')),
                                    (SELECT datdba FROM pg_database WHERE datname = current_database()))
"""
_MADE: Final = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS event_trigger LANGUAGE plpgsql SET search_path = {_PATH} "
    f"AS $body${_BODY}$body$"
)
_NAMES: Final = ", ".join(f"('{name}', '{event}')" for name, event in _EVENTS.items())
# What is wrong with them, in words; NULL where nothing is.
FAULT: Final = f"""
(SELECT CASE
        WHEN count(e.evtname) < {len(_EVENTS)} THEN 'is missing'
        WHEN bool_or(e.evtenabled <> 'A') THEN 'is disabled'
        WHEN bool_or(e.evttags IS NOT NULL OR e.evtfoid IS DISTINCT FROM f.oid OR e.evtowner <> f.proowner
                     OR f.prosrc <> $body${_BODY}$body$ OR f.prosecdef
                     OR f.proconfig IS DISTINCT FROM '{{"search_path={_PATH}"}}'::text[]) THEN 'was changed'
        WHEN bool_or(EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
                              WHERE a.grantee = 0)) THEN 'lets everybody by'
        WHEN bool_or(EXISTS (SELECT FROM ({_OWNERS}) o WHERE NOT has_function_privilege(o.oid, f.oid, 'EXECUTE')))
        THEN 'refuses the owner of the tables too' END
   FROM (VALUES {_NAMES}) AS wanted(name, event)
   LEFT JOIN pg_event_trigger e ON e.evtname = wanted.name AND e.evtevent = wanted.event
   LEFT JOIN pg_proc f ON f.oid = e.evtfoid AND f.proname = 'refuse_ddl'
                      AND f.pronamespace = to_regnamespace('{SCHEMA}'))
"""
_ANY_LEFT: Final = f"""
SELECT to_regnamespace('{SCHEMA}') IS NOT NULL
       OR EXISTS (SELECT FROM pg_event_trigger WHERE (evtname, evtevent) IN (VALUES {_NAMES}))
"""


def making(database: MigrationDatabase, named: Sequence[str]) -> list[str]:
    """The statements after which the event triggers stand as they should, and let the owners and these logins by."""
    right = database.one(f"SELECT {FAULT} IS NULL")
    let_by = list(dict.fromkeys([*(name for _, name in database.execute_sql(_OWNERS).fetchall()), *named]))
    made = [] if right else _anew()
    lacking = [name for name in let_by if not right or not _is_let_by(database, name)]
    made += [f"GRANT EXECUTE ON FUNCTION {FUNCTION}() TO {quote_identifier(name)}" for name in lacking]
    return made if right else [*made, *_triggers()]


def removing(database: MigrationDatabase) -> list[str]:
    """The statements that take them away; none where they are not there."""
    if not database.one(_ANY_LEFT):
        return []
    return [*_dropped(), f"DROP FUNCTION IF EXISTS {FUNCTION}()", f"DROP SCHEMA IF EXISTS {SCHEMA}"]


def _anew() -> list[str]:
    return [
        *_dropped(),
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        _MADE,
        f"ALTER FUNCTION {FUNCTION}() OWNER TO CURRENT_USER",
        f"REVOKE EXECUTE ON FUNCTION {FUNCTION}() FROM PUBLIC",
    ]


def _triggers() -> list[str]:
    made = [f"CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION {FUNCTION}()" for name, event in _EVENTS.items()]
    return made + [f"ALTER EVENT TRIGGER {name} ENABLE ALWAYS" for name in _EVENTS]


def _dropped() -> list[str]:
    return [f"DROP EVENT TRIGGER IF EXISTS {name}" for name in _EVENTS]


def _is_let_by(database: MigrationDatabase, name: str) -> bool:
    return bool(database.one(f"SELECT has_function_privilege(%s, '{FUNCTION}()', 'EXECUTE')", name))
