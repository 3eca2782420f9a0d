"""Which rows and columns of a record type are exported, as SQL with values apart.

Rule it guards: a filter that names no column or has a malformed value is refused; it never widens what is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from rayces_core.errors import InvalidDataError, NaiveDatetimeError
from rayces_core.exporting.records.shape import Column, Kind, Record
from rayces_core.fields.text import unstorable

Where = Mapping[str, Any]
Moment = date | datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """The columns in their order, the query of the rows and of their number, and the values of both."""

    columns: tuple[Column, ...]
    sql: str
    counting: str
    values: Mapping[str, Any]


def select(
    record: Record,
    *,
    organization_id: int,
    zone: ZoneInfo,
    columns: Iterable[str] | None = None,
    where: Where | None = None,
    state: Any = None,
    user: Any = None,
    start: Moment | None = None,
    end: Moment | None = None,
) -> Selection:
    """The selection that is asked for; see `rayces_core.exporting.export`."""
    chosen = _chosen(record, columns)
    values: dict[str, Any] = {"organization_id": organization_id, "zone": str(zone)}
    conditions = [_equal(record, name, wanted, values) for name, wanted in (where or {}).items()]
    if state is not None:
        conditions.append(_equal(record, _state_of(record), state, values))
    if user is not None:
        conditions.append(_about(record, user, values))
    conditions += _span(record, start, end, zone, values)
    source = _source(record)
    met = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    shown = ", ".join(_quoted(column.name) for column in chosen)
    return Selection(
        chosen,
        f'SELECT {shown} FROM ({source}) AS exported {met} ORDER BY "id"',
        f"SELECT count(*) FROM ({source}) AS exported {met}",
        values,
    )


def _chosen(record: Record, names: Iterable[str] | None) -> tuple[Column, ...]:
    if names is None:
        return record.columns
    wanted = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    if not wanted:
        raise InvalidDataError("columns", (), "names no column; leave it out for all of them")
    return tuple(_column(record, name) for name in wanted)


def _column(record: Record, name: object) -> Column:
    for column in record.columns:
        if column.name == name:
            return column
    there = ", ".join(column.name for column in record.columns)
    raise InvalidDataError(f"{record.name}.{name}", name, f"there is no such column; there are {there}")


def _source(record: Record) -> str:
    shown = ", ".join(f"{column.sql} AS {_quoted(column.name)}" for column in record.columns)
    tenant = "id" if record.name == "organizations" else "organization_id"
    return f"SELECT {shown} FROM {record.table} AS t {record.joins} WHERE t.{tenant} = %(organization_id)s"


# -- conditions -----------------------------------------------------------------------------------------------


def _equal(record: Record, name: str, wanted: Any, values: dict[str, Any]) -> str:
    column = _column(record, name)
    if wanted is None or wanted == "":
        return f"{_quoted(name)} IS NULL"
    several = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    read = _READERS.get(column.kind)
    if read is None:
        raise InvalidDataError(f"{record.name}.{name}", wanted, "is a document; filter by another column")
    key = f"value_{len(values)}"
    values[key] = [_read(record, column, value, read) for value in several]
    return f"{_quoted(name)} = ANY(%({key})s::{_TYPES[column.kind]}[])"


def _read(record: Record, column: Column, value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{record.name}.{column.name}", value, f"is no {column.kind.value}") from None


def _state_of(record: Record) -> str:
    if record.state is None:
        raise InvalidDataError("state", None, f"{record.name} have no state; leave it out")
    return record.state


def _about(record: Record, user: Any, values: dict[str, Any]) -> str:
    if not record.people:
        raise InvalidDataError("user", user, f"{record.name} name no user; leave it out")
    address = str(getattr(user, "email", user)).strip().lower()
    return f"({' OR '.join(_equal(record, name, address, values) for name in record.people)})"


def _span(
    record: Record, start: Moment | None, end: Moment | None, zone: ZoneInfo, values: dict[str, Any]
) -> list[str]:
    made = []
    for sign, name, bound in ((">=", "start", start), ("<", "end", end)):
        if bound is not None:
            if not record.when:
                raise InvalidDataError(name, bound, f"{record.name} have no moment that they are about; leave it out")
            # A day is the organization's; the last one counts whole.
            values[name] = _moment_of(bound, zone, days=1 if name == "end" else 0)
            made.append(f"{_quoted(record.when)} {sign} %({name})s")
    return made


def _moment_of(bound: Moment, zone: ZoneInfo, days: int) -> datetime:
    if isinstance(bound, datetime):
        return _aware(bound)
    if not isinstance(bound, date):
        raise InvalidDataError("start or end", bound, "must be a date or an aware datetime")
    try:
        day = bound + timedelta(days=days)
    except OverflowError:
        raise InvalidDataError("end", bound, "is the last day there is; leave it out") from None
    return datetime(day.year, day.month, day.day, tzinfo=zone)


# -- values of filters, as people and programs give them ------------------------------------------------------


def _aware(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError
    if moment.tzinfo is None:
        raise NaiveDatetimeError("moment", moment)
    return moment


def _text(value: Any) -> str:
    text = str(value)
    if problem := unstorable(text):
        raise InvalidDataError("text", value, problem)
    return text


def _integer(value: Any) -> int:
    number = int(value)
    if isinstance(value, float) or not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    return words[str(value).lower()] if str(value).lower() in words else _integer("no boolean") > 0


def _day(value: Any) -> date:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(day, datetime) or not isinstance(day, date):
        raise TypeError
    return day


def _cents(value: Any) -> int:
    cents = Decimal(str(value)) * 100
    if cents != int(cents):
        raise ValueError
    return int(cents)


_READERS: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _day,
    Kind.MOMENT: _aware,
    Kind.MONEY: _cents,
}
_TYPES: Final = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.MOMENT: "timestamptz",
    Kind.MONEY: "bigint",
}


def _quoted(name: str) -> str:
    return f'"{name}"'
