"""The database's own rules for appointments: raw SQL that breaks them is refused, whichever role sends it."""

from contextlib import contextmanager

import peewee
import psycopg2
import pytest

from rayces_core import CheckFailedError, SlotTakenError
from tests.scheduling.worlds import HOUR, MINUTE, NOW, Other, another_family, at
from tests.walking import walked

TAKE = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, state,
                          pre_confirmed_at, expires_at, confirmed_at)
VALUES (%(organization)s, %(professional)s, %(student)s, %(client)s, %(at)s, 'confirmed', %(now)s, %(now)s, %(now)s)
"""
MOVE = "UPDATE appointments SET scheduled_at = %(at)s WHERE organization_id = %(organization)s AND id = %(id)s"
REVIVE = """
UPDATE appointments SET state = 'pre_confirmed', cancelled_at = NULL, cancellation_reason = NULL
 WHERE organization_id = %(organization)s AND id = %(id)s
"""
LENGTHEN = "UPDATE appointments SET duration_minutes = 90 WHERE organization_id = %(organization)s AND id = %(id)s"
LENGTHEN_THE_BUFFER = LENGTHEN.replace("duration_minutes = 90", "buffer_minutes = 1")
STEP_BY_STEP = "UPDATE appointments SET {} WHERE organization_id = %(organization)s AND id = %(id)s"


@contextmanager
def as_role(centre, role):
    """The two roles of the library."""
    if role == "app":
        yield
    else:
        with centre.db.privileged(reason="test"):
            yield


def values(centre, **more):
    people = {"professional": centre.professional.user_id, "student": centre.student.id, "client": centre.client.id}
    return people | {"organization": centre.organization.id, "now": NOW} | more


@pytest.fixture(params=["app", "admin"])
def role(request):
    return request.param


# -- overlaps ---------------------------------------------------------------------------------------------------------


def refused(centre, role, error, sql, given):
    with centre.untouched():
        with as_role(centre, role), pytest.raises(error) as caught:
            centre.db.execute_sql(sql, given)
    return caught.value


@walked("start", [at(10), at(9) + MINUTE, at(11) - MINUTE], anew="centre")
def test_a_row_over_an_appointment_is_refused(centre, role, start):
    centre.book(at(10))

    error = refused(centre, role, SlotTakenError, TAKE, values(centre, at=start))

    assert (error.constraint, error.fields) == ("appointments_no_overlap", ("professional_id", "scheduled_at"))


@pytest.mark.slow
@walked("sql", [MOVE, LENGTHEN, LENGTHEN_THE_BUFFER], anew="centre")
def test_a_change_into_an_appointment_is_refused(centre, role, sql):
    centre.book(at(10))
    mine = centre.book(at(9))

    refused(centre, role, SlotTakenError, sql, values(centre, id=mine.id, at=at(10.5)))


def test_what_was_cancelled_does_not_come_back_over_another(centre, role):
    cancelled = centre.book(at(10))
    cancelled.cancel(reason="ill")
    centre.book(at(10.5))

    refused(centre, role, SlotTakenError, REVIVE, values(centre, id=cancelled.id))


def test_a_superusers_row_over_an_appointment_is_refused(db, centre):
    centre.book(at(10))
    connection = psycopg2.connect(db.url)
    try:
        with pytest.raises(psycopg2.errors.ExclusionViolation):
            connection.cursor().execute(TAKE, values(centre, at=at(10.5)))
    finally:
        connection.close()


def test_two_raw_writers_cannot_both_have_the_time(db, centre):
    with db.atomic():
        db.execute_sql(TAKE, values(centre, at=at(10)))
        other = Other(db, centre.organization, lambda: db.execute_sql(TAKE, values(centre, at=at(10.5))))
        other.wait_until_blocked()

    assert type(other.finish()) is SlotTakenError


def test_a_raw_writer_who_locks_nothing_is_waited_for(db, centre):
    family = another_family()
    with db.atomic():
        db.execute_sql(TAKE, values(centre, at=at(10)))
        other = Other(db, centre.organization, lambda: centre.book(at(10.5), **family))
        other.wait_until_blocked()

    assert type(other.finish()) is SlotTakenError


# -- stamps -----------------------------------------------------------------------------------------------------------

WRONG = {
    "draft": ["pre_confirmed_at = now()", "expires_at = now()", "state = 'confirmed'", "state = 'pre_confirmed'"],
    "pre_confirmed": [
        "expires_at = NULL",
        "pre_confirmed_at = NULL",
        "confirmed_at = now()",
        "state = 'confirmed'",
        "state = 'cancelled'",
        "state = 'cancelled', cancelled_at = now()",
        "state = 'cancelled', cancelled_at = now(), cancellation_reason = ' '",
        "cancelled_at = now()",
        "cancellation_reason = 'ill'",
        "state = 'unheard of'",
    ],
    "confirmed": [
        "confirmed_at = NULL",
        "executed_at = now()",
        "no_show_at = now()",
        "state = 'executed'",
        "state = 'no_show'",
        "state = 'no_show', no_show_at = now(), executed_at = now()",
        "state = 'draft'",
        "duration_minutes = 14",
        "duration_minutes = 481",
        "buffer_minutes = -1",
        "credits_used = -1",
    ],
}


@pytest.mark.slow
@walked("state, change", [(state, change) for state, changes in WRONG.items() for change in changes], anew="centre")
def test_a_wrongly_stamped_row_is_refused(centre, role, state, change):
    booked = centre.book(at(10), draft=state == "draft", confirm=state == "confirmed")

    error = refused(centre, role, CheckFailedError, STEP_BY_STEP.format(change), values(centre, id=booked.id))

    assert error.table == "appointments"


@walked("column", ["idempotency_key", "request_fingerprint"], anew="centre")
def test_a_key_comes_with_what_was_asked(centre, column):
    booked = centre.book(at(10))

    refused(centre, "admin", CheckFailedError, STEP_BY_STEP.format(f"{column} = 'k'"), values(centre, id=booked.id))


def test_the_end_of_the_time_held_is_the_databases_to_tell(centre, role):
    booked = centre.book(at(10))
    change = STEP_BY_STEP.format("occupied_until = now()")

    refused(centre, role, peewee.ProgrammingError, change, values(centre, id=booked.id))
    assert booked.occupied_until == booked.scheduled_at + HOUR
