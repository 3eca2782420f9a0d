"""Makes roles, memberships, row-level security, policies and grants anew, as after a restore without the roles.

What is missing or wrong the doctor finds, and its remedies are what is run: there is one opinion of how it must be.

Rule it guards: a repair gives nobody more than the migrations would, touches no row, and run again does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import peewee

from rayces_core.doctor.audit import audit_connection
from rayces_core.doctor.finding import Finding
from rayces_core.doctor.numbers import behind
from rayces_core.doctor.pinning import pinning
from rayces_core.errors import ConfigurationError, MigrationError, MissingRoleError, SchemaMissingError
from rayces_core.migrating.adopting.again import lost_policies
from rayces_core.migrating.history import IS_HISTORY
from rayces_core.migrating.owning import giving, refuse_other_owners
from rayces_core.migrating.roles import ensure_roles, letting_in, missing_statements
from rayces_core.migrating.statements import statements
from rayces_core.migrations.fitness import refuse_unfit
from rayces_core.migrations.retry import retrying, sqlstate
from rayces_core.migrations.session import MigrationDatabase, connected, quote_identifier, single_runner

# What a repair mends; all else the doctor finds is left to whoever knows why it is so.
REPAIRED: Final = frozenset(
    {
        "rls-disabled", "rls-not-forced", "rls-partition", "policy-missing", "policy-expression", "policy-admin",
        "policy-settled", "policy-erasing", "policy-lookup", "grant-missing", "schema-usage-missing",
        "sequence-usage-missing", "grant-dangerous", "grant-identity-update", "grant-append-only", "grant-public",
        "reader-policy", "reader-grant", "reader-shut-out",
    }
)  # fmt: skip
# Rights come first, as policies are made for what a role may do; a round that finds nothing new is the last.
_ROUNDS: Final = 6
_LOCK_TIMEOUT_MS: Final = 500
_NOT_OWNER: Final = "42501"

# What no tenant's table needs, and the migrations give all the same: the schema, also where everybody may use it, and
# the histories.
_BESIDE: Final = """
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, r.rolname)
  FROM pg_namespace n, pg_roles r
 WHERE n.nspname = current_schema() AND r.rolname IN ({app}, {admin}, {reader}, {auditor})
   AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.grantee = r.oid AND a.privilege_type = 'USAGE')
UNION ALL
SELECT format('GRANT SELECT ON %I TO %I', c.relname, r.rolname)
  FROM pg_class c, pg_roles r
 WHERE c.relkind = 'r' AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND {is_history}
   AND r.rolname IN ({app}, {admin}) AND NOT has_table_privilege(r.oid, c.oid, 'SELECT')
 ORDER BY 1
