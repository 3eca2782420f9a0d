"""Known people, written as people and programs write tables, are imported as they are or refused, and never different.

What is drawn: format, encoding, delimiter, language and case of the headers, order and form of dates, and whether a
value is a text, a number or a date of a sheet. A date is written as the organization's country writes it, or with its
order named where no value of the column would show that it is not: nobody could know that from the file.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import ColumnMappingError, Database, SourceError, Student, User, importing
from rayces_core.fields.countries import country_of, is_day_first
from rayces_core.importing.values import fold
from tests.factory import make_organization
from tests.importing.writers import write
from tests.sizes import examples

NOW = datetime(2031, 3, 3, 12, 0, tzinfo=UTC)
ZONES = ("America/Argentina/Buenos_Aires", "America/Chicago", "America/Mexico_City", "Europe/Madrid", "UTC")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252", "mac_roman", "cp850")
PLAIN = ("utf-8", "utf-8-sig", "utf-16")
NUMBERS = {"AR": "+5411432156{:02}", "US": "+1312555{:04}", "MX": "+52555123{:04}", "ES": "+346123456{:02}"}
HEADERS = {
    "en": ("first name", "last name", "date of birth", "grade", "admission date", "email", "phone"),
    "es": ("nombre", "apellido", "fecha de nacimiento", "grado", "fecha de ingreso", "correo", "teléfono"),
    "pt": ("nome", "sobrenome", "data de nascimento", "grade", "admission date", "email", "telefone"),
}
MONTHS = ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre")
FIRST = ("Luz", "TOMÁS", "Ángel", "María José", "Zoë", "João", "D'Angelo", "Iñaki", "LUCÍA", "Bruno", "Nan", "Null")
LAST = ("Sosa", "GARCÍA", "Núñez", "Peña y Lillo", "Müller", "Conceição", "O'Brien", "MARTÍNEZ", "de la Cruz", "Paz")


@dataclass(frozen=True)
class Person:
    """Somebody, and all that is to be stored of them."""

    first_name: str
    last_name: str
    born: date
    grade: str | None
    admitted: date | None
    number: int


@dataclass(frozen=True)
class Writing:
    """How a table is written."""

    ending: str
    encoding: str
    delimiter: str
    headers: tuple[str, ...]
    dates: str
    grades: str
    phones: str
    emails: str
    zone: str

    @property
    def country(self) -> str | None:
        """Where the centre is."""
        return country_of(self.zone)

    @property
    def is_certain(self) -> bool:
        """Whether there is nothing in it that only its writer knows."""
        return self.ending != ".csv" or self.encoding in PLAIN

    def of(self, known: list[Person], capitals: bool = False) -> Writing:
        """The same in an encoding that has all letters of the names, with headers in capitals perhaps."""
        names = "".join((*self.headers, *(each.first_name + each.last_name for each in known)))
        encoding = self.encoding if _encodes(names + names.upper(), self.encoding) else "utf-8"
        headers = tuple(name.upper() if capitals else name for name in self.headers)
        return replace(self, encoding=encoding, headers=headers)


people = st.lists(
    st.builds(
        Person,
        st.sampled_from(FIRST),
        st.sampled_from(LAST),
        st.dates(date(1935, 1, 1), date(2019, 12, 31)),
        st.sampled_from(("sala de 5", "5", "12", "1ro A", None)),
        st.none() | st.dates(date(2020, 1, 1), date(2031, 3, 1)),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda person: fold(person.first_name + person.last_name),
)
writings = st.builds(
    Writing,
    st.sampled_from((".csv", ".csv", ".xlsx", ".ods", ".parquet")),
    st.sampled_from(ENCODINGS),
    st.sampled_from((",", ";", "\t", "|")),
    st.sampled_from(tuple(HEADERS.values())),
    st.sampled_from(("dmy", "dmy", "mdy", "d.m.y", "iso", "cell", "named", "compact")),
    st.sampled_from(("text", "number", "float")),
    st.sampled_from(("international", "national", "digits", "number", "float", "code")),
    st.sampled_from(("plain", "capitals", "link", "brackets")),
    st.sampled_from(ZONES),
)


def day(value: date | None, how: str) -> Any:
    """A date as it is written."""
    if value is None or how == "cell":
        return value
    month = MONTHS[value.month - 1] if value.month <= len(MONTHS) else {11: "noviembre", 12: "diciembre"}[value.month]
    return {
        "dmy": f"{value:%d/%m/%Y}",
        "mdy": f"{value:%m/%d/%Y}",
        "d.m.y": f"{value.day}.{value.month}.{value.year}",
        "iso": value.isoformat(),
        "named": f"{value.day} de {month} de {value.year}",
        "compact": f"{value:%Y%m%d}",
    }[how]


def told(written: Writing, *columns: list[date | None]) -> str | None:
    """The order that has to be named, because it is not the country's and a column does not show it."""
    order = {"dmy": True, "d.m.y": True, "mdy": False}.get(written.dates)
    if order is None or is_day_first(written.country) == order:
        return None
    if all(any(each and each.day > 12 for each in column) for column in columns if any(column)):
        return None
    return "dmy" if order else "mdy"


