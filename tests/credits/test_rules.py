"""A walk through every movement, against a model of the rules that fits on a page."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from rayces_core import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    CreditBalance,
    CreditTransaction,
    InsufficientCreditsError,
    InvalidDataError,
    InvalidTransitionError,
    NothingToRefundError,
    Role,
    credits,
    scheduling,
)
from tests.credits.ledger import without_reserving
from tests.factory import make_appointment, make_professional, make_student, make_user, write_past
from tests.sizes import examples, quick_or_whole

USERS, APPOINTMENTS = 3, 4


class Model:
    """The rules: who has what, and what was paid, given back, noted and asked for."""

    def __init__(self):
        self.held, self.bought, self.used = [0] * USERS, [0] * USERS, [0] * USERS
        self.paid, self.back, self.waiting, self.keys = {}, Counter(), {}, {}
        self.payments = {}

    def add(self, user, amount, kind):
        if self.held[user] + amount < 0:
            return InsufficientCreditsError
        self.held[user] += amount
        self.bought[user] += amount if kind == "purchase" else 0
        self.used[user] -= amount if kind in ("debit", "refund") else 0
        return None

    def debit(self, user, amount, appointment):
        if appointment in self.paid:
            return AlreadyDebitedError
        if (error := self.add(user, -amount, "debit")) is None and appointment is not None:
            self.paid[appointment] = (user, amount)
        return error

    def refund(self, appointment, part):
        if appointment not in self.paid:
            return NothingToRefundError
        user, amount = self.paid[appointment]
        left = amount - self.back[appointment]
        if not left:
            return AlreadyRefundedError
        if part is not None and part > left:
            return InvalidDataError
        self.back[appointment] += part or left
        return self.add(user, part or left, "refund")


user, amount = st.integers(0, USERS - 1), st.integers(1, 9)
appointment = st.integers(0, APPOINTMENTS - 1)


class Walk(RuleBasedStateMachine):
    """Each step is done to the ledger and to the model; `db` is set by the test."""

    db = None

    def __init__(self):
        super().__init__()
        self.model, self.entries, self.numbers = Model(), [], 0
        organization = self.db.create_organization("A walk", subdomain=f"walk-{next_number()}")
        self.tenant = self.db.tenant(organization)
        self.tenant.__enter__()
        without_reserving(organization)  # holds have a model of their own
        self.desk = make_user(role=Role.STAFF)
        self.users = [make_user() for _ in range(USERS)]
        self.people = {"professional": make_professional(), "student": make_student(), "client": self.users[0]}
        self.appointments = [make_appointment(**self.people) for _ in range(APPOINTMENTS)]

    def teardown(self):
        self.tenant.__exit__(None, None, None)

    def agree(self, error, act):
        if error is None:
            return act()
        with pytest.raises(error):
            act()
        return None

    @rule(who=user, n=amount)
    def purchase(self, who, n):
        self.model.add(who, n, "purchase")
        assert credits.purchase(self.users[who], n).balance_after == self.model.held[who]

    @rule(who=user, n=amount, of=st.none() | appointment, many=st.booleans())
    def debit(self, who, n, of, many):
        booked = {} if of is None else {"appointment": self.appointments[of]}
        row = {"user": self.users[who], "credits": n, **booked}
        error = self.model.debit(who, n, of)
        self.agree(error, lambda: credits.debit_many([row]) if many else credits.debit(**row))

    @rule(of=appointment, part=st.none() | amount)
    def refund(self, of, part):
        self.agree(self.model.refund(of, part), lambda: credits.refund(self.appointments[of], credits=part))

    @rule(who=user, n=st.integers(-9, 9).filter(bool))
    def adjust(self, who, n):
        error = self.model.add(who, n, "adjustment")
        self.agree(error, lambda: credits.adjust(self.users[who], n, reason="x", by=self.desk))

    @rule(who=user, other=user, n=amount)
    def transfer(self, who, other, n):
        error = InvalidDataError if who == other else self.model.add(who, -n, "transfer")
        if error is None:
            self.model.add(other, n, "transfer")
        self.agree(error, lambda: credits.transfer(self.users[who], self.users[other], n, reason="x", by=self.desk))

    @rule(who=user, n=amount)
    def note(self, who, n):
        entry = credits.purchase(self.users[who], n, pending=True)
        self.entries.append(entry.id)
        self.model.waiting[entry.id] = (who, n, "pending")

    @precondition(lambda self: self.entries)
    @rule(which=st.integers(0, 99), well=st.booleans())
    def settle(self, which, well):
        key = self.entries[which % len(self.entries)]
        who, n, status = self.model.waiting[key]
        wanted = "completed" if well else "failed"
        if status == "pending":
            self.model.waiting[key] = (who, n, wanted)
            if well:
                self.model.add(who, n, "purchase")
        entry = CreditTransaction.get_by_id(key)
        settle = credits.complete if well else lambda entry: credits.fail(entry, "no")
        self.agree(None if status in ("pending", wanted) else InvalidTransitionError, lambda: settle(entry))

    @rule(who=user, key=st.sampled_from("xyz"))
    def purchase_with_a_key(self, who, key):
        name = f"{who}{key}"
        if name not in self.model.keys:
            self.model.add(who, 4, "purchase")
        entry = credits.purchase(self.users[who], 4, idempotency_key=name)
        assert self.model.keys.setdefault(name, entry.id) == entry.id

    @rule(
        of=appointment,
        told=st.sampled_from([None, True, False]),
        ahead=st.sampled_from([1, 48]),
        by_hand=st.none() | st.tuples(user, amount),
        back=st.none() | amount,
    )
    def cancel(self, of, told, ahead, by_hand, back):
        in_time = told is True or (told is None and ahead == 48)
        fresh = make_appointment(**self.people, uses_credit=True, credits_used=2)
        self.appointments[of] = fresh
        fresh.pre_confirm(now=fresh.scheduled_at - timedelta(days=9))
        who = self.users[of % USERS]
        write_past(fresh, client_id=who.id)
        self.model.paid.pop(of, None)
        self.model.back.pop(of, None)
        if by_hand is not None:
            payer, n = by_hand
            self.agree(self.model.debit(payer, n, of), lambda: credits.debit(self.users[payer], n, appointment=fresh))
        error = None if of in self.model.paid else self.model.debit(of % USERS, 2, of)
        self.agree(error, lambda: fresh.confirm(now=fresh.scheduled_at - timedelta(days=8)))
        if error is None and back is not None:  # a part, by hand, before it is cancelled
            self.agree(self.model.refund(of, back), lambda: credits.refund(fresh, credits=back))
        if error is None and in_time:
            self.model.refund(of, None)
        fresh.cancel(reason="ill", refund=told, now=fresh.scheduled_at - timedelta(hours=ahead))

    @rule(of=appointment, by_hand=st.tuples(user, amount), swept=st.booleans())
    def expire(self, of, by_hand, swept):
        fresh = make_appointment(**self.people, uses_credit=True, credits_used=2)
        self.appointments[of] = fresh
        fresh.pre_confirm(now=fresh.scheduled_at - timedelta(days=9))
        self.model.paid.pop(of, None)
        self.model.back.pop(of, None)
        payer, n = by_hand
        error = self.model.debit(payer, n, of)
        self.agree(error, lambda: credits.debit(self.users[payer], n, appointment=fresh))
        if error is None:
            self.model.refund(of, None)
        late = fresh.scheduled_at + timedelta(days=1)
        scheduling.expire_overdue(now=late) if swept else fresh.expire(now=late)
        # A debit of now would come before that late moment, and wait to be given back.
        self.appointments[of] = make_appointment(**self.people, uses_credit=True, credits_used=2)
        self.model.paid.pop(of, None)
        self.model.back.pop(of, None)

    @rule(who=user, number=st.integers(0, 2), ends=st.sampled_from(["waits", "failed", "completed"]))
    def pay(self, who, number, ends):
        paid = {"payment_method": "mp", "payment_reference": f"{who}-{number}"}
        before = self.model.payments.get((who, number))
        entry = credits.purchase(self.users[who], 3, pending=True, **paid)
        assert entry.was_repeated == (before in ("waits", "completed"))
        if before != "completed":
            self.model.payments[who, number] = ends
            if ends == "completed":
                self.model.add(who, 3, "purchase")
            {"waits": lambda _: None, "failed": lambda e: credits.fail(e, "no"), "completed": credits.complete}[ends](
                entry
            )

    @invariant()
    def the_ledger_agrees_with_the_model(self):
        assert credits.verify().discrepancies == ()
        told = list(zip(self.model.held, self.model.bought, self.model.used, strict=True))
        assert figures_of(self.users) == told
        sums = Counter({each.id: 0 for each in self.users})
        for entry in CreditTransaction.select().where(CreditTransaction.status == "completed"):
            sums[entry.user_id] += entry.amount
        assert [sums[each.id] for each in self.users] == self.model.held
        assert min(self.model.held) >= 0


def figures_of(users):
    held = {each.user_id: each for each in CreditBalance.select()}
    rows = [held.get(user.id) for user in users]
    return [(row.balance, row.lifetime_purchased, row.lifetime_used) if row else (0, 0, 0) for row in rows]


_made = iter(range(10**9))


def next_number():
    return f"{id(Walk.db) % 10_000}-{next(_made)}"


def test_whatever_is_done_the_ledger_agrees_with_the_rules(db):
    Walk.db = db
    steps = quick_or_whole(15, 25)
    run_state_machine_as_test(Walk, settings=examples(4, 25, stateful_step_count=steps))
