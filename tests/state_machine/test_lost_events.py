"""What is found of an event, a booking or a move whose answer is lost is what the statement itself has given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rayces_core.database.engine import Engine
from rayces_core.database.messages import Message
from rayces_core.scheduling import reschedule
from tests.scheduling.worlds import DAY, HOUR, NOW, open_centre
from tests.state_machine.rules import allowed_from, fire, make_in, steps
from tests.walking import walked

PRESENT = Message("SELECT clock_timestamp()", types={})
POSSIBLE = [step for step in steps() if step[2] in allowed_from(*step[:2])]


@pytest.fixture
def asked(monkeypatch):
    """Have each message that can be asked for asked for at once; gives how many rows were found and the same."""
    compared: list[int] = []
    run = Engine.run_message

    def run_and_ask(engine: Engine, message: Any, values: Any, *, made: Any = None) -> Any:
        cursor = run(engine, message, values)
        if made is not None and cursor.description is not None:
            given = cursor.fetchall()
            sent_at = run(engine, PRESENT, {}).fetchone()[0] - timedelta(seconds=5)
            found = run(engine, made, {**values, "sent_at": sent_at}).fetchall()
            assert [row[:-1] for row in found] == [row[:-1] for row in given]
            compared.append(len(found))
            cursor.scroll(0, mode="absolute")
        return cursor

    monkeypatch.setattr(Engine, "run_message", run_and_ask)
    return compared


@pytest.mark.slow
@walked("model, state, event", POSSIBLE)
def test_an_event_is_found_as_it_was_made(bound, asked, model, state, event):
    row = make_in(model, state)
    asked.clear()
    fire(row, event)
    assert 1 in asked


@pytest.mark.slow
def test_a_booking_and_a_move_are_found_as_they_were_made(db, asked):
    with open_centre(db) as centre:
        for key in (None, "k"):
            asked.clear()
            booked = centre.book(DAY + (10 if key else 14) * HOUR, idempotency_key=key)
            reschedule(booked, booked.scheduled_at + HOUR, by=centre.staff, now=NOW, idempotency_key=key)
            assert asked == [1, 1]
