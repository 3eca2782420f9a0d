"""Whatever is bought, spent, given back and expires in whatever order: it is as if each credit were a dated coin."""

from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rayces_core import CreditBalance, CreditLot, InsufficientCreditsError, NothingToRefundError, clock, credits
from rayces_core.errors import AlreadyRefundedError, InvalidDataError
from tests.credits.ledger import NOW
from tests.factory import make_appointment, make_kind, make_organization, make_package, make_user
from tests.sizes import examples

KINDS = st.booleans()
STEPS = st.one_of(
    st.tuples(st.just("buy"), KINDS, st.integers(1, 5)),
    st.tuples(st.just("package"), KINDS, st.integers(1, 5), st.integers(0, 6)),
    st.tuples(st.just("debit"), KINDS, st.integers(1, 6)),
    st.tuples(st.just("debit many"), KINDS, st.integers(1, 3)),
    st.tuples(st.just("refund"), st.integers(0, 5), st.integers(1, 4)),
    st.tuples(st.just("take back"), st.integers(0, 5), st.none() | st.integers(1, 4)),
    st.tuples(st.just("wait"), st.integers(1, 4)),
    st.tuples(st.just("expire")),
)
FOR_EVER = 10**6


@dataclass
class Purse:
    """Coins, each with its last day and the number of what it was bought with."""

    coins: list[tuple[int, int]] = field(default_factory=list)

    def take(self, number: int, day: int, first: int = 0) -> list[tuple[int, int]]:
        """Those of the oldest day, and before them those of the number `first`, unless that is none."""
        usable = sorted(
            (coin for coin in self.coins if coin[0] >= day), key=lambda coin: (not first or coin[1] != first, coin)
        )
        if len(usable) < number:
            raise InsufficientCreditsError(required=number, available=len(usable))
        taken = usable[:number]
        for coin in taken:
            self.coins.remove(coin)
        return taken


class Model:
    """What the ledger is compared with."""

    def __init__(self):
        self.day, self.bought = 0, 0
        self.purses = {False: Purse(), True: Purse()}
        self.sessions, self.purchases = [], []

    def buy(self, kind, number, last=FOR_EVER):
        self.bought += last != FOR_EVER
        self.purchases.append([kind, number, self.bought if last != FOR_EVER else 0])
        self.purses[kind].coins += [(last, self.bought if last != FOR_EVER else 0)] * number

    def debit(self, kind, number):
        self.sessions.append((kind, self.purses[kind].take(number, self.day)))

    def refund(self, session, number):
        kind, taken = self.sessions[session]
        if number > len(taken):
            raise AlreadyRefundedError(0, 0)
        for _ in range(number):
            self.purses[kind].coins.append(taken.pop())

    def take_back(self, purchase, number):
        kind, left, lot = self.purchases[purchase]
        number = number or left
        if not left or number > left:
            raise InvalidDataError("credits", number, "more than is left")
        self.purses[kind].take(number, self.day, lot)
        self.purchases[purchase][1] -= number

    def expire(self):
        for purse in self.purses.values():
            purse.coins = [coin for coin in purse.coins if coin[0] >= self.day]


class Ledger:
    """The same, done."""

    def __init__(self):
        self.user, self.kinds = make_user(), {False: None, True: make_kind()}
        self.sessions, self.purchases = [], []

    def step(self, what, *values):
        if what == "buy":
            self.purchases.append(credits.purchase(self.user, values[1], kind=self.kinds[values[0]]))
        elif what == "package":
            kind, number, days = values
            package = make_package(credits=number, valid_days=days, credit_kind=self.kinds[kind])
            self.purchases.append(credits.purchase_package(self.user, package))
        elif what == "debit":
            kind, number = values
            session = make_appointment(client=self.user)
            credits.debit(self.user, number, kind=self.kinds[kind], appointment=session)
            self.sessions.append(session)
        elif what == "debit many":
            kind, number = values
            session = make_appointment(client=self.user)
            row = {"user": self.user, "credits": number, "kind": self.kinds[kind], "appointment": session}
            credits.debit_many([row])
            self.sessions.append(session)
        elif what == "refund":
            credits.refund(self.sessions[values[0]], credits=values[1])
        elif what == "take back":
            credits.take_back(self.purchases[values[0]], credits=values[1], reason="the payment went back")
        elif what == "expire":
            credits.expire_lots()

    def picture(self):
        """Balance of each kind, and what is left of each lot in the order in which they were bought."""
        balances = {kind: credits.balance(self.user, kind=row) for kind, row in self.kinds.items()}
        lots = [
            (lot.credit_balance.credit_kind_id is not None, lot.remaining)
            for lot in CreditLot.select().join(CreditBalance).order_by(CreditLot.id)
        ]
        return balances, lots


def outcome(act, *values):
    try:
        act(*values)
    except (InsufficientCreditsError, AlreadyRefundedError, InvalidDataError, NothingToRefundError) as error:
        return isinstance(error, InsufficientCreditsError) and (error.required, error.available), True
    return None


def modelled(model, what, *values):
    if what == "buy":
        model.buy(*values)
    elif what == "package":
        model.buy(values[0], values[1], model.day + values[2])
    elif what in ("debit", "debit many"):
        model.debit(*values)
    elif what == "refund":
        model.refund(*values)
    elif what == "take back":
        model.take_back(*values)
    elif what == "wait":
        model.day += values[0]
    else:
        model.expire()


def pictured(model, lots):
    """The model's own picture of as many lots."""
    left = [sum(coin[1] == number for purse in model.purses.values() for coin in purse.coins) for number in lots]
    return {kind: len(purse.coins) for kind, purse in model.purses.items()}, left


@examples(10, 100)
@given(steps=st.lists(STEPS, max_size=25))
def test_it_is_as_if_each_credit_were_a_coin_with_a_day(db, steps):
    with db.tenant(make_organization(db)), clock.frozen(NOW):
        model, ledger = Model(), Ledger()
    for what, *values in steps:
        if what == "refund" and values[0] >= len(model.sessions):
            continue
        if what == "take back" and values[0] >= len(model.purchases):
            continue
        expected = outcome(modelled, model, what, *values)
        with db.tenant(ledger.user.organization_id), clock.frozen(NOW + timedelta(days=model.day)):
            assert outcome(ledger.step, what, *values) == expected, (what, values)
            balances, lots = ledger.picture()
            assert (balances, [left for _, left in lots]) == pictured(model, range(1, len(lots) + 1))
            assert credits.verify().is_clean
