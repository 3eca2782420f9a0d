"""Lengths, buffers and zones that can never be booked with are refused where they are saved, by whatever way."""

import pytest

from rayces_core import CheckFailedError, Database, InvalidDataError, Organization, Professional, importing
from rayces_core.scheduling import find_slots
from tests.factory import make_organization, make_professional, make_user, write_past
from tests.scheduling.worlds import NOW, at, make_working, open_centre
from tests.walking import walked
from tests.wire import wire

# Column → what is refused, what is taken.
BOUNDS = {
    "session_duration_minutes": ((14, 10, 0, -60, 481, 600, 2**31), (15, 480)),
    "buffer_minutes": ((-1, 1441, 100_000), (0, 1440)),
}
REFUSED = [(column, value) for column, (refused, _) in BOUNDS.items() for value in refused]


@walked("column, value", REFUSED)
def test_lengths_that_nobody_can_book_are_refused(bound, column, value):
    """f10_lengths_that_nobody_can_book."""
    professional = make_professional()
    for save in (
        lambda: make_professional(**{column: value}),
        lambda: (setattr(professional, column, value), professional.save()),
        lambda: Professional.update(**{column: value}).execute(),
    ):
        with pytest.raises(InvalidDataError, match=column):
            save()
    if value < 2**31:
        with pytest.raises(CheckFailedError, match="minutes") as caught:
            write_past(professional, **{column: value})
        assert caught.value.constraint == f"professionals_{column}_check"


@pytest.mark.slow
@walked("column, value", [(column, value) for column, (_, taken) in BOUNDS.items() for value in taken])
def test_every_length_that_is_saved_can_be_booked(db, column, value):
    with open_centre(db, weekly_schedule={"monday": [{"start": "00:00", "end": "24:00"}]}, **{column: value}) as centre:
        slot = find_slots(at(0), at(24), now=NOW)[0]
        assert centre.book(slot.start).scheduled_at == slot.start


@pytest.mark.parametrize("column, value", [one for one in REFUSED if abs(one[1]) < 2**31])
def test_the_importer_does_not_take_them_either(bound, column, value):
    """f10b_importer_takes_them_too."""
    make_user(email="bea@example.org", role=1)
    row = {"email": "bea@example.org", column: str(value)}

    report = importing.check([row], "professionals")

    assert [(problem.row, problem.column) for problem in report.problems] == [(1, column)]
    assert Professional.select().count() == 0


NO_ZONES = ["localtime", "posixrules", "posix/UTC", "right/UTC", "Mars/Olympus", "", "UTC+3"]


@pytest.mark.slow
@walked("zone", NO_ZONES)
def test_what_is_no_zone_for_both_python_and_the_server_is_refused(db, zone):
    """The zone of f15_small_ones."""
    with pytest.raises(InvalidDataError, match="time_zone"):
        make_organization(db, time_zone=zone)
    organization = make_organization(db)
    with db.tenant(organization):
        with pytest.raises(InvalidDataError, match="time_zone"):
            Organization.update(time_zone=zone).execute()
        if zone:
            report = importing.check([{"time_zone": zone}], "organizations")
            assert [problem.column for problem in report.problems] == ["time_zone"]


@pytest.fixture
def of_python_alone(monkeypatch):
    """A zone that Python knows and the server does not, as newer data would have it."""
    monkeypatch.setattr("rayces_core.fields.text._is_time_zone", lambda name: name in ("Coast/New", "Asia/Kathmandu"))
    return "Coast/New"


def test_a_zone_that_only_python_knows_is_refused_when_it_is_saved(db, of_python_alone):
    organization = make_organization(db, time_zone="Asia/Kathmandu")
    with pytest.raises(InvalidDataError, match="not known to this PostgreSQL"):
        make_organization(db, time_zone=of_python_alone)
    with db.tenant(organization) as bound, db.atomic():
        bound.time_zone = of_python_alone
        with pytest.raises(InvalidDataError, match="not known to this PostgreSQL"):
            bound.save()
        assert Organization.get().time_zone == "Asia/Kathmandu"  # the unit of work goes on
        report = importing.check([{"time_zone": of_python_alone}], "organizations")
        assert {problem.column for problem in report.problems} == {"time_zone"}


def test_a_zone_that_only_python_knows_is_refused_whatever_the_way_in(db, of_python_alone):
    organization = make_organization(db, time_zone="Asia/Kathmandu")
    row = {"name": "North", "subdomain": "north-of-the-coast", "time_zone": of_python_alone}
    with db.privileged(reason="test"), db.atomic():
        stored = Organization.get_by_id(organization.id)
        stored.time_zone = of_python_alone
        for write in (
            lambda: Organization.update(time_zone=of_python_alone).where(Organization.id == stored.id).execute(),
            lambda: Organization.set_by_id(stored.id, {"time_zone": of_python_alone}),
            lambda: Organization.bulk_update([stored], [Organization.time_zone]),
            lambda: Organization.insert(**row).execute(),
            lambda: Organization.insert_many([row]).execute(),
        ):
            with pytest.raises(InvalidDataError, match="not known to this PostgreSQL"):
                write()
        assert Organization.get_by_id(organization.id).time_zone == "Asia/Kathmandu"  # the unit of work goes on


def test_the_server_is_asked_for_a_zone_once(own_pool):
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database:
        make_organization(database)
        sent = []
        for _ in range(3):
            proxy.sent.clear()
            make_organization(database, time_zone="Asia/Kathmandu")
            sent.append(len(proxy.sent))
    assert sent[0] - 1 == sent[1] == sent[2]


@walked(
    "start, end, way",
    [
        ("18:00", "00:00", '"24:00"'),
        ("09:30", "00:00", '"24:00"'),
        ("20:00", "03:00", '"20:00" to "24:00" and, on the next day, "00:00" to "03:00"'),
        ("23:59", "00:01", '"23:59" to "24:00" and, on the next day, "00:00" to "00:01"'),
    ],
)
def test_hours_until_or_over_midnight_are_refused_with_the_way_out(bound, start, end, way):
    with pytest.raises(InvalidDataError) as caught:
        make_working(weekly_schedule={"monday": [{"start": start, "end": end}]})
    assert way in str(caught.value)
