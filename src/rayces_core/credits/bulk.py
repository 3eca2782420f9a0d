"""Many entries at once: one unit of work, all or none, by a few statements however many rows there are.

Rule it guards: the balances are locked in one order, so running sums cannot be overtaken; each entry starts from what
the one before left, as when they were posted one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rayces_core import clock
from rayces_core.credits.announcing import announce_all
from rayces_core.credits.arguments import (
    acting_user,
    appointment_id,
    check_tenant,
    moment,
    paid_amount,
    payment,
    text,
    user_id,
    whole_credits,
)
from rayces_core.credits.ledger import lock_balances, undisturbed
from rayces_core.credits.statements import MOST_CREDITS, told_of
from rayces_core.database.binding import current
from rayces_core.errors import (
    AlreadyDebitedError,
    BalanceTooLargeError,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidDataError,
    RaycesError,
    ReferenceNotFoundError,
)
from rayces_core.models.credit import COMPLETED, CreditTransaction, TransactionType
from rayces_core.models.user import User

POSTED, REPEATED = "posted", "repeated"
KNOWN: Final = {
    "user",
    "credits",
    "appointment",
    "payment_method",
    "payment_reference",
    "amount_cents",
    "currency",
    "idempotency_key",
    "reason",
    "metadata",
}
FOREIGN: Final = {
    TransactionType.PURCHASE: {"appointment"},
    TransactionType.APPOINTMENT_DEBIT: {"payment_method", "payment_reference", "amount_cents", "currency"},
}

OPEN_ALL: Final = """
INSERT INTO credit_balances (organization_id, user_id, created_at, updated_at)
SELECT %(tenant)s, id, coalesce(%(set)s, now()), coalesce(%(set)s, now()) FROM users
 WHERE organization_id = %(tenant)s AND id = ANY(%(users)s::bigint[]) ORDER BY id
