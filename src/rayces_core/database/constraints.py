"""One place that turns what server and driver raise into the library's own errors: `translate`.

By the name of the constraint where the database refused a row, else by SQLSTATE, else by what the driver says.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg2
from psycopg2 import errorcodes as code
from psycopg2.extensions import cursor as PlainCursor  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.database.driver_errors import DRIVER_ERRORS, of_pythons_own, without_state
from rayces_core.database.named import Names, names_of
from rayces_core.database.places import place_of
from rayces_core.database.positions import refusal_of
from rayces_core.database.privileges import not_written, refused
from rayces_core.database.sqlstates import NODE_LOST_AT_COMMIT, kind_of, quoted, said
from rayces_core.errors import (
    CheckFailedError,
    ConstraintError,
    DeadlockError,
    DuplicateError,
    InvalidDataError,
    LockTimeoutError,
    OverlapError,
    RaycesError,
    ReferenceNotFoundError,
    SerializationError,
    SlotTakenError,
    StatementCancelledError,
    StatementError,
    StatementTimeoutError,
    StillReferencedError,
    TenantMovedError,
    TenantMovingError,
)
from rayces_core.errors.base import NOT_COMMITTED, UNKNOWN, Outcome
from rayces_core.errors.connection import ConnectionLostError, caused_by, with_outcome

__all__ = ["COLUMNS", "DRIVER_ERRORS", "KINDS", "MOVES", "SENTENCES", "columns_of", "translate"]

# What the triggers say that hold a tenant on its way to another cell; the detail is its subdomain and that cell.
MOVES: dict[str, type[TenantMovingError] | type[TenantMovedError]] = {
    "RYMNG": TenantMovingError,
    "RYMVD": TenantMovedError,
}

# What a rule says, where the name of its constraint alone would not help.
SENTENCES = {
    "appointments_no_overlap": "the professional, the second one, the room or the device is taken at that time",
    "idx_no_double_booking": "the professional already has an appointment at that time",
    "appointments_buffer_minutes_check": "a buffer is of 0 to 1440 minutes",
    "appointments_duration_minutes_check": "an appointment lasts 15 to 480 minutes",
    "appointments_expires_at_order_check": "a hold does not end before it begins",
    "appointments_scheduled_at_check": "a session begins on a whole minute",
    "appointments_price_cents_check": "a price is not below zero, and has its currency",
    "appointments_group_session_id_check": "an appointment of a group session has a seat for as long as it holds time; "
    "book it with scheduling.book_group",
    "appointments_group_session_place_fkey": "a seat is at its group's time, and of no more seats than the group has; "
    "use scheduling.book_group and scheduling.reschedule_group",
    "appointments_organization_id_group_session_id_seat_key": "that seat of the group session is taken already",
    "appointments_organization_id_group_session_id_student_id_key": "the student has a seat in that group session "
    "already",
    "appointments_seat_check": "the group session has no such seat",
    "group_sessions_no_overlap": "the professional, the second one, the room or the device has a group session at that "
    "time",
    "resources_name_check": "a room or a device needs a name of 1 to 200 characters, without blanks around it",
    "resources_organization_id_name_key": "there is a room or a device of that name already",
    "credit_transactions_amount_cents_check": "what was paid belongs to a purchase, has its currency and is not below "
    "zero",
    "credit_balances_balance_check": "a credit balance never goes below zero",
    "credit_balances_in_lots_check": "what a balance has in lots is part of it; move credits with rayces_core.credits",
    "credit_balances_reserved_check": "what is reserved of a balance is part of it; nobody else can take it",
    "appointments_reserved_credits_check": "only an appointment that waits to be confirmed has credits reserved",
    "credit_lots_remaining_check": "of a lot no more is left than was bought, and no less than nothing",
    "credit_packages_name_check": "a package needs a name of 1 to 200 characters, without blanks around it",
    "credit_packages_organization_id_name_key": "there is a package of that name already",
    "credit_packages_last_day_check": "a package holds until a day before the year 9999; one that holds for ever has "
    "neither days nor a day",
    "credit_packages_valid_until_check": "a package holds for so many days or until a day, not both",
    "credit_balances_last_entry_fkey": "a balance is what its last entry says; move credits with rayces_core.credits",
    "credit_transactions_previous_fkey": "an entry goes on from the balance after the one before; "
    "move credits with rayces_core.credits",
    "index_credit_transactions_on_live_debit": "the appointment has been debited already",
    "credit_transactions_package_name_check": "what a package was sold as is said of an entry that sells one",
    "credit_transactions_valid_days_check": "what was sold of a package holds for 0 to 36500 days; "
    "call purchase_package()",
    "credit_transactions_valid_until_check": "what was sold of a package holds for so many days or until a day; "
    "call purchase_package()",
    "credit_transactions_takes_back_fkey": "what is taken back is an entry that counts; "
    "use rayces_core.credits.take_back",
    "credit_transactions_refundable_before_fkey": "a refund gives back of the appointment's debit, to whoever paid it; "
    "use rayces_core.credits.refund",
    "credit_transactions_refundable_after_check": "a refund gives back no more than is left of the debit; "
    "use rayces_core.credits.refund",
    "index_credit_transactions_on_refundable_before": "that part of the debit has been refunded already",
    "index_credit_transactions_on_live_payment": "the payment has an entry already that waits or counts",
    "appointments_idempotency_key_check": "an idempotency key must not be blank; leave it out where there is none",
    "credit_transactions_idempotency_key_check": "an idempotency key must not be blank; "
    "leave it out where there is none",
    "credit_transactions_payment_method_check": "a payment's method must not be blank; "
    "leave it out where there is none",
    "credit_transactions_payment_reference_check": "a payment's reference must not be blank; "
    "leave it out where there is none",
    "organizations_name_check": "an organization needs a name",
    "organizations_subdomain_check": "a subdomain has lower-case letters, digits and inner hyphens, at most 63 of them",
    "professionals_buffer_minutes_check": "a buffer is of 0 to 1440 minutes",
    "professionals_session_duration_minutes_check": "a professional's session lasts 15 to 480 minutes",
    "closed_days_name_check": "a closed day needs a name of 1 to 200 characters, without blanks around it",
    "closed_days_organization_id_day_key": "that day is among the closed days already",
    "time_off_requests_ends_on_check": "time off ends on the day it begins, or at most 365 days later",
    "slot_requests_until_day_check": "a request for a time is for 1 to 366 days",
    "slot_requests_until_time_check": "the hours of a request for a time end after they begin",
    "outside_calendars_name_check": "a calendar needs a name of 1 to 200 characters, without blanks around it",
    "outside_calendars_organization_id_professional_id_url_key": "the professional has that calendar already",
    "services_name_check": "a service needs a name of 1 to 200 characters, without blanks around it",
    "services_colour_check": 'a colour is written as "#1f6feb"',
    "services_organization_id_name_key": "there is a service of that name already",
    "credit_kinds_name_check": "a kind of credit needs a name of 1 to 200 characters, without blanks around it",
    "credit_kinds_organization_id_name_key": "there is a kind of credit of that name already",
    "invoices_number_check": "an issued invoice has number, parties, days and sums, and a draft none; call issue()",
    "invoices_previous_number_fkey": "the number before is not there; call issue(), which leaves no gaps",
    "invoices_corrects_fkey": "a credit note corrects an issued invoice of the same user, in the same currency",
    "invoice_lines_organization_id_source_key_turn_key": "that session or purchase was invoiced or credited meanwhile",
    "invoice_lines_credited_turn_fkey": "a credit note gives back a line that was invoiced, with its amounts",
    "students_discharge_date_check": "a student is not discharged before the admission; give a discharge_date from "
    "the admission_date on",
    "students_first_name_check": "a student needs a first name",
    "students_last_name_check": "a student needs a last name",
    "users_merged_into_id_check": "a duplicate names another user, and when it was merged into that one",
    "users_merged_email_check": "the address of a duplicate is no other user's, and no merge is taken back by hand",
    "students_on_leave_until_check": "only a student on leave has a day until which; call suspend(until=...)",
}

SENTENCES |= {
    f"{table}_buffer_before_minutes_check": "a buffer is of 0 to 1440 minutes"
    for table in ("appointments", "services", "professionals")
}
SENTENCES |= {
    f"{table}_tax_basis_points_check": "a tax is of 0 to 10000 hundredths of a percent"
    for table in ("services", "credit_packages", "invoice_lines")
}
SENTENCES |= {
    f"{table}_second_professional_id_check": "the second professional is another one than the first"
    for table in ("appointments", "group_sessions")
}
SENTENCES |= {
    f"{table}_device_id_check": "a session holds a device besides its room"
    for table in ("appointments", "group_sessions")
}
SENTENCES |= {
    f"{table}_external_id_check": "an external_id is of 1 to 200 characters, without blanks around it"
    for table in ("users", "students", "professionals", "appointments")
}

# Rules whose breach is an error of its own, not only of its kind.
KINDS: dict[str, type[ConstraintError]] = {
    "appointments_no_overlap": SlotTakenError,
    "idx_no_double_booking": SlotTakenError,
    "group_sessions_no_overlap": SlotTakenError,
}

# The columns of constraints that have several, or another name than theirs; organization_id goes without saying.
COLUMNS = {
    "appointments_group_session_place_fkey": ("group_session_id", "scheduled_at", "seats"),
    "appointments_organization_id_group_session_id_seat_key": ("group_session_id", "seat"),
    "appointments_organization_id_group_session_id_student_id_key": ("group_session_id", "student_id"),
    "group_sessions_no_overlap": ("professional_id", "scheduled_at"),
    "appointments_organization_id_series_id_occurrence_at_key": ("series_id", "occurrence_at"),
    "appointments_no_overlap": ("professional_id", "scheduled_at"),
    "appointments_expires_at_order_check": ("expires_at", "pre_confirmed_at"),
    "idx_no_double_booking": ("professional_id", "scheduled_at"),
    "credit_balances_last_entry_fkey": ("last_sequence", "balance"),
    "credit_balances_user_id_credit_kind_key_key": ("user_id", "credit_kind_id"),
    "credit_balances_whose_key": ("id", "user_id", "credit_kind_id"),
    "notices_once_key": (
        *("appointment_id", "event", "minutes_before", "cause_id", "occurs_at", "channel", "recipient_id"),
    ),
    "notices_of_credits_once_key": ("purchase_id", "minutes_before", "channel"),
    "credit_transactions_chain_key": ("credit_balance_id", "sequence", "balance_after"),
    "credit_transactions_credit_balance_id_sequence_key": ("credit_balance_id", "sequence"),
    "credit_lot_movements_credit_transaction_id_credit_lot_id_key": ("credit_transaction_id", "credit_lot_id"),
    "credit_transactions_whose_fkey": ("credit_balance_id", "user_id", "credit_kind_id"),
    "credit_transactions_payment_attempt_key": ("payment_method", "payment_reference", "payment_attempt"),
    "credit_transactions_refundable_before_fkey": ("appointment_id", "refundable_before"),
    "credit_transactions_refundable_key": ("appointment_id", "credit_balance_id", "refundable_after"),
    "credit_transactions_takes_back_fkey": ("takes_back_balance_id", "takes_back_sequence"),
    "users_merged_email_check": ("email", "merged_into_id"),
    "credit_transactions_previous_fkey": ("previous_sequence", "balance_before"),
    "index_credit_transactions_on_live_debit": ("appointment_id",),
    "index_credit_transactions_on_live_payment": ("payment_method", "payment_reference"),
    "index_credit_transactions_on_refundable_before": ("appointment_id", "refundable_before"),
    "likes_organization_id_user_id_post_id_key": ("user_id", "post_id"),
    "invoice_counters_organization_id_kind_series_key": ("kind", "series"),
    "invoices_organization_id_kind_series_number_key": ("kind", "series", "number"),
    "invoices_corrected_key": ("series", "invoice_number", "currency", "user_id"),
    "invoices_corrects_fkey": ("corrects_series", "corrects_number", "currency", "user_id"),
    "invoices_figures_key": ("id", "kind", "line_count", "net_cents", "tax_cents"),
    "invoices_previous_number_fkey": ("kind", "series", "previous_number"),
    "invoice_lines_organization_id_invoice_id_position_key": ("invoice_id", "position"),
    "invoice_lines_chain_key": ("invoice_id", "position", "net_after", "tax_after"),
    "invoice_lines_organization_id_source_key_turn_key": ("source_key", "turn"),
    "invoice_lines_amounts_key": ("source_key", "turn", "quantity", "unit_cents", "tax_basis_points", "tax_cents"),
    "invoice_lines_rate_position_key": ("invoice_id", "tax_basis_points", "rate_position"),
    "invoice_lines_rate_chain_key": ("invoice_id", "tax_basis_points", "rate_position", "rate_after"),
    "invoice_lines_previous_rate_fkey": ("invoice_id", "tax_basis_points", "previous_rate_position", "rate_before"),
    "invoice_lines_figures_fkey": ("invoice_id", "kind", "line_count", "invoice_net_cents", "invoice_tax_cents"),
    "invoice_lines_previous_fkey": ("invoice_id", "previous_position", "net_before", "tax_before"),
    "invoice_lines_previous_turn_fkey": ("source_key", "previous_turn"),
    "invoice_lines_credited_turn_fkey": (
        *("source_key", "credited_turn", "quantity", "unit_cents", "tax_basis_points", "tax_cents"),
    ),
    "professional_services_professional_id_service_id_key": ("professional_id", "service_id"),
    "outside_busy_organization_id_calendar_id_begins_at_key": ("calendar_id", "begins_at"),
    "outside_calendars_organization_id_professional_id_url_key": ("professional_id", "url"),
}

# The server says itself that it does not know.
OPEN_STATES = (code.STATEMENT_COMPLETION_UNKNOWN, code.TRANSACTION_RESOLUTION_UNKNOWN)

# "insert or update on table X violates Y", in the server's language; "update or delete" names the other table as well.
_NAMES_OF_A_NEW_ROW = 2
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


def translate(
    error: Exception,
    *,
    cursor: PlainCursor | None = None,
    ahead: int | None = None,
    outcome: Outcome = UNKNOWN,
    answered: bool = False,
) -> Exception:
    """The library's error for what a cursor raised (one of DRIVER_ERRORS); it has it as `orig` and as its cause.

    An error of the library's own, and what neither server nor driver can have raised, comes back as it is.

    Args:
        cursor: the one that raised it, as psycopg2 does not always say; tells a closed one from a lost connection.
        ahead: how many characters of the message the library put before the caller's SQL; None finds them.
        outcome: of what was under way, should the connection have been lost with it.
        answered: what was under way had its answer, of which something was being read.
    """
    if isinstance(error, RaycesError):
        return error
    if not isinstance(error, psycopg2.Error):
        made = of_pythons_own(error)
    elif error.pgcode is None:
        made = without_state(error, cursor)
    else:
        made = _of_server(error, error.pgcode, ahead, cursor or error.cursor)
    if made is error:
        return made
    was_sent = answered or not isinstance(error, psycopg2.InterfaceError)
    return _with_outcome(caused_by(made, error), error, cursor, outcome if was_sent else NOT_COMMITTED)


def _with_outcome(made: RaycesError, error: Exception, cursor: PlainCursor | None, outcome: Outcome) -> RaycesError:
    """What the server answers on a connection that goes on, it has undone; what was never sent cannot be committed."""
    if made.sqlstate in OPEN_STATES or str(error).startswith(NODE_LOST_AT_COMMIT):
        made.outcome, made.retryable = UNKNOWN, False
    elif _is_gone(made, error, cursor):
        with_outcome(made, outcome)
    elif isinstance(made, ConnectionLostError):  # said of another connection, such as a foreign server's
        with_outcome(made, outcome if _is_with_nodes(error, cursor) else NOT_COMMITTED)
    elif made.sqlstate is not None:
        made.outcome = NOT_COMMITTED
    return made


def _is_gone(made: RaycesError, error: Exception, cursor: PlainCursor | None) -> bool:
    told_by = getattr(error, "cursor", None) or cursor
    return isinstance(made, ConnectionLostError) if told_by is None else bool(told_by.connection.closed)


def _is_with_nodes(error: Exception, cursor: PlainCursor | None) -> bool:
    """Whether another node may have committed what this one could not say to be."""
    told_by = getattr(error, "cursor", None) or cursor
    return bool(getattr(getattr(told_by, "connection", None), "binds_apart", False))


def _of_server(error: psycopg2.Error, state: str, ahead: int | None, cursor: PlainCursor | None) -> RaycesError:
    if state[:2] == "23":
        return _integrity(error, state, names_of(error, state, cursor))
    if state in MOVES:
        tenant, _, cell = (error.diag.message_detail or "").partition(" ")
        return MOVES[state](tenant, cell)
    if (why := refusal_of(error)) is not None:
        return SerializationError(f"the replica was not read: {why}; run the unit of work again")
    if state == code.INSUFFICIENT_PRIVILEGE:
        return refused(error, ahead)
    if state == code.READ_ONLY_SQL_TRANSACTION and (denied := not_written(error)) is not None:
        return denied
    if state == code.QUERY_CANCELED:
        return _cancelled(error)
    if state == code.DEADLOCK_DETECTED:
        return DeadlockError(
            "two units of work waited for each other and the server undid this one; run it again", table=_table(error)
        )
    if state == code.LOCK_NOT_AVAILABLE:
        return LockTimeoutError(f"{said(error)}: somebody else has it; run it again later", table=_table(error))
    return _by_state(error, ahead)


def _by_state(error: psycopg2.Error, ahead: int | None) -> RaycesError:
    kind, remedy = kind_of(error)
    if issubclass(kind, InvalidDataError):
        return kind(error.diag.column_name or "value", None, said(error))
    if error.diag.source_function == "errorMissingRTE":  # an alias without its table, not a table that is not there
        kind, remedy = StatementError, ""
    advice = remedy or (error.diag.message_hint or "").rstrip(".")
    place = place_of(error, ahead) if issubclass(kind, StatementError) else None
    if place is None:
        return kind("; ".join(filter(None, (said(error), advice))))
    where = f"{said(error)} (line {place.line}, column {place.column}: {place.excerpt})"
    facts: dict[str, Any] = {"line": place.line, "column": place.column, "excerpt": place.excerpt}
    return kind("; ".join(filter(None, (where, advice))), **facts)


def _integrity(error: psycopg2.Error, state: str, names: Names) -> ConstraintError:
    constraint, table = names.constraint, names.table
    fields = (names.column,) if names.column else columns_of(constraint, table)
    kind, sentence = _kind(state, names, ", ".join(fields), error)
    kind, message = KINDS.get(constraint, kind), SENTENCES.get(constraint, sentence)
    return kind(message, constraint=constraint, table=table, fields=fields)


def _kind(state: str, names: Names, named: str, error: psycopg2.Error) -> tuple[type[ConstraintError], str]:
    table = names.table
    if state == code.UNIQUE_VIOLATION:
        return DuplicateError, f"{table} already has a row with this {named or 'value'}"
    if state == code.EXCLUSION_VIOLATION:
        return OverlapError, f"{table} already has a row over this range"
    if state in (code.FOREIGN_KEY_VIOLATION, code.RESTRICT_VIOLATION):
        # The same words whether the row is another organization's or nobody's. PostgreSQL 18 has a code for RESTRICT.
        if state == code.RESTRICT_VIOLATION or len(quoted(said(error))) > _NAMES_OF_A_NEW_ROW:
            return (
                StillReferencedError,
                f"rows of {table} still name this one ({named}); delete or change those first",
            )
        return ReferenceNotFoundError, f"{table}.{named} names a row that does not exist"
    if state == code.NOT_NULL_VIOLATION and named == "organization_id":
        return (
            CheckFailedError,
            f"the row of {table} names no organization; privileged work has to give organization_id",
        )
    if state == code.NOT_NULL_VIOLATION:
        return CheckFailedError, f"{table}.{named} must not be empty"
    if state == code.CHECK_VIOLATION:
        return CheckFailedError, f"{table} refuses the row: {names.constraint or named} does not hold"
    return ConstraintError, error.diag.message_primary or str(error)


def _cancelled(error: psycopg2.Error) -> RaycesError:
    message = said(error)
    if "statement timeout" in message:
        return StatementTimeoutError(f"{message}; ask for less at once, or allow it longer")
    return StatementCancelledError(message)


def _table(error: psycopg2.Error) -> str:
    """The table whose row or lock was waited for, where the server names it."""
    text = f"{said(error)} {error.diag.context or ''}"
    found = re.search(r'relation "([^"]+)"', text)
    return found[1] if found else ""
