"""Services from files: known by their name, and what is given of them; appointments that name one."""

from datetime import timedelta

import pytest

from rayces_core import Appointment, ProfessionalService, Service, importing
from tests.importing.world import NOW, START, make_centre, session, told

SPEECH = {"name": "Speech therapy", "duration_minutes": "40", "buffer_before_minutes": "10", "price": "$ 12.500,50"}
EVA = "eva@example.org"


@pytest.fixture
def centre(db, a):
    with db.tenant(a):
        make_centre()
        importing.run([SPEECH], Service, now=NOW)
        yield a


def test_a_service_is_known_by_its_name_and_changed_where_it_is_said(centre):
    assert importing.run([SPEECH | {"name": "SPEECH therapy"}], Service, now=NOW).created == 0
    report = importing.run([{"name": "speech THERAPY", "credits": "3"}], Service, now=NOW, update=True)
    assert (report.created, report.updated) == (0, 1)
    service = Service.get()
    assert (service.name, service.credits, service.price_cents, service.currency) == (
        "Speech therapy",
        3,
        1250050,
        "ARS",
    )


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"duration_minutes": "14"}, "duration_minutes"),
        ({"buffer_after_minutes": "1441"}, "buffer_after_minutes"),
        ({"credits": "-1"}, "credits"),
        ({"colour": "red"}, "colour"),
        ({"tax_basis_points": "10001"}, "tax_basis_points"),
        ({"price": "-1"}, "price"),
        ({"price": None, "currency": "ARS"}, "currency"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_what_no_service_can_be_is_told_by_row_and_column(centre, wrong, column):
    assert told(importing.check([SPEECH | {"name": "Another"} | wrong], Service, now=NOW)) == [(1, column)]


def test_who_gives_what_names_both(centre):
    rows = [
        {"professional": EVA, "service_name": "speech therapy", "duration_minutes": "30"},
        {"professional": "ana@example.org", "service_name": "Speech therapy"},
        {"professional": EVA, "service_name": "Dancing"},
    ]
    report = importing.run(rows, ProfessionalService, now=NOW, on_error="skip")
    assert told(report) == [(2, "professional"), (3, "service_name")]
    (given,) = ProfessionalService.select()
    assert (given.duration_minutes, given.price_cents) == (30, None)
    again = importing.run([rows[0] | {"price": "5"}], ProfessionalService, now=NOW, update=True)
    assert (again.created, again.updated) == (0, 1)
    assert ProfessionalService.get().price_cents == 500


@pytest.mark.slow
def test_an_appointment_has_the_length_and_the_buffers_of_the_service_that_it_names(centre):
    row = session(service_name="SPEECH THERAPY", duration_minutes=None, buffer_before_minutes=None)
    assert importing.run([row], Appointment, now=NOW).created == 1
    made = Appointment.get()
    assert (made.service_id, made.duration_minutes, made.buffer_before_minutes) == (Service.get().id, 40, 10)
    assert (made.buffer_minutes, made.occupied_from) == (15, START - timedelta(minutes=10))
    assert importing.run([row], Appointment, now=NOW).created == 0


def test_a_service_of_nobody_is_told(centre):
    assert told(importing.check([session(service_name="Dancing")], Appointment, now=NOW)) == [(1, "service_name")]


@pytest.mark.slow
def test_time_before_a_session_meets_others_in_the_source_and_in_the_database(centre):
    first = session(buffer_minutes=0)
    close = session(1, service_name="Speech therapy", student_first_name="Teo")
    assert told(importing.check([first, close], Appointment, now=NOW)) == [(2, "scheduled_at")]
    importing.run([first], Appointment, now=NOW)
    assert told(importing.check([close], Appointment, now=NOW)) == [(1, "scheduled_at")]
    assert importing.check([close | {"buffer_before_minutes": 0}], Appointment, now=NOW).is_clean
    assert told(importing.check([close | {"buffer_before_minutes": 1441}], Appointment, now=NOW))[0] == (
        1,
        "buffer_before_minutes",
    )
