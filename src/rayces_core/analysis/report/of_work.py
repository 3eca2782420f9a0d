"""The questions about what somebody has to see to now: holds that run out, and sessions that nobody has closed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from rayces_core.analysis import charts
from rayces_core.analysis.metrics.lists import expiring_holds, overdue_confirmations, unclosed_sessions
from rayces_core.analysis.report.parts import Figure, Scope, Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

HOURS: Final = 48


def holds_expiring(scope: Scope) -> Section:
    """Which holds are about to expire?"""
    holds = expiring_holds(timedelta(hours=HOURS), now=scope.now)
    word = scope.writing.word
    return Section(
        "holds",
        [Figure(word("figure.expiring", hours=HOURS), "count", [holds.height])],
        [partial(charts.holds, holds, **scope.drawn)],
        ["expiring_holds"],
        {"expiring_holds": scope.named(holds, "client_id", "professional_id")},
        [word(f"heading.{name}") for name in ("expires_at", "scheduled_at", "client", "professional")],
        _rows(scope, holds, "expires_at", "scheduled_at"),
        of_now=True,
    )


def sessions_open(scope: Scope) -> Section:
    """Which sessions wait for somebody to close them?"""
    overdue, unclosed = overdue_confirmations(now=scope.now), unclosed_sessions(now=scope.now)
    word = scope.writing.word
    kinds = {"overdue": overdue, "unclosed": unclosed}
    return Section(
        "open",
        [Figure(word(f"figure.{kind}"), "count", [frame.height]) for kind, frame in kinds.items()],
        [],
        ["overdue_confirmations", "unclosed_sessions"],
        {
            "overdue_confirmations": scope.named(overdue, "client_id", "professional_id"),
            "unclosed_sessions": scope.named(unclosed, "client_id", "professional_id"),
        },
        [word(f"heading.{name}") for name in ("scheduled_at", "client", "professional", "what")],
        [
            [*row, word(f"heading.{kind}")]
            for kind, frame in kinds.items()
            for row in _rows(scope, frame, "scheduled_at")
        ],
        of_now=True,
    )


def _rows(scope: Scope, frame: pl.DataFrame, *moments: str) -> list[Sequence[str]]:
    """Each session in words: moments on the wall clock, and who takes part."""
    return [
        [
            *(scope.writing.moment(scope.local(row[name]), short=True) if row[name] else "" for name in moments),
            scope.name(row["client_id"]),
            scope.name(row["professional_id"]),
        ]
        for row in frame.iter_rows(named=True)
    ]