ON CONFLICT (organization_id, user_id) DO NOTHING"""
# What stands in the ledger already of the keys, payments and appointments that are to be written.
EARLIER: Final = """
SELECT id, status, user_id, amount, transaction_type, appointment_id, payment_method, payment_reference,
       idempotency_key, reason, amount_cents, currency
  FROM credit_transactions
 WHERE organization_id = %(tenant)s AND (
    idempotency_key = ANY(%(keys)s::varchar[])
    OR (payment_reference = ANY(%(payments)s::varchar[]) AND status <> 'failed')
    OR (appointment_id = ANY(%(appointments)s::bigint[]) AND transaction_type = %(type)s AND status <> 'failed')
)"""
BOOKED: Final = (
    "SELECT id FROM appointments WHERE organization_id = %(tenant)s AND id = ANY(%(appointments)s::bigint[])"
)
BALANCES: Final = """
SELECT user_id, balance, lifetime_purchased, lifetime_used FROM credit_balances
 WHERE organization_id = %(tenant)s AND user_id = ANY(%(users)s)"""
ENTRIES: Final = """
WITH present AS MATERIALIZED (
    SELECT coalesce(%(set)s, clock_timestamp()) AS moment
), wanted AS (
    SELECT * FROM json_to_recordset(%(rows)s) AS wanted (
        n int, u bigint, a int, p bigint, m varchar, r varchar, k varchar, w varchar, d jsonb, c bigint, y varchar
    )
), placed AS (
    SELECT wanted.*, held.id AS held_id, coalesce(held.last_sequence, 0) + row_number() OVER chain AS place,
           held.balance + sum(a) OVER chain AS after, greatest(held.updated_at, present.moment) AS at,
           CASE WHEN r IS NULL THEN 1 ELSE 1 + coalesce((
               SELECT max(payment_attempt) FROM credit_transactions AS failed
                WHERE failed.organization_id = %(tenant)s AND failed.payment_method = m AND failed.payment_reference = r
           ), 0) END AS attempt
      FROM present, wanted JOIN credit_balances AS held ON held.organization_id = %(tenant)s AND held.user_id = u
    WINDOW chain AS (PARTITION BY u ORDER BY n)
), entries AS (
    INSERT INTO credit_transactions (
        organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type, status, balance_before,
        balance_after, sequence, previous_sequence, refundable_after, metadata, payment_method, payment_reference,
        payment_attempt, idempotency_key, created_by_id, reason, processed_at, created_at, updated_at,
        amount_cents, currency
    ) SELECT %(tenant)s, u, held_id, p, a, %(type)s, 'completed', after - a, after, place, nullif(place - 1, 0),
        CASE WHEN p IS NOT NULL THEN -a END, d, m, r, attempt, k, %(by)s::bigint, w, at, at, at, c, y
    FROM placed ORDER BY n
    RETURNING *
), moved AS (
    UPDATE credit_balances AS held SET
        balance = last.balance_after, last_sequence = last.sequence, updated_at = last.processed_at,
        lifetime_purchased = lifetime_purchased + CASE WHEN %(type)s = 'purchase' THEN last.total ELSE 0 END,
        lifetime_used = lifetime_used - CASE WHEN %(type)s = 'purchase' THEN 0 ELSE last.total END
    FROM (
        SELECT DISTINCT ON (credit_balance_id) credit_balance_id, sequence, balance_after, processed_at,
               sum(amount) OVER (PARTITION BY credit_balance_id) AS total
          FROM entries ORDER BY credit_balance_id, sequence DESC
    ) AS last
    WHERE held.organization_id = %(tenant)s AND held.id = last.credit_balance_id
)/* told */
SELECT entries.id, entries.balance_after
  FROM entries JOIN placed ON placed.held_id = entries.credit_balance_id AND placed.place = entries.sequence
 ORDER BY placed.n"""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one row: `outcome` is "posted" or "repeated"; the entry's id and the balance after it.

    A repeated row was in the ledger before; its `balance_after` is None.
    """

    number: int
    outcome: str
    transaction_id: int
    balance_after: int | None

    @property
    def was_repeated(self) -> bool:
        """Whether an earlier request had made the entry."""
        return self.outcome == REPEATED


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A row to be written, checked."""

    number: int
    user_id: int
    amount: int
    kind: str
    appointment_id: int | None
    payment_method: str | None
    payment_reference: str | None
    key: str | None
    reason: str | None
    amount_cents: int | None
    currency: str | None
    metadata: dict[str, Any]

    @property
    def facts(self) -> tuple[Any, ...]:
        """What makes it this entry and no other, in the order of EARLIER."""
        what = (self.user_id, self.amount, self.kind, self.appointment_id)
        paid = (self.amount_cents, self.currency)
        return (*what, self.payment_method, self.payment_reference, self.key, self.reason, *paid)

    @property
    def names(self) -> list[tuple[Any, ...]]:
        """What it may be the only entry of."""
        return _names(self.facts)


def purchase_many(
    rows: Iterable[Mapping[str, Any]], *, by: User | None = None, now: datetime | None = None
) -> list[Row]:
    """Add purchases to many balances: all of them, or none where one is refused.

    Args:
        rows: mappings with `user` and `credits`, and any of `payment_method`, `payment_reference`, `amount_cents`,
            `currency`, `idempotency_key`, `reason`, `metadata`, as for `purchase`.

    Returns:
        What became of each row, in their order.

    Raises:
        InvalidDataError, BalanceTooLargeError, IdempotencyConflictError, ReferenceNotFoundError: a row is refused; the
            note on the error says which one.
    """
    return _post_many(rows, TransactionType.PURCHASE, 1, by, now)


def debit_many(rows: Iterable[Mapping[str, Any]], *, by: User | None = None, now: datetime | None = None) -> list[Row]:
    """Take credits from many balances, in the order of the rows: all of them, or none where one is refused.

    Args:
        rows: mappings with `user` and `credits`, and any of `appointment`, `idempotency_key`, `reason`, `metadata`, as
            for `debit`.

    Returns, Raises:
        As for `purchase_many`; InsufficientCreditsError where a balance is less, AlreadyDebitedError.
    """
    return _post_many(rows, TransactionType.APPOINTMENT_DEBIT, -1, by, now)


def _post_many(
    rows: Iterable[Mapping[str, Any]], kind: TransactionType, sign: int, by: User | None, now: datetime | None
) -> list[Row]:
    check_tenant()
    wanted = [_checked(number, row, kind, sign) for number, row in enumerate(rows)]
    if not wanted:
        return []
    _refuse_doubles(wanted)
    acting, at = acting_user(by, "move credits of many"), moment(now)
    values = {
        "tenant": current().organization_id,
        "type": kind.value,
        "by": None if acting is None else acting.id,
        "set": at if clock.is_frozen() else None,
        "users": sorted({row.user_id for row in wanted}),
    }
    return undisturbed(lambda: _post_all(wanted, values, acting))


def _post_all(wanted: list[_Wanted], values: dict[str, Any], by: User | None) -> list[Row]:
    current().engine.run_prepared(OPEN_ALL, values)
    lock_balances(values["users"])
    _check_booked(wanted, values)
    repeated = _repeated(wanted, values)
    new = [row for row in wanted if row.number not in repeated]
    _check_balances(new, values)
    posted = _write(new, values)
    announce_all([row.transaction_id for row in posted.values()], by)
    return [posted.get(row.number) or Row(row.number, REPEATED, repeated[row.number], None) for row in wanted]


def _checked(number: int, row: Mapping[str, Any], kind: TransactionType, sign: int) -> _Wanted:
    try:
        return _wanted(number, row, kind, sign)
    except RaycesError as error:
        raise _noted(error, number)  # noqa: B904 - the same error, with a note


def _wanted(number: int, row: Mapping[str, Any], kind: TransactionType, sign: int) -> _Wanted:
    _check_names(row, KNOWN - FOREIGN[kind])
    method, reference = payment(row.get("payment_method"), row.get("payment_reference"))
    cents, code = paid_amount(row.get("amount_cents"), row.get("currency"))
    metadata = dict(row.get("metadata") or {})
    CreditTransaction.metadata.db_value(metadata)
    given = row.get("appointment")
    return _Wanted(
        number=number,
        user_id=user_id(row["user"]),
        amount=sign * whole_credits(row["credits"]),
        kind=kind.value,
        appointment_id=None if given is None else appointment_id(given),
        payment_method=method,
        payment_reference=reference,
        key=text(row.get("idempotency_key"), "idempotency_key"),
        reason=text(row.get("reason"), "reason"),
        amount_cents=cents,
        currency=code,
        metadata=metadata,
    )


def _check_names(row: Mapping[str, Any], known: set[str]) -> None:
    if not isinstance(row, Mapping):
        raise InvalidDataError("rows", row, f"each row is a mapping, got {type(row).__name__}")
    if unknown := sorted(map(str, set(row) - known)):
        raise InvalidDataError("rows", row, f"there is no {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if missing := {"user", "credits"} - set(row):
        raise InvalidDataError("rows", row, f"{min(missing)} is missing")


def _refuse_doubles(wanted: list[_Wanted]) -> None:
    first: dict[tuple[Any, ...], int] = {}
    for row in wanted:
        for name in row.names:
            if name in first:
                reason = f"rows {first[name]} and {row.number} have the same {name[0]}, {name[-1]!r}"
                raise InvalidDataError("rows", name[-1], reason)
            first[name] = row.number


def _check_booked(wanted: list[_Wanted], values: Mapping[str, Any]) -> None:
    """Raise for the first row whose appointment is not there."""
    asked = {row.appointment_id for row in wanted if row.appointment_id is not None}
    if asked:
        found = current().engine.run_prepared(BOOKED, {**values, "appointments": list(asked)}).fetchall()
        missing = asked - {appointment for (appointment,) in found}
        for row in wanted:
            if row.appointment_id in missing:
                raise _noted(_not_there("appointment"), row.number)


def _repeated(wanted: list[_Wanted], values: Mapping[str, Any]) -> dict[int, int]:
    """Which rows are in the ledger already: number → entry's id; raises where another entry is in their place."""
    asked = {
        "keys": [row.key for row in wanted if row.key is not None],
        "payments": [row.payment_reference for row in wanted if row.payment_reference is not None],
        "appointments": [row.appointment_id for row in wanted if row.appointment_id is not None],
    }
    if not any(asked.values()):
        return {}
    found = current().engine.run_prepared(EARLIER, {**values, **asked}).fetchall()
    earlier = {name: (entry_id, status, facts) for entry_id, status, *facts in found for name in _names(facts)}
    repeated: dict[int, int] = {}
    for row in wanted:
        for name in row.names:
            if name in earlier:
                entry_id, status, facts = earlier[name]
                if status != COMPLETED or tuple(facts) != row.facts or (row.key is None and name[0] == "appointment"):
                    raise _noted(_conflict(name, entry_id), row.number)
                repeated[row.number] = entry_id
    return repeated


