"""Requests for time off: imported in every state, exported and imported again to the same requests and blocked days."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rayces_core import (
    OutsideScheduleError,
    Professional,
    Role,
    StateTransition,
    TimeOffRequest,
    User,
    exporting,
    importing,
    scheduling,
)
from rayces_core.fields.schemas import MOST_BLOCKED
from tests.factory import make_user
from tests.importing.world import NOW, make_centre, told
from tests.scheduling import racing
from tests.scheduling.test_booking_races import ids_of
from tests.scheduling.worlds import ALWAYS, DAY, another_family, make_working, open_centre
from tests.scheduling.worlds import NOW as SCHEDULED_NOW
from tests.sizes import quick_or_whole

ROUNDS, WORKERS = quick_or_whole((3, 7), (12, 7))

ROW = {"professional": "eva@example.org", "starts_on": "2031-07-14", "ends_on": "2031-07-18", "note": "Holiday"}
HOURS = {"from_time": "16:00", "until_time": "24:00"}
DECIDED = "2031-02-01T10:00:00Z"
WISH = ("starts_on", "ends_on", "from_time", "until_time", "note", "state", "decided_at", "created_at")


def run(rows, **options):
    return importing.run(rows, "time_off_requests", now=NOW, **options)


def eva():
    return Professional.get(Professional.user == User.get(User.email == "eva@example.org"))


def requests():
    """The bound tenant's requests without ids, and the blocked dates that came of them."""
    rows = [
        (row.professional.user.email, *(getattr(row, name) for name in WISH))
        for row in TimeOffRequest.select().order_by(TimeOffRequest.starts_on, TimeOffRequest.created_at)
    ]
    return rows, [profile.blocked_dates for profile in Professional.select().join(User).order_by(User.email)]


@pytest.fixture
def centre(db, a):
    with db.tenant(a):
        make_centre()
        yield a


def test_what_is_asked_for_waits_and_blocks_nothing(centre):
    row = {"profesional": "Eva Luna", "primer día": "14/07/2031", "desde la hora": "9:00", "hasta la hora": "13:00"}
    assert run([row]).created == 1
    asked = TimeOffRequest.get()
    assert (asked.starts_on, asked.ends_on, asked.from_time) == (date(2031, 7, 14), date(2031, 7, 14), "09:00")
    assert (asked.state, asked.decided_at, asked.created_at) == ("requested", None, NOW)
    assert (eva().blocked_dates, StateTransition.select().count()) == ([], 0)
    again = run([row])
    assert (again.created, again.updated, again.is_clean) == (0, 0, True)


def test_what_was_approved_is_blocked_as_if_it_had_been_approved_here(centre):
    scheduling.request_time_off(eva(), date(2031, 7, 16), date(2031, 7, 16), note="Course").approve()
    rows = [ROW | {"state": "aprobada", "decided_at": DECIDED}, ROW | HOURS | {"state": "approved"}]
    assert run(rows).created == 2
    assert eva().blocked_dates == [
        {"start": "2031-07-14", "end": "2031-07-18", "reason": "Holiday"},
        {"start": "2031-07-14", "end": "2031-07-18", "reason": "Holiday", "hours": {"start": "16:00", "end": "24:00"}},
        {"start": "2031-07-16", "end": "2031-07-16", "reason": "Course"},
    ]
    assert run(rows).created == 0
    known, unknown = TimeOffRequest.select().where(TimeOffRequest.note == "Holiday").order_by(TimeOffRequest.id)
    steps = [
        (step.event, step.made_up, step.reason, step.occurred_at)
        for each in (known, unknown)
        for step in each.history()
    ]
    assert steps == [
        ("approve", False, "imported", datetime(2031, 2, 1, 10, tzinfo=UTC)),
        ("approve", True, "imported", NOW),
    ]
    desk = make_user(role=Role.STAFF)
    known.revoke(by=desk)
    unknown.revoke(by=desk)
    assert [period["reason"] for period in eva().blocked_dates] == ["Course"]


def test_what_the_profile_brought_along_is_not_blocked_twice(centre):
    profile = eva()
    profile.blocked_dates = [{"start": "2031-07-14", "end": "2031-07-18", "reason": "Holiday"}]
    profile.save()
    assert run([ROW | {"state": "approved"}, ROW | {"starts_on": "2031-07-15", "state": "approved"}]).created == 2
    assert [period["start"] for period in eva().blocked_dates] == ["2031-07-14", "2031-07-15"]


@pytest.mark.slow
@pytest.mark.parametrize("batch_rows", [1, 3])
def test_every_row_that_is_approved_is_blocked_whatever_the_batches_are(centre, batch_rows):
    rows = [
        ROW | {"professional": email, "starts_on": f"2031-07-0{day}", "state": "approved"}
        for day in range(1, 5)
        for email in ("eva@example.org", "leo@example.org")
    ]
    assert run(rows, batch_rows=batch_rows).created == 8
    _, blocked = requests()
    assert [[period["start"][-1] for period in periods] for periods in blocked] == [list("1234")] * 2


