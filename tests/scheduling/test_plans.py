"""Which indexes the questions of a booking go by: those that hold a day, not all that there ever was."""

from contextlib import closing

import psycopg2
import pytest

from rayces_core.scheduling.facts import TO_BOOK, TO_MOVE
from rayces_core.scheduling.settling import INSERT, UPDATE, _message

QUESTIONS = {
    "book": TO_BOOK.statements[-1],
    "move": TO_MOVE.statements[-1],
    "write a booking": _message(INSERT, False, True, False, False, True, True).statements[-1],
    "write a move": _message(UPDATE, False, True, False, False, True, False).statements[-1],
}
# What would serve as well where the exclusion constraint's index does.
OTHERS = (
    "index_appointments_on_professional_id_and_scheduled_at",
    "index_appointments_on_organization_id_and_scheduled_at",
    "index_appointments_on_state_and_scheduled_at",
    "idx_no_double_booking",
)


@pytest.fixture(params=QUESTIONS)
def plan(request, own_db):
    """Gives the plan of a question for whatever values, once what it is given has been run."""
    with closing(psycopg2.connect(own_db.url)) as connection, connection.cursor() as cursor:

        def explained(*before):
            for statement in ("SET enable_seqscan = off", "SET plan_cache_mode = force_generic_plan", *before):
                cursor.execute(statement)
            question = QUESTIONS[request.param]
            cursor.execute(f"PREPARE asked {question.types} AS {question.text}")
            cursor.execute(f"EXPLAIN EXECUTE asked{question.call}", [None] * len(question.names))
            return "\n".join(line for (line,) in cursor.fetchall())

        yield explained


def test_the_exclusion_constraint_is_no_way_to_a_professionals_day(plan):
    drops = [f"DROP INDEX {name}" for name in OTHERS]
    assert "appointments_no_overlap" not in plan(*drops)


def test_a_students_sessions_are_found_by_their_time(plan):
    found = plan()
    assert "index_appointments_on_student_id_and_scheduled_at" in found
    assert "index_appointments_on_professional_id_and_scheduled_at" in found


@pytest.mark.parametrize("plan", ["book", "move"], indirect=True)
def test_what_calendars_elsewhere_have_is_found_by_whose_it_is_and_by_time(plan):
    _, found = plan().split("index_outside_busy_on_professional_id")
    assert "ends_at > " in found.partition("\n")[2].partition("\n")[0]
