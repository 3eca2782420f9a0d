"""Hardening a database that belongs to this library alone: what every role of the server may do in it, tenants may not.

PostgreSQL gives everybody `set_config`, UPDATE on pg_settings, a session's advisory locks and large objects. With them
SQL that a tenant smuggled in binds another organization from inside one SELECT, or leaves something on the connection.
They are taken from PUBLIC in one database, and those that a login of this library needs are given to it. What changes
the schema is refused to whoever owns nothing of it (`refusing`). A comment on a policy keeps what was changed, so that
it can be undone exactly, and be missed after a restore.

Rule it guards: it is never done unasked, and what it breaks is said before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rayces_core.errors import ConfigurationError, MissingRoleError, SchemaMissingError
from rayces_core.migrating import refusing
from rayces_core.migrations.fitness import refuse_unfit
from rayces_core.migrations.session import MigrationDatabase, connected, quote_identifier

SET_CONFIG: Final = "set_config(text, text, boolean)"
_LOCKS: Final = tuple(
    f"{name}({arguments})"
    for name in ("pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared")
    for arguments in ("bigint", "integer, integer")
)
_LARGE_OBJECTS: Final = (
    "lo_close(integer)", "lo_creat(integer)", "lo_create(oid)", "lo_from_bytea(oid, bytea)", "lo_get(oid)",
    "lo_get(oid, bigint, integer)", "lo_lseek(integer, integer, integer)", "lo_lseek64(integer, bigint, integer)",
    "lo_open(oid, integer)", "lo_put(oid, bigint, bytea)", "lo_tell(integer)", "lo_tell64(integer)",
    "lo_truncate(integer, integer)", "lo_truncate64(integer, bigint)", "lo_unlink(oid)", "loread(integer, integer)",
    "lowrite(integer, bytea)",
)  # fmt: skip
# What logins get back: migrations take a session's lock, and pg_dump begins with set_config.
FOR_LOGINS: Final = (SET_CONFIG, *_LOCKS)
FUNCTIONS: Final = (*FOR_LOGINS, *_LARGE_OBJECTS)
SETTINGS: Final = "pg_settings"
MARK: Final = "rayces: hardened "
# What the mark says of a database whose event triggers were left out: nobody misses them there.
LEFT_OUT: Final = '"left_out": ["event triggers"]'
# Before this version of the server the library calls set_config as its roles, so they are given it too; from it on
# SET LOCAL does the same, without filling pg_stat_statements.
ROLES_CALL_IT_BEFORE: Final = 180_000

BREAKS: Final = """\
In this database, for every role but superusers and the logins named above, this breaks:
  - pg_dump and pg_restore, psql scripts made by pg_dump: they begin with set_config
  - other applications that call set_config, such as PostgREST, or update pg_settings
  - tools that take a session's advisory lock, such as the migrations of Rails, Flyway or golang-migrate
  - large objects, for everybody but superusers: lo_… in SQL, psql's \\lo_import, psycopg2's lobject
  - CREATE, ALTER, DROP, GRANT, COMMENT and the like, for all but the owners of the tables and of the database and the
    logins that --login names: migrations of another owner, a scheduled REFRESH MATERIALIZED VIEW; temporary tables work
A login that is made later needs it run again. A login that is dropped needs DROP OWNED BY before.
"""

_STATE: Final = """
WITH wanted AS (SELECT ord, name, ('pg_catalog.' || name)::regprocedure AS oid
                  FROM unnest(%s::text[]) WITH ORDINALITY AS w(name, ord))
SELECT w.name, coalesce(bool_or(a.grantee = 0), false),
       coalesce(array_agg(g.rolname::text) FILTER (WHERE g.rolname IS NOT NULL), '{}')
  FROM wanted w JOIN pg_proc p ON p.oid = w.oid
  LEFT JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a ON a.privilege_type = 'EXECUTE'
  LEFT JOIN pg_roles g ON g.oid = a.grantee
 GROUP BY w.ord, w.name ORDER BY w.ord
