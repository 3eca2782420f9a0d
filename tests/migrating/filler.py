"""Believable rows for whatever tables a half-migrated database has, and a picture of all rows to compare with."""

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg2.extras import Json

from rayces_core.migrating.catalogue import fingerprint

MYHUB = ("users", "posts", "likes")
# From here on a row says whose it is.
TENANTS_FROM = 6

STATES: dict[str, dict[str, Any]] = {
    "draft": {},
    "pre_confirmed": {"pre_confirmed_at": "2026-01-01", "expires_at": "2026-01-02"},
    "confirmed": {"pre_confirmed_at": "2026-01-01", "expires_at": "2026-01-02", "confirmed_at": "2026-01-01"},
    "executed": {
        "pre_confirmed_at": "2026-01-01",
        "expires_at": "2026-01-02",
        "confirmed_at": "2026-01-01",
        "executed_at": "2026-02-01",
    },
    "no_show": {
        "pre_confirmed_at": "2026-01-01",
        "expires_at": "2026-01-02",
        "confirmed_at": "2026-01-01",
        "no_show_at": "2026-02-01",
    },
    "cancelled": {"cancelled_at": "2026-01-01", "cancellation_reason": "moved away"},
}


class Filler:
    """Inserts into the tables and columns that are there and passes over the rest."""

    def __init__(self, connection: Any) -> None:
        self.cursor = connection.cursor()
        self.cursor.execute(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns "
            "WHERE table_schema = current_schema() GROUP BY 1"
        )
        self.columns: dict[str, list[str]] = dict(self.cursor.fetchall())

    def insert(self, table: str, **values: Any) -> int:
        """Insert one row; returns its id, or 0 when the table is not there yet."""
        if table not in self.columns:
            return 0
        if table in MYHUB:
            values |= {"created_at": "2026-01-01 12:00:00.123456", "updated_at": "2026-01-01 13:00:00"}
        values = {name: value for name, value in values.items() if name in self.columns[table]}
        places = ", ".join(["%s"] * len(values))
        self.cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places}) RETURNING id", list(values.values())
        )
        return self.cursor.fetchone()[0]

    def update(self, table: str, organization: int | None, key: int, **values: Any) -> None:
        """Set the columns of one row that are there; nothing when the table is not."""
        values = {name: value for name, value in values.items() if name in self.columns.get(table, ())}
        if values:
            places = ", ".join(f"{name} = %s" for name in values)
            self.cursor.execute(
                f"UPDATE {table} SET {places} WHERE organization_id = %s AND id = %s",
                [*values.values(), organization, key],
            )


def fill(connection: Any, stage: int, mark: str = "", tenants: Sequence[int | None] = ()) -> None:
    """One row at least in every table of a database with `stage` migrations; two organizations once rows have one.

    `tenants` are organizations that are there already; the rows are theirs then.
    """
    filler = Filler(connection)
    if not tenants and stage < TENANTS_FROM:
        tenants = [None]
    if not tenants:
        tenants = [
            filler.insert("organizations", name=f"Clinic {side}{stage}", subdomain=f"clinic-{side}{stage}{mark}")
            for side in ("north", "south")
        ]
    for tenant in tenants:
        _fill_one(filler, tenant, f"{stage}{mark}-{tenant or 'old'}")


