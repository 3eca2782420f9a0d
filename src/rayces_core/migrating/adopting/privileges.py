"""Default privileges: what PostgreSQL gives the old application on tables that are none of its own.

Rule it guards: TRUNCATE is not held by row-level security, so no right on this library's tables comes by default.
"""

from __future__ import annotations

from collections.abc import Sequence

_REVOKING = """
DO $$
DECLARE given record;
BEGIN
    FOR given IN
        SELECT DISTINCT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass AS relation,
               CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS holder
          FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS g
         WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND g.grantee <> c.relowner AND {chosen}
    LOOP
        EXECUTE 'REVOKE ALL ON ' || given.relation || ' FROM ' || given.holder;
    END LOOP;
END
$$
"""
_OF_TABLES = """
(c.relkind IN ('r', 'p') AND c.relname IN ({tables})
 OR c.relkind = 'S' AND EXISTS (
    SELECT FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
       AND d.deptype IN ('a', 'i') AND t.relnamespace = c.relnamespace AND t.relname IN ({tables})))
AND (g.grantee = 0 OR pg_get_userbyid(g.grantee) IN ({roles}))
"""


def taking_back(tables: Sequence[str], roles: Sequence[str]) -> str:
    """The statement that takes from these roles and PUBLIC what they hold on these tables and their sequences.

    A table's owner keeps what is its own; a table that is missing is passed over.
    """
    return _REVOKING.format(chosen=_OF_TABLES.format(tables=_literals(tables), roles=_literals(roles)))


def clearing(sequences: Sequence[str]) -> str:
    """The statement that leaves the rights on these sequences to their owner alone."""
    return _REVOKING.format(chosen=f"c.relkind = 'S' AND c.relname IN ({_literals(sequences)})")


def _literals(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
