"""Those through whom the application's role has a right: SQL for the remedies that take it away."""

from __future__ import annotations

from typing import Final

# Rights that are not written down in a list (`acl` is NULL) are the owner's, and for functions everybody's.
_LISTED: Final = """coalesce((SELECT string_agg(DISTINCT CASE WHEN g.grantee = 0 THEN 'PUBLIC'
                                             ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ')
                          FROM {acl} g
                         WHERE g.grantee = 0 OR pg_has_role(app.oid, g.grantee, 'USAGE')), quote_ident(app.rolname))"""

# `c` is the relation, `p` the routine, `n` the schema; `app` is in every query.
OF_RELATION: Final = _LISTED.format(
    acl="(SELECT * FROM aclexplode(c.relacl) UNION ALL SELECT x.* FROM pg_attribute a, aclexplode(a.attacl) x "
    "WHERE a.attrelid = c.oid)"
)
OF_ROUTINE: Final = _LISTED.format(acl="aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))")
OF_SCHEMA: Final = _LISTED.format(acl="(SELECT * FROM aclexplode(n.nspacl) e WHERE e.privilege_type = 'CREATE')")
OF_DATABASE: Final = _LISTED.format(acl="(SELECT * FROM aclexplode(d.datacl) e WHERE e.privilege_type = 'CREATE')")
