"""Rows for tests: each function makes one believable row for the bound tenant, with what it needs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from rayces_core import (
    Appointment,
    CreditBalance,
    CreditTransaction,
    Database,
    Like,
    Organization,
    Post,
    Professional,
    Role,
    StateTransition,
    Student,
    User,
)
from rayces_core.database.binding import current
from rayces_core.models import (
    Credential,
    Device,
    ImportRun,
    OutboxMessage,
    SignInAttempt,
    SingleUseToken,
    WebhookEndpoint,
)

_numbers = itertools.count(1)
START = datetime(2031, 3, 3, 12, 0, tzinfo=UTC)
NUMBERS = 600  # of hours, so that dates stay in March and April however many tests one process runs


def make_organization(db: Database, **columns: Any) -> Organization:
    """A new organization with a subdomain that no other test has."""
    number = next(_numbers)
    defaults = {"name": f"Centre {number}", "subdomain": f"centre-{number}-{id(db) % 10_000}"}
    return db.create_organization(**(defaults | columns))


def make_user(**columns: Any) -> User:
    number = next(_numbers)
    return User.create(**({"email": f"person{number}@example.org", "first_name": "Ana", "last_name": "Paz"} | columns))


def make_professional(**columns: Any) -> Professional:
    columns.setdefault("user", make_user(role=Role.PROFESSIONAL))
    return Professional.create(**({"title": "Lic.", "specialization": "speech therapy"} | columns))


def make_student(**columns: Any) -> Student:
    return Student.create(**({"first_name": "Luz", "last_name": f"Sosa {next(_numbers)}"} | columns))


def make_appointment(**columns: Any) -> Appointment:
    if "professional" not in columns:
        columns["professional"] = make_professional()
    if "student" not in columns:
        columns["student"] = make_student()
    if "client" not in columns:
        columns["client"] = make_user()
    columns.setdefault("scheduled_at", START + timedelta(hours=2 * (next(_numbers) % NUMBERS)))
    return Appointment.create(**columns)


def make_post(**columns: Any) -> Post:
    columns.setdefault("user", make_user())
    return Post.create(**({"content": "hello"} | columns))


def make_like(**columns: Any) -> Like:
    if "post" not in columns:
        columns["post"] = make_post()
    columns.setdefault("user", columns["post"].user)
    return Like.create(**columns)


def make_balance(
    *, balance: int = 0, lifetime_purchased: int = 0, lifetime_used: int = 0, **columns: Any
) -> CreditBalance:
    """A balance with the entries that explain its figures."""
    columns.setdefault("user", make_user())
    made = CreditBalance.create(**columns)
    by_hand = balance - lifetime_purchased + lifetime_used
    adjusted = {"transaction_type": "admin_adjustment", "reason": "brought along", "created_by": made.user_id}
    for amount, values in (
        (lifetime_purchased, {"transaction_type": "purchase"}),
        (-lifetime_used, {"transaction_type": "appointment_debit"}),
        (by_hand, adjusted),
    ):
        if amount:
            make_completed(credit_balance=made, amount=amount, **values)
    return CreditBalance.get_by_id(made.id)


def make_transaction(**columns: Any) -> CreditTransaction:
    if columns.get("status") == "completed":
        return make_completed(**columns)
    balance = columns.pop("credit_balance", None) or make_balance()
    values = {"user": balance.user_id, "credit_balance": balance.id, "amount": 5, "transaction_type": "purchase"}
    return CreditTransaction.create(**(values | columns))


def make_completed(**columns: Any) -> CreditTransaction:
    """An entry that counts: the next one of its balance, which moves by it."""
    balance = CreditBalance.get_by_id((columns.pop("credit_balance", None) or make_balance()).id)
    values = {"amount": 5, "transaction_type": "purchase", "status": "completed", "processed_at": START} | columns
    after, place = balance.balance + values["amount"], (balance.last_sequence or 0) + 1
    chain = {"sequence": place, "previous_sequence": balance.last_sequence}
    chain |= {"balance_before": balance.balance, "balance_after": after}
    if values["transaction_type"] == "appointment_debit" and "appointment" in values:
        chain["refundable_after"] = -values["amount"]
    made = CreditTransaction.create(user=balance.user_id, credit_balance=balance.id, **(values | chain))
    kind, amount = made.transaction_type, made.amount
    balance.balance, balance.last_sequence = after, place
    balance.lifetime_purchased += amount if kind == "purchase" else 0
    balance.lifetime_used -= amount if kind in ("appointment_debit", "cancellation_refund") else 0
    balance.save()
    return made


def make_transition(**columns: Any) -> StateTransition:
    values = {"subject_type": "Appointment", "subject_id": 1, "event": "confirm"}
    return StateTransition.create(**(values | {"from_state": "pre_confirmed", "to_state": "confirmed"} | columns))


def make_import_run(**columns: Any) -> ImportRun:
    values = {"record_type": "students", "source": "students.csv", "fingerprint": f"{next(_numbers):064x}"}
    return ImportRun.create(**(values | columns))


def make_message(**columns: Any) -> OutboxMessage:
    values = {"topic": "host.noticed", "subject_type": "Post", "subject_id": 1, "payload": {"content": "x"}}
    return OutboxMessage.create(**(values | columns))


def make_endpoint(**columns: Any) -> WebhookEndpoint:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    return WebhookEndpoint.create(**({"url": "https://hooks.example.org/rayces", "secrets": [secret]} | columns))


def make_credential(**columns: Any) -> Credential:
    return Credential.create(**({"user": columns.pop("user", None) or make_user()} | columns))


def make_device(**columns: Any) -> Device:
    values = {"token_id": f"{next(_numbers):032x}", "name": "phone", "expires_at": START + timedelta(days=30)}
    return Device.create(**({"user": columns.pop("user", None) or make_user()} | values | columns))


def make_single_use_token(**columns: Any) -> SingleUseToken:
    values = {"purpose": "reset", "email_hash": "0" * 64, "expires_at": START + timedelta(hours=2)}
    return SingleUseToken.create(**({"user": columns.pop("user", None) or make_user()} | values | columns))


def make_sign_in_attempt(**columns: Any) -> SignInAttempt:
    return SignInAttempt.create(**({"key": f"{next(_numbers):064x}"} | columns))


MAKERS = {
    User: make_user,
    Post: make_post,
    Like: make_like,
    Professional: make_professional,
    Student: make_student,
    Appointment: make_appointment,
    CreditBalance: make_balance,
    CreditTransaction: make_transaction,
    StateTransition: make_transition,
    ImportRun: make_import_run,
    OutboxMessage: make_message,
    WebhookEndpoint: make_endpoint,
    Credential: make_credential,
    Device: make_device,
    SingleUseToken: make_single_use_token,
    SignInAttempt: make_sign_in_attempt,
}


def rows_of(*models: Any) -> dict[str, list[str]]:
    """Every row of these models that the bound tenant sees, as JSON; one statement, which is planned once."""
    selects = (f"SELECT '{model.__name__}', to_jsonb(t)::text FROM {model._meta.table_name} t" for model in models)
    found: dict[str, list[str]] = {model.__name__: [] for model in models}
    for name, row in current().engine.run_shape(f"{' UNION ALL '.join(selects)} ORDER BY 1, 2", ()):
        found[name].append(row)
    return found


def write_past(row: Any, **columns: Any) -> None:
    """Write columns of a row past its model, as another program would that knows none of the library's rules."""
    changes = ", ".join(f'"{column}" = %s' for column in columns)
    sql = f'UPDATE "{row._meta.table_name}" SET {changes} WHERE id = %s'
    current().engine.execute_sql(sql, (*columns.values(), row.id))


def have_unsaved(row: Any, **values: Any) -> None:
    """Put values into an object as if they were assigned and not saved; some columns refuse to be assigned."""
    row.__data__.update(values)
    row._dirty.update(values)
