"""What a report is made of: its scope, and a section for each question with figures, charts, a table and frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from rayces_core.analysis.writing import Writing

if TYPE_CHECKING:
    import polars as pl

    from rayces_core.analysis.charts.drawn import Picture

Kind = Literal["count", "ratio", "money", "days", "hours", "text"]
MONTHLY: Final = "1mo"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the month and of the month before, `pair`: each a value, or None where there is nothing to tell.

    Money is cents of `currency`, ratios are 0 to 1, days and hours are numbers of them.
    """

    label: str
    kind: Kind
    pair: Sequence[Any]
    currency: str = ""

    @property
    def value(self) -> Any:
        """The figure of the month."""
        return self.pair[0]

    @property
    def before(self) -> Any:
        """The figure of the month before; None where there is none, as in a figure of now."""
        return self.pair[1] if len(self.pair) > 1 else None

    def written(self, writing: Writing) -> tuple[str, str]:
        """Both values for people."""
        return self._written(self.value, writing), self._written(self.before, writing)

    def _written(self, value: Any, writing: Writing) -> str:
        if value is None or self.kind == "text":
            return value or writing.number(None)
        if self.kind == "ratio":
            return writing.percent(value)
        if self.kind == "money":
            return writing.money(value, self.currency)
        if self.kind in ("days", "hours"):
            return writing.word(f"unit.{self.kind}", n=writing.number(value, 1))
        return writing.number(value)


@dataclass(frozen=True, slots=True)
class Section:
    """What answers one question.

    Attributes:
        key: of the question, as words.toml has it.
        figures: of the month, the most important one first.
        charts: what makes them; a workbook needs none. metrics: names of those whose definitions belong here.
        frames: what was asked, by a name for a sheet.
        rows: what somebody has to see to, as texts, under `headings`.
        of_now: whether this is about the moment of the report, not about the month.
    """

    key: str
    figures: Sequence[Figure]
    charts: Sequence[Callable[[], Picture]]
    metrics: Sequence[str]
    frames: Mapping[str, pl.DataFrame]
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    of_now: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about: an organization and a month of its wall clock, and how it is written.

    `month` is its first day, `now` the moment at which it is made. `names` are what users are called, by id.
    """

    organization: str
    zone: ZoneInfo
    month: date
    now: datetime
    writing: Writing
    country: str | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def end(self) -> date:
        """The first day after the month."""
        return (self.month + timedelta(days=31)).replace(day=1)

    @property
    def before(self) -> date:
        """The first day of the month before."""
        return (self.month - timedelta(days=1)).replace(day=1)

    @property
    def since(self) -> date:
        """The first day of the months that are shown beside this one: a year of them."""
        return year_before(self.month)

    @property
    def running(self) -> bool:
        """Whether the month is not over yet."""
        return self.local(self.now).date() < self.end

    @property
    def drawn(self) -> dict[str, Any]:
        """What charts have to be told."""
        return {"language": self.writing.language, "country": self.country}

    @property
    def written_month(self) -> str:
        """The month in words."""
        return self.writing.month(self.month)

    @property
    def year(self) -> str:
        """The months that are shown, in words."""
        return f"{self.writing.month(self.since)} \u2013 {self.written_month}"

    def local(self, moment: datetime) -> datetime:
        """A moment on the organization's wall clock."""
        return moment.astimezone(self.zone)

    def named(self, frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """The frame with the names of users in place of their ids, in these columns."""
        import polars as pl

        texts = {column: [self.name(user) for user in frame[column]] for column in columns}
        return frame.with_columns(pl.Series(column, names, pl.String) for column, names in texts.items())

    def name(self, user: int) -> str:
        """What the user of that id is called."""
        return self.names.get(user, f"#{user}")

    def pair(self, frame: pl.DataFrame, column: str) -> tuple[Any, Any]:
        """The column's value in this month and in the month before, of a frame of months; None where it has none."""
        found = dict(frame.select("period", column).iter_rows())
        return found.get(self.month), found.get(self.before)


def year_before(month: date) -> date:
    """The same month a year before."""
    return month.replace(year=month.year - 1)
