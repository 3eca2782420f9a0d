"""Policies ask for the bound organization by the bare call: the same rows, without a sub-select in the way.

The sub-select was worked out once for a statement. So is the call where an index is used, and where the statement names
its organization, as all of this library's do; and a schema whose policies have no sub-select can be distributed. What
reads a whole table by SQL that names no organization pays for it: the call is made for each row.

Policies of the host's are among them, whatever they are called: it is the wording that is exchanged.
"""

from collections.abc import Iterator

from rayces_core.migrations import MigrationDatabase, Migrator, quote_identifier
from rayces_core.migrations.packaged import tables_made_after

# One table after the other, so that the application is kept from none of them longer than that takes.
ATOMIC = False

TABLES = (
    "organizations",
    "users",
    "posts",
    "likes",
    "professionals",
    "students",
    "appointments",
    "credit_balances",
    "credit_transactions",
    "state_transitions",
    "import_runs",
    "outbox_messages",
    "webhook_endpoints",
    "credentials",
    "devices",
    "sign_in_attempts",
    "single_use_tokens",
)
LEDGER = "credit_transactions"
BARE = "nullif(current_setting('rayces.organization_id', true), '')::bigint"
ONCE = f"(SELECT {BARE})"

# Other policies for the same role: table, name and both conditions, the call in either wording. In the order in which
# they were made, so that what was done before a stop stays in its place.
OTHERS = r"""
WITH worded AS (
    SELECT p.oid, p.polrelid::regclass::text AS object, c.relname, p.polname,
           c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = ANY (%(tables)s::name[])
           AND p.polname = ANY (%(names)s::name[])
           AND (c.relname = 'credit_transactions') <> (p.polname = 'rayces_tenant') AS is_ours,
           regexp_replace(pg_get_expr(p.polqual, p.polrelid), %(call)s, %(now)s, 'g') AS seen,
           regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), %(call)s, %(now)s, 'g') AS written
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_roles r ON r.oid = ANY (p.polroles)
     WHERE r.rolname = %(role)s AND c.relkind IN ('r', 'p')
)
SELECT object, polname, seen, written FROM worded
 WHERE NOT is_ours
   -- Tables of later migrations are worded so from the first, and gone when this is undone.
   AND relname <> ALL (%(later)s::name[])
   AND strpos(concat(seen, ' ', written), %(now)s) > 0 ORDER BY oid
"""
# As the server prints it.
CALL = r"\(NULLIF\(current_setting\('rayces\.organization_id'::text, true\), ''::text\)\)::bigint"
CALLED = rf'(\( SELECT {CALL} AS "?\w+"?\)|{CALL})'


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    _reword(migrator, database, BARE)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    _reword(migrator, database, ONCE)


def _reword(migrator: Migrator, database: MigrationDatabase, bound: str) -> None:
    app = quote_identifier(database.app_role)
    for table in TABLES:
        policies = list(_policies(table, f"{'id' if table == 'organizations' else 'organization_id'} = {bound}"))
        migrator.sql(
            "; ".join(
                f"DROP POLICY IF EXISTS {name} ON {table}; CREATE POLICY {name} ON {table} FOR {command} TO {app} {held}"
                for name, command, held in policies
            )
        )
    for object_name, name, seen, written in _others(database, bound):
        conditions = f" USING ({seen})" if seen else ""
        conditions += f" WITH CHECK ({written})" if written else ""
        migrator.sql(f"ALTER POLICY {quote_identifier(name)} ON {object_name}{conditions}")


def _policies(table: str, held: str) -> Iterator[tuple[str, str, str]]:
    """Name, command and conditions of the policies of a packaged table."""
    if table == LEDGER:
        yield "rayces_tenant_select", "select", f"USING ({held})"
        yield "rayces_tenant_insert", "insert", f"WITH CHECK ({held})"
        yield "rayces_tenant_update", "update", f"USING ({held} AND status = 'pending') WITH CHECK ({held})"
    else:
        yield "rayces_tenant", "all", f"USING ({held}) WITH CHECK ({held})"


def _others(database: MigrationDatabase, bound: str) -> list[tuple[str, str, str | None, str | None]]:
    names = ["rayces_tenant", *(name for name, _, _ in _policies(LEDGER, ""))]
    ours = {"tables": list(TABLES), "later": tables_made_after(39), "names": names}
    values = ours | {"call": CALLED, "now": bound, "role": database.app_role}
    return list(database.execute_sql(OTHERS, values).fetchall())
