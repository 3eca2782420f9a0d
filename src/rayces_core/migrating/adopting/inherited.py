"""Logins that would see every organization once there are several: those that inherit the admin role.

Rule it guards: what holds the old application and the login that adopts is there before the first table is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rayces_core.migrating.adopting.finding import Finding, refuse_open
from rayces_core.migrating.inheriting import inheriting
from rayces_core.migrating.roles import is_modern
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

KIND = "inherited-role"


def inherited(database: MigrationDatabase, old_roles: Sequence[str]) -> Iterator[Finding]:
    """A refusal for each old role, and for the login itself, that inherits the admin role."""
    admin = quote_identifier(database.admin_role)
    for each in inheriting(database, sorted({*old_roles, database.one("SELECT current_user::text")})):
        yield Finding(
            KIND,
            "refusal",
            f"{each} inherits {admin}: its sessions would read and write the rows of every organization, whatever a "
            "policy says",
            f"as a DBA: {'; '.join(each.remedies)};{_changes(database, each.remedies)}",
        )


def refuse_inherited(database: MigrationDatabase, old_roles: Sequence[str]) -> None:
    """Raise MigrationError where one inherits the admin role, before what narrows it for the old application goes."""
    refuse_open(inherited(database, old_roles), "the adoption cannot be finished; nothing was changed")


def _changes(database: MigrationDatabase, remedies: Sequence[str]) -> str:
    """What the statements change besides."""
    if is_modern(database):
        return " it can still become the role by SET ROLE"
    if remedies[0].endswith(" NOINHERIT") and len(remedies) == 1:
        return (
            " before PostgreSQL 16 that is so for every role it is a member of: it is one of no other, and what it is "
            "made one of later it has by SET ROLE only"
        )
    return (
        " before PostgreSQL 16 a login inherits all its roles or none, so it gets the two by way of another one and "
        "keeps the rest as it is"
    )
