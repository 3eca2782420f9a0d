"""The lines of a statement: what is looked at is read, by its place in the balance's chain, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

from rayces_core.models.credit import CreditTransaction

AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a statement, and the balance after it."""

    entry: CreditTransaction
    balance: int


class Lines(Sequence[Line]):
    """The lines of a long statement. Its length is known; a place, a slice, or 1,000 at a time as it is gone through
    are read where its tenant is bound. Entries that count never change, so neither does what is read later.
    """

    def __init__(self, balance_id: int, after: int, until: int) -> None:
        self._balance_id, self._places = balance_id, range(after + 1, until + 1)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Line, ...]: ...

    def __getitem__(self, at: int | slice) -> Line | tuple[Line, ...]:
        places = self._places[at]
        return read(self._balance_id, places) if isinstance(places, range) else read(self._balance_id, (places,))[0]

    def __iter__(self) -> Iterator[Line]:
        for start in range(0, len(self._places), AT_ONCE):
            yield from self[start : start + AT_ONCE]

    def __repr__(self) -> str:
        """How many there are."""
        return f"<{len(self)} lines>"


def lines(balance_id: int, after: int, until: int) -> Sequence[Line]:
    """The lines behind one place of the chain up to another: read at once where there are few."""
    if until - after > AT_ONCE:
        return Lines(balance_id, after, until)
    return read(balance_id, range(after + 1, until + 1))


def read(balance_id: int, places: Sequence[int]) -> tuple[Line, ...]:
    """The lines at these places, in their order."""
    if not places:
        return ()
    entry: Any = CreditTransaction
    first, last = min(places[0], places[-1]), max(places[0], places[-1])
    is_whole = last - first + 1 == len(places)
    wanted = entry.sequence.between(first, last) if is_whole else entry.sequence << list(places)
    found = entry.select().where((entry.credit_balance == balance_id) & wanted).order_by(entry.sequence)
    read_ = [Line(each, each.balance_after) for each in found]
    return tuple(read_ if places[0] <= places[-1] else reversed(read_))
