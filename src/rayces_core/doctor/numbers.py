"""Numbers of rows that stand behind the rows there are: a replication copies rows, but not where a sequence stands.

Each insert would then be refused as a duplicate, until the numbers have caught up.
"""

from __future__ import annotations

from typing import Final

from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_COUNTED: Final = """
SELECT c.relname::text, a.attname::text, s.oid::regclass::text, q.seqmin, q.seqmax
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
       AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_sequence q ON q.seqrelid = s.oid
 WHERE c.relkind IN ('r', 'p') AND c.relnamespace = quote_ident(current_schema())::regnamespace
   AND (c.relname = 'organizations' OR EXISTS (
        SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'organization_id' AND NOT o.attisdropped))
 ORDER BY 1, 2
"""


def behind(database: MigrationDatabase) -> list[str]:
    """The statements that set each number behind the highest that a row has; reads every table, of all tenants."""
    statements = []
    for table, column, sequence, lowest, most in database.execute_sql(_COUNTED).fetchall():
        # The owner of the tables sees no row of them; the admin role sees all.
        database.command(f"SET LOCAL ROLE {quote_identifier(database.admin_role)}")
        # What lies beyond its range came from another cell with its tenant.
        counted = quote_identifier(column)
        within = f"{counted} BETWEEN {lowest:d} AND {most:d}"
        highest = database.one(f"SELECT max({counted}) FROM {quote_identifier(table)} WHERE {within}")
        database.command("RESET ROLE")
        reached = database.one(f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}")
        if highest is not None and highest > reached:
            statements.append(f"SELECT setval('{sequence}', {highest:d})")
    return statements