def _fill_one(filler: Filler, tenant: int | None, mark: str) -> None:
    address = f"  Ana.{mark}@Example.COM " if tenant is None else f"ana.{mark}@example.com"
    whose = {"organization_id": tenant}
    ana = filler.insert("users", **whose, email=address, uid=f"google-{mark}", provider="google", jti=f"a-{mark}")
    luis = filler.insert("users", **whose, email=f"luis.{mark}@example.com", role=1, jti=f"l-{mark}")
    post = filler.insert("posts", **whose, user_id=ana, content=f"50% of {mark}")
    filler.insert("likes", **whose, user_id=luis, post_id=post)
    filler.insert("professionals", **whose, user_id=luis, title="Speech therapist", specialization="speech")
    kind = filler.insert("credit_kinds", **whose, name=f"Speech {mark}")
    filler.insert("credit_packages", **whose, name=f"Ten {mark}", credits=10, valid_days=30, credit_kind_id=kind)
    service = filler.insert("services", **whose, name=f"Speech therapy {mark}", credit_kind_id=kind)
    filler.insert("professional_services", **whose, professional_id=luis, service_id=service)
    if "resources" in filler.columns:
        filler.insert("professionals", **whose, user_id=ana, title="Assistant", specialization="speech")
    held = {"second_professional_id": ana} | {
        f"{kind}_id": filler.insert("resources", **whose, kind=kind, name=f"{kind} {mark}", features='["mirror"]')
        for kind in ("room", "device")
    }
    student = filler.insert("students", **whose, first_name="Mia", last_name="Paz", primary_contact_id=ana)
    appointment = 0
    for hour, (state, facts) in enumerate(STATES.items(), start=9):
        appointment = filler.insert(
            "appointments",
            **whose,
            professional_id=luis,
            student_id=student,
            client_id=ana,
            state=state,
            scheduled_at=f"2026-02-01 {hour:02}:00+00",
            service_id=service,
            **held,
            **facts,
        )
    group = {"professional_id": luis, "scheduled_at": "2026-02-02 09:00+00", "capacity": 4, **held}
    filler.insert("group_sessions", **whose, **group, open_seats=4)
    filler.insert("group_sessions", **whose, **group, open_seats=0, state="cancelled", **STATES["cancelled"])
    waits = {"client_id": ana, "student_id": student, "from_day": "2031-01-05", "until_day": "2031-02-05"}
    filler.insert("slot_requests", **whose, **waits, professional_id=luis, service_id=service, place_at="2026-01-01")
    _fill_ledger(filler, whose, ana, luis, appointment)


def _fill_ledger(filler: Filler, whose: dict[str, Any], ana: int, luis: int, appointment: int) -> None:
    balance = filler.insert("credit_balances", **whose, user_id=ana)
    given_back = {"refundable_before": 1, "refundable_after": 0}
    entries: tuple[dict[str, Any], ...] = (
        {"transaction_type": "purchase", "amount": 5, "payment_method": "card"},
        {"transaction_type": "appointment_debit", "amount": -1, "appointment_id": appointment, "refundable_after": 1},
        {"transaction_type": "cancellation_refund", "amount": 1, "appointment_id": appointment} | given_back,
        {"transaction_type": "admin_adjustment", "amount": -1, "reason": "x", "created_by_id": luis},
    )
    held, made = 0, []
    for sequence, entry in enumerate(entries, start=1):
        facts = {"user_id": ana, "credit_balance_id": balance, "status": "completed", "processed_at": "2026-01-01"}
        place = {"sequence": sequence, "previous_sequence": sequence - 1 or None, "balance_before": held}
        held += entry["amount"]
        after = {"balance_after": held, "metadata": Json({"k": 1})}
        made.append(filler.insert("credit_transactions", **whose, **facts, **place, **entry, **after))
    figures = {"balance": held, "lifetime_purchased": 5, "lifetime_used": 0, "last_sequence": len(entries)}
    filler.update("credit_balances", whose["organization_id"], balance, **figures)
    bought = {
        "credit_balance_id": balance,
        "credit_transaction_id": made[0],
        "credits": 5,
        "remaining": 0,
        "purchase_id": made[0],
    }
    lot = filler.insert("credit_lots", **whose, **bought, expires_at="2026-03-01 00:00+00")
    for entry_id, amount in zip(made, (5, -5), strict=False):
        filler.insert("credit_lot_movements", **whose, credit_lot_id=lot, credit_transaction_id=entry_id, amount=amount)
    journal = {"subject_type": "Appointment", "subject_id": appointment, "from_state": "draft", "to_state": "cancelled"}
    filler.insert("state_transitions", **whose, **journal, event="cancel", actor_id=ana)
    filler.insert(
        "appointment_series", **whose, rule="FREQ=DAILY;COUNT=2", starts_at="2031-01-01 00:00+00", time_zone="UTC"
    )
    filler.insert("closed_days", **whose, day="2031-05-25", name="May Revolution", region="AR")
    asked = {"professional_id": luis, "starts_on": "2031-01-05", "ends_on": "2031-01-06"}
    filler.insert("time_off_requests", **whose, **asked, from_time="09:00", until_time="13:00", note="dentist")
    due = dict.fromkeys(("occurs_at", "due_at", "retry_at"), "2031-01-01 00:00+00")
    notice = {"appointment_id": appointment, "recipient_id": ana, "event": "booked", "channel": "email"}
    filler.insert("notices", **whose, **notice, **due, address="ana@example.org")
    _fill_invoices(filler, whose, ana, appointment)
    filler.insert("import_runs", **whose, record_type="users", source="users.csv", fingerprint="f")
    about = {"topic": "appointment.cancel", "subject_type": "Appointment", "subject_id": appointment}
    filler.insert("outbox_messages", **whose, **about, payload=Json({"id": appointment}))
    later = "2031-01-01 00:00+00"
    filler.insert("credentials", **whose, user_id=ana, password_hash="$x", password_changed_at=later)
    filler.insert("devices", **whose, user_id=ana, token_id="t", name="phone", expires_at=later)
    filler.insert("single_use_tokens", **whose, user_id=ana, purpose="reset", email_hash="h", expires_at=later)
    filler.insert("sign_in_attempts", **whose, key="k", last_at=later)
    filler.insert("webhook_endpoints", **whose, url="https://hooks.example.org", secrets=Json(["whsec_x"]))
    filler.insert("calendar_feeds", **whose, user_id=ana, secret_hash="1" * 64)
    outside = filler.insert("outside_calendars", **whose, professional_id=luis, name="mine", url="https://example.org")
    taken = {"begins_at": "2031-01-07 12:00+00", "ends_at": "2031-01-07 13:00+00"}
    filler.insert("outside_busy", **whose, calendar_id=outside, professional_id=luis, **taken)


