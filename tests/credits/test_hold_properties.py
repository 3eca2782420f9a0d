"""Whatever is bought, held, confirmed, cancelled and taken: nothing held is taken, and reserved is what is held."""

from hypothesis import given
from hypothesis import strategies as st

from rayces_core import Appointment, CreditBalance, InsufficientCreditsError, credits
from tests.credits.ledger import early
from tests.factory import make_appointment, make_kind, make_organization, make_user
from tests.sizes import examples

KINDS = st.booleans()
STEPS = st.one_of(
    st.tuples(st.just("buy"), KINDS, st.integers(1, 5)),
    st.tuples(st.just("take"), KINDS, st.integers(1, 4)),
    st.tuples(st.just("take many"), KINDS, st.integers(1, 4)),
    st.tuples(st.just("hold"), KINDS, st.integers(0, 4)),
    st.tuples(st.just("confirm"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("pay"), st.integers(0, 5), st.integers(1, 4)),
)


class Model:
    """Credits of each kind, and the holds: kind, what is reserved, and whether it was paid for by hand."""

    def __init__(self):
        self.there, self.holds, self.ended = {False: 0, True: 0}, {}, {}

    def reserved(self, kind):
        return sum(cost for of, cost, _ in self.holds.values() if of == kind)

    def take(self, kind, number, of_hold=0):
        if self.there[kind] - self.reserved(kind) + of_hold < number:
            raise InsufficientCreditsError(required=number, available=0)
        self.there[kind] -= number

    def hold(self, number, kind, cost):
        if self.there[kind] - self.reserved(kind) < cost:
            raise InsufficientCreditsError(required=cost, available=0)
        self.holds[number] = (kind, cost, 0)

    def pay(self, number, amount):
        kind, cost, _ = self.holds[number]
        self.take(kind, amount, of_hold=cost)
        self.holds[number] = (kind, 0, amount)

    def end(self, number, confirms):
        kind, cost, paid = self.holds.pop(number)
        if confirms:
            self.there[kind] -= 0 if paid else cost
        else:
            self.there[kind] += paid


def refused(act):
    try:
        act()
    except InsufficientCreditsError:
        return True
    return False


@examples(10, 100)
@given(steps=st.lists(STEPS, max_size=25))
def test_what_is_reserved_is_what_is_held_and_nobody_takes_it(db, steps):
    with db.tenant(make_organization(db)):
        model, user, kinds = Model(), make_user(), {False: None, True: make_kind()}
        sessions = {}
        for number, (what, *values) in enumerate(steps):
            step(model, user, kinds, sessions, number, what, *values)
            held = {row.credit_kind_id is not None: row for row in CreditBalance.select()}
            assert {kind: row.balance for kind, row in held.items()} == {kind: model.there[kind] for kind in held}
            assert {kind: row.reserved for kind, row in held.items()} == {kind: model.reserved(kind) for kind in held}
            assert all(row.available >= 0 for row in held.values())
            assert credits.verify().is_clean


def step(model, user, kinds, sessions, number, what, *values):
    if what == "buy":
        kind, amount = values
        model.there[kind] += amount
        credits.purchase(user, amount, kind=kinds[kind])
    elif what in ("take", "take many"):
        kind, amount = values
        row = {"user": user, "credits": amount, "kind": kinds[kind]}
        take = (lambda: credits.debit(**row)) if what == "take" else (lambda: credits.debit_many([row]))
        assert refused(lambda: model.take(kind, amount)) == refused(take)
    elif what == "hold":
        kind, cost = values
        draft = make_appointment(client=user, uses_credit=True, credits_used=cost, credit_kind=kinds[kind])
        sessions[number] = draft
        expected = refused(lambda: model.hold(number, kind, cost))
        assert refused(lambda: draft.pre_confirm(now=early(draft))) == expected
    elif model.holds:
        chosen = sorted(model.holds)[values[0] % len(model.holds)]
        session = Appointment.get_by_id(sessions[chosen].id)
        if what == "pay":
            if not model.holds[chosen][2]:
                pay = lambda: credits.debit(user, values[1], kind=session.credit_kind_id, appointment=session)  # noqa: E731
                assert refused(lambda: model.pay(chosen, values[1])) == refused(pay)
            return
        model.end(chosen, what == "confirm")
        session.confirm(now=early(session)) if what == "confirm" else session.cancel(reason="ill", now=early(session))
