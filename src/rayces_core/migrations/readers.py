"""The two roles that only read, and the policies by which they see a table's rows: SELECT and nothing else.

Rule it guards: a login that was given the reader's role alone sees the organizations that a comment on the login names,
whatever tenant its SQL binds; who may bind any organization anyway (a login that holds another role of this library) is
held by its binding, as tenants' work is. Only who may alter the login can change the comment.

What is made here is as frozen as a packaged migration, because migrations stand on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rayces_core.migrations.session import MigrationDatabase, auditor_of, quote_identifier

READER: Final = "rayces_reader"
AUDITOR: Final = "rayces_auditor"
LOOKUP: Final = "rayces_reader_lookup"
_BOUND: Final = "nullif(current_setting('rayces.organization_id', true), '')::bigint"
# A line of the comment on a login: which organization, of which database of the server.
_PINNED: Final = (
    "'rayces: organization ' || {id} || ' of ' || current_database() = ANY (string_to_array("
    "shobj_description(to_regrole(quote_ident(session_user)), 'pg_authid'), chr(10)))"
)


def pin(organization_id: int, database: str) -> str:
    """The line in the comment on a login that lets it see this organization as a reader."""
    return f"rayces: organization {organization_id:d} of {database}"


def held(column: str, roles: tuple[str, ...]) -> str:
    """The condition that `column` is the bound organization, and the session's login one that may bind it.

    `roles` are those whose holders may bind any organization.
    """
    # (SELECT ...) is worked out once for a statement instead of once for a row.
    return f"{column} = (SELECT CASE WHEN {_may_bind(_BOUND, roles)} THEN {_BOUND} END)"


def looked_up(roles: tuple[str, ...]) -> str:
    """The condition on organizations that shows the one that is looked up by its subdomain while none is bound."""
    return (
        "subdomain = nullif(current_setting('rayces.lookup', true), '') "
        "AND nullif(current_setting('rayces.organization_id', true), '') IS NULL "
        f"AND ({_may_bind('id', roles)})"
    )


def _may_bind(organization_id: str, roles: tuple[str, ...]) -> str:
    holds = [f"pg_has_role(session_user, to_regrole('{role}'), 'MEMBER')" for role in roles]
    return " OR ".join([*holds, _PINNED.format(id=organization_id)])


def binders(app_role: str, admin_role: str) -> tuple[str, ...]:
    """The roles whose holders may bind any organization, as SQL spells their names within a literal."""
    roles = (app_role, admin_role, auditor_of(admin_role))
    return tuple(quote_identifier(role).replace("'", "''") for role in roles)


def letting_in(database: MigrationDatabase, table: str) -> Iterator[str]:
    """The statements by which both roles see the rows of `table`, given as SQL; the right comes last."""
    reader, auditor = quote_identifier(database.reader_role), quote_identifier(database.auditor_role)
    is_root, roles = table == quote_identifier("organizations"), binders(database.app_role, database.admin_role)
    column = "id" if is_root else "organization_id"
    policies = [(READER, reader, held(column, roles)), (AUDITOR, auditor, "true")]
    policies += [(LOOKUP, reader, looked_up(roles))] if is_root else []
    for name, role, condition in policies:
        yield (
            f"DROP POLICY IF EXISTS {name} ON {table}; "
            f"CREATE POLICY {name} ON {table} FOR SELECT TO {role} USING ({condition})"
        )
    yield f"GRANT SELECT ON {table} TO {reader}, {auditor}"


def keeping_out(database: MigrationDatabase, table: str) -> Iterator[str]:
    """The statements by which they see nothing of it any more, also where they saw nothing before."""
    reader, auditor = quote_identifier(database.reader_role), quote_identifier(database.auditor_role)
    yield f"REVOKE ALL ON {table} FROM {reader}, {auditor}"
    for name in (*([LOOKUP] if table == quote_identifier("organizations") else []), AUDITOR, READER):
        yield f"DROP POLICY IF EXISTS {name} ON {table}"
