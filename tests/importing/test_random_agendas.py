"""Random agendas: the check refuses exactly what overlaps an earlier one that goes in; what it lets pass goes in."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from rayces_core import Appointment, Database, importing
from rayces_core.models.appointment import OCCUPYING
from tests.importing.test_lifecycles import replayed
from tests.importing.world import NOW, make_centre, session, told
from tests.sizes import quick_or_whole

STATES = ("draft", "pre_confirmed", "confirmed", "executed", "no_show", "cancelled")


def agenda(seed: int) -> list[dict[str, Any]]:
    """Sessions of one professional in two days that are over, no two of one student at one moment."""
    chosen = random.Random(seed)
    starts = chosen.sample(range(2 * 24 * 12), 40)
    return [
        session(
            scheduled_at=NOW - timedelta(days=10) + timedelta(minutes=5 * start),
            duration_minutes=chosen.choice((15, 45, 60, 120)),
            buffer_minutes=chosen.choice((0, 15)),
            state=chosen.choice(STATES),
            professional=chosen.choice(("eva@example.org", "leo@example.org")),
        )
        for start in starts
    ]


def taken(row: dict[str, Any]) -> tuple[datetime, datetime]:
    minutes = row["duration_minutes"] + row["buffer_minutes"]
    return row["scheduled_at"], row["scheduled_at"] + timedelta(minutes=minutes)


def overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    if first["professional"] != second["professional"] or not {first["state"], second["state"]} <= set(OCCUPYING):
        return False
    (begun, ended), (begun_too, ended_too) = taken(first), taken(second)
    return begun < ended_too and begun_too < ended


def left_out(rows: list[dict[str, Any]]) -> dict[int, int]:
    """Number of each row that does not go in → the row that holds its time, found by comparing with all before."""
    found: dict[int, int] = {}
    kept: list[int] = []
    for number in sorted(range(1, len(rows) + 1), key=lambda place: rows[place - 1]["scheduled_at"]):
        holders = [other for other in kept if overlap(rows[other - 1], rows[number - 1])]
        if holders:
            (found[number],) = holders
        else:
            kept.append(number)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", quick_or_whole(range(2), range(6)))
def test_the_check_refuses_what_a_comparison_with_all_before_refuses(db: Database, a: Any, seed: int) -> None:
    rows = agenda(seed)
    later = left_out(rows)
    assert later
    with db.tenant(a):
        make_centre()
        report = importing.check(rows, Appointment, now=NOW)
        assert {row for row, _ in told(report)} == set(later)
        for problem in report.problems:
            assert f"overlaps row {later[problem.row]}," in problem.problem
        done = importing.run(rows, Appointment, now=NOW, on_error="skip", batch_rows=7)
        assert (done.created, done.skipped) == (len(rows) - len(later), len(later))
        good = [row for number, row in enumerate(rows, 1) if number not in later]
        assert importing.check(good, Appointment, now=NOW).unchanged == len(good)
        refused = importing.check([row for number, row in enumerate(rows, 1) if number in later], Appointment, now=NOW)
        holding = [row for row in good if row["state"] != "pre_confirmed"]  # holds of the past are overdue
        with_good = [any(overlap(rows[number - 1], row) for row in holding) for number in sorted(later)]
        assert {row for row, _ in told(refused)} >= {place for place, hit in enumerate(with_good, 1) if hit}
        for made in Appointment.select():
            assert replayed(made, "draft") == made.state
