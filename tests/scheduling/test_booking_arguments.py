"""Arguments of booking: what is malformed is refused before all else, and named."""

from rayces_core import InvalidDataError, NaiveDatetimeError, Organization, User
from tests.factory import make_student
from tests.scheduling.oracle import utc
from tests.scheduling.worlds import DAY, at
from tests.walking import walked

MALFORMED = {
    "scheduled_at": [None, "2031-03-03T10:00Z", 5, at(10).replace(year=9999), at(10).replace(year=1)],
    "duration_minutes": [0, 14, 481, 60.0, "60", True, -60],
    "student": [None, True, "7", 1.0, Organization(), make_student],
    "professional": [None, True, "7", 1.0],
    "client": [None, False, "7", 1.0],
    "by": [7, "staff", True],
    "notes": [5, ["brings it"], "a\0b", "\ud800"],
    "now": ["today", 5],
}


@walked("field, value", [(field, value) for field, values in MALFORMED.items() for value in values])
def test_malformed_arguments_are_named(centre, field, value):
    error = centre.refused(InvalidDataError, **{field: value})

    assert error.field.lower().endswith(field)


@walked("moment", [utc(9999, 12, 31, 23, 59), utc(9999, 1, 1), utc(1, 1, 1)])
@walked("field", ["scheduled_at", "now"])
def test_moments_at_the_ends_of_the_calendar_are_refused(centre, field, moment):
    assert centre.refused(InvalidDataError, **{field: moment}, override_schedule=True).field == field


@walked("field", ["scheduled_at", "now"])
def test_a_moment_needs_a_time_zone(centre, field):
    assert centre.refused(NaiveDatetimeError, **{field: DAY.replace(tzinfo=None)}).field == field


@walked("who", ["student", "client", "by"])
def test_people_who_are_not_saved_are_refused(centre, who):
    unsaved = type(centre.student)() if who == "student" else type(centre.client)()

    assert centre.refused(InvalidDataError, **{who: unsaved}).field == who


def test_an_id_that_was_assigned_makes_nobody_a_user(centre):
    centre.refused(InvalidDataError, by=User(id=centre.staff.id, role=3))
