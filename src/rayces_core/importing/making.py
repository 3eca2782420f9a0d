"""Making: reads the columns of a source that only make others, row by row, and makes those.

Rule it guards: what cannot be made for certain is told of the very column that it would be made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rayces_core.errors import InvalidDataError
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.orders import ColumnOrder, Orders
from rayces_core.importing.record import Record
from rayces_core.importing.ways import Way

Faults = list[tuple[str, Any, str]]


class Making:
    """The ways of a record type that the columns of a source open.

    Attributes:
        ways: the ways. names: the columns that they make and that the source does not have.
    """

    def __init__(self, record: Record, places: Mapping[str, int], reading: Reading) -> None:
        self.ways = [
            way
            for way in record.ways
            if way.make is not None
            and places.keys() >= set(way.needs)
            and (way.compares or not places.keys() & set(way.makes))
        ]
        self.names = tuple(dict.fromkeys(name for way in self.ways for name in way.makes if name not in places))
        wanted = {name for way in self.ways for name in way.needs}
        only_here = [column for column in record.also if column.name in wanted and column.name not in record.types]
        needed = {name for way in self.ways for name in way.needs if not places.keys() & set(way.makes)}
        self._columns = [
            (column, places[column.name], column.name in needed and record.needs(column)) for column in only_here
        ]
        self._reading = reading
        self._orders: Mapping[str, ColumnOrder] = {}

    def hold_to(self, orders: Orders) -> None:
        """Read each column of dates in the order that was found for it, and let it see every value."""
        self._orders = {
            column.name: orders.columns[column.name] for column, *_ in self._columns if column.name in orders.columns
        }

    def add(self, number: int, row: Sequence[Any], values: dict[str, Any], faults: Faults) -> Iterator[tuple[str, Any]]:
        """Give what a row's columns make, and add it to `values`; what cannot be made is added to `faults`."""
        for column, place, required in self._columns:
            if column.name in self._orders:
                self._orders[column.name].see(number, row[place])
            self._read(column, row[place], required, values, faults)
        for way in self.ways:
            for name, value in self._made(way, values, faults).items():
                if values.get(name) is None:
                    values[name] = value
                    yield name, value

    def _read(self, column: Column, given: Any, required: bool, values: dict[str, Any], faults: Faults) -> None:
        order, reading = self._orders.get(column.name), self._reading
        if order is not None:
            reading = replace(reading, day_first=order.day_first)
        try:
            value = None if given is None or given == "" else column.read(given, reading)
        except (ValueError, OverflowError) as error:
            faults.append((column.name, given, _said(error)))
            return
        if value is not None:
            values[column.name] = value
        elif required:
            faults.append((column.name, given, "is missing; fill it in"))

    def _made(self, way: Way, values: Mapping[str, Any], faults: Faults) -> Mapping[str, Any]:
        if way.make is None or any(values.get(name) is None for name in way.needs):
            return {}
        try:
            return way.make(values, self._reading)
        except (ValueError, OverflowError) as error:
            faults.append((way.needs[-1], " ".join(str(values[name]) for name in way.needs), _said(error)))
            return {}


def _said(error: Exception) -> str:
    return error.reason if isinstance(error, InvalidDataError) else str(error)
