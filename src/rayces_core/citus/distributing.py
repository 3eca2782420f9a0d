"""Distributes the tables of a migrated database, with their rows; each unit is a transaction, so it can go on later.

What a run finds done it leaves, so one that was interrupted, or a migration that made a new table, needs nothing but
the same call again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.citus.tables import Table, in_order, tables_of
from rayces_core.errors import ConfigurationError, SchemaMissingError
from rayces_core.errors.connection import unreachable
from rayces_core.migrations.settings import connect

Told = Callable[[str], object]

_HAS_CITUS: Final = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
_START: Final = """
SELECT to_regclass('organizations') IS NOT NULL,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
       (SELECT count(*) FROM pg_dist_node WHERE groupid <> 0 AND noderole = 'primary'),
       coalesce((SELECT bool_or(shouldhaveshards) FROM pg_dist_node WHERE groupid = 0), true),
       quote_ident(current_database())
"""
# Whoever works here since before the first table went would not tell the other nodes its tenant; who comes anew is
# asked for the engine.
_EARLIER_SESSIONS: Final = """
SELECT bool_and(pg_terminate_backend(pid, 10000))
  FROM pg_stat_activity a
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
   AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname = ANY (%s) AND pg_has_role(a.usesysid, r.oid, 'MEMBER'))
   AND application_name NOT LIKE 'citus%%'
"""
# Citus refuses a sub-select in a policy. One that reads no table, as the reader's, says the same without its SELECT.
_WORDED: Final = """
SELECT p.polrelid::regclass::text, quote_ident(p.polname), pg_get_expr(p.polqual, p.polrelid)
  FROM pg_policy p
 WHERE p.polrelid = ANY (%s::oid[]) AND p.polwithcheck IS NULL AND p.polqual::text LIKE '%%{SUBLINK%%'
"""
_SUB_SELECT: Final = re.compile(r'\( SELECT\s+((?:(?!\bSELECT\b|\bFROM\b).)*) AS "?\w+"?\)', re.DOTALL)
# A sub-select it refuses, and a restrictive policy it makes a permissive one, without a word.
_UNFIT: Final = """
SELECT string_agg(format('%%s of %%s', quote_ident(p.polname), p.polrelid::regclass), ', ' ORDER BY p.oid)
  FROM pg_policy p
 WHERE p.polrelid = ANY (%s::oid[])
   AND (NOT p.polpermissive OR coalesce(p.polqual::text, '') || coalesce(p.polwithcheck::text, '') LIKE '%%{SUBLINK%%')
"""
# Sequentially, since what follows in a transaction could not see what several connections have done in it.
_SETTINGS: Final = (
    "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'",
    "SET LOCAL citus.enable_local_reference_table_foreign_keys TO off",
)
_CIRCLE: Final = """
SELECT k.conrelid::regclass::text, quote_ident(k.conname), pg_get_constraintdef(k.oid)
  FROM pg_constraint k
 WHERE k.contype = 'f' AND k.conrelid <> k.confrelid AND k.conrelid = ANY (%(unit)s) AND k.confrelid = ANY (%(unit)s)
 ORDER BY k.oid
"""
# Of the tables that the role may add rows to; a column's right is enough for that.
_SEQUENCES: Final = """
SELECT quote_ident(r.rolname),
       string_agg(pg_get_serial_sequence(a.attrelid::regclass::text, a.attname), ', ' ORDER BY a.attrelid)
         FILTER (WHERE has_any_column_privilege(r.oid, a.attrelid, 'INSERT'))
  FROM pg_roles r, pg_attribute a
 WHERE r.rolname = ANY (%(roles)s) AND a.attrelid = ANY (%(tables)s::oid[]) AND a.attidentity <> ''
   AND NOT a.attisdropped
 GROUP BY r.rolname ORDER BY r.rolname
