"""The questions about families that ask for a place."""

from __future__ import annotations

from datetime import datetime, time
from functools import partial

from rayces_core.analysis import charts
from rayces_core.analysis.metrics.admission_funnel import admission_funnel
from rayces_core.analysis.metrics.admission_wait import admission_wait
from rayces_core.analysis.report.parts import MONTHLY, Figure, Scope, Section, year_before


def places_waited_for(scope: Scope) -> Section:
    """How long do families wait for a place?

    Told of a year's applications up to the month's end; the month before is told as it stood at its own end.
    """
    waits = admission_wait(scope.since, scope.end, now=scope.now)
    then = datetime.combine(scope.month, time.min, scope.zone)
    waits_before = admission_wait(year_before(scope.before), scope.month, now=min(then, scope.now))
    word = scope.writing.word
    medians = [None if frame.is_empty() else frame["median_days"][0] for frame in (waits, waits_before)]
    return Section(
        "waiting",
        [
            Figure(word("figure.wait_median"), "days", medians),
            Figure(word("figure.year_applied"), "count", [waits.height, waits_before.height]),
        ],
        [partial(charts.waiting, waits, **scope.drawn, span=scope.year)],
        ["admission_wait"],
        {"admission_wait": waits},
    )


def enrolled_of_applied(scope: Scope) -> Section:
    """How many applicants enrol?"""
    months = admission_funnel(scope.since, scope.end, every=MONTHLY, now=scope.now)
    word = scope.writing.word
    return Section(
        "funnel",
        [
            Figure(word("figure.applied"), "count", scope.pair(months, "applied")),
            Figure(word("figure.enrolled"), "count", scope.pair(months, "enrolled")),
            Figure(word("figure.conversion"), "ratio", scope.pair(months, "conversion")),
            Figure(word("figure.pending"), "count", scope.pair(months, "pending")),
        ],
        [partial(charts.funnel, months, **scope.drawn, span=scope.year)],
        ["admission_funnel"],
        {"admission_funnel": months},
    )
