"""What the tenant's role may not do: by its grants, or because row-level security does not let the row in.

Row-level security comes before NOT NULL, so a row that names no organization at all is refused by it as well. The
server does not tell the two apart; the columns that the caller's own SQL lists do.
"""

from __future__ import annotations

import re

import psycopg2

from rayces_core.database.binding import bound_here
from rayces_core.database.places import own_sql, without_literals
from rayces_core.database.sqlstates import quoted, said
from rayces_core.errors import (
    CrossTenantError,
    OrganizationMissingError,
    PermissionDeniedError,
    RaycesError,
    ReadOnlyError,
)


def refused(error: psycopg2.Error, ahead: int | None) -> RaycesError:
    """The error for what the role may not do: by its grants, or because row-level security refuses the row."""
    message = said(error)
    if error.diag.source_function == "check_enable_rls" or "would be affected by row-level security" in message:
        return PermissionDeniedError(
            f"{message}: row_security is off on this connection, so the server refuses what a policy would narrow; "
            "SET row_security = on"
        )
    if error.diag.source_function != "ExecWithCheckOptions" and "row-level security" not in message:
        whose = "the reader's" if is_reader_here() else "the tenant's"
        return PermissionDeniedError(f"{message}: {whose} role has no right to do this, by design")
    # The server says no more than the table's name, behind the policy's if that has one.
    table = next(iter(reversed(quoted(message))), "")
    binding = bound_here()
    organization = None if binding is None else binding.organization_id
    if _names_no_organization(own_sql(error, ahead), table):
        return OrganizationMissingError(
            f"the row of {table} names no organization; insert through the model, or give organization_id; "
            "nothing was written",
            bound=organization,
            table=table,
        )
    return CrossTenantError(
        f"the row of {table} belongs to another organization than the bound one, or names none (organization_id is "
        "NULL); nothing was written",
        bound=organization,
        table=table,
    )


def not_written(error: psycopg2.Error) -> ReadOnlyError | None:
    """The error for what a reader, or a block that only reads, wanted to write; None where it is neither."""
    binding = bound_here()
    if binding is not None and binding.read_only:
        return ReadOnlyError(
            f"{said(error)}; this block only reads: write in one of its own, `with db.tenant(…, read_only=False):`"
        )
    if not is_reader_here():
        return None
    return ReadOnlyError(f"{said(error)}; a reader writes nothing: write with the Database that it was made of")


def is_reader_here() -> bool:
    """Whether what is bound here was given by `Database.reader()`."""
    binding = bound_here()
    return binding is not None and bool(binding.engine.reads_only)


def _names_no_organization(sql: str, table: str) -> bool:
    """Whether each INSERT into the table lists its columns, and organization_id is in none of the lists."""
    bare = without_literals(sql)
    into = rf'\bINSERT\s+INTO\s+(?:"?\w+"?\s*\.\s*)?"?{re.escape(table)}"?(?!\w)'
    lists = rf'{into}\s*(?:AS\s+"?\w+"?\s*)?\(([^()]*)\)'
    found = re.findall(lists, bare, re.IGNORECASE)
    everywhere = len(re.findall(into, bare, re.IGNORECASE))
    return bool(found) and len(found) == everywhere and not any("organization_id" in each.lower() for each in found)
