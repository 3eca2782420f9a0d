"""Rows for tests: each function makes one believable row for the bound tenant, with what it needs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rayces_core import (
    Appointment,
    AppointmentSeries,
    CreditBalance,
    CreditKind,
    CreditLot,
    CreditLotMovement,
    CreditPackage,
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
    CalendarFeed,
    ClosedDay,
    Credential,
    Device,
    GroupSession,
    ImportRun,
    Invoice,
    InvoiceCounter,
    InvoiceLine,
    Notice,
    OutboxMessage,
    OutsideBusy,
    OutsideCalendar,
    ProfessionalService,
    Resource,
    Service,
    SignInAttempt,
    SingleUseToken,
    SlotRequest,
    TimeOffRequest,
    WebhookEndpoint,
)

_numbers = itertools.count(1)
START = datetime(2031, 3, 3, 12, 0, tzinfo=UTC)
NUMBERS = 600  # of hours, so that dates stay in March and April however many tests one process runs
AT_ONCE = 200  # that one test has at most, with what is its module's own
_module: Path | None = None


def begin_test(module: Path) -> None:
    """Have times go up within a test, and within a module as far as they reach; those of the next begin anew."""
    global _module, _numbers
    number = next(_numbers)
    left = -number % NUMBERS
    _numbers = itertools.count(number + left if module != _module or left < AT_ONCE else number)
    _module = module


def next_time() -> datetime:
    """A time of its own, which lies behind all that were given before in this test."""
    return START + timedelta(hours=2 * (next(_numbers) % NUMBERS))


def _name(what: str) -> str:
    """A new name of that, which sorts behind all that were given before."""
    return f"{what} {next(_numbers):06}"


def make_organization(db: Database, **columns: Any) -> Organization:
    """A new organization with a subdomain that no other test has."""
    number = next(_numbers)
    defaults = {"name": f"Centre {number:06}", "subdomain": f"centre-{number:06}-{id(db) % 10_000}"}
    return db.create_organization(**(defaults | columns))


def make_user(**columns: Any) -> User:
    email = f"person{next(_numbers):06}@example.org"
    return User.create(**({"email": email, "first_name": "Ana", "last_name": "Paz"} | columns))


def make_professional(**columns: Any) -> Professional:
    columns.setdefault("user", make_user(role=Role.PROFESSIONAL))
    return Professional.create(**({"title": "Lic.", "specialization": "speech therapy"} | columns))


def make_kind(**columns: Any) -> CreditKind:
    return CreditKind.create(**({"name": _name("speech")} | columns))


def make_package(**columns: Any) -> CreditPackage:
    return CreditPackage.create(**({"name": _name("ten sessions"), "credits": 10} | columns))


def make_lot(**columns: Any) -> CreditLot:
    """What was bought, with nothing left of it, as a row that no entry of the ledger explains."""
    if "credit_transaction" not in columns:
        columns["credit_transaction"] = make_transaction()
    columns.setdefault("credit_balance", columns["credit_transaction"].credit_balance)
    return CreditLot.create(**({"credits": 5, "remaining": 0, "expires_at": START} | columns))


def make_lot_movement(**columns: Any) -> CreditLotMovement:
    if "credit_lot" not in columns:
        columns["credit_lot"] = make_lot()
    columns.setdefault("credit_transaction", columns["credit_lot"].credit_transaction)
    return CreditLotMovement.create(**({"amount": 1} | columns))


def make_service(**columns: Any) -> Service:
    return Service.create(**({"name": _name("speech therapy"), "duration_minutes": 45} | columns))


def make_giving(**columns: Any) -> ProfessionalService:
    """A professional gives a service."""
    if "professional" not in columns:
        columns["professional"] = make_professional()
    if "service" not in columns:
        columns["service"] = make_service()
    return ProfessionalService.create(**columns)


def make_resource(**columns: Any) -> Resource:
    return Resource.create(**({"kind": "room", "name": _name("room")} | columns))


def make_student(**columns: Any) -> Student:
    return Student.create(**({"first_name": "Luz", "last_name": _name("Sosa")} | columns))


def make_appointment(**columns: Any) -> Appointment:
    if "professional" not in columns:
        columns["professional"] = make_professional()
    if "student" not in columns:
        columns["student"] = make_student()
    if "client" not in columns:
        columns["client"] = make_user()
    columns.setdefault("scheduled_at", next_time())
    return Appointment.create(**columns)


def make_group(**columns: Any) -> GroupSession:
    if "professional" not in columns:
        columns["professional"] = make_professional()
    columns.setdefault("scheduled_at", next_time())
    columns.setdefault("capacity", 4)
    return GroupSession.create(**({"open_seats": columns["capacity"]} | columns))


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


def make_series(**columns: Any) -> AppointmentSeries:
    values = {"rule": "FREQ=DAILY;COUNT=2", "starts_at": START, "time_zone": "UTC"}
    return AppointmentSeries.create(**(values | columns))


def make_closed_day(**columns: Any) -> ClosedDay:
    values = {"day": START.date() + timedelta(days=1000 + next(_numbers)), "name": "Holiday"}
    return ClosedDay.create(**(values | columns))


def make_closed(case: Any) -> None:
    """Closed days of a case of `tests.scheduling.oracle`."""
    for day in case.closed:
        make_closed_day(day=day)


def make_elsewhere(professional: Professional, case: Any) -> None:
    """What calendars elsewhere have in a case of `tests.scheduling.oracle`."""
    for begins_at, ends_at in case.elsewhere:
        calendar = make_outside_calendar(professional=professional)
        make_outside_busy(calendar=calendar, begins_at=begins_at, ends_at=ends_at)


def make_invoice(**columns: Any) -> Invoice:
    """A draft."""
    if "user" not in columns:
        columns["user"] = make_user()
    days = {} if columns.get("kind") == "credit_note" else {"starts_on": START.date(), "ends_on": START.date()}
    return Invoice.create(**({"currency": "ARS"} | days | columns))


def make_issued(**columns: Any) -> Invoice:
    """The first of a series of its own, over 1000 cents without tax, as a row without its line."""
    at = {"issued_at": START, "issued_on": START.date(), "due_on": START.date()}
    sums = {"line_count": 1, "net_cents": 1000, "tax_cents": 0, "total_cents": 1000, "biller": {}}
    return make_invoice(**({"state": "issued", "series": f"S{next(_numbers):06}-", "number": 1} | at | sums | columns))


def make_invoice_line(**columns: Any) -> InvoiceLine:
    if "invoice" not in columns:
        columns["invoice"] = make_issued()
    if "appointment" not in columns:
        columns["appointment"] = make_appointment()
    amounts = {"quantity": 1, "unit_cents": 1000, "tax_basis_points": 0, "total_cents": 1000, "tax_cents": 0}
    place = {"position": 1, "line_count": 1, "turn": 1, "net_before": 0, "tax_before": 0}
    place |= {"rate_position": 1, "rate_before": 0}
    of_invoice = {"kind": "invoice", "invoice_net_cents": 1000, "invoice_tax_cents": 0}
    said = {"description": "Session", "happened_on": START.date()}
    return InvoiceLine.create(**(amounts | place | of_invoice | said | columns))


def make_invoice_counter(**columns: Any) -> InvoiceCounter:
    return InvoiceCounter.create(**({"kind": "invoice", "series": f"C{next(_numbers):06}-"} | columns))


def make_time_off(**columns: Any) -> TimeOffRequest:
    values = {"starts_on": START.date(), "ends_on": START.date()}
    professional = columns.pop("professional", None) or make_professional()
    return TimeOffRequest.create(**({"professional": professional} | values | columns))


def make_slot_request(**columns: Any) -> SlotRequest:
    """A family waits for a time; what comes of it is up to the test."""
    if "student" not in columns:
        columns["student"] = make_student()
    if "client" not in columns:
        columns["client"] = make_user()
    days = {"from_day": START.date(), "until_day": START.date() + timedelta(days=30)}
    return SlotRequest.create(**({"place_at": START - timedelta(days=60)} | days | columns))


def make_message(**columns: Any) -> OutboxMessage:
    values = {"topic": "host.noticed", "subject_type": "Post", "subject_id": 1, "payload": {"content": "x"}}
    return OutboxMessage.create(**(values | columns))


def make_endpoint(**columns: Any) -> WebhookEndpoint:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    return WebhookEndpoint.create(**({"url": "https://hooks.example.org/rayces", "secrets": [secret]} | columns))


def make_notice(**columns: Any) -> Notice:
    """A notice that waits."""
    if "appointment" not in columns:
        columns["appointment"] = make_appointment()
    columns.setdefault("recipient", columns["appointment"].client_id)
    due = columns.setdefault("due_at", START)
    values = {"event": "booked", "channel": "email", "occurs_at": START + timedelta(days=1), "retry_at": due}
    return Notice.create(**(values | columns))


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


def make_feed(**columns: Any) -> CalendarFeed:
    values = {"secret_hash": f"{next(_numbers):064x}"}
    return CalendarFeed.create(**({"user": columns.pop("user", None) or make_user()} | values | columns))


def make_outside_calendar(**columns: Any) -> OutsideCalendar:
    values = {"name": "mine", "url": f"https://calendars.example.org/{next(_numbers):06}.ics"}
    professional = columns.pop("professional", None) or make_professional()
    return OutsideCalendar.create(**({"professional": professional} | values | columns))


def make_outside_busy(**columns: Any) -> OutsideBusy:
    calendar = columns.pop("calendar", None) or make_outside_calendar()
    begins_at = columns.pop("begins_at", START + timedelta(days=2000 + next(_numbers)))
    values = {"begins_at": begins_at, "ends_at": begins_at + timedelta(hours=1)}
    return OutsideBusy.create(calendar=calendar, professional=calendar.professional_id, **(values | columns))


MAKERS = {
    User: make_user,
    Post: make_post,
    Like: make_like,
    Professional: make_professional,
    CreditKind: make_kind,
    CreditPackage: make_package,
    CreditLot: make_lot,
    CreditLotMovement: make_lot_movement,
    Service: make_service,
    ProfessionalService: make_giving,
    Resource: make_resource,
    ClosedDay: make_closed_day,
    TimeOffRequest: make_time_off,
    SlotRequest: make_slot_request,
    CalendarFeed: make_feed,
    OutsideCalendar: make_outside_calendar,
    OutsideBusy: make_outside_busy,
    Invoice: make_invoice,
    InvoiceLine: make_invoice_line,
    InvoiceCounter: make_invoice_counter,
    Student: make_student,
    AppointmentSeries: make_series,
    GroupSession: make_group,
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
    Notice: make_notice,
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
