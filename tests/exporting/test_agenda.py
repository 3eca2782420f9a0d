"""Appointments go out as a calendar that calendars show, and come in again as they were."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import icalendar
import pytest

from rayces_core import Appointment, Database, InvalidDataError, exporting, importing
from tests.importing.test_round_trip import content
from tests.importing.world import NOW, START, make_centre, session


@pytest.mark.slow
def test_an_appointment_is_an_event(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(24, notes="first;\nsecond, ñ", price="1.500,50")], Appointment, now=NOW)
        done = exporting.export(Appointment, tmp_path / "agenda.ics")
        number = Appointment.get().id
    assert (done.rows, done.format) == (1, "ics")
    (event,) = icalendar.Calendar.from_ical((tmp_path / "agenda.ics").read_bytes()).walk("VEVENT")
    assert event["DTSTART"].dt == START + timedelta(days=1)
    assert event["DTEND"].dt - event["DTSTART"].dt == timedelta(hours=1)
    assert (event["SUMMARY"], event["STATUS"]) == ("Luz Sosa", "CONFIRMED")
    assert (event["ORGANIZER"], event["ATTENDEE"]) == ("mailto:eva@example.org", "mailto:ana@example.org")
    assert event["DESCRIPTION"] == "first;\nsecond, ñ"
    assert (event["X-RAYCES-PRICE"], event["X-RAYCES-STUDENT-DATE-OF-BIRTH"]) == ("1500.50", "2019-12-31")
    assert event["UID"] == f"appointment-{number}@rayces-core"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["BEGIN:VEVENT\r\nx", "a\x0bb\x85c\u2028d", "x" * 200, '\\n;,:"', "a\rb"])
def test_no_text_makes_another_event_or_line(db: Database, a: Any, tmp_path: Path, text: str) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([session(24, notes=text)], Appointment, now=NOW)
        exporting.export(Appointment, tmp_path / "agenda.ics")
    (event,) = icalendar.Calendar.from_ical((tmp_path / "agenda.ics").read_bytes()).walk("VEVENT")
    assert not event.errors
    assert str(event["DESCRIPTION"]).count("\n") == text.replace("\r\n", "\n").replace("\r", "\n").count("\n")


@pytest.mark.slow
def test_a_calendar_comes_in_again_to_the_same_content(db: Database, a: Any, b: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        make_centre()
        states = ("draft", "pre_confirmed", "confirmed", "cancelled")
        rows = [session(24 * day, state=state) for day, state in enumerate(states)]
        importing.run([*rows, session(-24 * 90, state="executed", notes="sí;\nno")], Appointment, now=NOW)
        exporting.export(Appointment, tmp_path / "agenda.ics")
        before = content()
        again = importing.run(tmp_path / "agenda.ics", Appointment, now=NOW)
        assert (again.created, again.updated, again.unchanged) == (0, 0, 5)
    with db.tenant(b):
        make_centre()
        assert importing.run(tmp_path / "agenda.ics", Appointment, now=NOW).created == 5
        assert content() == before


@pytest.mark.parametrize(("what", "columns"), [("users", None), ("appointments", ["scheduled_at", "notes"])])
def test_what_is_no_event_is_refused(db: Database, a: Any, tmp_path: Path, what: str, columns: Any) -> None:
    with db.tenant(a), pytest.raises(InvalidDataError, match=r"not for users|event needs"):
        exporting.export(what, tmp_path / "x.ics", columns=columns)
    assert not (tmp_path / "x.ics").exists()
