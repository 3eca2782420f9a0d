"""Requests for a time: imported from a family's words, exported and imported again to the same line."""

import pytest

from rayces_core import SlotRequest, StateTransition, exporting, importing
from tests.importing.world import NOW, make_centre

ROW = {"student": "Luz Sosa", "until_day": "2031-12-31"}


def line():
    """The bound tenant's requests in their order, without ids and times of writing."""
    rows = SlotRequest.select().order_by(SlotRequest.place_at, SlotRequest.id)
    wish = (
        "duration_minutes",
        "weekdays",
        "from_time",
        "until_time",
        "from_day",
        "until_day",
        "uses_credit",
        "place_at",
    )
    return [
        (
            row.client.email,
            row.student.full_name,
            row.professional and row.professional.user.email,
            row.service and row.service.name,
            row.state,
            *(getattr(row, name) for name in wish),
        )
        for row in rows
    ]


def run(rows, **options):
    return importing.run(rows, "slot_requests", now=NOW, **options)


@pytest.fixture
def centre(db, a):
    with db.tenant(a):
        make_centre()
        yield a


def test_a_row_is_a_place_in_the_line(centre):
    asked = {
        "profesional": "eva@example.org",
        "días": "lunes y miércoles",
        "desde la hora": "9:00",
        "hasta la hora": "24:00",
    }
    assert run([ROW | asked | {"estado": "ofrecido"}, ROW]).created == 2
    first, second = SlotRequest.select().order_by(SlotRequest.id)
    assert (first.weekdays, first.from_time, first.until_time) == (["monday", "wednesday"], "09:00", "24:00")
    assert (first.state, first.professional.user.email, second.professional) == ("waiting", "eva@example.org", None)
    assert first.client_id == first.student.primary_contact_id
    assert (second.from_day, second.place_at) == (NOW.date(), NOW)
    again = run([ROW | asked, ROW])
    assert (again.created, again.updated, again.is_clean) == (0, 0, True)


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"weekdays": "someday"}, "weekdays"),
        ({"from_time": "25:00"}, "from_time"),
        ({"from_time": "18:00", "until_time": "09:00"}, "until_time"),
        ({"from_day": "2032-01-01"}, "until_day"),
        ({"duration_minutes": "10"}, "duration_minutes"),
        ({"service_name": "Yoga"}, "service_name"),
        ({"professional": "nobody@example.org"}, "professional"),
        ({"client": "nobody@example.org"}, "client"),
        ({"student": "Nobody Known"}, "student"),
        ({"state": "lost"}, "state"),
    ],
)
def test_a_row_that_cannot_be_says_which_column(centre, wrong, column):
    report = importing.check([ROW | wrong], "slot_requests", now=NOW)
    assert {problem.column for problem in report.problems} == {column}
    assert SlotRequest.select().count() == 0


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_an_export_is_imported_to_the_same_line(db, a, b, tmp_path, form):
    kinds = ("users", "professionals", "students", "slot_requests")
    with db.tenant(a):
        make_centre()
        run([ROW | {"place_at": f"2031-01-0{day}T10:00:00Z", "state": state} for day, state in STATES])
        before = line()
        for kind in kinds:
            exporting.export(kind, tmp_path / f"{kind}.{form}")
    with db.tenant(b):
        for _ in range(2):
            for kind in kinds:
                assert importing.run(tmp_path / f"{kind}.{form}", kind, now=NOW).is_clean
            assert line() == before
        steps = (
            StateTransition.select().where(StateTransition.subject_type == "SlotRequest").order_by(StateTransition.id)
        )
        assert [(step.event, step.made_up) for step in steps] == [
            ("offer", True),
            ("take", True),
            ("withdraw", True),
            ("lapse", True),
        ]


STATES = ((1, "waiting"), (2, "taken"), (3, "withdrawn"), (4, "lapsed"))
