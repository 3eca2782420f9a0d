"""Policies ask for the bound organization by the bare call: the same rows, without a sub-select in the way.

The sub-select was worked out once for a statement. So is the call where an index is used, and where the statement names
its organization, as all of this library's do; and a schema whose policies have no sub-select can be distributed. What
reads a whole table by SQL that names no organization pays for it: the call is made for each row.

Tables of the host's are among them, whatever their policies are called: the wording is what is exchanged.
"""

from rayces_core.migrations import MigrationDatabase, Migrator

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
# As the server prints it, whatever the words were.
CALL = r"\(NULLIF\(current_setting\('rayces\.organization_id'::text, true\), ''::text\)\)::bigint"
BARE = (rf'\( SELECT ({CALL}) AS "?\w+"?\)', r"\1")
ONCE = (rf"(?<!SELECT )({CALL})", r"(SELECT \1)")

# In the order in which they were made, so that what was done before a stop stays in its place.
OF_THE_HOST = r"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE (n.nspname <> current_schema() OR c.relname <> ALL (%s::name[]))
   AND EXISTS (SELECT FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
                WHERE p.polrelid = c.oid AND r.rolname = %s
                  AND concat(pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)) ~ %s)
 ORDER BY c.oid
"""
EXCHANGE = """
DO $exchange$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT p.polname AS name, pg_get_expr(p.polqual, p.polrelid) AS seen,
               pg_get_expr(p.polwithcheck, p.polrelid) AS written
          FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
         WHERE p.polrelid = $table${table}$table$::regclass AND r.rolname = $role${role}$role$
           AND concat(pg_get_expr(p.polqual, p.polrelid), ' ', pg_get_expr(p.polwithcheck, p.polrelid))
               ~ $was${was}$was$
         ORDER BY p.polname
    LOOP
        EXECUTE format('ALTER POLICY %I ON {table}', held.name)
            || coalesce(' USING (' || regexp_replace(held.seen, $was${was}$was$, '{now}', 'g') || ')', '')
            || coalesce(' WITH CHECK (' || regexp_replace(held.written, $was${was}$was$, '{now}', 'g') || ')', '');
    END LOOP;
END
$exchange$
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    _exchange(migrator, database, *BARE)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    _exchange(migrator, database, *ONCE)


def _exchange(migrator: Migrator, database: MigrationDatabase, was: str, now: str) -> None:
    found = database.execute_sql(OF_THE_HOST, (list(TABLES), database.app_role, CALL)).fetchall()
    for table in (*TABLES, *(name for (name,) in found)):
        migrator.sql(EXCHANGE.format(table=table, role=database.app_role, was=was, now=now))
