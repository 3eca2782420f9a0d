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
    credit_kind_id,
    moment,
    noted,
    paid_amount,
    payment,
    text,
    user_id,
    whole_credits,
)
from rayces_core.credits.bulk_statements import BALANCES, BOOKED, EARLIER, ENTRIES, OPEN_ALL
from rayces_core.credits.ledger import lock_balances, lock_holds, lock_users, post, undisturbed, was_erased
from rayces_core.credits.posting import Posting
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
from rayces_core.models import credit_holding
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import COMPLETED, CreditTransaction, TransactionType
from rayces_core.models.user import User

POSTED, REPEATED = "posted", "repeated"
KNOWN: Final = {
    "user",
    "credits",
    "kind",
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
    credit_kind: int
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
        what = (self.user_id, self.credit_kind, self.amount, self.kind, self.appointment_id)
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
            `currency`, `idempotency_key`, `reason`, `metadata`, `kind`, as for `purchase`.

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
        rows: mappings with `user` and `credits`, and any of `appointment`, `idempotency_key`, `reason`, `metadata`,
            `kind`, as for `debit`.

    Returns, Raises:
        As for `purchase_many`; InsufficientCreditsError where a balance is less, AlreadyDebitedError.
    """
    return _post_many(rows, TransactionType.APPOINTMENT_DEBIT, -1, by, now)


def _post_many(
    rows: Iterable[Mapping[str, Any]], kind: TransactionType, sign: int, by: User | None, now: datetime | None
) -> list[Row]:
    check_tenant()
    if not isinstance(rows, Iterable):
        raise InvalidDataError("rows", rows, "needs mappings, one a posting")
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
        "at": at,
        "users": sorted({row.user_id for row in wanted}),
        **_owners(wanted),
    }
    return undisturbed(lambda: _post_all(wanted, values, acting))


def _owners(wanted: list[_Wanted]) -> dict[str, list[int]]:
    """Whose balances, and of which kinds, in two lists."""
    pairs = sorted({(row.user_id, row.credit_kind) for row in wanted})
    return {"owners": [user for user, _ in pairs], "owned": [kind for _, kind in pairs]}


def _post_all(wanted: list[_Wanted], values: dict[str, Any], by: User | None) -> list[Row]:
    adding = {row.user_id for row in wanted if row.amount > 0}
    erased = lock_users(adding) if adding else set()
    current().engine.run_prepared(OPEN_ALL, values)
    held_for = lock_holds([row.appointment_id for row in wanted if row.appointment_id is not None])
    lock_balances(values["users"])
    _check_booked(wanted, values)
    repeated = _repeated(wanted, values)
    held = _without_overdue(wanted, values, _balances(values))
    new = [row for row in wanted if row.number not in repeated]
    for row in new:
        if row.user_id in erased:
            raise _noted(was_erased(), row.number)
    drawing = {row.number for row in new if row.amount < 0 and (row.appointment_id in held_for or _has_lots(held, row))}
    _check_balances([row for row in new if row.number not in drawing], held)
    posted = _write([row for row in new if row.number not in drawing], values)
    announce_all([row.transaction_id for row in posted.values()], by)
    posted |= {row.number: _draw(row, values["at"], by) for row in new if row.number in drawing}
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
    metadata = noted(row.get("metadata"))
    CreditTransaction.metadata.db_value(metadata)
    given = row.get("appointment")
    return _Wanted(
        number=number,
        user_id=user_id(row["user"]),
        credit_kind=credit_kind_id(row.get("kind")) or 0,
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


def _without_overdue(
    wanted: list[_Wanted], values: Mapping[str, Any], held: dict[tuple[int, int], list[int]]
) -> dict[tuple[int, int], list[int]]:
    """The figures, read again where overdue holds have reserved some of what is to be taken, as these are expired."""
    takers = sorted({row.user_id for row in wanted if row.amount < 0})
    reserving = [user for user in takers if any(of == user and figures[3] for (of, _), figures in held.items())]
    if reserving and credit_holding.expire_overdue(Appointment, reserving, values["at"]):
        return _balances(values)
    return held


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
    _, _, _, kind, appointment, method, reference, key, *_ = facts
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


def _has_lots(held: Mapping[tuple[int, int], list[int]], row: _Wanted) -> bool:
    figures = held.get((row.user_id, row.credit_kind))
    return figures is not None and figures[-1] > 0


def _draw(row: _Wanted, now: datetime, by: User | None) -> Row:
    """Post a row that takes from lots or frees what is reserved, which the others' statement does not look at."""
    posting = Posting(
        row.user_id,
        row.amount,
        TransactionType(row.kind),
        now,
        credit_kind_id=row.credit_kind or None,
        appointment_id=row.appointment_id,
        key=row.key,
        by=by,
        reason=row.reason,
        metadata=row.metadata,
        frees_hold=row.appointment_id is not None,
    )
    try:
        made = post(posting)
    except RaycesError as error:
        raise _noted(error, row.number)  # noqa: B904 - the same error, with a note
    return Row(row.number, POSTED, made.id, made.balance_after)


def _check_balances(new: list[_Wanted], held: dict[tuple[int, int], list[int]]) -> None:
    """Raise for the first row that its balance, as the rows before left it, does not allow."""
    for row in new:
        whose = (row.user_id, row.credit_kind)
        if whose not in held:
            is_user = User.get_or_none(User.id == row.user_id) is not None
            raise _noted(_not_there("credit_kind" if is_user else "user"), row.number)
        balance, bought, used, reserved, in_lots = held[whose]
        if balance - reserved + row.amount < 0:
            error = InsufficientCreditsError(
                required=-row.amount, available=balance - reserved, balance=balance, reserved=reserved
            )
            raise _noted(error, row.number)
        after = [balance + row.amount, bought + max(row.amount, 0), used - min(row.amount, 0)]
        if max(after) > MOST_CREDITS:
            raise _noted(BalanceTooLargeError(row.amount, balance), row.number)
        held[whose] = [*after, reserved, in_lots]


def _balances(values: Mapping[str, Any]) -> dict[tuple[int, int], list[int]]:
    rows = current().engine.run_prepared(BALANCES, dict(values)).fetchall()
    return {(user, kind): figures for user, kind, *figures in rows}


def _write(new: list[_Wanted], values: Mapping[str, Any]) -> dict[int, Row]:
    if not new:
        return {}
    rows = [
        {
            "n": row.number,
            "u": row.user_id,
            "q": row.credit_kind,
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
    message = f"there is no such {'kind of credit' if what == 'credit_kind' else what} in this organization"
    return ReferenceNotFoundError(message, table="credit_transactions", fields=(f"{what}_id",))


def _noted(error: Exception, number: int) -> Exception:
    error.add_note(f"row {number}, counted from 0")
    return error
