"""Decides for each column of dates whether the day or the month comes first, and holds every row to it.

Rule: the values of the first batch decide where some of them fit one order alone, else the country's habit. Every row
is watched: where one speaks against the order, each date that could be two days is refused, for none of them is
certain. A column whose values allow both is not read by the habit where another one is written against it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from typing import IO, Any, Final

from rayces_core.importing.days import Order, order_of
from rayces_core.importing.swapped import Swapped

Cell = tuple[int, str]
Row = tuple[int, Sequence[Any]]
Refusal = tuple[int, str, str]
Place = Callable[[int], str]  # row → how people find it

CALLED: Final = {True: "day/month/year", False: "month/day/year"}
OPTIONS: Final = {"dmy": True, "mdy": False}
_OF: Final = {Order.DAY_FIRST: True, Order.MONTH_FIRST: False}
# Values against the habit of the country count where there are at least two, and one of three among those that tell.
_AT_LEAST: Final = 2
_SHARE: Final = 3


class ColumnOrder:
    """The order of day and month in one column.

    Args:
        habit: what the country's habit is; None where there is none.

    Attributes:
        day_first: the order that its values are read in; None refuses those that may be two days.
        by_values: whether its values said so, against the habit or where there is none.
    """

    def __init__(self, habit: bool | None) -> None:
        self.day_first = self._habit = habit
        self.by_values = False
        self._found: dict[bool, Cell] = {}
        self._open: IO[str] | None = None
        self._swapped, self._telling, self._both = Swapped(), 0, False

    def settle(self, cells: Sequence[Cell]) -> None:
        """Choose the order by the first values of the column."""
        for number, written in cells:
            if (order := order_of(written)) in _OF:
                self._found.setdefault(_OF[order], (number, written))
        count = Counter(map(order_of, {written for _, written in cells}))
        if len(self._found) != 1 or self._habit in self._found:
            return
        many = sum(count[each] for each in _OF)
        if many * _SHARE >= many + count[Order.BOTH] and (self._habit is None or many >= _AT_LEAST):
            (self.day_first,) = self._found
            self.by_values = True

    def see(self, number: int, given: object) -> None:
        """Look at the value of a row."""
        if isinstance(given, str):
            order = order_of(given)
            if order is Order.BOTH:
                self._note_open(number, given)
            elif order is not Order.ANY:
                self._telling += 1
                if _OF[order] not in self._found:
                    self._found[_OF[order]] = (number, given)
        elif isinstance(given, date):
            self._swapped.cell(number, given)

    def _note_open(self, number: int, written: str) -> None:
        self._both = True
        if self.day_first is not None:
            if self._open is None:
                self._open = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - close() ends it
            self._open.write(f"{number}\t{' '.join(written.split())}\n")

    def example(self, day_first: bool | None) -> Cell | None:
        """Row and value of the first one that fits that order alone."""
        return None if day_first is None else self._found.get(day_first)

    def refusals(self, elsewhere: Cell | None, place: Place) -> Iterator[Refusal]:
        """(row, value, reason) of each value that may be two days, where one of the column is of the other order.

        Args:
            elsewhere: one of another column; it counts where no value of this one has its order.
        """
        yield from () if self._both else self._swapped.refusals(self._telling)
        against = self._found.get(not self.day_first)
        if against is None and self.day_first not in self._found:
            against = elsewhere
        if against is not None and self._open is not None:
            reason = _doubt(place(against[0]), against[1], not self.day_first)
            self._open.seek(0)
            for line in self._open:
                number, _, written = line.rstrip("\n").partition("\t")
                yield int(number), written, reason

    def close(self) -> None:
        """End the files of what is open."""
        self._swapped.close()
        if self._open is not None:
            self._open.close()


class Orders:
    """The orders of all columns of dates of a source; closed by `with`.

    Args:
        places: column → its place in a row. habit: what the country's habit is; None where there is none.
    """

    def __init__(self, places: Mapping[str, int], habit: bool | None) -> None:
        self._places = places
        self.columns = {name: ColumnOrder(habit) for name in places}

    def __enter__(self) -> Orders:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for each in self.columns.values():
                stack.callback(each.close)

    def settle(self, batch: Iterable[Row]) -> None:
        """Choose each column's order by the first rows."""
        rows = list(batch)
        for name, order in self.columns.items():
            place = self._places[name]
            order.settle([(number, row[place]) for number, row in rows if isinstance(row[place], str)])

    def refusals(self, place: Place = str) -> Iterator[tuple[str, Refusal]]:
        """(column, refusal) of each value that turned out to be in doubt."""
        for name, order in self.columns.items():
            elsewhere = None if order.day_first is None else self._example(not order.day_first)
            for refusal in order.refusals(elsewhere, place):
                yield name, refusal

    def told(self, place: Place = str) -> Iterator[tuple[str, str]]:
        """(column, sentence) of each that is read by its values and not by the country's habit."""
        for name, order in self.columns.items():
            if order.by_values and (found := order.example(order.day_first)):
                shown = f"{found[1]!r:.40} in row {place(found[0])}"
                yield name, f"is read as {CALLED[bool(order.day_first)]}: {shown} is nothing else"

    def _example(self, day_first: bool) -> Cell | None:
        return next((found for each in self.columns.values() if (found := each.example(day_first))), None)


def _doubt(row: str, other: str, day_first: bool) -> str:
    say = " or ".join(f"--date-order {option}" for option in OPTIONS)
    what = f"may be two days: row {row} has {other!r:.40}, which is {CALLED[day_first]}"
    return f'{what}; correct that one, or say {say} (date_order="dmy" or "mdy")'
