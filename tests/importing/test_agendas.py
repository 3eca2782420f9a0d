"""Agendas as people have them: a date and an hour in two columns, an end instead of a length, people by their names.

The shapes of five public ones, with people of ours.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter

from rayces_core import Appointment, ColumnMappingError, Database, Professional, Student, User, importing
from rayces_core.importing.columns import SheetNumber
from rayces_core.importing.hours import end, hours, minutes
from tests.importing.world import NOW, make_centre, told
from tests.sizes import first


def brought_in(source: Any, **options: Any) -> list[tuple[str, str, str, int, str]]:
    """Import an agenda into a centre; gives professional, student, local beginning, minutes and state of each."""
    make_centre()
    importing.run(source, "appointments", **{"now": NOW, **options})
    return agenda()


def agenda() -> list[tuple[str, str, str, int, str]]:
    """The appointments that are there."""
    return [
        (
            each.professional.user.first_name,
            each.student.first_name,
            f"{each.scheduled_at.astimezone(each.organization.zone):%Y-%m-%d %H:%M}",
            each.duration_minutes,
            str(each.state),
        )
        for each in Appointment.select().order_by(Appointment.scheduled_at)
    ]


def faults(row: dict[str, Any], **options: Any) -> list[str]:
    """What is wrong with one row, and what to do, in one line each."""
    report = importing.check([row], "appointments", **{"now": NOW, **options})
    return [f"{each.column}: {each.problem}; {each.advice}" for each in report.problems]


# -- the five shapes --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_agenda_with_date_start_and_end(db: Database, a: Any) -> None:
    rows = [
        {
            "id": "1000",
            "patient": "Luz Sosa",
            "professional": "Eva Luna",
            "service_id": "100",
            "date": "2031-04-07",
            "start_time": "09:00:00",
            "end_time": "09:30:00",
            "status": "programada",
            "notes": "Primera visita",
            "price": "30000",
            "created_at": "2031-03-01T17:07:36.310248",
        }
    ]
    with db.tenant(a):
        found = brought_in(rows, words={"programada": "confirmed"})
        assert found == [("Eva", "Luz", "2031-04-07 09:00", 30, "confirmed")]
        made = Appointment.get()
        assert (made.notes, made.price_cents, made.client.email) == ("Primera visita", 3_000_000, "ana@example.org")
        assert importing.run(rows, "appointments", now=NOW, words={"programada": "confirmed"}).unchanged == 1


@pytest.mark.slow
def test_an_agenda_of_one_professional_with_a_name_a_date_and_an_hour(db: Database, a: Any, tmp_path: Path) -> None:
    (tmp_path / "turnos.csv").write_text(
        "ID,Nombre,Categoría,Servicio,Fecha,Hora\n"
        "Sin ID,luz sosa,Cabello,Tinte,Sin fecha,18:30\n"
        "4,Luz  SOSA,Cabello,Corte,2031-06-19,16:30\n"
        "5,Teo Sosa,Uñas,Manicura,2031-06-19,18:00\n"
    )
    with db.tenant(a):
        make_centre()
        report = importing.run(
            tmp_path / "turnos.csv",
            "appointments",
            now=NOW,
            on_error="skip",
            values={"professional": "eva@example.org", "duration_minutes": "45"},
        )
        assert told(report) == [(2, "date")]
        assert agenda() == [
            ("Eva", "Luz", "2031-06-19 16:30", 45, "draft"),
            ("Eva", "Teo", "2031-06-19 18:00", 45, "draft"),
        ]


def test_an_agenda_without_header(db: Database, a: Any) -> None:
    cells = ("1", "2", "Luz Sosa", "11/07/2030", "16/04/2031", "18:00", "1h", "Marcada")
    columns = {
        "(column 3)": "student",
        "(column 5)": "date",
        "(column 6)": "time",
        "(column 7)": "duration_minutes",
        "(column 8)": "state",
    }
    with db.tenant(a):
        found = brought_in(
            [{f"(column {place})": cell for place, cell in enumerate(cells, 1)}],
            columns=columns,
            words={"Marcada": "confirmed"},
            values={"professional": "Eva Luna"},
        )
        assert found == [("Eva", "Luz", "2031-04-16 18:00", 60, "confirmed")]


@pytest.mark.slow
def test_an_agenda_that_names_the_professional_by_what_they_do(db: Database, a: Any) -> None:
    rows = [
        {"(column 1)": "Sosa, Luz", "(column 2)": "2031-02-22", "(column 3)": area, "(column 4)": f"2031-02-22 {hour}"}
        for area, hour in (("Médico Clínico", "08:00"), ("Traumatología", "08:30"))
    ]
    columns = {"(column 1)": "student", "(column 3)": "professional", "(column 4)": "scheduled_at"}
    words = {"médico clínico": "eva@example.org", "Traumatología": "leo@example.org"}
    with db.tenant(a):
        found = brought_in(rows, columns=columns, words=words)
        assert [each[:3] for each in found] == [
            ("Eva", "Luz", "2031-02-22 08:00"),
            ("Leo", "Luz", "2031-02-22 08:30"),
        ]


def test_an_agenda_of_a_workbook_with_cells_of_dates_and_times(db: Database, a: Any, tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "fecha_hora.xlsx", {"default_date_format": "dd/mm/yyyy"}) as book:
        sheet, clock = book.add_worksheet(), book.add_format({"num_format": "hh:mm"})
        sheet.write_row(0, 0, ["profesional", "alumno", "fecha", "hora", "hora fin"])
        sheet.write_row(1, 0, ["eva@example.org", "Sosa, Luz", dt.date(2031, 3, 4)])
        sheet.write(1, 3, dt.time(14, 0), clock)
        sheet.write(1, 4, dt.time(14, 45), clock)
        sheet.write_row(2, 0, ["Luna, Eva", "luz sosa", dt.date(2031, 3, 5), "14:00", "14:30"])
    with db.tenant(a):
        assert brought_in(tmp_path / "fecha_hora.xlsx") == [
            ("Eva", "Luz", "2031-03-04 14:00", 45, "draft"),
            ("Eva", "Luz", "2031-03-05 14:00", 30, "draft"),
        ]


OUTLOOK = {"Start Date": "2031-03-04", "Start Time": "9:00 AM", "End Date": "2031-03-04", "End Time": "10:15 AM"}


@pytest.mark.parametrize(
    ("row", "expected"),
    first(
        4,
        [
            ({"Fecha": "04/03/2031", "Inicio": "9:00", "Fin": "10:00"}, ("2031-03-04 09:00", 60)),
            ({"Fecha": "04/03/2031 09:00"}, ("2031-03-04 09:00", 60)),
            (
                {"Start Date": "2031-03-04", "Start Time": "9:00 AM", "End Date": "2031-03-04", "End Time": "10:15 AM"},
                ("2031-03-04 09:00", 75),
            ),
            ({"Start Time": "2031-03-04 09:00", "End Time": "2031-03-04 09:20"}, ("2031-03-04 09:00", 20)),
            (
                {"Start Date & Time": "2031-03-04 09:00", "End Date & Time": "2031-03-04 10:00"},
                ("2031-03-04 09:00", 60),
            ),
            ({"Data": "04/03/2031", "Horário": "14h30", "Duração": "1h"}, ("2031-03-04 14:30", 60)),
            ({"Día": "04/03/2031", "Horario": "14:00 a 14:45 hs"}, ("2031-03-04 14:00", 45)),
            ({"Fecha y hora": "04/03/2031 23:30", "Hasta": "24:00"}, ("2031-03-04 23:30", 30)),
            ({"Fecha": "04/03/2031", "Turno": "9 hs", "Duración (min)": "30"}, ("2031-03-04 09:00", 30)),
            ({"Fecha": "04/03/2031", "Hora": "9h", "Duración (minutos)": "20"}, ("2031-03-04 09:00", 20)),
            (
                {"Fecha": "04/03/2031", "Hora": dt.timedelta(hours=9), "Duración": dt.time(0, 45)},
                ("2031-03-04 09:00", 45),
            ),
        ],
    ),
)
def test_a_moment_and_a_length_are_made_of_what_is_there(db: Database, a: Any, row: Any, expected: Any) -> None:
    with db.tenant(a):
        found = brought_in([{"Profesional": "Eva Luna", "Paciente": "Sosa, Luz", **row}])
        assert [each[2:4] for each in found] == [expected]


# -- what does not fit ------------------------------------------------------------------------------------------------

PAIR = {"Profesional": "eva@example.org", "Paciente": "Luz Sosa"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"Fecha": "04/03/2031", "Hora": "9"}, "time: '9' is a number and no hour"),
        ({"Fecha": "04/03/2031", "Hora": "25:00"}, "time: '25:00' has no such hour"),
        ({"Fecha": "04/03/2031", "Hora": "24:00"}, "time: '24:00' has no such hour"),
        ({"Fecha": "04/03/2031", "Hora": ""}, "time: is missing"),
        ({"Fecha": "", "Hora": "9:00"}, "date: is missing"),
        ({"Fecha": "04/03/2031", "Hora": "9:00", "Fin": "8:00"}, "ends_at: is not after the beginning"),
        ({"Fecha": "04/03/2031", "Hora": "9:00", "Fin": "9:00"}, "ends_at: is not after the beginning"),
        ({"Fecha": "04/03/2031", "Hora": "9:00", "Fin": "10:00", "Duración": "45"}, "ends_at: makes 60 minutes"),
        ({"Fecha": "04/03/2031", "Hora": "9:00 a 10:00", "Duración": "45"}, "time: makes 60 minutes"),
        ({"Fecha": "04/03/2031", "Hora": "9:00 a 10:00", "Fecha y hora": "04/03/2031 9:30"}, "time: is another moment"),
        ({"Fecha": "04/03/2031"}, "scheduled_at: '04/03/2031' has no time of day"),
        ({"Hora": "9:00"}, "scheduled_at: "),
        ({"Fecha y hora": "04/03/2031 9:00", "Duración": "media hora"}, "duration_minutes: 'media hora' is no number"),
    ],
)
def test_hours_and_ends_that_do_not_fit_are_told(db: Database, a: Any, row: Any, said: str) -> None:
    with db.tenant(a):
        make_centre()
        assert [each[: len(said)] for each in faults(PAIR | row)] == [said]


@pytest.mark.slow
def test_an_hour_that_the_clocks_skipped_is_refused(db: Database) -> None:
    organization = db.create_organization("Chicago", subdomain="chicago-hours", time_zone="America/Chicago")
    with db.tenant(organization):
        make_centre()
        found = faults(PAIR | {"date": "2031-03-09", "time": "02:30"})
        assert "did not exist in America/Chicago" in found[0]


@pytest.mark.slow
def test_a_session_over_the_change_of_clocks_lasts_as_long_as_it_does(db: Database) -> None:
    organization = db.create_organization("Chicago", subdomain="chicago-length", time_zone="America/Chicago")
    with db.tenant(organization):
        make_centre()
        importing.run([PAIR | {"date": "2031-03-09", "time": "01:30", "end time": "03:30"}], "appointments", now=NOW)
        assert Appointment.get().duration_minutes == 60


@pytest.mark.slow
def test_an_hour_without_a_day_is_not_read_beside_a_moment(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        report = importing.check([PAIR | {"Fecha y hora": "04/03/2031 9:00", "Hora": "x"}], "appointments", now=NOW)
        assert (report.created, report.unused) == (1, ("Hora",))


@pytest.mark.parametrize(
    "header", [("profesional", "hora fin"), ("profesional", "paciente", "fin"), ("alumno", "fecha", "hora")]
)
def test_an_agenda_that_lacks_something_is_refused_with_what_makes_it(db: Database, a: Any, header: Any) -> None:
    with db.tenant(a), pytest.raises(ColumnMappingError, match="is missing") as caught:
        importing.check([dict.fromkeys(header, "x")], "appointments")
    if "scheduled_at" in caught.value.missing:
        assert "or what makes it: date and time" in str(caught.value)


@pytest.mark.parametrize(
    "value", ["14", 14, 14.5, dt.date(2031, 3, 4), dt.datetime(2031, 3, 4, 9), "x", "13 pm", SheetNumber(1.5)]
)
def test_what_is_no_hour_is_refused(value: Any, reading: Any) -> None:
    with pytest.raises(ValueError, match=";"):
        hours(value, reading)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("45", 45), ("45 min", 45), ("1h", 60), ("1 h 30", 90), ("1:30", 90), ("00:45:00", 45), ("1,5 hs", 90)),
        *(("90'", 90), (45, 45), (45.0, 45), (dt.time(0, 45), 45), (dt.timedelta(minutes=45), 45)),
        (SheetNumber(0.03125), 45),
    ],
)
def test_a_length_is_read_as_people_write_it(value: Any, expected: int, reading: Any) -> None:
    assert minutes(value, reading) == expected


@pytest.mark.parametrize("value", ["0,33 h", "45 min 30", "media hora", "1h 15,5", "1,5 h 30", dt.time(0, 0, 30)])
def test_a_length_that_is_not_of_whole_minutes_is_refused(value: Any, reading: Any) -> None:
    with pytest.raises(ValueError, match=";"):
        minutes(value, reading)


def test_an_end_is_an_hour_or_a_moment(reading: Any) -> None:
    assert end("24:00", reading) == dt.time()
    assert end("2031-03-04 09:00", reading) == end(dt.datetime(2031, 3, 4, 9), reading)
    with pytest.raises(ValueError, match="two hours"):
        end("9:00 a 10:00", reading)


# -- people by their names --------------------------------------------------------------------------------------------

ROW = {"fecha y hora": "2031-04-07 09:00"}
EVA = "write it as it is there: Eva Luna (eva@example.org)"
FIRST = "correct it, or import the professionals first"


@pytest.mark.parametrize(
    "name",
    first(
        2,
        [
            "Eva Luna",
            "LUNA, EVA",
            "luna eva",
            "  Éva   lúna ",
            "Luna,Eva",
            "Lic. Eva Luna",
            "eva@example.org",
            "EVA@example.org",
        ],
    ),
)
def test_a_professional_is_found_by_name(db: Database, a: Any, name: str) -> None:
    with db.tenant(a):
        make_centre()
        Professional.update(title="Lic.").where(
            Professional.user == User.get(User.email == "eva@example.org")
        ).execute()
        assert faults(ROW | {"profesional": name, "alumno": "Luz Sosa"}) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Eva", f"is called so; {EVA}"),
        ("Eva M. Luna", f"is called so; {EVA}"),
        ("Eva, Luna", f"is called so; {EVA}"),
        ("Ana Paz", f"is called so; {FIRST}"),
        ("x@example.org", f"has this e-mail address; {FIRST}"),
        ("10", f"is called so; {FIRST}"),
    ],
)
def test_a_professional_that_nobody_is_is_refused_with_those_who_may_be(
    db: Database, a: Any, name: str, said: str
) -> None:
    with db.tenant(a):
        make_centre()
        assert faults(ROW | {"profesional": name, "alumno": "Luz Sosa"}) == [
            f"professional: no professional of this organization {said}"
        ]


@pytest.mark.slow
def test_a_name_of_several_is_refused_with_each(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        other = User.create(email="eva2@example.org", first_name="Luna", last_name="Eva", role=1)
        Professional.create(user=other)
        (said,) = faults(ROW | {"profesional": "Eva Luna", "alumno": "Luz Sosa"})
        assert "2 professionals of this organization are called so" in said
        assert "Eva Luna (eva@example.org), Luna Eva (eva2@example.org)" in said
        # The comma says which is the last name.
        assert faults(ROW | {"profesional": "Luna, Eva", "alumno": "Luz Sosa"}) == []


@pytest.mark.slow
def test_a_student_of_several_is_told_apart_by_the_date_of_birth(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        Student.create(first_name="LUZ", last_name="sosa", date_of_birth=dt.date(2015, 5, 5))
        row = ROW | {"profesional": "Eva Luna", "alumno": "Sosa, Luz", "cliente": "Ana Paz"}
        (said,) = faults(row)
        assert said.startswith("student: 2 students of this organization are called so; say the date of birth")
        assert "Luz Sosa (2019-12-31)" in said
        assert faults(row | {"fecha de nacimiento": "05/05/2015"}) == []
        assert "no student" in faults(row | {"fecha de nacimiento": "06/05/2015"})[0]


@pytest.mark.slow
def test_a_client_is_found_by_name(db: Database, a: Any) -> None:
    with db.tenant(a):
        make_centre()
        row = ROW | {"profesional": "Eva Luna", "alumno": "Teo Sosa"}
        importing.run([row | {"cliente": "luna, eva"}], "appointments", now=NOW)
        assert Appointment.get().client.email == "eva@example.org"
        assert faults(row | {"cliente": "Luna"})[0].startswith("client: no user of this organization is called so")


def test_people_of_another_organization_are_not_found_by_name(db: Database, a: Any, b: Any) -> None:
    with db.tenant(b):
        make_centre()
    with db.tenant(a):
        found = faults(ROW | {"profesional": "Eva Luna", "alumno": "Luz Sosa", "cliente": "Ana Paz"})
        assert [each.split(":")[0] for each in found] == ["client", "professional", "student"]
        assert not any("example.org" in each for each in found)


def test_many_names_are_told_of_each(db: Database, a: Any) -> None:
    rows = [ROW | {"profesional": f"Nadie {n}", "alumno": "Luz Sosa"} for n in range(60)]
    with db.tenant(a):
        make_centre()
        report = importing.check(rows, "appointments", now=NOW)
        assert {each.problem for each in report.problems} == {"no professional of this organization is called so"}
        assert report.skipped == 60


@pytest.fixture
def reading() -> Any:
    return importing.Reading(ZoneInfo("America/Argentina/Buenos_Aires"))
