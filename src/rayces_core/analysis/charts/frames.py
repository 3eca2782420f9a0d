"""What charts read of a metric's frame: its columns, what it is divided by, and whose and in which currency it is.

Rule it guards: organizations and currencies are never added up; each gets a panel of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.writing import Writing
from rayces_core.errors import InvalidDataError

if TYPE_CHECKING:
    import polars

Frame = Any  # polars, pandas or Arrow
PANELS: Final = ("organization_id", "currency")
PERIOD: Final = "period"


def as_polars(frame: Frame, metric: str, needed: Sequence[str]) -> polars.DataFrame:
    """The frame for polars, whichever library it is of.

    Raises:
        InvalidDataError: this is no frame, or not one of the metric's: a column is missing.
    """
    import polars

    found: polars.DataFrame | None = _converted(frame, polars)
    if found is None:
        kind = type(frame).__name__
        raise InvalidDataError("frame", kind, f"this is no frame; give what analysis.{metric}(start, end) returns")
    if missing := [name for name in needed if name not in found.columns]:
        reason = f"has no column {', '.join(missing)}; give what analysis.{metric}(start, end) returns"
        raise InvalidDataError("frame", list(found.columns), reason)
    return found


def _converted(frame: Frame, polars: Any) -> Any:
    if isinstance(frame, polars.LazyFrame):
        return frame.collect()
    if isinstance(frame, polars.DataFrame):
        return frame
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__dataframe__"):
        made = polars.from_dataframe(frame) if not hasattr(frame, "__arrow_c_stream__") else polars.DataFrame(frame)
        # pandas knows moments where a metric has days
        days = [name for name in made.columns if name == PERIOD and made.schema[name] != polars.Date]
        return made.with_columns(polars.col(name).cast(polars.Date) for name in days)
    return None


def by_of(frame: polars.DataFrame, figures: Sequence[str]) -> list[str]:
    """The columns that the figures are divided by: what is neither a figure, nor period, organization or currency."""
    return [name for name in frame.columns if name not in {*figures, *PANELS, PERIOD}]


def by_word(columns: Sequence[str], writing: Writing) -> str:
    """What `by` columns are called."""
    keys = [column.removesuffix("_id") for column in columns]
    return ", ".join(writing.word(f"by.{key}") if writing.knows(f"by.{key}") else key for key in keys)


def labels(frame: polars.DataFrame, columns: Sequence[str], writing: Writing) -> list[str]:
    """A text for each row that says which member of the `by` columns it is about."""
    return [
        " · ".join(_label(name, value, writing) for name, value in zip(columns, row, strict=True))
        for row in frame.select(columns).iter_rows()
    ]


def shortened(names: Sequence[str], most: int) -> list[str]:
    """The names in so many letters, and still told apart: cut in the middle, as namesakes differ at an end."""
    short = {name: name for name in names if len(name) <= most}
    for name in dict.fromkeys(names):
        if name not in short:
            cuts = (_cut(name, most, f" {number}" if number else "") for number in count())
            short[name] = next(cut for cut in cuts if cut not in short.values())
    return [short[name] for name in names]


def _cut(name: str, most: int, tail: str) -> str:
    room = most - len(tail) - 1
    return f"{name[: room - room // 2].rstrip()}\u2026{name[len(name) - room // 2 :].lstrip()}{tail}"


def _label(column: str, value: Any, writing: Writing) -> str:
    if value is None:
        return writing.word("by.none")
    if column == "weekday" and isinstance(value, int):
        return writing.weekday(value)
    if column == "hour" and isinstance(value, int):
        return f"{value:02}:00"
    if column == "lead" and writing.knows(f"lead.{value}"):
        return writing.word(f"lead.{value}")
    return str(value)


def panels(frame: polars.DataFrame, writing: Writing) -> list[tuple[str, str, polars.DataFrame]]:
    """The frame by organization and currency, each with what it is called and its currency; empty texts for one only.

    What is called nothing needs no heading: there is only one.
    """
    keys = [name for name in PANELS if name in frame.columns]
    if not keys or frame.is_empty():
        return [("", "", frame)]
    parts = frame.partition_by(keys, as_dict=True, maintain_order=True)
    several = [name for name in keys if frame[name].n_unique() > 1]
    made = []
    for values, part in sorted(parts.items(), key=lambda item: tuple(str(each).zfill(20) for each in item[0])):
        told = dict(zip(keys, values, strict=True))
        names = [_panel_name(name, told[name], writing) for name in several]
        made.append((" · ".join(names), str(told.get("currency") or ""), part))
    return made


def _panel_name(name: str, value: Any, writing: Writing) -> str:
    return writing.word("by.organization", id=value) if name == "organization_id" else str(value or NO_CURRENCY)


NO_CURRENCY: Final = "\u2013"


def period_labels(periods: Sequence[date], writing: Writing) -> dict[date, str]:
    """A short name for each period: months where all but a cut first one begin with a month, else days."""
    ordered = sorted(set(periods))
    whole = ordered if len(ordered) == 1 else ordered[1:]
    if all(day.day == 1 for day in whole) and len({(day.year, day.month) for day in ordered}) == len(ordered):
        return {day: writing.month(day, short=True) for day in ordered}
    years = len({day.year for day in ordered}) > 1
    return {day: writing.day(day, short=True) + (f" {day.year % 100:02}" if years else "") for day in ordered}
