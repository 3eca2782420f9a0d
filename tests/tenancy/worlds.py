"""Twin tenants: rows of B have the ids, e-mails and times of rows of A, so that whatever is not scoped goes astray."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
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
    StateTransition,
    Student,
    User,
)
from tests.factory import START

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
                kept[label] = {model: sorted(map(str, model.select().dicts())) for model in POPULATED}
        return kept


POPULATED = (User, Professional, Post, Like, Student, Appointment, CreditBalance, CreditTransaction, StateTransition)


def populate(label: str, base: int, count: int) -> None:
    """Give the bound tenant `count` rows of every model but Professional, which has one; ids begin at `base`."""
    for number in range(count):
        id = base + number
        User.create(id=id, email=f"person{id}@example.org", first_name=label)
        if number == 0:
            Professional.create(id=base, user=base, title=label)
        Post.create(id=id, user=id, content=label)
        Like.create(id=id, user=id, post=id)
        Student.create(id=id, first_name=label, last_name=f"Paz {number}", primary_contact=id)
        at = START + timedelta(hours=2 * number)
        Appointment.create(id=id, professional=base, student=id, client=id, scheduled_at=at, notes=label)
        CreditBalance.create(id=id, user=id)
        CreditTransaction.create(
            id=id, user=id, credit_balance=id, amount=5 + number, transaction_type="purchase", payment_method=label
        )
        StateTransition.create(
            id=id, subject_type=label, subject_id=id, event="e", from_state="x", to_state="y", actor=id
        )
