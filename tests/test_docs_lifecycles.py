"""docs/lifecycles.md says what is declared: its blocks are generated, its examples run.

`python -m tests.test_docs_lifecycles --write` writes the blocks anew.
"""

from __future__ import annotations

import re
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    AppointmentState,
    CreditTransaction,
    GroupSession,
    Invoice,
    Role,
    SlotRequest,
    Student,
    TimeOffRequest,
    clock,
    errors,
)
from rayces_core.state_machine import diagram, table
from tests.factory import START, make_appointment, make_professional, make_student, make_user

DOCUMENT = Path(__file__).parent.parent / "docs" / "lifecycles.md"
MACHINES = (Appointment, GroupSession, TimeOffRequest, SlotRequest, Invoice, Student, CreditTransaction)
MODELS = {model.__name__: model for model in MACHINES}
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def regenerated(text: str) -> str:
    """The document with every generated block as the declarations have it now."""
    return BLOCK.sub(lambda block: f"{block[1]}{_block(MODELS[block[2]])}{block[3]}", text)


def _block(model: Any) -> str:
    return f"{table(model.lifecycle)}\n\n```mermaid\n{diagram(model.lifecycle)}\n```\n"


def written() -> str:
    return DOCUMENT.read_text("utf-8")


def test_the_tables_and_diagrams_are_those_of_the_declarations():
    assert written() == regenerated(written()), "run python -m tests.test_docs_lifecycles --write"


def test_every_machine_has_its_block():
    assert [name for _, name, _ in BLOCK.findall(written())] == list(MODELS)


def test_every_reason_of_a_refusal_is_named():
    guards = {guard for model in MODELS.values() for t in model.lifecycle.transitions.values() for guard in t.guards}
    assert {guard.reason for guard in guards} == {"begun", "expired", "not_overdue", "not_begun"}
    named = ("no_reason", "too_late", "over", "in_group", "attended", *(guard.reason for guard in guards))
    assert [reason for reason in named if f"`{reason}`" not in written()] == []


def test_every_error_that_is_named_has_the_facts_that_are_named():
    rows = re.findall(r"^\| `(\w+Error)` \| [^|]+ \| ([^|]+) \|$", written(), re.MULTILINE)
    assert len(rows) == 6
    for name, facts in rows:
        assert set(re.findall(r"`(\w+)`", facts)) <= set(getattr(errors, name).__init__.__code__.co_varnames), name


def test_every_event_that_keeps_the_state_is_named():
    kept = [event for model in MODELS.values() for event in model.lifecycle.keeping]
    assert kept == ["reschedule", "create", "reschedule", "posted"]
    assert all(f"`{event}`" in written() for event in kept)


@pytest.fixture
def world(db, a):
    """What the examples speak of."""
    now = START - timedelta(days=5)
    with db.tenant(a), clock.frozen(now):
        professional, guardian, student = make_professional(), make_user(), make_student()
        yield {
            "Appointment": Appointment,
            "appointment": make_appointment(professional=professional, client=guardian, student=student),
            "staff": make_user(role=Role.ADMIN),
            "guardian": guardian,
            "organization": a,
            "date": date,
            "professional": professional.user,
            "student": student,
            "now": now,
            "start": START,
            "end": START + timedelta(days=1),
        }


def test_the_examples_run(world, capsys):
    examples = re.findall(r"```python\n(.*?)```", written(), re.DOTALL)
    for number, example in enumerate(examples):
        exec(compile(example, f"lifecycles.md, example {number}", "exec"), world)
        if number == 0:
            assert [change.event for change in world["appointment"].history()] == ["pre_confirm", "confirm", "cancel"]
            world["appointment"] = make_appointment(client=world["guardian"])
            world["appointment"].pre_confirm()
        if number == 1:
            assert world["buttons"] == ["confirm", "cancel"]
    assert world["appointment"].state is AppointmentState.CONFIRMED
    assert "confirm" in capsys.readouterr().out
    assert world["notify"] not in dict(Appointment.lifecycle._announcements._subscribers)


if __name__ == "__main__" and "--write" in sys.argv:
    DOCUMENT.write_text(regenerated(written()), "utf-8")