def number_of(value: str | None, how: str, written: Writing) -> Any:
    """A text of digits as a text, a number, or a number with a point; one column of a Parquet file has one kind."""
    if value is None or not value.isdecimal() or how == "text":
        return value
    if written.ending == ".csv":
        return value if how == "number" else f"{value}.0"
    return float(value) if how == "float" or written.ending != ".parquet" else int(value)


def phone(person: Person, written: Writing) -> tuple[str, Any]:
    """A phone as it is stored, and as it is written."""
    country = written.country or "AR"
    stored = NUMBERS[country].format(person.number)
    parsed = phonenumbers.parse(stored)
    how = "international" if written.country is None else written.phones
    national, code = str(parsed.national_number), f"{parsed.country_code}{parsed.national_number}"
    if how in ("number", "float", "code"):
        return stored, number_of(code if how == "code" else national, "float" if how == "code" else how, written)
    form = phonenumbers.PhoneNumberFormat.INTERNATIONAL if how == "international" else None
    shown = phonenumbers.format_number(parsed, form or phonenumbers.PhoneNumberFormat.NATIONAL)
    return stored, national if how == "digits" else shown


def email(person: Person, how: str) -> tuple[str, str]:
    """An address as it is stored, and as it is written."""
    stored = f"{fold(person.first_name)}.{fold(person.last_name)}@example.org"
    forms = {"plain": stored, "capitals": stored.upper(), "link": f"mailto:{stored}", "brackets": f"<{stored}>"}
    return stored, forms[how]


def imported(db: Database, written: Writing, places: tuple[int, ...], rows: list[list[Any]], what: str, **how: Any):
    """Write the rows and import them into an organization of their own; returns it, and the report if it was read."""
    form = {"encoding": written.encoding, "delimiter": written.delimiter} if written.ending == ".csv" else {}
    organization = make_organization(db, time_zone=written.zone)
    header = [written.headers[place] for place in places]
    with tempfile.TemporaryDirectory() as folder, db.tenant(organization):
        path = write(Path(folder) / f"people{written.ending}", header, rows, **form)
        try:
            return organization, importing.run(path, what, on_error="skip", now=NOW, **how)
        except (SourceError, ColumnMappingError):
            return organization, None


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.slow
@given(known=people, written=writings, capitals=st.booleans())
@examples(8, 200)
def test_students_are_the_same_or_refused(db: Database, known: list[Person], written: Writing, capitals: bool) -> None:
    written = written.of(known, capitals)
    homogeneous = written.ending == ".parquet" and not all(
        each.grade is None or each.grade.isdecimal() for each in known
    )
    grades = "text" if homogeneous else written.grades
    rows = [
        [
            *(each.first_name, each.last_name, day(each.born, written.dates)),
            *(number_of(each.grade, grades, written), day(each.admitted, written.dates)),
        ]
        for each in known
    ]
    order = told(written, [each.born for each in known], [each.admitted for each in known])
    organization, report = imported(db, written, (0, 1, 2, 3, 4), rows, "students", date_order=order)
    with db.tenant(organization):
        found = {
            (each.first_name, each.last_name, each.date_of_birth, each.grade_level, each.admission_date)
            for each in Student.select()
        }
    meant = {(each.first_name, each.last_name, each.born, each.grade, each.admitted) for each in known}
    assert found <= meant
    if written.is_certain and (order is not None or written.dates not in ("dmy", "d.m.y", "mdy")):
        assert found == meant, report and report.problems


@pytest.mark.slow
@given(known=people, written=writings)
@examples(6, 120)
def test_users_are_the_same_or_refused(db: Database, known: list[Person], written: Writing) -> None:
    rows, meant, written = [], set(), written.of(known)
    for each in known:
        (address, shown), (number, dialled) = email(each, written.emails), phone(each, written)
        rows.append([each.first_name, each.last_name, shown, dialled])
        meant.add((each.first_name, each.last_name, address, number))
    organization, report = imported(db, written, (0, 1, 5, 6), rows, "users")
    with db.tenant(organization):
        found = {(each.first_name, each.last_name, each.email, each.phone) for each in User.select()}
    assert found <= meant
    if written.is_certain:
        assert found == meant, report and report.problems
