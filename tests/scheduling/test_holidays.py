"""Public holidays as closed days: asked for by a setting, the same when filled in again, the centre's own kept."""

from datetime import date

import pytest

from rayces_core import ClosedDay, InvalidDataError, MissingExtraError, TenantNotSetError, clock
from rayces_core.scheduling import fill_holidays, free_slots
from tests.scheduling.worlds import DAY, HOUR, NOW


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
