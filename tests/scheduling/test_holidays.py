"""Public holidays as closed days: asked for by a setting, the same when filled in again, the centre's own kept."""

from datetime import date

import pytest

from rayces_core import (
    Appointment,
    ClosedDay,
    InvalidDataError,
    MissingExtraError,
    OutsideScheduleError,
    TenantNotSetError,
    TransactionFailedError,
    clock,
)
from rayces_core.scheduling import fill_holidays, free_slots
from tests.scheduling.test_groups import gather
from tests.scheduling.worlds import DAY, HOUR, NOW, Other, at


@pytest.fixture(autouse=True)
def _now():
    with clock.frozen(NOW):
        yield


def stored():
    return {row.day: row for row in ClosedDay.select()}


def test_without_the_setting_no_day_is_closed(centre):
    assert fill_holidays() == []
    assert stored() == {}


@pytest.mark.slow
def test_the_countrys_holidays_are_closed_days_of_this_year_and_the_next(centre):
    centre.settings(holiday_country="AR")
    filled = fill_holidays()
    days = stored()
    assert [row.day for row in filled] == sorted(days)
    assert {day.year for day in days} == {2031, 2032}
    assert (days[date(2031, 5, 25)].region, days[date(2031, 5, 25)].is_open) == ("AR", False)
    mayday = DAY.replace(month=5, day=1)
    assert free_slots(centre.professional, mayday, mayday + 24 * HOUR, now=NOW) == []


def test_filled_in_again_they_are_the_same_and_the_centres_own_stay(centre):
    centre.settings(holiday_country="AR")
    own = ClosedDay.create(day=date(2031, 12, 25), name="We rest")
    fill_holidays(2031)
    works = stored()[date(2031, 5, 1)]
    works.is_open = True
    works.save()
    before = {day: row.__data__ for day, row in stored().items()}
    assert fill_holidays([2031]) == []
    assert {day: row.__data__ for day, row in stored().items()} == before
    assert stored()[own.day].name == "We rest"


@pytest.mark.parametrize(
    ("country", "name"),
    [
        ("AR", "Navidad"),
        ("BR", "Natal"),
        ("DE", "Erster Weihnachtstag"),
        ("US", "Christmas Day"),
        ("IE", "Christmas Day"),
    ],
)
def test_holidays_have_the_countrys_own_names_whatever_the_server_speaks(centre, monkeypatch, country, name):
    centre.settings(holiday_country=country)
    for spoken in ("en_US", "uk", "de"):
        for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
            monkeypatch.setenv(variable, f"{spoken}.UTF-8")
        fill_holidays(2031)
        assert stored()[date(2031, 12, 25)].name == name


def test_a_holiday_that_is_none_any_more_goes_unless_it_has_passed(centre):
    centre.settings(holiday_country="AR")
    for day in (date(2031, 1, 2), date(2031, 9, 2)):
        ClosedDay.create(day=day, name="Bridge", region="AR")
    ClosedDay.create(day=date(2031, 9, 3), name="Ours")
    fill_holidays(2031)
    assert [day for day in (date(2031, 1, 2), date(2031, 9, 2), date(2031, 9, 3)) if day in stored()] == [
        date(2031, 1, 2),
        date(2031, 9, 3),
    ]


def test_a_subdivision_has_its_own(centre):
    centre.settings(holiday_country="DE")
    fill_holidays(2031)
    whole = set(stored())
    centre.settings(holiday_country="DE", holiday_subdivision="BY")
    fill_holidays(2031)
    assert stored()[date(2031, 1, 6)].region == "DE-BY"
    assert set(stored()) > whole


