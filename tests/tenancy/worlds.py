"""Twin tenants: rows of B have the ids, e-mails and times of rows of A, so that whatever is not scoped goes astray."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import peewee

from rayces_core import (
    Appointment,
    CreditBalance,
    CreditKind,
    CreditLot,
    CreditLotMovement,
    CreditPackage,
    CreditTransaction,
    Database,
    GroupSession,
    Like,
    Organization,
    Post,
    Professional,
    StateTransition,
    Student,
    User,
)
from rayces_core.models import (
    CalendarFeed,
    ClosedDay,
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
    SlotRequest,
    TimeOffRequest,
    WebhookEndpoint,
)

_blocks = itertools.count(1)


def start_of_ids() -> int:
    """The first of ids that no sequence reaches and no other test uses."""
    return 10**9 + 1000 * next(_blocks)


@dataclass(frozen=True)
class World:
    """Tenant A, whose texts say "ours", and tenant B, whose texts say "theirs"; both count their ids from `base`."""

    db: Database
    a: Organization
    b: Organization
    base: int

    def in_a(self) -> AbstractContextManager[Organization]:
        return self.db.tenant(self.a)

    def in_b(self) -> AbstractContextManager[Organization]:
        return self.db.tenant(self.b)

    def privileged(self) -> AbstractContextManager[None]:
        return self.db.privileged(reason="test")

    def wanted(self) -> peewee.ValuesList:
        """The first ids of each table, as a source."""
        return peewee.ValuesList([(self.base + number,) for number in range(3)], columns=("id",), alias="wanted")

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The SQL that is sent meanwhile."""
        sent: list[str] = []

        def note(event: Any) -> None:
            sent.append(event.sql)

        self.db.engine.query_hooks.append(note)
        try:
            yield sent
        finally:
            self.db.engine.query_hooks.remove(note)

    @contextmanager
    def nothing_sent(self) -> Iterator[None]:
        """Fails if any statement is sent meanwhile."""
        with self.statements() as sent:
            yield
        assert sent == []

    @contextmanager
    def b_untouched(self) -> Iterator[None]:
        """Fails if a row of B differs afterwards."""
        before = self.snapshot()["theirs"]
        yield
        assert self.snapshot()["theirs"] == before

    def snapshot(self) -> dict[str, Any]:
        """Every row of both tenants."""
        kept = {}
        for label, organization in (("ours", self.a), ("theirs", self.b)):
            with self.db.tenant(organization):
                kept[label] = self.db.execute_sql(EVERY_ROW, {"organization": organization.id}).fetchall()
        return kept


POPULATED = (
    *(
        User,
        Professional,
        Post,
        Like,
        Student,
        GroupSession,
        Appointment,
        CreditBalance,
        CreditTransaction,
        StateTransition,
    ),
    ImportRun,
    OutboxMessage,
    WebhookEndpoint,
    CreditKind,
    CreditPackage,
    CreditLot,
    CreditLotMovement,
    Service,
    ProfessionalService,
    Resource,
    ClosedDay,
    InvoiceCounter,
    Invoice,
    InvoiceLine,
    TimeOffRequest,
    SlotRequest,
    Notice,
    CalendarFeed,
    OutsideCalendar,
    OutsideBusy,
)

EVERY_ROW = " UNION ALL ".join(
    f"SELECT '{model._meta.table_name}', to_jsonb(t)::text FROM {model._meta.table_name} t"
    " WHERE organization_id = %(organization)s"
    for model in POPULATED
)
EVERY_ROW += " ORDER BY 1, 2"

