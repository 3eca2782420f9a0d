"""Working time as a table of one statement: the scheduler's own spans, cut at the days or hours of the wall clock.

Rule it guards: what working time is, is decided by `LocalDays` alone. The schedules are read by one statement; their
spans go into the statement that counts as arrays, each distinct schedule once, however many professionals share it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from rayces_core.analysis.asking import rows_of
from rayces_core.analysis.periods import Periods
from rayces_core.scheduling.calendars import hours_of
from rayces_core.scheduling.wall_clock import DAY, EPOCH_ORDINAL, SECOND, LocalDays, Piece, Span, WorkingHours

HOUR: Final = DAY // 24
# Local days begin and end this far from those of UTC at most.
AROUND: Final = 2 * DAY

SCHEDULES: Final = """
SELECT organization.id, organization.time_zone, professional.user_id,
       professional.weekly_schedule::text, professional.blocked_dates::text, professional.dated_schedules::text,
       professional.date_overrides::text, closed.days
  FROM {organizations} AS organization
  LEFT JOIN {professionals} AS professional ON professional.organization_id = organization.id AND professional.active
  LEFT JOIN (SELECT organization_id, string_agg((day - DATE '1970-01-01')::text, ',' ORDER BY day) AS days
               FROM {closed_days} AS each WHERE NOT is_open AND day BETWEEN %(first)s - 2 AND %(last)s + 2
              GROUP BY organization_id) AS closed
    ON closed.organization_id = organization.id
 ORDER BY organization.id
"""


class Cell(NamedTuple):
    """A span within one local day or hour and within one of UTC: an hour that the clock shows twice is two.

    Attributes: `start`, `end`, in microseconds since 1970; `day`, the local day since 1970; `hour`, of the wall clock.
    """

    start: int
    end: int
    day: int
    hour: int


@dataclass
class Columns:
    """Columns of whole numbers, as arrays for `unnest`."""

    names: tuple[str, ...]
    rows: list[tuple[int, ...]] = field(default_factory=list)

    def values(self, table: str) -> dict[str, str]:
        """Each column as the text of an array, which the server reads faster than a list of constants."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.names)
        return {
            f"{table}_{name}": "{" + ",".join(map(str, column)) + "}"
            for name, column in zip(self.names, columns, strict=True)
        }

    def sql(self, table: str) -> str:
        """SQL: `table AS (…)`, of its columns."""
        arrays = ", ".join(f"%({table}_{name})s::bigint[]" for name in self.names)
        return f"{table} AS (SELECT * FROM unnest({arrays}) AS given({', '.join(self.names)}))"


class WorkingTime:
    """The tables `zoned`, `cell`, `worker` and `worked` of a statement, for `counted(before=…, values=…)`.

    zoned: organization_id → zone. cell: zone, no, starts, ends, utc (days, or hours, since
    1970), period (days since 1970), weekday, hour.
    worker: organization_id, professional_id → hours. worked: hours, cell, starts, ends. Moments are seconds since 1970.
    """

    def __init__(self, periods: Periods, *, by_hour: bool) -> None:
        self._periods, self._length = periods, HOUR if by_hour else DAY
        self._firsts = [_number(first) for first in periods.firsts]
        self._tables = {
            "zoned": Columns(("organization_id", "zone")),
            "cell": Columns(("zone", "no", "starts", "ends", "utc", "period", "weekday", "hour")),
            "worker": Columns(("organization_id", "professional_id", "hours")),
            "worked": Columns(("hours", "cell", "starts", "ends")),
        }
        self._zones: dict[str, tuple[int, LocalDays, list[tuple[int, Cell]]]] = {}
        self._hours: dict[tuple[int, WorkingHours], int] = {}
        for row in rows_of(SCHEDULES, {"first": periods.start, "last": periods.end}):
            self._take_up(*row)

    @property
    def before(self) -> str:
        """SQL for WITH, ending in a comma."""
        return "".join(f"{columns.sql(table)},\n" for table, columns in self._tables.items())

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of that SQL."""
        return {"bucket": self._length // SECOND} | {
            name: value for table, columns in self._tables.items() for name, value in columns.values(table).items()
        }

    def _take_up(self, organization: int, zone: str, user: int | None, *stored: Any) -> None:
        number = self._zone(zone)
        if (organization, number) not in self._tables["zoned"].rows[-1:]:
            self._tables["zoned"].rows.append((organization, number))
        if user is not None:
            hours = self._worked(zone, hours_of(user, *stored))
            self._tables["worker"].rows.append((organization, user, hours))

    def _zone(self, name: str) -> int:
        if name not in self._zones:
            start, end = _number(self._periods.start), _number(self._periods.end)
            days = LocalDays(ZoneInfo(name), start * DAY - AROUND, end * DAY + AROUND)
            number, first = len(self._zones), len(self._tables["cell"].rows)
            cells = list(enumerate(_cells(days.pieces, start, end, self._length), first))
            self._zones[name] = number, days, cells
            self._tables["cell"].rows += [self._row(number, no, cell) for no, cell in cells]
        return self._zones[name][0]

    def _row(self, zone: int, no: int, cell: Cell) -> tuple[int, ...]:
        period = self._firsts[bisect_right(self._firsts, cell.day) - 1]
        bounds = cell.start // SECOND, cell.end // SECOND, cell.start // self._length
        return (zone, no, *bounds, period, (cell.day + 3) % 7 + 1, cell.hour)

    def _worked(self, zone: str, hours: WorkingHours) -> int:
        number, days, cells = self._zones[zone]
        known = self._hours.get((number, hours))
        if known is None:
            known = self._hours[number, hours] = len(self._hours)
            cut = _cut(days.working_time(hours), cells)
            self._tables["worked"].rows += [(known, no, opens // SECOND, closes // SECOND) for no, opens, closes in cut]
        return known


def _number(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL


def day_of(number: int) -> date:
    """The day that is so many days after 1970-01-01."""
    return date(1970, 1, 1) + timedelta(days=number)


def _cells(pieces: Iterable[Piece], start: int, end: int, length: int) -> Iterator[Cell]:
    """The cells of the local days from `start` to `end`, in order."""
    for piece in pieces:
        for day in piece.days(piece.start, piece.end):
            if not start <= day < end:
                continue
            midnight = day * DAY - piece.offset
            for hour in range(DAY // length):
                opens = max(midnight + hour * length, piece.start)
                closes = min(midnight + (hour + 1) * length, piece.end)
                yield from _by_utc(opens, closes, day, hour, length)


def _by_utc(start: int, end: int, day: int, hour: int, length: int) -> Iterator[Cell]:
    while start < end:
        closes = min(end, (start // length + 1) * length)
        yield Cell(start, closes, day, hour)
        start = closes


def _cut(spans: Iterable[Span], cells: list[tuple[int, Cell]]) -> Iterator[tuple[int, int, int]]:
    """What of each span lies in each cell, both in order: (cell, start, end)."""
    at = 0
    for start, end in spans:
        while at < len(cells) and cells[at][1].end <= start:
            at += 1
        following = at
        while following < len(cells) and cells[following][1].start < end:
            no, cell = cells[following]
            yield no, max(start, cell.start), min(end, cell.end)
            following += 1