"""
_THERE: Final = "SELECT to_regclass('organizations') IS NOT NULL AND to_regclass('users') IS NOT NULL"
_LOGIN: Final = "SELECT rolinherit FROM pg_roles WHERE rolname = %s AND rolcanlogin"
_HOLDS: Final = "SELECT pg_has_role(%s, %s, %s)"


class _Undone(Exception):  # noqa: N818 - not an error: it takes back what planning has tried
    """Leaves the transaction of a plan."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was run, or would be, and what the doctor still finds after it.

    Attributes: `statements` in their order, none where all was well; `left` are findings that a repair leaves alone.
    """

    statements: tuple[str, ...]
    left: tuple[Finding, ...]

    @property
    def script(self) -> str:
        """The statements as a script for psql."""
        if not self.statements:
            return "-- nothing to do\n"
        ended = (f"{each.rstrip().removesuffix(';')};" for each in self.statements)
        return "\n".join(
            ["\\set ON_ERROR_STOP on", "BEGIN;", "SET LOCAL client_min_messages = warning;", *ended, "COMMIT;", ""]
        )


class Repair:
    """Repairs one migrated database.

    Args:
        logins: logins that are to hold the application's role; admin_logins: those that are to hold the other one.
        reader_logins: those that are to read, as `NAME` every organization, or as `NAME=ORGANIZATION` (subdomain or id)
            that one alone.
        owner: the login that is to own the tables, where a restore has left them to another.
        numbers: also set the numbers of rows that stand behind the rows there are, as after logical replication; reads
            every table.
    """

    def __init__(
        self,
        database: MigrationDatabase,
        *,
        logins: Sequence[str] = (),
        admin_logins: Sequence[str] = (),
        reader_logins: Sequence[str] = (),
        owner: str | None = None,
        numbers: bool = False,
    ) -> None:
        self.database, self.owner, self.numbers = database, owner, numbers
        self.logins, self.admin_logins = tuple(logins), tuple(admin_logins)
        self.readers = [(name, tenant) for name, _, tenant in (each.partition("=") for each in reader_logins)]
        self._statements: list[str] = []

    def plan(self) -> Repaired:
        """What there is to do. It is tried in a transaction that is taken back, so that each step sees the one before.

        Raises as `run` does.
        """
        found: list[Repaired] = []
        with connected(self.database), suppress(_Undone), self._transaction(()):
            self._begin()
            made = self._make_roles()
            found.append(self._all(made))
            raise _Undone
        return found[0]

    def run(self) -> Repaired:
        """Do it, in one transaction.

        Raises:
            SchemaMissingError: the database holds no schema of this library.
            MissingRoleError: the login may not make the roles, or give them to a login; the message has the statements.
            RoleNotHeldError: the tables belong to another login.
            ConfigurationError: a login does not exist, or one that is to read one organization may bind any.
            UnknownTenantError: an organization that a login is to read does not exist.
            ReadOnlyError: the server is a standby, or the database read-only.
            MigrationError: a lock was not to be had, or another runner is at work.
        """
        with single_runner(self.database, "rayces_migrations", 60.0):
            self._begin()
            # Roles are the server's, and another database's runner may make them at this moment: outside, they are
            # tried again.
            made = self._make_roles()

            def attempt(_number: int) -> Repaired:
                with self._transaction(made):
                    return self._all()

            return retrying(attempt, "repair", self.database.retry_seconds)

    @contextmanager
    def _transaction(self, made: Sequence[str]) -> Iterator[None]:
        self._statements = list(made)
        with self.database.atomic():
            self.database.command(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS:d}; SET LOCAL statement_timeout = 0")
            yield

    def _begin(self) -> None:
        """Refuse what cannot be repaired, before anything is changed."""
        refuse_unfit(self.database)
        if not self.database.one(_THERE):
            raise SchemaMissingError("the database has no rayces schema; run `rayces migrate up`, or restore it first")
        for name in (*self.logins, *self.admin_logins, *(name for name, _ in self.readers)):
            if self.database.one(_LOGIN, name) is None:
                raise ConfigurationError(
                    f"there is no login {name}; make it first, with its password: "
                    f"CREATE ROLE {quote_identifier(name)} LOGIN NOINHERIT;"
                )
        if self.owner is None:
            refuse_other_owners(self.database)

    def _all(self, made: Sequence[str] = ()) -> Repaired:
        self._statements += made
        for statement in giving(self.database, self.owner) if self.owner else ():
            self._do(statement)
        for statement in self._memberships():
            self._do(statement)
        for (statement,) in self.database.execute_sql(self._for_roles(_BESIDE).replace("%", "%%")).fetchall():
            self._do(statement)
        left = self._rounds()
        for statement in self._pins():  # only now the admin role sees the organizations for sure
            self._do(statement)
        for statement in lost_policies(self.database):
            self._do(statement)
        for statement in behind(self.database) if self.numbers else ():
            self._do(statement)
        return Repaired(tuple(self._statements), tuple(left))

    def _make_roles(self) -> list[str]:
        missing = missing_statements(self.database)
        ensure_roles(self.database)
        return missing

    def _rounds(self) -> list[Finding]:
        done: set[str] = set()
        for _ in range(_ROUNDS):
            found = self._audit()
            new = [each for each in found if each.check in REPAIRED and each.remedy not in done]
            if not new:
                return found
            new.sort(key=lambda finding: not finding.check.startswith("grant"))
            done |= {each.remedy for each in new}
            # Two findings may ask for the same policy; made twice it would be refused.
            for statement in dict.fromkeys(each.text for finding in new for each in statements(finding.remedy)):
                self._do(statement)
        raise MigrationError("the repair does not come to an end; `rayces doctor` shows what comes back")

    def _audit(self) -> list[Finding]:
        roles = {"app_role": self.database.app_role, "admin_role": self.database.admin_role}
        found = audit_connection(self.database.server, **roles)
        self.database.command("RESET ROLE")  # where the login does not see the schema, the audit has become a role
        return found

    def _do(self, statement: str) -> None:
        try:
            self.database.command(statement)
        except peewee.DatabaseError as error:
            if sqlstate(error) != _NOT_OWNER:
                raise
            raise MissingRoleError(
                f"the login may not do this ({str(error).strip().splitlines()[0]}); run it again as the owner of the "
                f"tables or as a superuser, or ask a DBA to run:\n  {statement.rstrip().removesuffix(';')};"
            ) from error
        self._statements.append(statement)

    # -- logins ------------------------------------------------------------------------------------------------

    def _memberships(self) -> Iterator[str]:
        if self.owner is not None:
            yield from missing_statements(self.database, self.owner)
        wanted = [(name, self.database.app_role) for name in self.logins]
        wanted += [(name, self.database.admin_role) for name in self.admin_logins]
        wanted += [(name, self.database.reader_role) for name, _ in self.readers]
        wanted += [(name, self.database.auditor_role) for name, tenant in self.readers if not tenant]
        modern = self.database.server.server_version >= 160_000
        for login, role in wanted:
            if not self.database.one(_HOLDS, login, role, "SET" if modern else "MEMBER"):
                yield from letting_in(self.database, login, role)

    def _pins(self) -> Iterator[str]:
        for login, tenant in self.readers:
            yield from pinning(self.database, login, tenant) if tenant else ()

    def _for_roles(self, sql: str) -> str:
        cursor: Any = self.database.server.cursor()
        own = self.database
        names = {"app": own.app_role, "admin": own.admin_role, "reader": own.reader_role, "auditor": own.auditor_role}
        roles = {name: cursor.mogrify("%s", (role,)).decode() for name, role in names.items()}
        return sql.format(**roles, is_history=IS_HISTORY)
