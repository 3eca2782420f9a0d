"""Charts of what goes on from period to period: sessions, rates, revenue, credits and how far ahead people book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.charts.axes import NUMBER, PERCENT, money, whole_numbers
from rayces_core.analysis.charts.drawing import Drawing
from rayces_core.analysis.charts.drawn import Layered, Stacked
from rayces_core.analysis.charts.frames import PERIOD, Frame, labels, period_labels, shortened
from rayces_core.analysis.charts.marks import (
    LONGEST_LINE,
    LONGEST_NAME,
    LONGEST_PART,
    areas,
    grid,
    lines,
    listed,
    spans,
    stacks,
)
from rayces_core.analysis.charts.palette import MAIN, SERIES, STATES

if TYPE_CHECKING:
    import polars

Row = dict[str, Any]
HOURS: Final = 24
# A share that is nearly always small is shown up to here at least, so that 2 % does not look like all of it.
LEAST_TOP: Final = 0.2


def sessions(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.sessions`: bars by how sessions ended; with `by`, sessions held by each and period."""
    drawing = Drawing.of(frame, "sessions", ["executed", "no_show", "cancelled", "open"], **told, also=["held_minutes"])
    if drawing.by:
        return drawing.chart("sessions_by", lambda rows: _divided(drawing, rows, "executed", None, _held))
    return drawing.chart("sessions", lambda rows: _ended(drawing, rows))


def _held(drawing: Drawing, row: Row) -> tuple[str, str]:
    said = drawing.writing.number(row["executed"])
    return said, said


def _ended(drawing: Drawing, rows: polars.DataFrame) -> Layered | None:
    writing, names = drawing.writing, _periods(drawing, rows)
    parts = {writing.word(f"state.{state}"): colour for state, colour in STATES.items()}
    made = [
        {
            "at": names[place],
            "part": part,
            "place": order,
            "value": row[state],
            "said": f"{names[place]} · {part}: {writing.number(row[state])}",
        }
        for place, row in enumerate(rows.iter_rows(named=True))
        for order, (state, part) in enumerate(zip(STATES, parts, strict=True))
        if row[state]
    ]
    ended = [sum(row[state] or 0 for state in STATES) for row in rows.iter_rows(named=True)]
    return stacks(made, names, parts, whole_numbers(ended)) if made else None


