"""Credit purchases, opening balances among them: entries of the ledger, written by the ledger alone.

Each is known by an idempotency key that is made of the source's own reference, or of the user and the payment where it
has none, so an entry that is there is never posted twice, and never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Final

from rayces_core import clock, credits
from rayces_core.credits.arguments import FURTHEST
from rayces_core.credits.statements import MOST_CREDITS
from rayces_core.database.binding import current
from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.names import person
from rayces_core.importing.record import Fault, Record, begun, currency, fault, quoted, user
from rayces_core.importing.records import credit_kinds, holds
from rayces_core.importing.records.people import named, nobody
from rayces_core.importing.words import named as with_names
from rayces_core.models.credit import CreditTransaction

MONEY: Final = re.compile(r"[.,][0-9]{2}\s*$|[$€£]|\b[A-Z]{3}\b")


THOUSANDTHS: Final = re.compile(r"[0-9]{1,3}[.,]0{3}")


def sessions(value: Any, reading: Reading) -> int:
    """Read a number of whole credits; what is written as money is refused, as "15000,00" and "$ 8" are.

    So is 10.000: databases write ten so, and people ten thousand.
    """
    if isinstance(value, str) and MONEY.search(value):
        raise ValueError(f"{value!r:.60} is written as money is; write a whole number of credits")
    if isinstance(value, str) and THOUSANDTHS.fullmatch(value.strip()):
        raise ValueError(
            f"{value!r:.60} may be {value.strip()[:-4]} or a thousand times as many; write it without a mark"
        )
    return values.integer(value, reading)


OPENING: Final = "opening balance"
LONGEST: Final = 200
COLUMNS: Final = (
    Column(
        "user",
        person,
        required=True,
        example="ana.paz@example.org",
        about="The user whose credits they are, by e-mail address, or by name where it is one's alone.",
    ),
    Column(
        "credits",
        sessions,
        required=True,
        example="8",
        about="Whole credits, above zero.",
    ),
    credit_kinds.COLUMN,
    Column(
        "reference",
        values.identifier,
        example="2025-000123",
        about="The source's own name of the purchase; without it a user has one row for each payment_reference or day.",
    ),
    Column("payment_method", values.text, example="transfer"),
    Column("payment_reference", values.identifier),
    Column(
        "amount_paid",
        values.money,
        example="$ 100.000",
        about="What was paid, as people write it; stored in cents.",
    ),
    Column("currency", currency, about="Of the amount; the organization's where it is empty."),
    Column("purchased_on", values.date, about="Kept in the metadata."),
    Column("reason", values.text, example=OPENING),
)
KEY: Final = (
    "CASE WHEN s.reference LIKE 'import:%%' THEN '' ELSE 'import:' END || coalesce(s.reference, "
    f"coalesce(u.email, named_user.more) || ':' || coalesce(s.payment_reference, s.purchased_on::text, '{OPENING}')"
    " || CASE WHEN k.id IS NULL THEN '' ELSE ':' || lower(k.name) END)"
)
CURRENCY: Final = "coalesce(s.currency, (SELECT currency FROM organizations WHERE id = %(tenant)s))"
TEXTS: Final = ("payment_method", "payment_reference", "reason")
ROWS: Final = """
SELECT row, user_id, credits, credit_kind_id, idempotency_key, payment_method, payment_reference, reason, amount_cents,
       currency, purchased_on
  FROM resolved WHERE existing_id IS NULL ORDER BY row
