"""The questions about money, credits and the clients who bring them."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from rayces_core.analysis import charts
from rayces_core.analysis.metrics.credit_liability import credit_liability
from rayces_core.analysis.metrics.lifetime_value import lifetime_value
from rayces_core.analysis.metrics.retention import retention
from rayces_core.analysis.metrics.revenue import revenue
from rayces_core.analysis.report.parts import MONTHLY, Figure, Scope, Section

if TYPE_CHECKING:
    import polars as pl

# All that a client was worth: nobody had a session before.
FIRST: Final = date(1970, 1, 1)


def revenue_earned(scope: Scope) -> Section:
    """What did the sessions bring in?"""
    months = revenue(scope.since, scope.end, every=MONTHLY, now=scope.now)
    each = revenue(scope.month, scope.end, by="specialization", now=scope.now)
    word = scope.writing.word
    figures, unpriced = [], [0, 0]
    for currency, rows in _by_currency(months):
        pair = scope.pair(rows, "revenue_cents")
        figures.append(Figure(word("figure.revenue", currency=currency), "money", pair, currency=currency))
        unpriced = [known + (more or 0) for known, more in zip(unpriced, scope.pair(rows, "unpriced"), strict=True)]
    return Section(
        "revenue",
        [*figures, Figure(word("figure.unpriced"), "count", unpriced)],
        [
            partial(charts.revenue, months, **scope.drawn, span=scope.year),
            partial(charts.revenue, each, **scope.drawn, span=scope.written_month),
        ],
        ["revenue"],
        {"revenue": months, "revenue_by_specialization": each},
    )


def _by_currency(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [(str(key), rows) for (key,), rows in sorted(frame.partition_by("currency", as_dict=True).items())]


def credits_held(scope: Scope) -> Section:
    """How many credits do clients still hold?"""
    months = credit_liability(scope.since, scope.end, every=MONTHLY, now=scope.now)
    kinds = ("outstanding", "purchased", "used", "refunded", "adjusted")
    return Section(
        "liability",
        [Figure(scope.writing.word(f"figure.{kind}"), "count", scope.pair(months, kind)) for kind in kinds],
        [partial(charts.liability, months, **scope.drawn, span=scope.year)],
        ["credit_liability"],
        {"credit_liability": months},
    )


def clients_kept(scope: Scope) -> Section:
    """Do clients stay, and what have they brought?"""
    cohorts = retention(scope.since, scope.end, now=scope.now)
    worth = lifetime_value(FIRST, scope.end, now=scope.now)
    worth_before = lifetime_value(FIRST, scope.month, now=scope.now)
    word = scope.writing.word
    seen = [
        lifetime_value(first, end, now=scope.now)["client_id"].n_unique()
        for first, end in ((scope.month, scope.end), (scope.before, scope.month))
    ]
    new = [_cohort(cohorts, month, 0, "clients") for month in (scope.month, scope.before)]
    earlier = (scope.before - timedelta(days=1)).replace(day=1)
    stayed = [_cohort(cohorts, month, 1, "retention") for month in (scope.before, earlier)]
    figures = [
        Figure(word("figure.active_clients"), "count", seen),
        Figure(word("figure.new_clients"), "count", new),
        Figure(word("figure.stayed"), "ratio", stayed),
    ]
    before = {currency: _mean(rows) for currency, rows in _by_currency(worth_before)}
    for currency, rows in _by_currency(worth):
        label = word("figure.lifetime", currency=currency)
        figures.append(Figure(label, "money", [_mean(rows), before.get(currency)], currency=currency))
    until = word("report.until", day=scope.writing.day(scope.end - timedelta(days=1)))
    return Section(
        "clients",
        figures,
        [
            partial(charts.cohorts, cohorts, **scope.drawn, span=scope.year),
            partial(charts.lifetime, worth, **scope.drawn, span=until),
        ],
        ["retention", "lifetime_value"],
        {"retention": cohorts, "lifetime_value": scope.named(worth, "client_id")},
    )


def _cohort(cohorts: pl.DataFrame, month: date, age: int, column: str) -> float | None:
    found = cohorts.filter((cohorts["cohort"] == month) & (cohorts["age_months"] == age))[column]
    return None if found.is_empty() else found[0]


def _mean(rows: pl.DataFrame) -> int | None:
    """Cents that a client has brought on average, without a fraction of one."""
    return None if rows.is_empty() else round(int(rows["revenue_cents"].sum()) / rows.height)
