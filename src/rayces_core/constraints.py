"""One place that turns what the database refused into the library's own errors, by SQLSTATE and constraint name."""

from __future__ import annotations

import peewee
import psycopg2
from psycopg2 import errorcodes as code

from rayces_core.errors import (
    CheckFailedError,
    ConnectionLostError,
    ConstraintError,
    CrossTenantError,
    DuplicateError,
    OverlapError,
    PermissionDeniedError,
    ReferenceNotFoundError,
    StillReferencedError,
    UnknownTableError,
    ValueRefusedError,
)

# The name by which a rule is spoken of, where the name of the constraint alone would not do.
SENTENCES = {
    "appointments_no_overlap": "the professional already has an appointment at that time",
    "idx_no_double_booking": "the professional already has an appointment at that time",
    "credit_balances_balance_check": "a credit balance never goes below zero",
}

_SUFFIXES = ("_check", "_key", "_fkey", "_pkey", "_not_null")


def columns_of(constraint: str, table: str) -> tuple[str, ...]:
    """The columns that a name speaks of: `users_organization_id_email_key` → ("email",)."""
    body = constraint.removeprefix(f"{table}_")
    for suffix in _SUFFIXES:
        body = body.removesuffix(suffix)
    body = body.removeprefix("organization_id").strip("_")
    return (body,) if body else ()


def translate(error: psycopg2.Error) -> Exception:
    """The library's error for a driver's error; Peewee's own class where nothing closer is known."""
    state = error.pgcode
    if state is None or (state[:2] in ("08", "57") and state != code.QUERY_CANCELED):
        return _without_state(error)
    if state[:2] == "23":
        return _integrity(error, state)
    if state == code.INSUFFICIENT_PRIVILEGE:
        return _privilege(error)
    if state in (code.UNDEFINED_TABLE, code.INVALID_SCHEMA_NAME):
        return UnknownTableError(
            f"{error.diag.message_primary}; check the name, or run `rayces migrate up` if the schema is older"
        )
    if state[:2] == "22":
        return ValueRefusedError(
            error.diag.column_name or "value", None, error.diag.message_primary or str(error).strip()
        )
    return _peewee(error)


def _without_state(error: psycopg2.Error) -> Exception:
    lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if lost:
        return ConnectionLostError(f"the connection to the database was lost ({text}); run the unit of work again")
    return _peewee(error)


def _integrity(error: psycopg2.Error, state: str) -> ConstraintError:
    constraint, table = error.diag.constraint_name or "", error.diag.table_name or ""
    fields = (error.diag.column_name,) if error.diag.column_name else columns_of(constraint, table)
    kind, sentence = _kind(state, table, ", ".join(fields), error)
    message = SENTENCES.get(constraint, sentence)
    return kind(message, constraint=constraint, table=table, fields=fields)


def _kind(state: str, table: str, named: str, error: psycopg2.Error) -> tuple[type[ConstraintError], str]:
    if state == code.UNIQUE_VIOLATION:
        return DuplicateError, f"{table} already has a row with this {named or 'value'}"
    if state == code.EXCLUSION_VIOLATION:
        return OverlapError, f"{table} already has a row over this range"
    if state == code.FOREIGN_KEY_VIOLATION:
        # The same words whether the row is another organization's or nobody's.
        if (error.diag.message_primary or "").startswith("update or delete"):
            return (
                StillReferencedError,
                f"this row of {table} is still named by others ({named}); delete or change those first",
            )
        return ReferenceNotFoundError, f"{table}.{named} names a row that does not exist"
    if state == code.NOT_NULL_VIOLATION:
        return CheckFailedError, f"{table}.{named} must not be empty"
    if state == code.CHECK_VIOLATION:
        return CheckFailedError, f"{table} refuses the row: {error.diag.constraint_name or named} does not hold"
    return ConstraintError, error.diag.message_primary or str(error)


def _privilege(error: psycopg2.Error) -> Exception:
    message = error.diag.message_primary or str(error)
    if "row-level security" in message:
        return CrossTenantError("the row belongs to another organization than the bound one; nothing was written")
    return PermissionDeniedError(f"{message}: the tenant's role has no right to do this, by design")


def _peewee(error: psycopg2.Error) -> Exception:
    for kind in type(error).__mro__:
        wrapped: type[Exception] | None = getattr(peewee, kind.__name__, None)
        if wrapped is not None and issubclass(wrapped, peewee.PeeweeException):
            return wrapped(error, *error.args)
    return peewee.DatabaseError(error, *error.args)