"""
_SETTINGS_OPEN: Final = """
SELECT EXISTS (SELECT FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
                WHERE c.oid = 'pg_catalog.pg_settings'::regclass AND a.grantee = 0 AND a.privilege_type = 'UPDATE')
"""
# The application's role is among them where it is a login itself.
_LOGINS: Final = """
SELECT rolname::text FROM pg_roles r
 WHERE rolcanlogin AND NOT rolsuper
   AND EXISTS (SELECT FROM pg_roles held WHERE held.rolname = ANY (%s) AND pg_has_role(r.oid, held.oid, 'MEMBER'))
 ORDER BY 1
"""
_HAS_THE_OWNERS_RIGHTS: Final = f"""
SELECT pg_has_role(proowner, 'USAGE') FROM pg_proc WHERE oid = 'pg_catalog.{SET_CONFIG}'::regprocedure
"""
_WITHOUT_TRIGGERS: Final = (
    "the event triggers that refuse DROP OWNED BY and other changes of the schema were left out, as only a superuser "
    "makes them"
)
_POLICY: Final = """
SELECT p.oid, coalesce(obj_description(p.oid, 'pg_policy'), '')
  FROM pg_policy p WHERE p.polrelid = to_regclass('organizations') AND p.polname = 'rayces_tenant'
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What hardening, or undoing it, would do.

    Attributes: `statements`, none where there is nothing to do; `logins` that keep what they need; `left_out`: what the
    login may not do, a sentence each.
    """

    statements: tuple[str, ...]
    logins: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        """The statements as a script for psql."""
        return "\n".join(["BEGIN;", *(f"{statement};" for statement in self.statements), "COMMIT;", ""])


class Hardening:
    """Hardens one database, or undoes it.

    Args:
        logins: other logins that go on working as they do, beside those that hold one of the library's roles.
    """

    def __init__(self, database: MigrationDatabase, *, logins: Sequence[str] = ()) -> None:
        self.database, self._named = database, tuple(logins)

    def plan(self, *, undo: bool = False) -> Plan:
        """What there is to do; reads only.

        Raises:
            SchemaMissingError: the database holds no schema of this library.
            ConfigurationError: a login does not exist; or there is nothing that says what to undo.
        """
        with connected(self.database):
            return self._undone() if undo else self._hardened()

    def run(self, *, undo: bool = False) -> Plan:
        """Do it, in one transaction; returns what was done.

        A login that is no superuser, and has the rights of the one whose functions these are, leaves the event triggers
        out: they are a superuser's.

        Raises:
            MissingRoleError: the login may do nothing of it, or is to undo what is a superuser's.
        """
        with connected(self.database):
            refuse_unfit(self.database)
            is_superuser = self.database.one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            plan = self._undone() if undo else self._hardened(whole=is_superuser)
            if plan.statements and not is_superuser:
                self._refuse_without_rights(undo)
            with self.database.atomic():
                for statement in plan.statements:
                    self.database.command(statement)
            return plan

    def _refuse_without_rights(self, undo: bool) -> None:
        if not self.database.one(_HAS_THE_OWNERS_RIGHTS):
            raise MissingRoleError(
                "these functions are the superuser's, so only one can take them from PUBLIC; have a DBA run what "
                "--sql prints"
            )
        if undo and refusing.removing(self.database):
            raise MissingRoleError("the event triggers are a superuser's; have a DBA run what --undo --sql prints")

    def _hardened(self, *, whole: bool = True) -> Plan:
        mark, logins = self._mark(), self._logins()
        revoked, granted = list(mark.get("revoked", ())), {k: list(v) for k, v in mark.get("granted", {}).items()}
        statements: list[str] = []
        functions, settings_open = self._functions(), self.database.one(_SETTINGS_OPEN)
        if not mark and not settings_open and not any(is_open for _, is_open, _ in functions):
            revoked = [*FUNCTIONS, SETTINGS]  # hardened, and the mark was lost: PostgreSQL gives PUBLIC all of them
        for name, is_open, holders in functions:
            if is_open:
                statements.append(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{name} FROM PUBLIC")
                revoked += [name] if name not in revoked else []
            for role in self._needing(name, logins):
                if role not in holders:
                    statements.append(f"GRANT EXECUTE ON FUNCTION pg_catalog.{name} TO {quote_identifier(role)}")
                    granted.setdefault(name, []).append(role)
        if settings_open:
            statements.append(f"REVOKE UPDATE ON pg_catalog.{SETTINGS} FROM PUBLIC")
            revoked += [SETTINGS] if SETTINGS not in revoked else []
        triggers = refusing.making(self.database, self._named)
        left_out = [_WITHOUT_TRIGGERS] if triggers and not whole else []
        statements += triggers if whole else []
        kept = {"revoked": revoked, "granted": granted} | (json.loads(f"{{{LEFT_OUT}}}") if left_out else {})
        if statements or kept != mark:
            statements.append(self._comment(kept))
        return Plan(tuple(statements), tuple(logins), tuple(left_out))

    def _undone(self) -> Plan:
        mark = self._mark()
        if not mark:
            raise ConfigurationError(
                "nothing says that this database was hardened (a comment on the policy rayces_tenant of "
                "organizations does), so there is nothing to undo"
            )
        statements = []
        holders = {name: held for name, _, held in self._functions()}
        for name in mark["revoked"]:
            what = f"UPDATE ON pg_catalog.{name}" if name == SETTINGS else f"EXECUTE ON FUNCTION pg_catalog.{name}"
            statements.append(f"GRANT {what} TO PUBLIC")
        for name, roles in mark["granted"].items():
            statements += [
                f"REVOKE EXECUTE ON FUNCTION pg_catalog.{name} FROM {quote_identifier(role)}"
                for role in roles
                if role in holders.get(name, ())
            ]
        statements += refusing.removing(self.database)
        return Plan((*statements, self._comment(None)), ())

    def _needing(self, function: str, logins: Sequence[str]) -> list[str]:
        if function not in FOR_LOGINS:
            return []
        binding = function == SET_CONFIG and self.database.server.server_version < ROLES_CALL_IT_BEFORE
        return list(dict.fromkeys([*logins, *(self._roles() if binding else [])]))

    def _roles(self) -> list[str]:
        """The library's roles, as far as they are there: those that read came later."""
        own = self.database
        names = [own.app_role, own.admin_role, own.reader_role, own.auditor_role]
        return [name for name in names if own.one("SELECT true FROM pg_roles WHERE rolname = %s", name)]

    def _functions(self) -> list[tuple[str, bool, list[str]]]:
        found: list[tuple[str, bool, list[str]]] = self.database.execute_sql(_STATE, (list(FUNCTIONS),)).fetchall()
        return found

    def _logins(self) -> list[str]:
        found = [str(name) for (name,) in self.database.execute_sql(_LOGINS, (self._roles(),)).fetchall()]
        for name in self._named:
            if not self.database.one("SELECT true FROM pg_roles WHERE rolname = %s", name):
                raise ConfigurationError(f"there is no login {name} on this server")
        return [*found, *(name for name in self._named if name not in found)]

    def _mark(self) -> dict[str, Any]:
        found = self.database.execute_sql(_POLICY).fetchone()
        if found is None:
            raise SchemaMissingError("the database has no rayces schema yet; run `rayces migrate up` first")
        text = str(found[1])
        return dict(json.loads(text.removeprefix(MARK))) if text.startswith(MARK) else {}

    def _comment(self, mark: dict[str, Any] | None) -> str:
        text = "NULL" if mark is None else "'" + (MARK + json.dumps(mark)).replace("'", "''") + "'"
        return f"COMMENT ON POLICY rayces_tenant ON organizations IS {text}"