ROWS = """
INSERT INTO users (organization_id, id, email, first_name)
SELECT organization, key, 'person' || key || '@example.org', label FROM {keys} RETURNING 1;
INSERT INTO professionals (organization_id, id, user_id, title)
SELECT organization, base, base, label FROM {of} RETURNING 1;
INSERT INTO posts (organization_id, id, user_id, content) SELECT organization, key, key, label FROM {keys} RETURNING 1;
INSERT INTO likes (organization_id, id, user_id, post_id) SELECT organization, key, key, key FROM {keys} RETURNING 1;
INSERT INTO students (organization_id, id, first_name, last_name, primary_contact_id)
SELECT organization, key, label, 'Paz ' || key - base, key FROM {keys} RETURNING 1;
INSERT INTO appointments (organization_id, id, professional_id, student_id, client_id, scheduled_at, notes)
SELECT organization, key, base, key, key,
       '2031-03-03 12:00+00'::timestamptz + (key - base) * interval '2 h', label
  FROM {keys} RETURNING 1;
INSERT INTO group_sessions (organization_id, id, professional_id, scheduled_at, capacity, open_seats, name)
SELECT organization, key, base, '2031-06-03 12:00+00'::timestamptz + (key - base) * interval '2 h', 4, 4, label
  FROM {keys} RETURNING 1;
INSERT INTO credit_balances (organization_id, id, user_id) SELECT organization, key, key FROM {keys} RETURNING 1;
INSERT INTO credit_transactions
       (organization_id, id, user_id, credit_balance_id, amount, transaction_type, payment_method)
SELECT organization, key, key, key, 5, 'purchase', label FROM {keys} RETURNING 1;
INSERT INTO state_transitions
       (organization_id, id, subject_type, subject_id, actor_id, event, from_state, to_state)
SELECT organization, key, label, key, key, 'confirm', 'pre_confirmed', 'confirmed' FROM {keys} RETURNING 1;
INSERT INTO closed_days (organization_id, id, day, name)
SELECT organization, key, '2031-03-03'::date + (key - base)::integer, label FROM {keys} RETURNING 1;
INSERT INTO time_off_requests (organization_id, id, professional_id, starts_on, ends_on, note)
SELECT organization, key, base, '2031-04-03', '2031-04-04', label FROM {keys} RETURNING 1;
INSERT INTO slot_requests (organization_id, id, client_id, student_id, from_day, until_day, place_at, from_time)
SELECT organization, key, key, key, '2031-04-03', '2031-04-04', '2031-03-03 12:00+00',
       CASE label WHEN 'ours' THEN '08:00' ELSE '09:00' END
  FROM {keys} RETURNING 1;
INSERT INTO appointment_series (organization_id, id, rule, starts_at, time_zone)
SELECT organization, key, 'FREQ=DAILY;COUNT=2', now(), label FROM {keys} RETURNING 1;
INSERT INTO import_runs (organization_id, id, record_type, source, fingerprint)
SELECT organization, key, 'users', label, key::text FROM {keys} RETURNING 1;
INSERT INTO outbox_messages (organization_id, id, topic, subject_type, subject_id, payload)
SELECT organization, key, label, 'Post', key, jsonb_build_object('content', label) FROM {keys} RETURNING 1;
INSERT INTO webhook_endpoints (organization_id, id, url, secrets, description)
SELECT organization, key, 'https://hooks.example.org/' || key, jsonb_build_array('whsec_' || repeat('A', 32)), label
  FROM {keys} RETURNING 1;
INSERT INTO credit_kinds (organization_id, id, name)
SELECT organization, key, label || ' ' || key FROM {keys} RETURNING 1;
INSERT INTO credit_packages (organization_id, id, name, credits)
SELECT organization, key, label || ' ' || key, 5 FROM {keys} RETURNING 1;
INSERT INTO credit_lots (organization_id, id, credit_balance_id, credit_transaction_id, credits, remaining, expires_at)
SELECT organization, key, key, key, 5, 0, '2031-03-03 12:00+00' FROM {keys} RETURNING 1;
INSERT INTO credit_lot_movements (organization_id, id, credit_lot_id, credit_transaction_id, amount)
SELECT organization, key, key, key, 1 FROM {keys} RETURNING 1;
INSERT INTO invoice_counters (organization_id, id, kind, series)
SELECT organization, key, 'invoice', 'S' || key FROM {keys} RETURNING 1;
INSERT INTO invoices (organization_id, id, state, user_id, currency, starts_on, ends_on, customer, biller, series,
                      number, issued_at, issued_on, due_on, line_count, net_cents, tax_cents, total_cents)
SELECT organization, key, 'issued', key, 'ARS', '2031-03-01', '2031-03-31', jsonb_build_object('name', label), '{{}}',
       'S' || key, 1, now(), '2031-04-01', '2031-04-01', 1, 1000, 0, 1000 FROM {keys} RETURNING 1;
INSERT INTO invoice_lines (organization_id, id, invoice_id, kind, position, description, happened_on, appointment_id,
                           turn, quantity, unit_cents, tax_basis_points, total_cents, tax_cents, net_before, tax_before,
                           rate_position, rate_before, line_count, invoice_net_cents, invoice_tax_cents)
SELECT organization, key, key, 'invoice', 1, label, '2031-03-03', key, 1, 1, 1000, 0, 1000, 0, 0, 0, 1, 0, 1, 1000, 0
  FROM {keys} RETURNING 1;
INSERT INTO services (organization_id, id, name) SELECT organization, key, label || ' ' || key FROM {keys} RETURNING 1;
INSERT INTO professional_services (organization_id, id, professional_id, service_id)
SELECT organization, key, base, key FROM {keys} RETURNING 1;
INSERT INTO resources (organization_id, id, kind, name)
SELECT organization, key, 'room', label || ' ' || key FROM {keys} RETURNING 1;
INSERT INTO credentials (organization_id, id, user_id, password_hash, password_changed_at)
SELECT organization, key, key, '$' || label, now() FROM {keys} RETURNING 1;
INSERT INTO devices (organization_id, id, user_id, token_id, name, expires_at)
SELECT organization, key, key, label || key, label, now() FROM {keys} RETURNING 1;
INSERT INTO single_use_tokens (organization_id, id, user_id, purpose, email_hash, hashes, expires_at)
SELECT organization, key, key, 'reset', label, jsonb_build_array(label), now() FROM {keys} RETURNING 1;
INSERT INTO notices
       (organization_id, id, appointment_id, recipient_id, event, channel, address, occurs_at, due_at, retry_at)
SELECT organization, key, key, key, 'booked', 'email', label, now(), now(), now() FROM {keys} RETURNING 1;
INSERT INTO sign_in_attempts (organization_id, id, key, last_at)
SELECT organization, key, label || key, now() FROM {keys} RETURNING 1;
INSERT INTO calendar_feeds (organization_id, id, user_id, secret_hash)
SELECT organization, key, key, lpad(to_hex(key), 64, '0') FROM {keys} RETURNING 1;
INSERT INTO outside_calendars (organization_id, id, professional_id, name, url)
SELECT organization, key, base, label, 'https://calendars.example.org/' || key FROM {keys} RETURNING 1;
INSERT INTO outside_busy (organization_id, id, calendar_id, professional_id, begins_at, ends_at)
SELECT organization, key, key, base, '2031-05-03 12:00+00', '2031-05-03 13:00+00' FROM {keys} RETURNING 1;
"""
OF = "unnest(%(organizations)s::bigint[], %(bases)s::bigint[], %(labels)s::text[]) AS made (organization, base, label)"
ROWS = ROWS.format(of=OF, keys=f"{OF}, generate_series(base, base + %(count)s - 1) key")