@pytest.mark.slow
@pytest.mark.parametrize("becomes", [{"holiday_country": "DE"}, {"holiday_country": "AR", "holiday_subdivision": "B"}])
def test_those_of_another_country_go_whatever_year_they_were_filled_in_for(centre, becomes):
    centre.settings(holiday_country="AR")
    ClosedDay.create(day=date(2031, 1, 2), name="Long ago", region="AR")
    own = ClosedDay.create(day=date(2033, 7, 4), name="Ours")
    fill_holidays([2031, 2032, 2033, 2034])
    works = ClosedDay.get(ClosedDay.day == date(2033, 7, 9))
    works.is_open = True
    works.save()
    passed = {day for day in stored() if day <= NOW.date()}

    centre.settings(**becomes)
    fill_holidays()

    region = "-".join(becomes.values())
    assert {row.region for day, row in stored().items() if day > NOW.date()} - {None} == {region, "AR"}
    assert [day for day, row in stored().items() if row.region == "AR" and day > NOW.date()] == [works.day]
    assert own.day in stored()
    assert passed <= set(stored())
    assert fill_holidays() == []


def test_those_of_no_country_any_more_go_and_need_no_package(centre, monkeypatch):
    centre.settings(holiday_country="AR")
    own = ClosedDay.create(day=date(2031, 7, 4), name="Ours")
    fill_holidays(2031)
    mayday = DAY.replace(month=5, day=1)
    assert free_slots(centre.professional, mayday, mayday + 24 * HOUR, now=NOW) == []

    centre.settings()
    monkeypatch.setitem(__import__("sys").modules, "holidays", None)

    assert fill_holidays() == []
    assert [day for day in stored() if day > NOW.date()] == [own.day]
    assert free_slots(centre.professional, mayday, mayday + 24 * HOUR, now=NOW) != []


@pytest.fixture
def booked_on_mayday(centre):
    centre.settings(holiday_country="AR", booking_window_days=365)
    return centre.book(at(10).replace(month=5, day=1), override_window=True)


def test_sessions_of_those_days_stay_and_are_told_before_and_after(db, centre, booked_on_mayday):
    gather(centre, at(15).replace(month=5, day=1))
    asked = []
    observer = db.on_query(asked.append)
    told = fill_holidays(2031, dry_run=True)
    for engine in db._engines:
        engine.observers.remove(observer)
    assert stored() == {}
    filled = fill_holidays(2031)
    for days in (told, filled):
        hit = {each.day: (list(each.affected), len(each.affected_groups)) for each in days}
        assert hit.pop(date(2031, 5, 1)) == ([booked_on_mayday], 1)
        assert set(map(str, hit.values())) == {"([], 0)"}
    assert len(asked) < len(filled)


@pytest.mark.slow
def test_a_booking_meanwhile_waits_and_is_decided_anew(db, centre):
    centre.settings(holiday_country="AR", booking_window_days=365)
    mayday = at(10).replace(month=5, day=1)
    with db.atomic():
        fill_holidays(2031)
        other = Other(db, centre.organization, lambda: centre.book(mayday))
        other.wait_until_blocked()
    assert isinstance(other.finish(), OutsideScheduleError)
    assert Appointment.select().count() == 0


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_in_a_unit_that_would_miss_sessions_nothing_is_filled_in(db, centre, level):
    centre.settings(holiday_country="AR")
    with pytest.raises(TransactionFailedError, match=level):
        with db.atomic(level):
            fill_holidays()
    assert stored() == {}


def test_what_the_package_does_not_know_is_refused(centre):
    centre.settings(holiday_country="AR", holiday_subdivision="Nowhere")
    with pytest.raises(InvalidDataError):
        fill_holidays()
    centre.settings(holiday_country="AR")
    for wrong in ("2031", 2031.0):
        with pytest.raises(InvalidDataError):
            fill_holidays(wrong)
    assert stored() == {}


def test_it_needs_the_package_and_a_tenant(db, centre, monkeypatch):
    centre.settings(holiday_country="AR")
    with db.privileged(reason="test"), pytest.raises(TenantNotSetError):
        fill_holidays()
    monkeypatch.setitem(__import__("sys").modules, "holidays", None)
    with pytest.raises(MissingExtraError, match="holidays"):
        fill_holidays()