def _fill_invoices(filler: Filler, whose: dict[str, Any], ana: int, appointment: int) -> None:
    filler.insert("invoice_counters", **whose, kind="invoice", series="", last_number=1)
    at = {"issued_at": "2026-03-01 12:00+00", "issued_on": "2026-03-01", "due_on": "2026-03-11"}
    sums = {"line_count": 1, "net_cents": 1000, "tax_cents": 210, "total_cents": 1210}
    days = {"user_id": ana, "currency": "ARS", "starts_on": "2026-02-01", "ends_on": "2026-02-28"}
    named = {"series": "", "number": 1, "biller": Json({"name": "North"}), "customer": Json({"name": "Ana"})}
    invoice = filler.insert("invoices", **whose, **days, **at, **sums, **named, state="issued")
    amounts = {"quantity": 1, "unit_cents": 1210, "tax_basis_points": 2100, "total_cents": 1210, "tax_cents": 210}
    place = {"position": 1, "line_count": 1, "turn": 1, "net_before": 0, "tax_before": 0, "kind": "invoice"}
    place |= {"rate_position": 1, "rate_before": 0}
    of_invoice = {"invoice_id": invoice, "invoice_net_cents": 1000, "invoice_tax_cents": 210}
    said = {"description": "Session", "happened_on": "2026-02-01", "appointment_id": appointment}
    filler.insert("invoice_lines", **whose, **amounts, **place, **of_invoice, **said)


def rows(connection: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """(table, id) → row, of every table but histories."""
    cursor = connection.cursor()
    picture = {}
    for table in tables(connection):
        cursor.execute(f"SELECT id, to_jsonb(t) FROM {table} AS t")
        picture.update({(table, key): row for key, row in cursor.fetchall()})
    return picture


def tables(connection: Any) -> list[str]:
    """The tables of the current schema, without histories of migrations."""
    cursor = connection.cursor()
    cursor.execute(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace "
        "AND relname NOT LIKE '%migrations' ORDER BY 1"
    )
    return [name for (name,) in cursor.fetchall()]


def without_history(connection: Any) -> list[str]:
    """The fingerprint of the schema, which the history of the migrations is no part of."""
    return [line for line in fingerprint(connection) if "rayces_migrations" not in line]


def lost(before: dict[tuple[str, int], dict[str, Any]], after: dict[tuple[str, int], dict[str, Any]]) -> Iterator[str]:
    """What of `before` is not in `after`: columns that were dropped, times and organization_id aside."""
    for key, row in before.items():
        for column, value in row.items():
            kept = after.get(key, {}).get(column)
            if column == "email" and value is not None:
                value = value.strip().lower()
                kept = kept and kept.strip().lower()
            if (column == "organization_id" and value is None) or (column.endswith("_at") and kept is not None):
                continue
            if key not in after or (kept != value and column in after[key]):
                yield f"{key}.{column}: {value!r} became {kept!r}"
