"""Charts of families on their way: admission, waiting, what clients have brought, and holds that run out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair

from rayces_core.analysis.charts.axes import unit_of, whole_numbers
from rayces_core.analysis.charts.drawing import Drawing
from rayces_core.analysis.charts.drawn import Layered, Stacked
from rayces_core.analysis.charts.frames import Frame
from rayces_core.analysis.charts.marks import HEIGHT, INSIDE, TIPS, data, listed, stacks
from rayces_core.analysis.charts.palette import INK, MAIN, QUIET
from rayces_core.analysis.charts.survival import bars_of, median_of, still_waiting
from rayces_core.analysis.writing import Writing

if TYPE_CHECKING:
    import polars

STAGES: Final = ("applied", "waitlisted", "admitted", "enrolled", "rejected")
MINUTES: Final = 60
DASH: Final = "\u2013"
HOLD_HOURS: Final = (1, 2, 4, 8, 12, 24, 48)


def funnel(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.admission_funnel`: how many of the students who applied came how far; periods are added up."""
    drawing = Drawing.of(frame, "admission_funnel", STAGES, **told, also=["conversion", "pending"])
    drawing.by = []

    def panel(rows: polars.DataFrame) -> Layered | None:
        writing = drawing.writing
        counts = {stage: int(rows[stage].sum()) for stage in STAGES}
        if not counts["applied"]:
            return None
        names = {stage: writing.word(f"stage.{stage}") for stage in STAGES}
        made = []
        for stage, count in counts.items():
            share = writing.percent(count / counts["applied"], 0)
            written = writing.number(count) if stage == "applied" else f"{writing.number(count)} · {share}"
            made.append(
                {
                    "name": names[stage],
                    "value": count,
                    "written": written,
                    "said": f"{names[stage]}: {written}",
                    "colour": QUIET if stage == "rejected" else MAIN,
                }
            )
        return listed(made, list(names.values()))

    return drawing.chart("funnel", panel)


def waiting(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.admission_wait`: the share of applicants that still waits, day by day (Kaplan and Meier, 1958).

    Who waits still is counted for as long as has been seen, and the median is marked where half of them are through.
    """
    drawing = Drawing.of(frame, "admission_wait", ["wait_days", "censored"], **told)
    drawing.by = []

    def panel(rows: polars.DataFrame) -> Layered | None:
        seen = still_waiting(rows["wait_days"].to_list(), rows["censored"].to_list())
        return _curve(drawing, seen) if seen else None

    return drawing.chart("waiting", panel)


def _curve(drawing: Drawing, seen: list[tuple[float, float]]) -> Layered:
    writing = drawing.writing
    points = [
        {
            "days": days,
            "share": share,
            "said": writing.word("chart.waiting_said", share=writing.percent(share, 0), days=writing.days(days)),
        }
        for days, share in [(0.0, 1.0), *seen]
    ]
    across = whole_numbers([seen[-1][0]], title=writing.word("chart.waiting_days"), grid=False, ticks=True, domain=True)
    shares = altair.Axis(title=None, format=".0%", tickCount=5, ticks=False, domain=False, labelPadding=9)
    base = data(points).encode(
        x=altair.X("days:Q", **across), y=altair.Y("share:Q", axis=shares, scale=altair.Scale(domain=[0, 1]))
    )
    line = base.mark_line(color=MAIN, strokeWidth=2.5, interpolate="step-after")
    marks = base.mark_point(color=MAIN, filled=True, size=26, opacity=1).encode(description="said:N", tooltip=TIPS)
    layers: list[Any] = [line, marks]
    if (median := median_of(seen)) is not None:
        layers += _half(writing, median, late=median > seen[-1][0] * 0.45)
    return Layered(layer=[*layers]).properties(width=INSIDE, height=HEIGHT)


def _half(writing: Writing, median: float, *, late: bool) -> list[altair.Chart]:
    """A line at the median and what it means, where no curve goes: above it on the right, below it on the left."""
    said = writing.word("chart.waiting_median", days=writing.days(median))
    here = data([{"days": median, "at": 0.06 if late else 0.94, "said": said}])
    rule = here.mark_rule(color=QUIET, strokeDash=[4, 3]).encode(x="days:Q")
    text = here.mark_text(align="right" if late else "left", dx=-6 if late else 6, fontSize=11, color=INK)
    return [rule, text.encode(x="days:Q", y="at:Q", text="said:N")]


def lifetime(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.lifetime_value`: how many clients have brought how much so far, for each currency apart."""
    figures = ["currency", "revenue_cents"]
    also = ["client_id", "first_day", "last_day", "sessions"]
    drawing = Drawing.of(frame, "lifetime_value", figures, **told, also=also)

    def panel(rows: polars.DataFrame) -> Layered | None:
        writing, currency = drawing.writing, str(rows["currency"][0])
        if "client_id" in rows.columns:  # once, in however many periods and parts
            rows = rows.select("currency", "client_id", "revenue_cents").group_by("currency", "client_id").sum()
        bars = bars_of([cents or 0 for cents in rows["revenue_cents"]])
        if not bars or not any(rows["revenue_cents"]):
            return None
        unit, sign = unit_of((bars[0][1] - bars[0][0]) / 100)
        made, order = [], []
        for low, high, count in bars:
            name = f"{writing.number(low / 100 / unit)}{DASH}{writing.number(high / 100 / unit)}{sign}"
            written = {"low": writing.money(low, currency), "high": writing.money(high, currency)}
            said = writing.word("chart.lifetime_said", n=writing.number(count), **written)
            order.append(name)
            made.append({"name": name, "value": count, "written": writing.number(count), "said": said})
        return listed(made, order)

    return drawing.chart("lifetime", panel)


def holds(frame: Frame, **told: Any) -> Layered | Stacked:
    """Draw `analysis.expiring_holds`: how many holds expire within how many hours."""
    drawing = Drawing.of(frame, "expiring_holds", ["minutes_left"], **told)
    drawing.by = []

    def panel(rows: polars.DataFrame) -> Layered | None:
        writing = drawing.writing
        left = [minutes for minutes in rows["minutes_left"] if minutes is not None]
        if not left:
            return None
        bounds = [hours for hours in HOLD_HOURS if hours * MINUTES < max(left)]
        bounds.append(next((h for h in HOLD_HOURS if h * MINUTES >= max(left)), -(-int(max(left)) // MINUTES)))
        made, order, since = [], [], 0
        for hours in bounds:
            count = sum(
                since * MINUTES < minutes <= hours * MINUTES or (since == 0 and minutes <= 0) for minutes in left
            )
            said = writing.word("chart.holds_said", n=writing.number(count), hours=hours)
            order.append(f"{since}{DASH}{hours}")
            made.append({"at": order[-1], "part": "", "place": 0, "value": count, "said": said})
            since = hours
        return stacks(made, order, {"": MAIN}, whole_numbers(row["value"] for row in made))

    return drawing.chart("holds", panel)
