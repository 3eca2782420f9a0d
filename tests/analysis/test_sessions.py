"""Sessions counted by what became of them, and what every metric does with its arguments."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from rayces_core import Appointment, InvalidDataError, NaiveDatetimeError, TenantNotSetError
from rayces_core.analysis import sessions
from tests.factory import make_appointment, make_organization, make_professional, make_student, make_user

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
MARCH, APRIL, MAY = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)


def session(state: str, start: datetime, **columns) -> Appointment:
    stamps = {"pre_confirmed_at": BEFORE, "expires_at": start, "confirmed_at": BEFORE, f"{state}_at": start}
    if state == "pre_confirmed":
        stamps = {"pre_confirmed_at": BEFORE, "expires_at": start}
    if state == "confirmed":
        stamps.pop("confirmed_at")
        stamps["confirmed_at"] = BEFORE
    if state == "cancelled":
        stamps["cancellation_reason"] = "ill"
    return make_appointment(scheduled_at=start, state=state, created_at=BEFORE, **(stamps | columns))


@pytest.fixture
def people(db, a):
    with db.tenant(a):
        return {"professional": make_professional(), "student": make_student(), "client": make_user()}


def test_sessions_are_counted_by_state_and_month_and_a_month_without_any_is_a_row_of_zeros(db, a, people):
    with db.tenant(a):
        day = datetime(2026, 3, 10, 12, tzinfo=UTC)
        for hours, state in enumerate(["executed", "executed", "no_show", "cancelled", "confirmed", "pre_confirmed"]):
            session(state, day + timedelta(hours=hours), **people)
        # 1 April 02:30 in UTC is still March in Buenos Aires.
        session("executed", datetime(2026, 4, 1, 2, 30, tzinfo=UTC), duration_minutes=30, **people)

        found = sessions(MARCH, MAY, every="1mo")

    assert found.schema == {
        "organization_id": pl.Int64,
        "period": pl.Date,
        **dict.fromkeys(["executed", "no_show", "cancelled", "open", "held_minutes"], pl.Int64),
    }
    assert found.rows() == [(a.id, MARCH, 3, 1, 1, 2, 150), (a.id, APRIL, 0, 0, 0, 0, 0)]


def test_where_narrows_and_by_tells_apart_what_is_counted(db, a, people):
    with db.tenant(a):
        other = make_professional(specialization=None)
        session("executed", datetime(2026, 3, 2, 12, tzinfo=UTC), uses_credit=True, **people)
        session("executed", datetime(2026, 3, 3, 12, tzinfo=UTC), **(people | {"professional": other}))

        by = sessions(MARCH, APRIL, by=["specialization", "weekday"])
        paid = sessions(MARCH, APRIL, where=Appointment.uses_credit == True)  # noqa: E712

    assert by.select("specialization", "weekday", "executed").rows() == [("speech therapy", 1, 1), (None, 2, 1)]
    assert paid.rows() == [(a.id, 1, 0, 0, 0, 60)]


def test_without_a_tenant_nothing_is_counted(db):
    with pytest.raises(TenantNotSetError):
        sessions(MARCH, APRIL)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"end": MARCH}, "after start"),
        ({"start": "2026-03-01"}, "needs a date"),
        ({"start": datetime(2026, 3, 1, tzinfo=UTC)}, "needs a date"),
        ({"start": date(1, 1, 1)}, "must lie from"),
        ({"start": date(1800, 1, 1)}, "at most 36,600 days after start, and is 8"),
        ({"every": "1y"}, "'1mo', '1w', '1d' or None"),
        ({"every": 7}, "'1mo', '1w', '1d' or None"),
        ({"start": date(2010, 1, 1), "every": "1d"}, "5,934 periods .* use '1w' or '1mo', or ask for fewer days"),
        ({"by": "month"}, "there is no 'month'; use 'professional' or"),
        ({"by": ["hour", "hour"]}, "named twice"),
        ({"by": "students"}, "there is no 'students'; did you mean 'student'"),
        ({"by": ["weekday", "professional_id"]}, "there is no 'professional_id'; did you mean 'professional'"),
        ({"by": 3}, "needs a name"),
        ({"by": [3]}, "needs a name"),
        ({"by": b"hour"}, "needs a name"),
        ({"where": True}, "an expression over Appointment"),
        ({"now": "today"}, "aware datetime"),
    ],
)
def test_a_malformed_argument_is_refused_with_what_is_allowed(db, a, wrong, said):
    with db.tenant(a), pytest.raises(InvalidDataError, match=said):
        sessions(**({"start": MARCH, "end": APRIL} | wrong))


def test_a_present_without_a_zone_is_refused(db, a):
    with db.tenant(a), pytest.raises(NaiveDatetimeError):
        sessions(MARCH, APRIL, now=datetime(2026, 3, 1))


def test_help_shows_the_definition_and_the_signature_stays():
    assert "Appointments whose start lies in the period" in sessions.__doc__
    assert sessions.definition.denominator is None
    assert list(sessions.definition.columns) == ["executed", "no_show", "cancelled", "open", "held_minutes"]


def test_privileged_work_counts_every_organization_by_its_own_clock(own_db):
    west = make_organization(own_db, time_zone="America/Los_Angeles")
    east = make_organization(own_db, time_zone="Asia/Tokyo")
    for organization in (west, east):
        with own_db.tenant(organization):
            session("executed", datetime(2026, 3, 31, 18, tzinfo=UTC))
    with own_db.privileged(reason="a chain's report"):
        found = sessions(MARCH, MAY, every="1mo")
    assert found.select("organization_id", "period", "executed").rows() == [
        *((west.id, MARCH, 1), (west.id, APRIL, 0)),
        *((east.id, MARCH, 0), (east.id, APRIL, 1)),
    ]
