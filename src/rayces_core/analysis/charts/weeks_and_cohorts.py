"""Charts that are grids: how full the hours of a week are, and how many of a month's new clients stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rayces_core.analysis.charts.drawing import Drawing
from rayces_core.analysis.charts.drawn import Layered, Stacked
from rayces_core.analysis.charts.frames import Frame
from rayces_core.analysis.charts.marks import grid

if TYPE_CHECKING:
    import polars


def heat_map(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.heat_map`: a cell for each weekday and hour in which somebody works or something is booked.

    Several periods, or members of `by`, are added up: minutes booked by minutes of work.
    """
    figures = ["weekday", "hour", "working_minutes", "booked_minutes"]
    drawing = Drawing.of(frame, "heat_map", figures, **told, also=["occupancy"])
    drawing.by = []
    return drawing.chart("heat_map", lambda rows: _week(drawing, rows))


def _week(drawing: Drawing, rows: polars.DataFrame) -> Layered | None:
    import polars as pl

    writing = drawing.writing
    minutes = ["working_minutes", "booked_minutes"]
    hours = rows.group_by("weekday", "hour").agg(pl.col(minutes).sum()).sort("weekday", "hour")
    hours = hours.filter(pl.any_horizontal(pl.col(minutes) > 0))
    if hours.is_empty():
        return None
    days = [writing.weekday(day) for day in range(1, 8) if day <= 5 or day in hours["weekday"].to_list()]
    first, last = int(hours["hour"].min()), int(hours["hour"].max())  # type: ignore[arg-type]
    cells = []
    for day, hour, working, booked in hours.iter_rows():
        share = booked / working if working else None
        facts = {"booked": writing.number(booked), "working": writing.number(working)}
        told = writing.word("chart.occupancy_said", **facts)
        cells.append(
            {
                "column": writing.weekday(day),
                "line": f"{hour:02}:00",
                "value": share,
                "written": writing.percent(share, 0),
                "said": f"{writing.weekday(day, short=False)} {hour:02}:00: {writing.percent(share)} ({told})",
            }
        )
    return grid(cells, days, [f"{hour:02}:00" for hour in range(first, last + 1)], whole=1.0)


def cohorts(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.retention`: a line for each month's new clients, a cell for each month after. What is not over is
    left open.
    """
    figures = ["cohort", "age_months", "clients", "active", "retention"]
    drawing = Drawing.of(frame, "retention", figures, **told)
    drawing.by = []
    return drawing.chart("cohorts", lambda rows: _triangle(drawing, rows))


def _triangle(drawing: Drawing, rows: polars.DataFrame) -> Layered | None:
    writing = drawing.writing
    over = rows.filter(rows["retention"].is_not_null()).select("cohort", "age_months", "clients", "active")
    if over.is_empty():
        return None
    known = over.group_by("cohort", "age_months").sum().sort("cohort", "age_months")
    known = known.with_columns(retention=known["active"] / known["clients"])
    heads = {
        cohort: writing.word(
            "chart.cohorts_clients", month=writing.month(cohort, short=True), clients=writing.number(n)
        )
        for cohort, n in known.select("cohort", "clients").iter_rows()
    }
    cells = []
    for row in known.iter_rows(named=True):
        facts = {"active": writing.number(row["active"]), "clients": writing.number(row["clients"])}
        told = writing.word("chart.cohorts_said", **facts, age=row["age_months"])
        cells.append(
            {
                "column": str(row["age_months"]),
                "line": heads[row["cohort"]],
                "value": row["retention"],
                "written": writing.number(row["retention"] * 100),
                "said": f"{writing.month(row['cohort'])}: {writing.percent(row['retention'])} ({told})",
            }
        )
    ages = [str(age) for age in range(int(known["age_months"].max()) + 1)]  # type: ignore[arg-type]
    return grid(cells, ages, list(heads.values()), left=84, whole=1.0, across=writing.word("chart.cohorts_age"))