def occupancy(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.occupancy`: a line; with `by`, a bar for each, or a cell for each and period."""
    figures = ["working_minutes", "booked_minutes", "occupancy"]
    also = ["occupied_minutes", "executed_minutes", "outside_minutes", "utilisation"]
    drawing = Drawing.of(frame, "occupancy", figures, **told, also=also)
    return drawing.chart("occupancy", lambda rows: _ratio(drawing, rows, "occupancy", _occupied, whole=1.0))


def _occupied(drawing: Drawing, row: Row) -> tuple[str, str]:
    write = drawing.writing
    facts = {"booked": write.number(row["booked_minutes"]), "working": write.number(row["working_minutes"])}
    share = write.percent(row["occupancy"])
    return write.percent(row["occupancy"], 0), f"{share} ({write.word('chart.occupancy_said', **facts)})"


def no_show_rate(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.no_show_rate`: a line; with `by`, a bar for each, or a cell for each and period."""
    drawing = Drawing.of(frame, "no_show_rate", ["no_show", "executed", "rate"], **told, also=["open"])
    return _rate(drawing, "no_show", lambda row: row["no_show"] + row["executed"])


def cancellation_rate(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.cancellation_rate`: a line; with `by`, a bar for each, or a cell for each and period."""
    also = ["late", "expired", "discharged", "late_rate"]
    drawing = Drawing.of(frame, "cancellation_rate", ["confirmed", "cancelled", "rate"], **told, also=also)
    return _rate(drawing, "cancelled", lambda row: row["confirmed"])


def rebooked(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.rebooked`: a line; with `by`, a bar for each, or a cell for each and period."""
    drawing = Drawing.of(frame, "rebooked", ["cancelled_minutes", "rebooked_minutes", "rate"], **told)
    return _rate(drawing, "rebooked_minutes", lambda row: row["cancelled_minutes"])


def _rate(drawing: Drawing, part: str, whole: Any) -> Layered | Stacked:
    def said(drawing: Drawing, row: Row) -> tuple[str, str]:
        write = drawing.writing
        of = write.word("chart.rate_said", part=write.number(row[part]), whole=write.number(whole(row)))
        return f"{write.percent(row['rate'])} ({of})", f"{write.percent(row['rate'])} ({of})"

    return drawing.chart(drawing.metric, lambda rows: _ratio(drawing, rows, "rate", said))


def _ratio(
    drawing: Drawing, rows: polars.DataFrame, ratio: str, said: Any, *, whole: float | None = None
) -> Layered | None:
    if rows[ratio].null_count() == rows.height:
        return None
    if drawing.by:
        return _divided(drawing, rows, ratio, whole, said)
    names = _periods(drawing, rows)
    made = [
        {"at": name, "value": row[ratio], "said": f"{name}: {said(drawing, row)[1]}"}
        for name, row in zip(names, rows.iter_rows(named=True), strict=True)
    ]
    highest = rows[ratio].max()
    top = max(whole or LEAST_TOP, float(highest) if isinstance(highest, float) else 0)
    return lines(made, names, PERCENT, top=top)


def _divided(drawing: Drawing, rows: polars.DataFrame, figure: str, whole: float | None, said: Any) -> Layered | None:
    """What is divided by something: a list where there is one period, a grid over the periods else."""
    names, writing = labels(rows, drawing.by, drawing.writing), drawing.writing
    told = [(row, *said(drawing, row)) for row in rows.iter_rows(named=True)]
    if PERIOD not in rows.columns or rows[PERIOD].n_unique() == 1:
        short_names = shortened(names, LONGEST_NAME)
        made = [
            {"name": short_name, "value": row[figure] or 0, "written": short, "said": f"{name}: {text}"}
            for name, short_name, (row, short, text) in zip(names, short_names, told, strict=True)
        ]
        if not any(row[figure] for row, *_ in told) and figure == "executed":
            return None
        return listed(made, list(dict.fromkeys(short_names)), whole=whole)
    periods, short_names = period_labels(rows[PERIOD].to_list(), writing), shortened(names, LONGEST_LINE)
    cells = [
        {
            "column": periods[row[PERIOD]],
            "line": short_name,
            "value": row[figure],
            "written": short.partition(" (")[0].removesuffix("%").rstrip("\u202f")
            if len(periods) > 6
            else short.partition(" (")[0],
            "said": f"{name}, {periods[row[PERIOD]]}: {text}",
        }
        for name, short_name, (row, short, text) in zip(names, short_names, told, strict=True)
    ]
    return grid(cells, list(periods.values()), list(dict.fromkeys(short_names)), left=110, whole=whole)


def revenue(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.revenue`: bars for each currency apart; with `by`, in parts, or a list for one period."""
    drawing = Drawing.of(frame, "revenue", ["currency", "revenue_cents"], **told, also=["sessions", "unpriced"])
    if drawing.by:
        return drawing.chart("revenue_by", lambda rows: _earned_by(drawing, rows))
    return drawing.chart("revenue", lambda rows: _earned(drawing, rows, [""] * rows.height, {"": MAIN}))


def _earned_by(drawing: Drawing, rows: polars.DataFrame) -> Layered | None:
    names, writing = labels(rows, drawing.by, drawing.writing), drawing.writing
    sums: dict[str, int] = {}
    for name, cents in zip(names, rows["revenue_cents"], strict=True):
        sums[name] = sums.get(name, 0) + (cents or 0)
    order = sorted(sums, key=lambda name: -sums[name])
    if PERIOD in rows.columns and rows[PERIOD].n_unique() > 1:
        return _earned(drawing, rows, *_few(names, order, writing.word("by.other")))
    currency = str(rows["currency"][0])
    short_names = shortened(order, LONGEST_NAME)
    made = [
        {
            "name": short_name,
            "value": sums[name] / 100,
            "written": writing.money(sums[name], currency),
            "said": f"{name}: {writing.money(sums[name], currency)}",
        }
        for name, short_name in zip(order, short_names, strict=True)
    ]
    return listed(made, short_names) if any(sums.values()) else None


def _few(names: Sequence[str], order: Sequence[str], other: str) -> tuple[list[str], dict[str, str]]:
    """The names with a colour for each; more than there are colours share the last one."""
    if len(order) <= len(SERIES):
        return list(names), dict(zip(order, SERIES, strict=False))
    kept = list(order[: len(SERIES) - 1])
    return [name if name in kept else other for name in names], dict(zip([*kept, other], SERIES, strict=True))


def _earned(drawing: Drawing, rows: polars.DataFrame, names: Sequence[str], parts: Mapping[str, str]) -> Layered | None:
    writing, periods, order = drawing.writing, _periods(drawing, rows), list(parts)
    short_names = dict(zip(order, shortened(order, LONGEST_PART), strict=True))
    currency = str(rows["currency"][0])
    sums: dict[tuple[str, str], int] = {}
    for at, name, cents in zip(periods, names, rows["revenue_cents"], strict=True):
        sums[at, name] = sums.get((at, name), 0) + (cents or 0)
    if not any(sums.values()):
        return None
    made = [
        {
            "at": at,
            "part": short_names[name],
            "place": order.index(name),
            "value": cents / 100,
            "said": f"{at}{' · ' if name else ''}{name}: {writing.money(cents, currency)}",
        }
        for (at, name), cents in sums.items()
    ]
    colours = {short_names[name]: colour for name, colour in parts.items()}
    largest = max(sum(cents for (at, _), cents in sums.items() if at == period) for period in periods) / 100
    return stacks(made, list(dict.fromkeys(periods)), colours, money(largest))


def liability(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.credit_liability`: the credits that clients hold at the end of each period."""
    also = ["purchased", "used", "refunded", "adjusted"]
    drawing = Drawing.of(frame, "credit_liability", ["outstanding"], **told, also=also)

    def panel(rows: polars.DataFrame) -> Layered | None:
        if PERIOD in rows.columns:  # balances of clients may be added up, they are of one organization
            rows = rows.select(PERIOD, "outstanding").group_by(PERIOD).sum().sort(PERIOD)
        names, writing = _periods(drawing, rows), drawing.writing
        made = [
            {
                "at": name,
                "value": value,
                "said": f"{name}: {writing.word('chart.liability_said', outstanding=writing.number(value))}",
            }
            for name, value in zip(names, rows["outstanding"], strict=True)
        ]
        return areas(made, names)

    return drawing.chart("liability", panel)


def lead_time(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.lead_time`: the median and where eight of ten lie, in days, for each period."""
    drawing = Drawing.of(frame, "lead_time", ["n", "p10_hours", "median_hours", "p90_hours"], **told)

    def panel(rows: polars.DataFrame) -> Layered | None:
        names = labels(rows, drawing.by, drawing.writing) if drawing.by else _periods(drawing, rows)
        kept = [(name, row) for name, row in zip(names, rows.iter_rows(named=True), strict=True) if row["n"]]
        made = [_span(drawing, name, row) for name, row in kept]
        return spans(made, list(dict.fromkeys(names)), NUMBER) if made else None

    return drawing.chart("lead_time", panel)


def _span(drawing: Drawing, name: str, row: Row) -> Row:
    writing = drawing.writing
    days = {
        key: row[f"{source}_hours"] / HOURS for key, source in (("low", "p10"), ("median", "median"), ("high", "p90"))
    }
    written = {key: writing.number(value, 1) for key, value in days.items()}
    said = writing.word("chart.lead_time_said", **written, n=writing.number(row["n"]))
    return {"at": name, "low": days["low"], "value": days["median"], "high": days["high"], "said": f"{name}: {said}"}


def _periods(drawing: Drawing, rows: polars.DataFrame) -> list[str]:
    """A name for each row's period; what has none is one period without a name."""
    if PERIOD not in rows.columns:
        return [" "] * rows.height
    names = period_labels(rows[PERIOD].to_list(), drawing.writing)
    return [names[day] for day in rows[PERIOD]]
