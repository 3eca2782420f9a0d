"""Closed days and hours that change, from files: a day is known by its date, a professional by the address."""

from datetime import date

import pytest

from rayces_core import ClosedDay, Professional, importing
from tests.importing.world import NOW, make_centre, told

MAY = {"day": "2031-05-25", "name": "May Revolution", "region": "AR"}
WINDOWS = '[{"start": "09:00", "end": "11:00"}]'


@pytest.fixture
def centre(db, a):
    with db.tenant(a):
        make_centre()
        yield a


def test_a_day_is_known_by_its_date_and_changed_where_it_is_said(centre):
    assert importing.run([MAY], ClosedDay, now=NOW).created == 1
    assert importing.run([MAY | {"name": "25 de Mayo"}], ClosedDay, now=NOW, update=True).updated == 1
    assert importing.run([{"day": "25/05/2031", "name": "25 de Mayo", "is_open": "yes"}], "closed_days", update=True)
    (stored,) = ClosedDay.select()
    assert (stored.day, stored.name, stored.region, stored.is_open) == (date(2031, 5, 25), "25 de Mayo", "AR", True)


@pytest.mark.parametrize(
    ("wrong", "column"),
    [({"region": "Argentina"}, "region"), ({"name": "x" * 201}, "name"), ({"day": "some day"}, "day")],
)
def test_what_no_closed_day_can_be_is_told_by_row_and_column(centre, wrong, column):
    assert told(importing.check([MAY | wrong], ClosedDay, now=NOW)) == [(1, column)]


def test_a_professionals_hours_that_change_come_along(centre):
    own = Professional.get()
    row = {
        "email": own.user.email,
        "dated_schedules": f'[{{"start": "2031-09-01", "schedule": {{"monday": {WINDOWS}}}}}]',
        "date_overrides": f'[{{"date": "2031-09-12", "windows": {WINDOWS}}}]',
        "buffer_before_minutes": "10",
    }
    assert importing.run([row], Professional, now=NOW, update=True).updated == 1
    stored = Professional.get_by_id(own.id)
    assert stored.dated_schedules[0]["start"] == "2031-09-01"
    assert stored.date_overrides[0]["windows"] == [{"start": "09:00", "end": "11:00"}]
    assert stored.buffer_before_minutes == 10
    wrong = row | {"date_overrides": '[{"date": "2031-09-12"}, {"date": "2031-09-12"}]'}
    assert told(importing.check([wrong], Professional, now=NOW, update=True)) == [(1, "date_overrides")]