"""
# Citus writes every column that has a default when it sends a row on, so the right to the others alone is not enough.
_DEFAULTED: Final = """
SELECT quote_ident(r.rolname), a.attrelid::regclass::text,
       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
  FROM pg_roles r, pg_attribute a
 WHERE r.rolname = ANY (%(roles)s) AND a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
   AND (a.atthasdef OR a.attidentity <> '') AND a.attgenerated = ''
   AND has_any_column_privilege(r.oid, a.attrelid, 'INSERT')
   AND NOT has_column_privilege(r.oid, a.attrelid, a.attnum, 'INSERT')
 GROUP BY r.rolname, a.attrelid ORDER BY a.attrelid
"""


def has_citus(connection: Connection) -> bool:
    """Whether the database has the extension."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_CITUS)
        (found,) = cursor.fetchone() or (False,)
        return bool(found)


def distribute(
    url: str,
    *,
    app_role: str = "rayces_app",
    admin_role: str = "rayces_admin",
    rehearse: bool = False,
    told: Told = lambda _: None,
) -> list[str]:
    """Distribute what is not distributed yet; returns the names of those tables, in order.

    Reads and writes of a table wait while it is distributed. The rows that stay behind on the coordinator's disk are
    taken away at the end. Before the first table all sessions of the roles are ended: applications that were started
    without Citus' engine are refused when they come back.

    Args:
        url: of the coordinator, as a superuser, since what is done on the other nodes needs one.
        app_role, admin_role: those of the Database; they get what they need to come to the other nodes.
        rehearse: do all of it in one transaction and undo that.
        told: is given a line for each step.

    Raises:
        ConfigurationError: there is no Citus, the cluster is not fit, or a table cannot be distributed; it says why.
        SchemaMissingError: the database is not migrated.
    """
    with closing(_connect(url)) as connection, connection.cursor() as cursor:
        _check_cluster(connection, cursor)
        if not rehearse:
            _end_earlier_sessions(cursor, (app_role, admin_role), told)
        done = _units(cursor, told, rehearse=rehearse)
        if rehearse:  # the other connections of the nodes do not see what is not committed
            cursor.execute("ROLLBACK")
        else:
            _let_in(cursor, (app_role, admin_role), told)
            _tidy(cursor, told)
        return done


def _connect(url: str) -> Connection:
    try:
        connection: Connection = connect(url, application_name="rayces citus")
    except psycopg2.OperationalError as error:
        raise unreachable(error) from error
    connection.autocommit = True
    return connection


def _check_cluster(connection: Connection, cursor: Any) -> None:
    if not has_citus(connection):
        raise ConfigurationError("this database has no Citus; a DBA can add it: CREATE EXTENSION citus;")
    cursor.execute(_START)
    migrated, is_superuser, workers, has_shards, _ = cursor.fetchone()
    if not migrated:
        raise SchemaMissingError("the database has no rayces schema yet; run `rayces migrate up` first")
    if not is_superuser:
        raise ConfigurationError("to distribute tables on all nodes takes a superuser of each; give the URL of one")
    if not workers:
        raise ConfigurationError("the cluster has no worker; a DBA can add one: SELECT citus_add_node('host', 5432);")
    if has_shards:
        raise ConfigurationError(
            "the coordinator must hold no shards, since Citus crashes a node on which an import meets them; a DBA can "
            "set it so: SELECT citus_set_coordinator_host('its-address'); "
            "SELECT citus_set_node_property('its-address', 5432, 'shouldhaveshards', false);"
        )


def _end_earlier_sessions(cursor: Any, roles: tuple[str, ...], told: Told) -> None:
    if any(table.is_now for table in tables_of(cursor)):
        return
    told("ending the sessions of who works in the database")
    cursor.execute(_EARLIER_SESSIONS, (list(roles),))
    (all_ended,) = cursor.fetchone()
    if all_ended is False:
        raise ConfigurationError("somebody who works in the database does not end; stop the application, and try again")


def _reword(cursor: Any, tables: list[Table]) -> None:
    cursor.execute(_WORDED, ([table.oid for table in tables],))
    for table, name, held in cursor.fetchall():
        bare = _SUB_SELECT.sub(r"(\1)", held)
        if bare != held:
            cursor.execute(f"ALTER POLICY {name} ON {table} USING ({bare})")