def populate(database: Database, label: str, base: int, count: int) -> None:
    """Give the bound tenant `count` rows of every model but Professional, which has one; ids begin at `base`."""
    fill(database, [database.organization_id], [base], [label], count)


def fill(database: Database, organizations: list[int], bases: list[int], labels: list[str], count: int) -> None:
    values = {"organizations": organizations, "bases": bases, "labels": labels, "count": count}
    database.execute_sql(ROWS, values)


def several_pairs(database: Database, count: int) -> list[World]:
    """Worlds of two tenants that have a row of each kind; made at once, as each by itself takes ten times as long."""
    names = [f"pair-{uuid.uuid4().hex}" for _ in range(2 * count)]
    with database.privileged(reason="many organizations at once"):
        rows = [{"name": name, "subdomain": name} for name in names]
        organizations = list(Organization.insert_many(rows).returning(Organization).execute())
        bases = [start_of_ids() for _ in range(count)]
        twice = [base for base in bases for _ in ("ours", "theirs")]
        fill(database, [row.id for row in organizations], twice, ["ours", "theirs"] * count, 1)
    return [World(database, *organizations[2 * n : 2 * n + 2], base) for n, base in enumerate(bases)]


def forget_rendered_sql() -> None:
    """Have every statement compiled anew, as at the start of a process."""
    for model in POPULATED:
        del model._meta.table