def _names(facts: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What an entry may be the only one of."""
    _, _, kind, appointment, method, reference, key, *_ = facts
    names: list[tuple[Any, ...]] = []
    if key is not None:
        names.append(("idempotency_key", key))
    if reference is not None:
        names.append(("payment_reference", method, reference))
    if appointment is not None:
        names.append(("appointment", kind, appointment))
    return names


def _conflict(name: tuple[Any, ...], entry_id: int) -> Exception:
    if name[0] == "appointment":
        return AlreadyDebitedError(entry_id, name[-1])
    return IdempotencyConflictError(name[-1])


def _check_balances(new: list[_Wanted], values: Mapping[str, Any]) -> None:
    """Raise for the first row that its balance, as the rows before left it, does not allow."""
    held = {user: [balance, bought, used] for user, balance, bought, used in _balances(values)}
    for row in new:
        if row.user_id not in held:
            raise _noted(_not_there("user"), row.number)
        balance, bought, used = held[row.user_id]
        if balance + row.amount < 0:
            raise _noted(InsufficientCreditsError(required=-row.amount, available=balance), row.number)
        after = [balance + row.amount, bought + max(row.amount, 0), used - min(row.amount, 0)]
        if max(after) > MOST_CREDITS:
            raise _noted(BalanceTooLargeError(row.amount, balance), row.number)
        held[row.user_id] = after


def _balances(values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = current().engine.run_prepared(BALANCES, dict(values)).fetchall()
    return rows


def _write(new: list[_Wanted], values: Mapping[str, Any]) -> dict[int, Row]:
    if not new:
        return {}
    rows = [
        {
            "n": row.number,
            "u": row.user_id,
            "a": row.amount,
            "p": row.appointment_id,
            "m": row.payment_method,
            "r": row.payment_reference,
            "k": row.key,
            "w": row.reason,
            "d": row.metadata,
            "c": row.amount_cents,
            "y": row.currency,
        }
        for row in new
    ]
    engine = current().engine
    told = told_of("entries", "%(by)s::bigint", '"reason"') if engine.writes_messages else ""
    made = engine.run_prepared(ENTRIES.replace("/* told */", told), {**values, "rows": json.dumps(rows)}).fetchall()
    return {
        row.number: Row(row.number, POSTED, entry_id, after) for row, (entry_id, after) in zip(new, made, strict=True)
    }


def _not_there(what: str) -> Exception:
    message = f"there is no such {what} in this organization"
    return ReferenceNotFoundError(message, table="credit_transactions", fields=(f"{what}_id",))


def _noted(error: Exception, number: int) -> Exception:
    error.add_note(f"row {number}, counted from 0")
    return error
