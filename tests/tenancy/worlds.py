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
    CreditTransaction,
    Database,
    Like,
    Organization,
    Post,
    Professional,
    StateTransition,
    Student,
    User,
)
from rayces_core.models import (
    ImportRun,
    OutboxMessage,
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
    *(User, Professional, Post, Like, Student, Appointment, CreditBalance, CreditTransaction, StateTransition),
    ImportRun,
    OutboxMessage,
    WebhookEndpoint,
)

EVERY_ROW = " UNION ALL ".join(
    f"SELECT '{model._meta.table_name}', to_jsonb(t)::text FROM {model._meta.table_name} t"
    " WHERE organization_id = %(organization)s"
    for model in POPULATED
)
EVERY_ROW += " ORDER BY 1, 2"

ROWS = """
INSERT INTO users (organization_id, id, email, first_name)
SELECT organization, key, 'person' || key || '@example.org', label FROM {keys};
INSERT INTO professionals (organization_id, id, user_id, title)
SELECT organization, base, base, label FROM {of};
INSERT INTO posts (organization_id, id, user_id, content) SELECT organization, key, key, label FROM {keys};
INSERT INTO likes (organization_id, id, user_id, post_id) SELECT organization, key, key, key FROM {keys};
INSERT INTO students (organization_id, id, first_name, last_name, primary_contact_id)
SELECT organization, key, label, 'Paz ' || key - base, key FROM {keys};
INSERT INTO appointments (organization_id, id, professional_id, student_id, client_id, scheduled_at, notes)
SELECT organization, key, base, key, key,
       '2031-03-03 12:00+00'::timestamptz + (key - base) * interval '2 h', label
  FROM {keys};
INSERT INTO credit_balances (organization_id, id, user_id) SELECT organization, key, key FROM {keys};
INSERT INTO credit_transactions
       (organization_id, id, user_id, credit_balance_id, amount, transaction_type, payment_method)
SELECT organization, key, key, key, 5, 'purchase', label FROM {keys};
INSERT INTO state_transitions
       (organization_id, id, subject_type, subject_id, actor_id, event, from_state, to_state)
SELECT organization, key, label, key, key, 'confirm', 'pre_confirmed', 'confirmed' FROM {keys};
INSERT INTO import_runs (organization_id, id, record_type, source, fingerprint)
SELECT organization, key, 'users', label, key::text FROM {keys};
INSERT INTO outbox_messages (organization_id, id, topic, subject_type, subject_id, payload)
SELECT organization, key, label, 'Post', key, jsonb_build_object('content', label) FROM {keys};
INSERT INTO webhook_endpoints (organization_id, id, url, secrets, description)
SELECT organization, key, 'https://hooks.example.org/' || key, jsonb_build_array('whsec_' || repeat('A', 32)), label
  FROM {keys};
INSERT INTO credentials (organization_id, id, user_id, password_hash, password_changed_at)
SELECT organization, key, key, '$' || label, now() FROM {keys};
INSERT INTO devices (organization_id, id, user_id, token_id, name, expires_at)
SELECT organization, key, key, label || key, label, now() FROM {keys};
INSERT INTO single_use_tokens (organization_id, id, user_id, purpose, email_hash, hashes, expires_at)
SELECT organization, key, key, 'reset', label, jsonb_build_array(label), now() FROM {keys};
INSERT INTO sign_in_attempts (organization_id, id, key, last_at)
SELECT organization, key, label || key, now() FROM {keys};
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