def _check_policies(cursor: Any, tables: list[Table]) -> None:
    cursor.execute(_UNFIT, ([table.oid for table in tables],))
    (unfit,) = cursor.fetchone()
    if unfit:
        raise ConfigurationError(
            f"Citus cannot hold these policies on other nodes: {unfit} (a sub-select is refused, a RESTRICTIVE one "
            "becomes permissive); run `rayces migrate up`, and write those of your own tables the same way"
        )


def _units(cursor: Any, told: Told, *, rehearse: bool) -> list[str]:
    if rehearse:
        cursor.execute("BEGIN")
    tables, done = tables_of(cursor), []
    _reword(cursor, [table for table in tables if table.is_now is None])
    _check_policies(cursor, tables)
    for unit in in_order(tables):
        missing = [table for table in unit if table.is_now is None]
        if not missing:
            continue
        told(f"distributing {', '.join(table.name for table in missing)}")
        try:
            if not rehearse:
                cursor.execute("BEGIN")
            _distribute(cursor, unit, missing)
            if not rehearse:
                cursor.execute("COMMIT")
        except psycopg2.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigurationError(f"{', '.join(t.name for t in missing)} cannot be distributed: {reason}") from error
        done += [table.name for table in missing]
    return done


def _distribute(cursor: Any, unit: list[Table], missing: list[Table]) -> None:
    for setting in _SETTINGS:
        cursor.execute(setting)
    circle = []
    if len(unit) > 1:
        cursor.execute(_CIRCLE, {"unit": [table.oid for table in unit]})
        circle = cursor.fetchall()
    for table, name, _ in circle:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for table in missing:
        if table.way == "reference":
            cursor.execute("SELECT create_reference_table(%s::oid::regclass)", (table.oid,))
        else:
            cursor.execute(_CREATE_DISTRIBUTED, (table.oid, _first_distributed(cursor)))
    for table, name, definition in circle:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
        cursor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


_CREATE_DISTRIBUTED: Final = (
    "SELECT create_distributed_table(%s::oid::regclass, 'organization_id', colocate_with => %s)"
)


def _first_distributed(cursor: Any) -> str:
    """A table of the schema that is distributed already, or "none" for the first one."""
    cursor.execute("""
        SELECT min(p.logicalrelid::oid)::regclass::text
          FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid
         WHERE p.partmethod = 'h'
           AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('organizations'))
    """)
    (name,) = cursor.fetchone()
    return name or "none"


def _let_in(cursor: Any, roles: tuple[str, ...], told: Told) -> None:
    """Let the roles connect to the other nodes, and take ids there: Citus hands on neither by itself."""
    told("letting the roles in on every node")
    which = {"roles": list(roles), "tables": [table.oid for table in tables_of(cursor)]}
    cursor.execute(_DEFAULTED, which)
    for role, table, columns in cursor.fetchall():
        cursor.execute(f"GRANT INSERT ({columns}) ON {table} TO {role}")
    cursor.execute(_SEQUENCES, which)
    for role, sequences in cursor.fetchall():
        cursor.execute(f"ALTER ROLE {role} LOGIN")
        if sequences:
            _everywhere(cursor, f"GRANT USAGE ON SEQUENCE {sequences} TO {role}")


def _everywhere(cursor: Any, statement: str) -> None:
    cursor.execute("SELECT nodeid, success, result FROM run_command_on_all_nodes(%s)", (statement,))
    failed = [(node, said) for node, success, said in cursor.fetchall() if not success]
    if failed:
        raise ConfigurationError(f"node {failed[0][0]} refuses {statement!r}: {failed[0][1]}")


def _tidy(cursor: Any, told: Told) -> None:
    """Take away the rows that the coordinator still has on its disk, and keep new foreign keys off its local tables."""
    cursor.execute("SELECT quote_ident(current_database())")
    (database,) = cursor.fetchone()
    cursor.execute(f"ALTER DATABASE {database} SET citus.enable_local_reference_table_foreign_keys TO off")
    told("taking away the coordinator's own copies")
    for unit in reversed(in_order(tables_of(cursor))):
        for table in unit:
            if table.way == "distributed":
                cursor.execute("SELECT truncate_local_data_after_distributing_table(%s::oid::regclass)", (table.oid,))
