"""A search over many professionals: order, choice, its one statement; and what neither search nor listing takes."""

from datetime import date, timedelta, timezone

import pytest

from rayces_core import Database, InvalidDataError, NaiveDatetimeError
from rayces_core.scheduling import calendars, find_slots, free_slots
from tests.conftest import on_server
from tests.factory import make_organization, make_student
from tests.scheduling.agenda import DAY, HOUR, NOW, free, make_one, take
from tests.scheduling.oracle import utc
from tests.walking import walked
from tests.wire import wire

# -- a search over many -----------------------------------------------------------------------------------------------


def test_slots_of_many_come_by_start_and_then_by_professional(here):
    long = make_one(session_duration_minutes=120)
    short = make_one(session_duration_minutes=30)

    slots = find_slots(DAY, DAY + 48 * HOUR, now=NOW)

    assert slots == sorted(slots, key=lambda slot: (slot.start, slot.professional_id))
    assert set(slots) == {s for one in (long, short) for s in free_slots(one, DAY, DAY + 48 * HOUR, now=NOW)}
    assert len(slots) == 20


@walked("limit", [0, 1, 3, 7, 100])
def test_a_limit_gives_the_earliest(here, limit):
    for _ in range(3):
        make_one()

    everything = find_slots(DAY, DAY + 48 * HOUR, now=NOW)

    assert find_slots(DAY, DAY + 48 * HOUR, now=NOW, limit=limit) == everything[:limit]


def test_a_search_is_narrowed_by_specialization_and_by_professionals(here):
    speech, tutor, other = (make_one(specialization=name) for name in ("speech", "tutoring", "speech"))

    def found(**options):
        return {slot.professional_id for slot in find_slots(DAY, DAY + 24 * HOUR, now=NOW, **options)}

    assert found() == {speech.user_id, tutor.user_id, other.user_id}
    assert found(specialization="speech") == {speech.user_id, other.user_id}
    assert found(specialization="spee") == found(professionals=[]) == set()
    assert found(professionals=(p for p in (tutor, other))) == {tutor.user_id, other.user_id}
    assert found(professionals=[tutor, other], specialization="speech") == {other.user_id}


@pytest.mark.slow
def test_one_statement_answers_for_any_number_of_professionals_and_days(own_pool):
    organization = make_organization(own_pool)
    with own_pool.tenant(organization):
        one = make_one()
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, database.tenant(organization):
        free(one)  # opens the connection
        for days in (1, 60):
            proxy.sent.clear()
            assert free(one, end=DAY + days * 24 * HOUR)
            assert len(proxy.sent) == 1
        for _ in range(5):
            make_one()
        proxy.sent.clear()
        assert len(find_slots(DAY, DAY + 60 * 24 * HOUR, now=NOW)) == 6 * 60 * 4
        assert len(proxy.sent) == 1


@pytest.mark.slow
def test_appointments_are_found_by_an_index_with_both_bounds(own_db):
    with own_db.tenant(make_organization(own_db)):
        professional, student = make_one(), make_student().id
        for n in range(300):
            take(own_db, professional.user_id, DAY + n * 24 * HOUR, student=student)
        on_server(own_db.url, "ANALYZE")
        values = calendars.calendar_values(DAY + 100 * 24 * HOUR, DAY + 110 * 24 * HOUR, NOW)

        plan = "\n".join(line for (line,) in own_db.execute_sql("EXPLAIN " + calendars.READ, values))

    taken = plan[plan.rindex(" on appointments taken") :]
    bounds = taken[taken.index("Index Cond") :].splitlines()[0]
    assert "scheduled_at >=" in bounds
    assert "scheduled_at <" in bounds.replace("scheduled_at >=", "")


# -- what is asked wrongly --------------------------------------------------------------------------------------------


@walked(
    "wrong, field",
    [
        ({"start": DAY + 24 * HOUR}, "end"),
        ({"end": DAY}, "end"),
        ({"end": DAY + timedelta(days=366, microseconds=1)}, "end"),
        ({"start": "2031-03-03"}, "start"),
        ({"end": date(2031, 3, 4)}, "end"),
        ({"start": utc(1, 12, 31), "end": utc(2, 6, 1)}, "start"),
        ({"start": utc(9998, 12, 1), "end": utc(9999, 6, 1)}, "end"),
        ({"duration_minutes": 14}, "duration_minutes"),
        ({"duration_minutes": 481}, "duration_minutes"),
        ({"duration_minutes": 60.0}, "duration_minutes"),
        ({"step_minutes": 0}, "step_minutes"),
        ({"step_minutes": True}, "step_minutes"),
        ({"now": 0}, "now"),
        ({"limit": -1}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"specialization": 7}, "specialization"),
    ],
)
def test_arguments_out_of_bounds_are_refused_by_name(here, wrong, field):
    with pytest.raises(InvalidDataError) as refused:
        find_slots(**({"start": DAY, "end": DAY + 24 * HOUR, "now": NOW} | wrong))

    assert refused.value.field == field


@walked("name", ["start", "end", "now"])
def test_a_moment_without_a_zone_is_refused(here, name):
    moments = {"start": DAY, "end": DAY + 24 * HOUR, "now": NOW}

    with pytest.raises(NaiveDatetimeError):
        free_slots(1, **(moments | {name: moments[name].replace(tzinfo=None)}))


def test_moments_of_any_zone_mean_the_same(here):
    professional = make_one()
    elsewhere = timezone(timedelta(hours=-5))

    moments = [moment.astimezone(elsewhere) for moment in (DAY, DAY + 24 * HOUR, NOW)]

    assert free(professional, moments[0], moments[1], now=moments[2]) == [9, 10, 11, 12]


def test_a_range_of_366_days_is_answered(here):
    assert len(free_slots(make_one(), DAY, DAY + timedelta(days=366), now=DAY)) == 4 * 91
