"""What the old application needs until `--finish`, made anew where a restore has lost it.

A policy that names a login is lost with a restore on a server where that login does not exist.
"""

from __future__ import annotations

from typing import Final

from rayces_core.errors import ConfigurationError
from rayces_core.migrating.adopting.record import Record, organization_id, read
from rayces_core.migrating.adopting.transition import ONLY_POLICY, POLICY, tenant_tables
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.myhub import ADOPTED, TABLES, has_table
from rayces_core.migrations.session import MigrationDatabase, quote_identifier

_HAS_POLICY: Final = """
SELECT true FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
 WHERE c.relname = %s AND p.polname = %s AND c.relnamespace = quote_ident(current_schema())::regnamespace
"""


def lost_policies(database: MigrationDatabase) -> list[str]:
    """The statements that let the old application see the adopted organization again, and nothing else of it.

    None where no MyHub is adopted, where the adoption is finished, or where nothing is lost.

    Raises:
        ConfigurationError: a login of the old application does not exist.
    """
    record = read(database)
    if record is None or record.stage != ADOPTED:
        return []
    lost = [(table, name) for table, name in _policies() if has_table(database, table)]
    lost = [(table, name) for table, name in lost if not database.one(_HAS_POLICY, table, name)]
    if not lost:
        return []
    _refuse_missing(database, record)
    return [_policy(record, organization_id(database), table, name) for table, name in lost]


def _policies() -> list[tuple[str, str]]:
    every = tenant_tables(max(file.number for file in read_directory(None)))
    return [(table, POLICY) for table in TABLES] + [(table, ONLY_POLICY) for table in (*TABLES, *every)]


def _policy(record: Record, organization: int, table: str, name: str) -> str:
    roles = ", ".join(quote_identifier(role) for role in record.old_roles)
    held = f"{'id' if table == 'organizations' else 'organization_id'} = {organization:d}"
    kind = "AS RESTRICTIVE " if name == ONLY_POLICY else ""
    checked = f" WITH CHECK ({held})" if table in TABLES else ""
    return f"CREATE POLICY {name} ON {table} {kind}TO {roles} USING ({held}){checked}"


def _refuse_missing(database: MigrationDatabase, record: Record) -> None:
    for role in record.old_roles:
        if not database.one("SELECT true FROM pg_roles WHERE rolname = %s", role):
            raise ConfigurationError(
                f"there is no login {role}, which the old application uses on this adopted MyHub; make it first, with "
                f"its password: CREATE ROLE {quote_identifier(role)} LOGIN;"
            )
