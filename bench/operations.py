"""The operations that are measured, with the issue's targets: the least ratio to psycopg2 written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, cycle, islice
from typing import Any

from bench.contender import Contender
from bench.facts import Facts
from bench.filling import pre_confirmed

Arguments = list[tuple[Any, ...]]

_texts = count()
_places = count()
_bookable = count()
_payers = count()

FEW_USERS = 20
CROWD = 8


@dataclass(frozen=True)
class Operation:
    """One kind of work.

    Attributes:
        title: what it is called in the table. method: the contender's method that does it.
        arguments: makes the arguments of so many calls for a contender, outside the clock.
        target: the least ratio that rayces_core has to reach; None where the issue names none.
        scans: it goes through so many rows that it is done once in a turn.
        turns: a round is cut in so many pieces, so that what disturbs it disturbs every contender.
        unit: what it is counted in; empty where one call is one.
        within: title of the operation that this one is a part of, to see its share.
        writes: it leaves something behind.
        opens_block: it is about opening the tenant's block, so it runs outside one.
        on_ledger: it is about credits, in the organization that has them.
        processes: so many do it at once; `arguments` are then those of each, which it repeats.
        longer: its batches are so many times as long, so that there are enough calls to tell the slowest of a hundred.
        flushed: its commits wait for the disk, as the server is set up; without, only the work itself is seen.
    """

    title: str
    method: str
    arguments: Callable[[Contender, int], Arguments]
    target: float | None = None
    scans: bool = False
    turns: int = 4
    unit: str = ""
    within: str | None = None
    writes: bool = False
    opens_block: bool = False
    on_ledger: bool = False
    processes: int = 1
    longer: int = 1
    flushed: bool = True

    @property
    def waits_often(self) -> bool:
        """Whether waiting for the disk shows; in one commit of thousands of rows it does not."""
        return self.writes and not self.scans

    def without_flush(self) -> Operation:
        """The same with commits that do not wait for the disk; the issue's targets are not about it."""
        return replace(self, title=f"{self.title}, no flush", target=None, flushed=False)

    def subdomain(self, facts: Facts) -> str:
        """The organization in whose block it runs."""
        return facts.ledger.subdomain if self.on_ledger else facts.subdomain


def _by_id(contender: Contender, calls: int) -> Arguments:
    return [(key,) for key in _spread(contender.facts.ids, calls)]


def _by_professional(contender: Contender, calls: int) -> Arguments:
    return [(key,) for key in _spread(contender.facts.professionals, calls)]


def _new(contender: Contender, calls: int) -> Arguments:
    return [(contender.facts.new_appointment(next(_places)),) for _ in range(calls)]


def _loaded(contender: Contender, calls: int) -> Arguments:
    # Each gets a text that it never had, so that every call is a change.
    rows = contender.load(list(_spread(contender.facts.ids, min(calls, len(contender.facts.ids)))))
    return [(row, _text()) for row in islice(cycle(rows), calls)]


def _by_id_with_text(contender: Contender, calls: int) -> Arguments:
    return [(key, _text()) for key in _spread(contender.facts.ids, calls)]


def _bookings(contender: Contender, calls: int) -> Arguments:
    return [(contender.facts.new_booking(next(_bookable)),) for _ in range(calls)]


def _pre_confirmed(contender: Contender, calls: int) -> Arguments:
    ids = pre_confirmed(contender.url, contender.facts, islice(_bookable, calls))
    return [(row,) for row in contender.load(ids)]


def _cold(contender: Contender, calls: int) -> Arguments:
    users = contender.facts.ledger.users
    return [(users[next(_payers) * 7 % len(users)],) for _ in range(calls)]


def _hot(contender: Contender, processes: int) -> Arguments:
    return [(contender.facts.ledger.users[0],)] * processes


def _own(contender: Contender, processes: int) -> Arguments:
    return [(user_id,) for user_id in contender.facts.ledger.users[:processes]]


def _purchases_of_few(contender: Contender, _: int) -> Arguments:
    return [(contender.purchases(contender.facts.ledger.purchases(FEW_USERS)),)]


def _purchases_of_all(contender: Contender, _: int) -> Arguments:
    ledger = contender.facts.ledger
    return [(contender.purchases(ledger.purchases(len(ledger.users))),)]


def _slots_statement(contender: Contender, _: int) -> Arguments:
    return [contender.slots_statement()]


def _nothing(_: Contender, calls: int) -> Arguments:
    return [()] * calls


def _spread(keys: tuple[int, ...], calls: int) -> Iterator[int]:
    return islice(cycle(keys), calls)


def _text() -> str:
    return f"rescheduled by telephone, call {next(_texts)}"


FREE_SLOTS = "free slots"
HOT = f"debit: one balance, {CROWD} processes"
SPREAD = f"debit: {CROWD} balances, {CROWD} processes"
MANY_OF_FEW = f"purchase_many: {FEW_USERS} users"
MANY_OF_ALL = "purchase_many: a user in two rows"

_credits = partial(Operation, writes=True, on_ledger=True)
_crowded = partial(_credits, method="debit", target=1.8, processes=CROWD, turns=2, longer=10)
_many = partial(_credits, method="purchase_many", target=0.5, scans=True, unit="purchases", turns=2)

_MEASURED = (
    Operation("point read by id", "point_read", _by_id, 0.60),
    Operation("list of 50 as models", "list_50", _by_professional, 0.55),
    Operation("insert", "insert", _new, 0.80, writes=True),
    Operation("update by id: save()", "save", _loaded, 0.80, writes=True),
    Operation("update by id: query", "update", _by_id_with_text, 0.80, writes=True),
    Operation("scan as models", "scan_models", _nothing, 0.52, scans=True, turns=1, unit="rows"),
    Operation("scan as tuples", "scan_tuples", _nothing, 0.95, scans=True, turns=1, unit="rows"),
    Operation("scan as dicts", "scan_dicts", _nothing, 0.95, scans=True, turns=1, unit="rows"),
    Operation("scan as namedtuples", "scan_namedtuples", _nothing, scans=True, turns=1, unit="rows"),
    Operation("scan with iterator()", "scan_iterator", _nothing, scans=True, turns=1, unit="rows"),
    Operation("transition: confirm", "confirm", _pre_confirmed, 1.0, writes=True),
    Operation("book, pre_confirm, confirm", "book_to_confirmed", _bookings, 1.0, writes=True),
    Operation(FREE_SLOTS, "find_slots", _nothing, 0.67, scans=True, unit="slots", opens_block=True),
    Operation(
        f"{FREE_SLOTS}: SQL alone", "find_slots_sql", _slots_statement, within=FREE_SLOTS, scans=True, opens_block=True
    ),
    _credits("debit: a balance at a time", "debit", _cold, 1.6, longer=5),
    _crowded(title=HOT, arguments=_hot),
    _crowded(title=SPREAD, arguments=_own),
    _many(title=MANY_OF_FEW, arguments=_purchases_of_few),
    _many(title=MANY_OF_ALL, arguments=_purchases_of_all),
    Operation("open a tenant block", "open_block", _nothing, opens_block=True),
    Operation("block with a point read", "read_in_block", _by_id, opens_block=True),
)


OPERATIONS = tuple(
    variant
    for operation in _MEASURED
    for variant in ((operation, operation.without_flush()) if operation.waits_often else (operation,))
)


def chosen(names: tuple[str, ...]) -> list[Operation]:
    """The operations whose method begins with one of `names`; all without names."""
    return [o for o in OPERATIONS if not names or o.method.startswith(names)]
