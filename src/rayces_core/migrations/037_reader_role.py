"""Two roles that read and write nothing: one the organization that is bound, the other every organization.

They see what is of use to who asks questions of the data, tables of the host's too. What nobody should read but the
library itself (password hashes, single-use links, webhooks' secrets) they do not.
"""

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
    "devices",
    "sign_in_attempts",
)
SECRETS = ("credentials", "single_use_tokens", "webhook_endpoints")

# In the order in which they were made, so that what was done before a stop stays in its place.
OF_THE_HOST = """
SELECT n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND strpos(n.nspname || c.relname, '.') = 0
   AND (n.nspname <> current_schema() OR c.relname <> ALL (%s::name[]))
   AND EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND NOT a.attisdropped)
   AND EXISTS (SELECT FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
                WHERE p.polrelid = c.oid AND r.rolname = ANY (%s::name[]))
 ORDER BY c.oid
"""


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    reader, auditor = quote_identifier(database.reader_role), quote_identifier(database.auditor_role)
    migrator.sql(f"GRANT USAGE ON SCHEMA {quote_identifier(database.schema)} TO {reader}, {auditor}")
    for table in (*TABLES, *_of_the_host(database, database.admin_role)):
        migrator.let_readers_in(table)


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    reader, auditor = quote_identifier(database.reader_role), quote_identifier(database.auditor_role)
    for table in (*reversed(TABLES), *_of_the_host(database, database.reader_role, database.auditor_role)):
        migrator.keep_readers_out(table)
    migrator.sql(f"REVOKE USAGE ON SCHEMA {quote_identifier(database.schema)} FROM {reader}, {auditor}")


def _of_the_host(database: MigrationDatabase, *roles: str) -> list[str]:
    """Tables of the host's that have a policy for one of these roles."""
    ours = [*TABLES, *SECRETS, *tables_made_after(37)]
    found = database.execute_sql(OF_THE_HOST, (ours, list(roles))).fetchall()
    return [name for (name,) in found]
