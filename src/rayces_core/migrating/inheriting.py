"""Logins that inherit the admin role: as themselves, having become nobody else, they see every organization.

Rule it guards: such a login is named, with what mends it, before anything runs; nothing is taken from it unasked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rayces_core.migrations.memberships import Standing, disinheriting, said_once, standing_of
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

logger = logging.getLogger("rayces_core.migrations")

# Through whom each login inherits, one row for each membership. Before PostgreSQL 16 the member says whether it does.
_MEMBERSHIPS = f"""
SELECT l.rolname::text, m.rolname::text, r.rolname::text, pg_get_userbyid(a.grantor)::text, {standing_of("%(ours)s")}
  FROM pg_roles l
  JOIN pg_roles m ON pg_has_role(l.oid, m.oid, 'USAGE') AND m.rolname <> ALL (%(ours)s)
  JOIN pg_auth_members a ON a.member = m.oid
  JOIN pg_roles r ON r.oid = a.roleid AND r.rolname = ANY (%(ours)s)
 WHERE l.rolname = ANY (%(logins)s) AND l.rolname <> ALL (%(ours)s) AND NOT l.rolsuper
   AND coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit)
   AND EXISTS (SELECT FROM pg_roles p WHERE p.rolname = %(admin)s AND pg_has_role(m.oid, p.oid, 'USAGE'))
 ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class Inheriting:
    """A login that inherits the admin role.

    Attributes:
        login: its name. through: the members of the role that it inherits by, as a rule itself.
        remedies: the statements, without semicolon, after which it can still become the role and inherits it no more.
    """

    login: str
    through: tuple[str, ...]
    remedies: tuple[str, ...]

    def __str__(self) -> str:
        others = [quote_identifier(name) for name in self.through if name != self.login]
        return quote_identifier(self.login) + (f" (through {', '.join(others)})" if others else "")


def inheriting(database: MigrationDatabase, logins: Sequence[str]) -> list[Inheriting]:
    """Those of the logins that inherit the admin role, directly or through others; superusers are left out."""
    values = {"logins": list(logins), "ours": database.roles, "admin": database.admin_role}
    rows = database.execute_sql(_MEMBERSHIPS, values).fetchall()
    found = []
    for login, of_login in groupby(rows, key=lambda row: row[0]):
        remedies: list[str] = []
        through: list[str] = []
        for member, memberships in groupby(of_login, key=lambda row: row[1]):
            _, _, roles, grantors, standings = zip(*memberships, strict=True)
            edges = list(zip(roles, grantors, strict=True))
            through.append(member)
            mending = disinheriting(member, edges, Standing(**standings[0]), database.admin_role)
            remedies += said_once(mending, remedies)
        found.append(Inheriting(login, tuple(through), tuple(remedies)))
    return found


def warn_inheriting(database: MigrationDatabase) -> None:
    """Log a warning where this login inherits the admin role, with what mends it; nothing is taken from it."""
    for each in inheriting(database, [database.one("SELECT current_user::text")]):
        logger.warning(
            "%s inherits %s, so whatever it sends, outside the library too, reaches every organization; as a DBA: %s;",
            each,
            quote_identifier(database.admin_role),
            "; ".join(each.remedies),
        )
