"""The questions about sessions: how many, how full, how many missed, how far ahead, and when in the week."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from rayces_core.analysis import charts
from rayces_core.analysis.metrics.cancellation_rate import cancellation_rate
from rayces_core.analysis.metrics.heat_map import heat_map
from rayces_core.analysis.metrics.lead_time import lead_time
from rayces_core.analysis.metrics.no_show_rate import no_show_rate
from rayces_core.analysis.metrics.occupancy import occupancy
from rayces_core.analysis.metrics.rebooked import rebooked
from rayces_core.analysis.metrics.sessions import sessions
from rayces_core.analysis.report.parts import MONTHLY, Figure, Scope, Section

if TYPE_CHECKING:
    import polars as pl

MINUTES: Final = 60


def sessions_held(scope: Scope) -> Section:
    """How many sessions did we hold?"""
    months = sessions(scope.since, scope.end, every=MONTHLY, now=scope.now)
    weeks = sessions(scope.month, scope.end, every="1w", by="professional", now=scope.now)
    weeks = scope.named(weeks, "professional_id")
    word = scope.writing.word
    minutes = scope.pair(months, "held_minutes")
    hours = [None if value is None else value / MINUTES for value in minutes]
    return Section(
        "sessions",
        [
            *(
                Figure(word(f"figure.{state}"), "count", scope.pair(months, state))
                for state in ("executed", "no_show", "cancelled", "open")
            ),
            Figure(word("figure.held_hours"), "hours", hours),
        ],
        [
            partial(charts.sessions, months, **scope.drawn, span=scope.year),
            partial(charts.sessions, weeks, **scope.drawn, span=scope.written_month),
        ],
        ["sessions"],
        {"sessions": months, "sessions_by_professional": weeks},
    )


def hours_filled(scope: Scope) -> Section:
    """How full were the professionals' hours?"""
    months = occupancy(scope.since, scope.end, every=MONTHLY, now=scope.now)
    each = occupancy(scope.month, scope.end, by="professional", now=scope.now)
    each = scope.named(each, "professional_id")
    word = scope.writing.word
    outside = [None if value is None else value / MINUTES for value in scope.pair(months, "outside_minutes")]
    return Section(
        "occupancy",
        [
            Figure(word("figure.occupancy"), "ratio", scope.pair(months, "occupancy")),
            Figure(word("figure.utilisation"), "ratio", scope.pair(months, "utilisation")),
            Figure(word("figure.outside_hours"), "hours", outside),
        ],
        [
            partial(charts.occupancy, months, **scope.drawn, span=scope.year),
            partial(charts.occupancy, each, **scope.drawn, span=scope.written_month),
        ],
        ["occupancy"],
        {"occupancy": months, "occupancy_by_professional": each},
    )


def sessions_lost(scope: Scope) -> Section:
    """How many sessions were missed or cancelled?"""
    missed = no_show_rate(scope.since, scope.end, every=MONTHLY, now=scope.now)
    cancelled = cancellation_rate(scope.since, scope.end, every=MONTHLY, now=scope.now)
    taken = rebooked(scope.since, scope.end, every=MONTHLY, now=scope.now)
    by_lead = no_show_rate(scope.since, scope.end, by="lead", now=scope.now)
    by_weekday = no_show_rate(scope.since, scope.end, by="weekday", now=scope.now)
    word = scope.writing.word
    return Section(
        "lost",
        [
            Figure(word("figure.no_show_rate"), "ratio", scope.pair(missed, "rate")),
            Figure(word("figure.cancellation_rate"), "ratio", scope.pair(cancelled, "rate")),
            Figure(word("figure.late_rate"), "ratio", scope.pair(cancelled, "late_rate")),
            Figure(word("figure.rebooked"), "ratio", scope.pair(taken, "rate")),
        ],
        [
            partial(charts.no_show_rate, missed, **scope.drawn, span=scope.year),
            partial(charts.cancellation_rate, cancelled, **scope.drawn, span=scope.year),
            partial(charts.no_show_rate, by_weekday, **scope.drawn, span=scope.year),
            partial(charts.no_show_rate, by_lead, **scope.drawn, span=scope.year),
        ],
        ["no_show_rate", "cancellation_rate", "rebooked"],
        {
            "no_show_rate": missed,
            "no_show_rate_by_weekday": by_weekday,
            "no_show_rate_by_lead": by_lead,
            "cancellation_rate": cancelled,
            "rebooked": taken,
        },
    )


def booked_ahead(scope: Scope) -> Section:
    """How far ahead do people book?"""
    months = lead_time(scope.since, scope.end, every=MONTHLY, now=scope.now)
    word = scope.writing.word
    hours = {name: scope.pair(months, f"{name}_hours") for name in ("median", "p10", "p90")}
    days = {name: [None if value is None else value / 24 for value in pair] for name, pair in hours.items()}
    return Section(
        "ahead",
        [Figure(word(f"figure.ahead_{name}"), "days", pair) for name, pair in days.items()],
        [partial(charts.lead_time, months, **scope.drawn, span=scope.year)],
        ["lead_time"],
        {"lead_time": months},
    )


def week_filled(scope: Scope) -> Section:
    """When is the centre full?"""
    week = heat_map(scope.month, scope.end, now=scope.now)
    weeks = [week, heat_map(scope.before, scope.month, now=scope.now)]
    word = scope.writing.word
    return Section(
        "week",
        [
            Figure(word("figure.fullest"), "text", [_hour(scope, each, fullest=True) for each in weeks]),
            Figure(word("figure.emptiest"), "text", [_hour(scope, each, fullest=False) for each in weeks]),
        ],
        [partial(charts.heat_map, week, **scope.drawn, span=scope.written_month)],
        ["heat_map"],
        {"heat_map": week},
    )


def _hour(scope: Scope, week: pl.DataFrame, *, fullest: bool) -> str | None:
    """The hour of the week that is the fullest, or the emptiest, and how full it is."""
    worked = week.filter(week["working_minutes"] > 0)
    if worked.is_empty():
        return None
    weekday, hour, share = (
        worked.sort("occupancy", "weekday", "hour", descending=[fullest, False, False])
        .select("weekday", "hour", "occupancy")
        .row(0)
    )
    return f"{scope.writing.weekday(weekday, short=False)} {hour:02}:00 ({scope.writing.percent(share, 0)})"
