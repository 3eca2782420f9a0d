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
    DeadlockError,
    DuplicateError,
    OverlapError,
    PermissionDeniedError,
    ReferenceNotFoundError,
    SlotTakenError,
    StillReferencedError,
    UnknownTableError,
    ValueRefusedError,
)

# What a rule says, where the name of its constraint alone would not help.
SENTENCES = {
    "appointments_no_overlap": "the professional already has an appointment at that time",
    "idx_no_double_booking": "the professional already has an appointment at that time",
    "appointments_duration_minutes_check": "an appointment lasts 15 to 480 minutes",
    "credit_balances_balance_check": "a credit balance never goes below zero",
    "credit_balances_last_entry_fkey": "a balance is what its last entry says; move credits with rayces_core.credits",
    "credit_transactions_previous_fkey": "an entry goes on from the balance after the one before; "
    "move credits with rayces_core.credits",
    "index_credit_transactions_on_live_debit": "the appointment has been debited already",
    "index_credit_transactions_on_live_refund": "the appointment has been refunded already",
    "organizations_name_check": "an organization needs a name",
    "organizations_subdomain_check": "a subdomain has lower-case letters, digits and inner hyphens, at most 63 of them",
    "students_first_name_check": "a student needs a first name",
    "students_last_name_check": "a student needs a last name",
}

# Rules whose breach is an error of its own, not only of its kind.
KINDS: dict[str, type[ConstraintError]] = {
    "appointments_no_overlap": SlotTakenError,
    "idx_no_double_booking": SlotTakenError,
}

# The columns of constraints that have several, or another name than theirs; organization_id goes without saying.
COLUMNS = {
    "appointments_no_overlap": ("professional_id", "scheduled_at"),
    "idx_no_double_booking": ("professional_id", "scheduled_at"),
    "credit_balances_last_entry_fkey": ("last_sequence", "balance"),
    "credit_balances_organization_id_id_user_id_key": ("id", "user_id"),
    "credit_transactions_chain_key": ("credit_balance_id", "sequence", "balance_after"),
    "credit_transactions_credit_balance_id_sequence_key": ("credit_balance_id", "sequence"),
    "credit_transactions_credit_balance_id_user_id_fkey": ("credit_balance_id", "user_id"),
    "credit_transactions_payment_method_payment_reference_key": ("payment_method", "payment_reference"),
    "credit_transactions_previous_fkey": ("previous_sequence", "balance_before"),
    "index_credit_transactions_on_live_debit": ("appointment_id",),
    "index_credit_transactions_on_live_refund": ("appointment_id",),
    "likes_organization_id_user_id_post_id_key": ("user_id", "post_id"),
}

_SUFFIXES = ("_check", "_key", "_fkey", "_not_null")


def columns_of(constraint: str, table: str) -> tuple[str, ...]:
    """The columns that a constraint speaks of: `users_organization_id_email_key` → ("email",)."""
    if constraint in COLUMNS:
        return COLUMNS[constraint]
    if constraint.endswith("_pkey"):
        return ("id",)
    body = constraint.removeprefix(f"{table}_")
    for suffix in _SUFFIXES:
        body = body.removesuffix(suffix)
    return (body.removeprefix("organization_id_") if body != "organization_id" else body,)


def translate(error: psycopg2.Error) -> Exception:
    """The library's error for a driver's error; Peewee's own class where nothing closer is known."""
    state = error.pgcode
    if state is None or (state[:2] in ("08", "57") and state != code.QUERY_CANCELED):
        return _without_state(error)
    if state[:2] == "23":
        return _integrity(error, state)
    if state == code.DEADLOCK_DETECTED:
        return DeadlockError("two units of work waited for each other and the server undid this one; run it again")
    if state == code.INSUFFICIENT_PRIVILEGE:
        return _privilege(error)
    if state == code.UNDEFINED_TABLE and "does not exist" in (error.diag.message_primary or ""):
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
    kind, message = KINDS.get(constraint, kind), SENTENCES.get(constraint, sentence)
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
                f"rows of {table} still name this one ({named}); delete or change those first",
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