"""
TOO_LARGE: Final = fault(
    "credits",
    "r.credits",
    quoted("the user's credits would be more than a balance can hold"),
    quoted(f"correct it; the most is {MOST_CREDITS}"),
    f"""FROM (
        SELECT r.row, r.credits, sum(r.credits) OVER (PARTITION BY r.user_id, r.credit_kind_id ORDER BY r.row)
               + coalesce(greatest(held.balance, held.lifetime_purchased), 0) AS total
          FROM resolved AS r
          LEFT JOIN credit_balances AS held ON held.organization_id = %(tenant)s AND held.user_id = r.user_id
               AND held.credit_kind_key = coalesce(r.credit_kind_id, 0)
         WHERE r.existing_id IS NULL AND NOT r.faulty AND r.user_id IS NOT NULL
    ) AS r WHERE r.total > {MOST_CREDITS}""",
)
NOT_POSITIVE: Final = fault(
    "credits",
    "r.credits",
    quoted("a purchase is of at least one credit"),
    quoted("leave the row out; what was used before the import is in no opening balance"),
    "FROM resolved AS r WHERE r.credits < 1",
)
HALF_A_PAYMENT: Final = fault(
    "payment_reference",
    "r.payment_reference",
    quoted("comes without a payment_method"),
    quoted("fill in both, or neither"),
    "FROM resolved AS r WHERE r.payment_reference IS NOT NULL AND r.payment_method IS NULL",
)
PAID_BEFORE: Final = fault(
    "payment_reference",
    "r.payment_reference",
    quoted("another entry of the ledger has this payment already"),
    quoted("leave the row out, or correct the reference"),
    """FROM resolved AS r JOIN credit_transactions AS t ON t.organization_id = %(tenant)s
        AND t.payment_method = r.payment_method AND t.payment_reference = r.payment_reference
        AND t.id IS DISTINCT FROM r.existing_id""",
)
POSTED: Final = fault(
    "reference",
    "r.reference",
    quoted("is the key of an entry that the application has posted"),
    quoted("leave the row out; entries of the ledger move in a tenant's archive"),
    """FROM resolved AS r JOIN credit_transactions AS t ON t.organization_id = %(tenant)s
        AND t.idempotency_key = r.reference AND t.id IS DISTINCT FROM r.existing_id""",
)
PAID_TWICE: Final = fault(
    "payment_reference",
    "r.payment_reference",
    "'row ' || r.first || ' has the same payment'",
    quoted("leave one of them out"),
    """FROM (
        SELECT r.row, r.payment_reference, min(r.row) OVER (PARTITION BY payment_method, payment_reference) AS first
          FROM resolved AS r WHERE NOT r.faulty AND payment_method IS NOT NULL AND payment_reference IS NOT NULL
    ) AS r WHERE r.row > r.first""",
)


def rules(row: Mapping[str, Any], now: datetime) -> Iterable[Fault]:
    """What a ledger's names may be: they are indexed, so they are short. A purchase lies behind."""
    if row.get("purchased_on") is not None and not begun(row["purchased_on"], now):
        yield "purchased_on", "lies ahead", "correct it"
    if (row.get("amount_paid") or 0) < 0:
        yield "amount_paid", "is below zero", "correct it"
    if row.get("currency") is not None and row.get("amount_paid") is None:
        yield "currency", "comes without an amount_paid", "fill in both, or neither"
    for name in ("reference", "payment_method", "payment_reference"):
        if len(row.get(name) or "") > LONGEST:
            yield name, f"has more than {LONGEST} characters", "shorten it"


def post(parameters: dict[str, Any]) -> None:
    """Post the staged rows that are new, through the ledger."""
    names = ("user", "credits", "kind", "idempotency_key", *TEXTS, "amount_cents", "currency")
    purchases = []
    for _, *facts, day in current().engine.run_prepared(ROWS, parameters).fetchall():
        metadata = {} if day is None else {"purchased_on": day.isoformat()}
        purchases.append({**dict(zip(names, facts, strict=True)), "metadata": metadata})
    with _believed(parameters["now"]):
        credits.purchase_many(purchases)


def _believed(now: datetime) -> AbstractContextManager[object]:
    """Have the ledger take an import's moment that is not the present, as it takes nobody else's."""
    return clock.frozen(now) if abs(now - clock.now()) > FURTHEST else nullcontext()


CREDITS: Final = Record(
    name="credits",
    model=CreditTransaction,
    columns=with_names("credits", COLUMNS),
    types={column.name: "varchar" for column in COLUMNS}
    | {"credits": "integer", "purchased_on": "date", "amount_paid": "bigint"},
    rules=rules,
    fields={name: getattr(CreditTransaction, name) for name in (*TEXTS, "currency")}
    | {"credits": CreditTransaction.amount, "amount_paid": CreditTransaction.amount_cents},
    resolved={
        "user_id": "bigint",
        "credits": "integer",
        "credit_kind_id": "bigint",
        "idempotency_key": "varchar",
        "purchased_on": "date",
        **dict.fromkeys((*TEXTS, "reference"), "varchar"),
        "amount_cents": "bigint",
        "currency": "varchar",
    },
    resolving=f"SELECT s.row, s.faulty, coalesce(u.id, named_user.id), s.credits, k.id, {KEY}, s.purchased_on, "
    "s.payment_method, "
    "s.payment_reference, s.reason, s.reference, s.amount_paid, "
    f"CASE WHEN s.amount_paid IS NOT NULL THEN {CURRENCY} END FROM staged AS s {user('user', 'u')} "
    f"{named('user', 'named_user')}{credit_kinds.OF_ROW}",
    matching="t.idempotency_key = r.idempotency_key",
    same_key="r.idempotency_key",
    key="reference",
    compared={name: (name, f"t.{name}") for name in TEXTS}
    | {"user_id": ("user", "t.user_id"), "credits": ("credits", "t.amount")}
    | {"credit_kind_id": ("credit_kind", "t.credit_kind_id")}
    | {"amount_cents": ("amount_paid", "t.amount_cents"), "currency": ("currency", "t.currency")},
    checks=(
        nobody("user", "user_id"),
        credit_kinds.NO_SUCH,
        NOT_POSITIVE,
        HALF_A_PAYMENT,
        TOO_LARGE,
        POSTED,
        PAID_BEFORE,
        PAID_TWICE,
    ),
    fixed=tuple(column.name for column in COLUMNS),
    why_fixed="entries of the ledger are never changed; post an adjustment, or leave the row out",
    inserting="",
    after_commit=holds.reserve,
    writer=post,
)
