"""Which future sessions a change of a professional's hits: asked before it, and told when it is saved."""

from datetime import date

import pytest

from rayces_core import CrossTenantError, Database, InvalidDataError, Professional, TenantNotSetError, clock
from rayces_core.scheduling import affected_by
from tests.scheduling.oracle import hours, schedule_json
from tests.scheduling.worlds import HOUR, INSTANT, NOW, another_family, at, make_working, open_centre
from tests.walking import walked
from tests.wire import wire

MORNINGS = schedule_json(hours((9, 12)))
LATE = [{"start": "23:00", "end": "24:00"}]


@pytest.fixture
def centre(db):
    with clock.frozen(NOW), open_centre(db) as opened:
        yield opened


@pytest.fixture
def booked(centre):
    """Sessions at 10, 11.5 and 15 on three days, one of them only drafted, one of another professional."""
    centre.book(at(10, 2), draft=True)
    centre.book(at(10), professional=make_working(), **another_family())
    sessions = [centre.book(at(10)), centre.book_for_another(at(11.5, 1)), centre.book_for_another(at(15, 2))]
    sessions[1].confirm()
    return sessions


def test_a_deactivation_hits_every_session_ahead(centre, booked):
    for named in (centre.professional, centre.professional.user, centre.professional.user_id):
        assert affected_by(named, now=NOW) == booked
    assert affected_by(centre.professional, now=at(10) + INSTANT) == booked[1:2]  # the holds are overdue by then


def test_blocked_dates_hit_what_meets_them(centre, booked):
    assert affected_by(centre.professional, blocked=["2031-03-04"], now=NOW) == booked[1:2]
    period = {"start": "2031-03-04", "end": "2031-03-05", "reason": "leave"}
    assert affected_by(centre.professional, blocked=[period], now=NOW) == booked[1:]
    assert affected_by(centre.professional, blocked=[date(2031, 3, 3), "2031-03-05"], now=NOW) == booked[::2]
    assert affected_by(centre.professional, blocked=[], now=NOW) == []


def test_a_schedule_hits_what_does_not_lie_in_it(centre, booked):
    assert affected_by(centre.professional, schedule=MORNINGS, now=NOW) == booked[1:]
    assert affected_by(centre.professional, schedule={}, now=NOW) == booked
    assert affected_by(centre.professional, schedule=MORNINGS, blocked=["2031-03-03"], now=NOW) == booked


def test_days_and_hours_are_those_of_the_organization(db):
    with open_centre(db, zone="America/Argentina/Buenos_Aires") as centre:
        late = centre.book(at(2, 1), override_schedule=True)  # 23:00 there, on the 3rd

        assert affected_by(centre.professional, blocked=["2031-03-04"], now=NOW) == []
        assert affected_by(centre.professional, blocked=["2031-03-03"], now=NOW) == [late]
        assert affected_by(centre.professional, schedule={"monday": LATE}, now=NOW) == []


@walked("given", [{"blocked": ["soon"]}, {"schedule": {"someday": []}}, {"schedule": 7}])
def test_what_is_no_schedule_and_no_date_is_refused(centre, given):
    with pytest.raises(InvalidDataError) as caught:
        affected_by(centre.professional, **given, now=NOW)
    assert caught.value.field in given


def test_another_organizations_professional_is_refused(db, centre):
    with open_centre(db) as other:
        theirs = other.professional
    with db.tenant(centre.organization), pytest.raises(CrossTenantError):
        affected_by(theirs)


# -- told at saving ---------------------------------------------------------------------------------------------------


def changed(row, **columns):
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()
    return list(row.affected)


def test_saving_a_professional_tells_what_it_hits(centre, booked):
    one = Professional.get_by_id(centre.professional.id)

    assert changed(one, title="Dr.", buffer_minutes=5) == []
    assert changed(one, blocked_dates=["2031-03-04"]) == booked[1:2]
    assert changed(one, title="Lic.") == []
    one.blocked_dates.append({"start": "2031-03-05", "end": "2031-03-05"})
    one.save()
    assert list(one.affected) == booked[1:]
    assert changed(one, weekly_schedule=MORNINGS) == booked[1:]
    assert changed(one, active=False) == booked
    assert changed(one, active=True) == []
    one.active = False
    one.save(only=["title"])
    assert one.affected == ()
    one.save(only=iter([Professional.active]))
    assert list(one.affected) == booked


def test_a_new_professional_hits_nobody(centre):
    assert make_working(active=False, blocked_dates=["2031-03-04"]).affected == ()


def test_in_privileged_work_it_is_told_of_the_own_organization(db, centre, booked):
    with open_centre(db) as other:
        other.book(at(10))
    with db.privileged(reason="test"):
        assert changed(Professional.get_by_id(centre.professional.id), active=False) == booked


@pytest.mark.slow
def test_an_ordinary_save_asks_nothing(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, open_centre(database) as centre:
        centre.book(at(10))
        with clock.frozen(NOW + HOUR):
            proxy.sent.clear()
            changed(centre.professional, title="Dr.", session_duration_minutes=45)
            assert len(proxy.sent) == 1
            changed(centre.professional, active=False)
            assert len(proxy.sent) == 4


def test_a_professional_read_in_part_is_told_all_the_same(centre, booked):
    for changes in ({"active": False}, {"blocked_dates": ["2031-03-03"]}):
        partly = Professional.select(Professional.id).where(Professional.id == centre.professional.id).get()
        for name, value in changes.items():
            setattr(partly, name, value)
        partly.save()
        assert list(partly.affected) == (booked if "active" in changes else booked[:1])


def test_privileged_work_says_whose_professional_it_is(centre, booked):
    with centre.db.privileged(reason="a desk of several centres"):
        for named in (centre.professional, centre.professional.user):
            assert affected_by(named, now=NOW) == booked
        with pytest.raises(TenantNotSetError, match="which organization"):
            affected_by(centre.professional.user_id, now=NOW)
