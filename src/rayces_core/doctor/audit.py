"""Runs every check on a live database, in one read-only snapshot of its catalogue."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, Final

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extensions import parse_dsn
from psycopg2.extras import RealDictCursor

from rayces_core.citus import has_citus
from rayces_core.database.database import Database
from rayces_core.database.first_use import OLDEST_SERVER
from rayces_core.doctor import detours, granting, grants, hardening, keys, lacking, readers, roles, row_security, shared
from rayces_core.doctor.catalogue import FACTS
from rayces_core.doctor.conditions import conditions, meanings
from rayces_core.doctor.finding import Check, Finding
from rayces_core.doctor.lagging import audit_work
from rayces_core.doctor.nodes import with_nodes
from rayces_core.doctor.replicas import audit_replicas
from rayces_core.doctor.sweeps import audit_sweeps
from rayces_core.errors import ConfigurationError, SchemaMissingError, ServerTooOldError
from rayces_core.errors.connection import unreachable
from rayces_core.migrations.memberships import said_once
from rayces_core.migrations.session import auditor_of, reader_of
from rayces_core.migrations.settings import connect, pinned

CHECKS: Final[tuple[Check, ...]] = (
    *roles.CHECKS,
    *granting.CHECKS,
    *row_security.CHECKS,
    *keys.CHECKS,
    *lacking.CHECKS,
    *grants.CHECKS,
    *detours.CHECKS,
    *readers.CHECKS,
    *shared.CHECKS,
    *hardening.CHECKS,
)

_START: Final = """
SELECT to_regclass('organizations') IS NOT NULL AS has_schema,
       coalesce((SELECT pg_has_role(l.oid, r.oid, %(may_set)s) FROM pg_roles l, pg_roles r
                  WHERE l.rolname = session_user AND r.rolname = %(app_role)s), false) AS may_be_app,
       quote_ident(%(app_role)s) AS app_role, quote_ident(%(admin_role)s) AS admin_role
"""

_IS_HARDENED: Final = (
    f"WITH root AS (SELECT to_regclass('organizations') AS oid), {hardening.HARDENING} SELECT open = 0 FROM hardening"
)

# One statement, so that the facts are gathered once and every check sees the same catalogue.
_EVERYTHING: Final = FACTS + " UNION ALL ".join(
    f" SELECT '{check.code}' AS code, to_jsonb(found) AS facts FROM ({check.query}) AS found" for check in CHECKS
)


def audit(database: Database) -> list[Finding]:
    """Say what in a live database does not hold its tenants; an empty list when all is well.

    Connects as the login of the URL, outside any tenant, and writes nothing; with Citus also as that of `admin_url`, to
    compare every shard of every node with the coordinator's tables. Its replicas are looked at as well, and whether
    sweeps run. Where there is no error, so is the work that is left lying, if the login may become the admin role.

    Returns:
        The findings, errors first, then by object.

    Raises:
        DatabaseUnreachableError, ServerTooOldError: there is nothing that could be audited.
        SchemaMissingError: there is no table `organizations` yet.
        ConfigurationError: it is a reader.
    """
    if database.reads_only:
        raise ConfigurationError("audit the Database that the reader was made of: it knows the roles that write")
    connection = _connect(database.url)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        roles: dict[str, Any] = {"app_role": database.app_role, "admin_role": database.admin_role}
        found = audit_connection(connection, **roles)
        if all(finding.severity == "warning" for finding in found):
            found += audit_work(connection, database.admin_role)
        distributed = has_citus(connection)
    finally:
        connection.close()
    if distributed:
        with closing(_connect(database.admin_url)) as other:
            other.autocommit = True
            found = with_nodes(found, other, **roles)
    found += audit_sweeps(database, _connect)
    return found + audit_replicas(database, found, _connect, partial(audit_connection, **roles))


def is_hardened(database: Database) -> bool:
    """Whether every role of the server has lost what `rayces migrate harden` takes away; connects as `audit` does."""
    connection = _connect(database.url)
    try:
        with connection.cursor() as cursor, pinned(cursor):
            cursor.execute(_IS_HARDENED)
            (hardened,) = cursor.fetchone() or (False,)
            return bool(hardened)
    finally:
        connection.close()


def audit_connection(
    connection: Connection, *, app_role: str = "rayces_app", admin_role: str = "rayces_admin"
) -> list[Finding]:
    """The same as `audit` on an open connection, within its transaction: also sees what is not committed yet."""
    if connection.server_version < OLDEST_SERVER * 10_000:
        version = connection.server_version // 10_000
        raise ServerTooOldError(f"the server is PostgreSQL {version}; version {OLDEST_SERVER} or newer is needed")
    modern = connection.server_version >= 160_000
    values = {"app_role": app_role, "admin_role": admin_role, "may_set": "SET" if modern else "MEMBER"}
    values |= {"reader_role": reader_of(admin_role), "auditor_role": auditor_of(admin_role)}
    with connection.cursor(cursor_factory=RealDictCursor) as cursor, pinned(cursor):
        _first_the_servers_own(cursor)
        names = _names(cursor, values)
        if not names["has_schema"] and names["may_be_app"]:
            # Where the schema is not everybody's, a login that inherits nothing sees it only once it is the role.
            cursor.execute(f"SET LOCAL ROLE {names['app_role']}")
            names = _names(cursor, values)
        if not names["has_schema"]:
            raise SchemaMissingError("the database has no rayces schema yet; run `rayces migrate up` first")
        # Before PostgreSQL 16 whether a role inherits is its own, not the membership's.
        names["without_inheriting"] = " WITH INHERIT FALSE, SET TRUE" if modern else ""
        known = conditions(app_role, admin_role)
        proper = {"reader_held": known["reader"], "reader_looked_up": known["reader-lookup"]}
        cursor.execute(_EVERYTHING, {**values, **proper, "meanings": meanings(cursor, known)})
        checks = {check.code: check for check in CHECKS}
        found = [checks[each["code"]].finding(each["facts"], names) for each in cursor.fetchall()]
    found.sort(key=lambda finding: (finding.severity, finding.object, finding.check, finding.message))
    return _made_once(found)


def _made_once(findings: list[Finding]) -> list[Finding]:
    """Let a role that several remedies need be made by the first of them, so that all can be run in their order."""
    said: list[str] = []
    once = []
    for finding in findings:
        parts = finding.remedy.split("; ")
        once.append(replace(finding, remedy="; ".join(said_once(parts, said))))
        said += parts
    return once


def _first_the_servers_own(cursor: Any) -> None:
    """Let what a check calls be the server's own, also where the search_path names pg_catalog last."""
    cursor.execute("SELECT current_setting('search_path') AS path")
    path = cursor.fetchone()["path"]
    if path:
        cursor.execute(f"SET LOCAL search_path TO pg_catalog, {path}")


def _names(cursor: Any, values: dict[str, str]) -> dict[str, Any]:
    cursor.execute(_START, values)
    return dict(cursor.fetchone() or {})


def _connect(url: str) -> Connection:
    parameters = {
        "connect_timeout": "10",
        "application_name": "rayces doctor",
        **parse_dsn(url),
        "client_encoding": "UTF8",
    }
    try:
        connection: Connection = connect(**parameters)
    except psycopg2.OperationalError as error:
        raise unreachable(error) from error
    return connection
