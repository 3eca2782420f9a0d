"""The shapes that charts are made of: bars over time, bars of a list, lines, and grids whose cells have their number.

Every row that comes in has `said`, which is what a mark's tooltip says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair

from rayces_core.analysis.charts.axes import Axis, amounts, time_axis, whole_numbers
from rayces_core.analysis.charts.drawn import WIDTH, Layered
from rayces_core.analysis.charts.palette import CELL_INK, INK, MAIN, PAPER, SHADES

Rows = Sequence[Mapping[str, Any]]
HEIGHT: Final = 190
INSIDE: Final = WIDTH - 62  # what the axis on the left leaves
BAR: Final = 24
WIDEST: Final = 44
ROW: Final = 22
DARK: Final = 0.72  # from this part of the scale on a cell's number is white; both can be read there, 4.5:1
LONGEST_LABEL: Final = 130  # pixels; in letters:
LONGEST_NAME, LONGEST_LINE, LONGEST_PART = 21, 17, 17  # of a list, a grid's line, a legend
# Shown over a mark where a chart is interactive; `finished` adds the definition.
TIPS: Final = [altair.Tooltip("said:N", title=" "), altair.Tooltip("definition:N", title=" ")]


def data(rows: Rows) -> altair.Chart:
    """A chart without marks of rows that are there already."""
    return altair.Chart(altair.InlineData(values=list(rows)))


def stacks(rows: Rows, order: Sequence[str], parts: Mapping[str, str], upwards: Axis) -> Layered:
    """Bars over time, each in parts: rows have `at`, `part`, `place`, `value`. `parts` is the colour of each."""
    legend = None if len(parts) == 1 else altair.Legend(columns=4 if len(parts) <= 4 else 3)
    colour = altair.Color("part:N", scale=altair.Scale(domain=list(parts), range=list(parts.values())), legend=legend)
    bars = (
        data(rows)
        .mark_bar(stroke=PAPER, strokeWidth=1, size=WIDEST if len(order) < 6 else altair.Undefined)
        .encode(
            x=time_axis(order),
            y=altair.Y("sum(value):Q", **upwards),
            color=colour,
            order=altair.Order("place:Q"),
            description="said:N",
            tooltip=TIPS,
        )
    )
    return _sized(Layered(layer=[bars]))


def lines(rows: Rows, order: Sequence[str], number: str, *, top: float) -> Layered:
    """A line over time with a mark at each period: rows have `at`, `value`; a null value is a gap in it."""
    upwards = {**amounts(number, [top]), "scale": altair.Scale(domain=[0, top])}
    base = data(rows).encode(x=time_axis(order), y=altair.Y("value:Q", **upwards))
    line = base.mark_line(color=MAIN, strokeWidth=2.5)
    points = base.mark_point(color=MAIN, filled=True, size=46, opacity=1).encode(description="said:N", tooltip=TIPS)
    return _sized(Layered(layer=[line, points]))


def areas(rows: Rows, order: Sequence[str]) -> Layered:
    """A filled line over time with a mark at each period: rows have `at`, `value`, whole numbers."""
    upwards = whole_numbers(row["value"] for row in rows)
    base = data(rows).encode(x=time_axis(order), y=altair.Y("value:Q", **upwards))
    area = base.mark_area(color=MAIN, opacity=0.18, line={"color": MAIN, "strokeWidth": 2.5})
    points = base.mark_point(color=MAIN, filled=True, size=46, opacity=1).encode(description="said:N", tooltip=TIPS)
    return _sized(Layered(layer=[area, points]))


def spans(rows: Rows, order: Sequence[str], number: str) -> Layered:
    """From a low to a high value at each period, with a mark between: rows have `at`, `low`, `value`, `high`."""
    base = data(rows).encode(x=time_axis(order))
    upwards = amounts(number, (row["high"] for row in rows))
    span = base.mark_rule(color=MAIN, strokeWidth=5, opacity=0.3, strokeCap="round").encode(
        y=altair.Y("low:Q", **upwards), y2="high:Q"
    )
    points = base.mark_point(color=MAIN, filled=True, size=60, opacity=1).encode(
        y="value:Q", description="said:N", tooltip=TIPS
    )
    return _sized(Layered(layer=[span, points]))


def listed(rows: Rows, order: Sequence[str], *, whole: float | None = None) -> Layered:
    """Bars of a list, long names cut, the figure written at the end: rows have `name`, `value`, `written`, and perhaps
    `colour`.
    """
    inside = WIDTH - LONGEST_LABEL - 24
    names = altair.Axis(title=None, labelLimit=LONGEST_LABEL, ticks=False, domain=False, labelPadding=6, labelColor=INK)
    longest = max(whole or 0, *(row["value"] or 0 for row in rows)) or 1
    room = 1 + max((len(row["written"]) for row in rows), default=0) * 6.6 / inside * 1.15
    scale = altair.Scale(domain=[0, longest * room], nice=False)
    base = data(rows).encode(
        x=altair.X("value:Q", axis=None, scale=scale),
        y=altair.Y("name:N", sort=list(order), axis=names, scale=altair.Scale(padding=0.22)),
        description="said:N",
        tooltip=TIPS,
    )
    colours = any("colour" in row for row in rows)
    bars = base.mark_bar(color=MAIN).encode(**({"color": altair.Color("colour:N", scale=None)} if colours else {}))
    texts = base.mark_text(align="left", dx=5, fontSize=11, color=INK).encode(text="written:N")
    return Layered(layer=[bars, texts]).properties(width=inside, height=max(BAR * len(order), BAR * 2))


def grid(rows: Rows, columns: Sequence[str], lines: Sequence[str], **options: Any) -> Layered:
    """Cells with their number, darker for more: rows have `column`, `line`, `value`, `written`. No value is no cell.

    `across` names the columns, `left` is room for the lines' names, `whole` the darkest value.
    """
    left, across, whole = options.get("left", 52), options.get("across"), options.get("whole")
    inside = WIDTH - left - 12
    top = whole or max((row["value"] for row in rows if row["value"] is not None), default=0) or 1
    small = inside / max(len(columns), 1) < 27
    crosswise = altair.Axis(
        title=across, orient="top", labelAngle=0, labelOverlap="greedy", ticks=False, domain=False, labelPadding=4
    )
    base = data([row for row in rows if row["value"] is not None]).encode(
        x=altair.X("column:N", sort=list(columns), scale=altair.Scale(domain=list(columns)), axis=crosswise),
        y=altair.Y(
            "line:N",
            sort=list(lines),
            scale=altair.Scale(domain=list(lines)),
            axis=altair.Axis(title=None, ticks=False, domain=False, labelLimit=left, labelPadding=5),
        ),
        description="said:N",
        tooltip=TIPS,
    )
    shade = altair.Color("value:Q", scale=altair.Scale(domain=[0, top], range=list(SHADES), clamp=True), legend=None)
    cells = base.mark_rect(stroke=PAPER, strokeWidth=1.5).encode(color=shade)
    ink = altair.condition(f"datum.value >= {top * DARK}", altair.value(PAPER), altair.value(CELL_INK))
    texts = base.mark_text(fontSize=9 if small else 11).encode(text="written:N", color=ink)
    return Layered(layer=[cells, texts]).properties(width=inside, height=ROW * max(len(lines), 1))


def _sized(chart: Layered) -> Layered:
    return chart.properties(width=INSIDE, height=HEIGHT)