def test_a_request_that_is_there_is_never_changed(centre):
    asked = scheduling.request_time_off(eva(), date(2031, 7, 14), date(2031, 7, 18), note="Holiday")
    row = ROW | {"state": "approved"}
    for options in ({}, {"update": True}):
        assert told(importing.check([row], TimeOffRequest, now=NOW, **options)) == [(1, "state")]
    assert TimeOffRequest.get_by_id(asked.id).state == "requested"
    assert eva().blocked_dates == []


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"professional": "nobody@example.org"}, "professional"),
        ({"professional": "ana@example.org"}, "professional"),
        ({"starts_on": "some day"}, "starts_on"),
        ({"ends_on": "2031-07-13"}, "ends_on"),
        ({"ends_on": "2032-07-14"}, "ends_on"),
        ({"from_time": "09:00"}, "until_time"),
        ({"until_time": "09:00"}, "from_time"),
        ({"from_time": "25:00", "until_time": "09:00"}, "from_time"),
        ({"from_time": "10:00", "until_time": "09:00"}, "until_time"),
        ({"from_time": "24:00", "until_time": "24:00"}, "until_time"),
        ({"note": "x" * 501}, "note"),
        ({"state": "perhaps"}, "state"),
        ({"decided_at": DECIDED}, "decided_at"),
        ({"state": "declined", "decided_at": "2031-04-01T10:00:00Z"}, "decided_at"),
        ({"state": "declined", "decided_at": DECIDED, "created_at": "2031-02-02T10:00:00Z"}, "decided_at"),
        ({"created_at": "2031-04-01T10:00:00Z"}, "created_at"),
    ],
)
def test_a_row_that_cannot_be_says_which_column(centre, wrong, column):
    report = importing.check([ROW | wrong], TimeOffRequest, now=NOW)
    assert {problem.column for problem in report.problems} == {column}
    assert TimeOffRequest.select().count() == 0


@pytest.mark.slow
def test_no_more_is_blocked_than_a_professional_can_have(centre):
    profile = eva()
    profile.blocked_dates = [f"2029-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(300)]
    profile.blocked_dates += [f"20{30 + day // 300}-{1 + day % 300 // 28:02}-{1 + day % 28:02}" for day in range(699)]
    profile.save()
    assert len(eva().blocked_dates) == MOST_BLOCKED - 1
    rows = [ROW | {"state": "approved"}, ROW | HOURS | {"state": "approved"}, ROW | {"starts_on": "2031-07-15"}]
    report = run(rows, on_error="skip")
    assert (report.created, told(report)) == (2, [(2, "state")])
    assert len(eva().blocked_dates) == MOST_BLOCKED


STATES = ("requested", "approved", "declined", "withdrawn")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("kinds", [("users", "professionals", "time_off_requests"), ("users", "time_off_requests")])
def test_an_export_is_imported_to_the_same_requests(db, a, b, tmp_path, form, kinds):
    with db.tenant(a):
        make_centre()
        rows = [
            ROW | {"created_at": f"2031-01-0{day}T10:00:00Z", "state": state} for day, state in enumerate(STATES, 1)
        ]
        run([*rows, ROW | HOURS | {"starts_on": "2031-07-15", "state": "approved", "decided_at": DECIDED}])
        before = requests()
        for kind in kinds:
            exporting.export(kind, tmp_path / f"{kind}.{form}")
    with db.tenant(b):
        if "professionals" not in kinds:
            make_centre()
        for _ in range(2):
            for kind in kinds:
                assert importing.run(tmp_path / f"{kind}.{form}", kind, now=NOW).is_clean
            assert requests() == before
        steps = StateTransition.select().where(StateTransition.subject_type == "TimeOffRequest")
        assert sorted(step.event for step in steps) == ["approve", "approve", "decline", "withdraw"]


def test_another_organizations_professional_is_nobody_here(db, a, b):
    with db.tenant(a):
        make_centre()
        before = requests()
    with db.tenant(b):
        assert told(run([ROW | {"state": "approved"}], on_error="skip")) == [(1, "professional")]
    with db.tenant(a):
        assert requests() == before


def bring(**row):
    return importing.run([row | {"state": "approved"}], "time_off_requests").created


@pytest.fixture(scope="module")
def race(db):
    with open_centre(db, weekly_schedule=ALWAYS), racing.crew(db, WORKERS) as crew:
        yield crew


@pytest.mark.slow
def test_what_is_imported_while_others_are_approved_and_sessions_booked_is_blocked_like_them(race):
    days = [(DAY + timedelta(days=n)).date() for n in range(6)]
    for _ in range(ROUNDS):
        one = make_working(weekly_schedule=ALWAYS)
        asked = [scheduling.request_time_off(one, day, day) for day in days[:3]]
        family = another_family()
        session = {
            "scheduled_at": DAY + timedelta(days=4),
            "now": SCHEDULED_NOW,
            "professional": one.user_id,
        }
        outcomes = race.race(
            [
                *((racing.approve_time_off, {"request": each.id, "now": SCHEDULED_NOW}) for each in asked),
                *((bring, {"professional": one.user.email, "starts_on": f"{day}"}) for day in days[3:]),
                (racing.book, session | ids_of(family)),
            ]
        )
        assert [outcome.value for outcome in outcomes[3:6]] == [1, 1, 1]
        blocked = Professional.get(Professional.user == one.user_id).blocked_dates
        assert [period["start"] for period in blocked] == [f"{day}" for day in days]
        assert isinstance(outcomes[6].value, int | OutsideScheduleError)
