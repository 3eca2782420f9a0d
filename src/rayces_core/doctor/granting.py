"""Who may grant the library's roles: with ADMIN OPTION a login gives one to itself, inherited, whatever it was given.

Left alone are superusers, the owners of the tables and of the database, who need no role to see everything, and roles
that may make roles, since that is what they are for; but not where the library itself logs in as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rayces_core.doctor.finding import Check
from rayces_core.migrations.session import quote_identifier

_OF_THE_LOGIN: Final = "EXISTS (SELECT FROM login l WHERE NOT l.rolsuper AND pg_has_role(l.oid, m.oid, 'MEMBER'))"


def _taking(facts: Mapping[str, Any]) -> list[str]:
    """Whoever has a role of it keeps that: on PostgreSQL 16 and later it would go with the option."""
    member = quote_identifier(facts["member"])
    kept = [
        f"GRANT {quote_identifier(role)} TO {quote_identifier(to)} WITH INHERIT {inherits}, SET {sets}"
        for role, to, inherits, sets in facts["given"] or ()
    ]
    by = [
        f" GRANTED BY {quote_identifier(grantor)} CASCADE" if facts["modern"] else "" for _, grantor in facts["edges"]
    ]
    taken = [
        f"REVOKE ADMIN OPTION FOR {quote_identifier(role)} FROM {member}{ending}"
        for (role, _), ending in zip(facts["edges"], by, strict=True)
    ]
    return [*kept, *dict.fromkeys(taken)]


CHECKS: Final = (
    Check(
        "role-grantable",
        "error",
        f"""WITH ours AS (
               SELECT oid, rolname, false AS sees_all FROM app_role
               UNION ALL SELECT oid, rolname, true FROM admin
               UNION ALL SELECT oid, rolname, is_auditor FROM reader),
             owner(oid) AS (
               SELECT relowner FROM root JOIN pg_class USING (oid)
               UNION SELECT datdba FROM pg_database WHERE datname = current_database()),
             granting AS (
               SELECT m.oid, m.rolname, bool_or(r.sees_all) AS sees_all,
                      string_agg(DISTINCT quote_ident(r.rolname), ' and ') AS roles,
                      jsonb_agg(jsonb_build_array(r.rolname, pg_get_userbyid(a.grantor))
                                ORDER BY r.rolname, a.grantor) AS edges
                 FROM pg_auth_members a JOIN ours r ON r.oid = a.roleid JOIN server_role m ON m.oid = a.member
                WHERE a.admin_option AND NOT m.rolsuper AND (NOT m.rolcreaterole OR {_OF_THE_LOGIN})
                  AND NOT EXISTS (SELECT FROM owner WHERE pg_has_role(m.oid, owner.oid, 'MEMBER'))
                GROUP BY m.oid, m.rolname)
           SELECT quote_ident(m.rolname) AS object, m.rolname AS member, m.roles, m.edges, server.modern,
                  CASE WHEN m.sees_all THEN 'error' ELSE 'warning' END AS severity,
                  (SELECT jsonb_agg(jsonb_build_array(r.rolname, g.rolname, to_jsonb(a) -> 'inherit_option',
                                                      to_jsonb(a) -> 'set_option') ORDER BY r.rolname, g.rolname)
                     FROM pg_auth_members a JOIN ours r ON r.oid = a.roleid JOIN server_role g ON g.oid = a.member
                    WHERE a.grantor = m.oid AND server.modern) AS given
             FROM granting m, server""",
        "the role may grant {roles}, so it can give it to itself and to others as it likes, inherited too",
        _taking,
    ),
)
