"""Whether the day or the month comes first is decided for a whole column, and a date that may be two is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rayces_core import ConfigurationError, Database, Student, importing
from rayces_core.importing import Reading
from rayces_core.importing.days import Order, order_of
from tests.factory import make_organization
from tests.importing.world import told
from tests.importing.writers import write

US_DATES = ["03/04/2015", "12/31/2014", "07/08/2016", "02/25/2013", "11/09/2012"]
MONTHS_FIRST = ["2015-03-04", "2014-12-31", "2016-07-08", "2013-02-25", "2012-11-09"]


def rows(*dates: str | None, **more: Any) -> list[dict[str, Any]]:
    return [
        {"first name": f"N{number}", "last name": "S", "birthdate": each} | more for number, each in enumerate(dates)
    ]


def born(*dates: str | None, **options: Any) -> list[str]:
    """The days as they are stored of the rows that go in."""
    importing.run(rows(*dates), "students", on_error="skip", columns={"birthdate": "date_of_birth"}, **options)
    return [str(student.date_of_birth) for student in Student.select().order_by(Student.id)]


def check(given: Any, **options: Any) -> importing.Report:
    return importing.check(given, "students", columns={"birthdate": "date_of_birth"}, **options)


@pytest.fixture(scope="module")
def north(db: Database) -> Any:
    """An organization in Argentina, where the day comes first."""
    return make_organization(db)


@pytest.fixture(scope="module")
def chicago(db: Database) -> Any:
    return make_organization(db, time_zone="America/Chicago", currency="USD")


@pytest.fixture(scope="module")
def nowhere(db: Database) -> Any:
    return make_organization(db, time_zone="UTC")


def test_a_column_is_read_as_its_country_writes_dates(db: Database) -> None:
    with db.tenant(make_organization(db, time_zone="America/Chicago", currency="USD")):
        assert born(*US_DATES) == MONTHS_FIRST


def test_values_that_fit_one_order_alone_decide_for_the_column_and_that_is_told(db: Database, a: Any) -> None:
    with db.tenant(a):
        report = check(rows(*US_DATES))
        assert list(report.notes) == ["'birthdate' is read as month/day/year: '12/31/2014' in row 2 is nothing else"]
        assert report.samples["date_of_birth"][0] == ("03/04/2015", "2015-03-04")
        assert "month/day/year" in report._repr_html_()
        assert born(*US_DATES) == MONTHS_FIRST


def test_what_is_written_as_the_country_does_is_not_told(db: Database, north: Any) -> None:
    with db.tenant(north):
        report = check(rows("31/12/2014", "03/04/2015"))
        assert (report.notes, report.is_clean) == ((), True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "dates",
    [
        ["31/12/2014", "12/31/2014", "03/04/2015"],
        ["12/31/2014", "03/04/2015", "05/06/2016"],  # one that may be a slip
        ["03/04/2015"] * 5_000 + ["12/31/2014"],  # behind the first batch
    ],
)
def test_a_column_of_both_orders_gives_no_date_that_may_be_two(db: Database, north: Any, dates: list[str]) -> None:
    with db.tenant(north):
        report = check(rows(*dates))
        certain = {number for number, each in enumerate(dates, 1) if each == "31/12/2014"}
        assert {row for row, _ in told(report)} == set(range(1, len(dates) + 1)) - certain
        found = [each for each in report.problems if each.value == "03/04/2015"]
        assert {each.column for each in found} == {"date_of_birth"}
        assert "may be two days: row" in found[0].problem
        assert "--date-order dmy or --date-order mdy" in found[0].advice


@pytest.mark.slow
def test_a_row_in_doubt_has_no_other_problem_of_its_making(db: Database, north: Any) -> None:
    given = [*rows("31/12/2014", "12/31/2014"), *rows("03/04/2015"), *rows("03/04/2015")]
    with db.tenant(north):
        assert [row for row, _ in told(check(given))] == [2, 3, 4]


def test_told_which_it_is_the_column_is_read_so(db: Database, a: Any, b: Any) -> None:
    dates = ["03/04/2015", "05/06/2016", "13/01/2016"]
    with db.tenant(a):
        assert born(*dates, date_order="mdy") == ["2015-03-04", "2016-05-06"]
    with db.tenant(b):
        assert born(*dates, date_order="DMY") == ["2015-04-03", "2016-06-05", "2016-01-13"]
        with pytest.raises(ConfigurationError, match='"dmy" or "mdy"'):
            check(rows(*dates), date_order="ymd")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dates", "refused"),
    [
        (["03/04/2015", "05/05/2015", "2015-04-03", "3 de abril de 2015", "31/12/2014 "], []),
        (["03/04/2015", "05/05/2015", "2015-04-03", "3 de abril de 2015"], [1]),
    ],
)
def test_where_no_country_is_known_a_column_that_allows_both_is_asked_about(
    db: Database, nowhere: Any, dates: list[str], refused: list[int]
) -> None:
    with db.tenant(nowhere):
        report = check(rows(*dates))
        assert [row for row, _ in told(report)] == refused
        assert check(rows(*dates), country="UY").is_clean


def test_a_country_of_two_habits_tells_none(db: Database) -> None:
    with db.tenant(make_organization(db, time_zone="America/Toronto", currency="CAD")):
        assert [row for row, _ in told(check(rows("03/04/2015")))] == [1]
        assert check(rows("03/04/2015"), country="US").is_clean


@pytest.mark.slow
def test_a_column_without_a_telling_value_is_not_read_by_a_habit_that_another_breaks(db: Database, north: Any) -> None:
    given = rows(*US_DATES, admission_date="05/06/2024")
    with db.tenant(north):
        assert told(check(given)) == [(number, "admission_date") for number in range(1, 6)]
        assert check(given, date_order="mdy").is_clean
        slip = rows("12/31/2014", None, admission_date="05/06/2024")
        assert (2, "admission_date") in told(check(slip))


def test_moments_have_an_order_too(db: Database, chicago: Any) -> None:
    sessions = [{"professional": "x@x.org", "nombre": "A", "apellido": "B", "inicio": "03/04/2031 10:00"}]
    with db.tenant(chicago):
        assert importing.check(sessions, "appointments").samples["scheduled_at"] == [
            ("03/04/2031 10:00", "2031-03-04 16:00:00+00:00")
        ]


@pytest.mark.parametrize("column", ["date", "end date", "ends at"])
def test_a_date_that_makes_a_moment_has_an_order_too(db: Database, north: Any, column: str) -> None:
    at = " 11:00" if column == "ends at" else ""
    session = {"professional": "x@x.org", "nombre": "A", "apellido": "B", "time": "10:00", "ends at": "11:00"}
    days = ["31/12/2030", "12/31/2030", "03/04/2030"]
    given = [{"date": "2030-01-01"} | session | {column: f"{day}{at}"} for day in days]
    with db.tenant(north):
        problems = importing.check(given, "appointments").problems
        told_of = column.replace(" ", "_")
        assert [each.row for each in problems if each.column == told_of and "may be two days" in each.problem] == [3]
        assert [each.row for each in problems if each.column == told_of and "no month 31" in each.problem] == [2]


SWAPPED = [
    date(2015, 3, 4),
    "31/12/2014",
    date(2016, 7, 8),
    "25/02/2013",
    date(2012, 11, 9),
    "13/01/2013",
    date(2012, 5, 5),
]


def test_a_column_whose_days_a_spreadsheet_swapped_is_refused(db: Database, a: Any, tmp_path: Path) -> None:
    people = [[f"N{number}", "S", each] for number, each in enumerate(SWAPPED)]
    path = write(tmp_path / "swapped.xlsx", ["nombre", "apellido", "nacimiento"], people)
    with db.tenant(a):
        report = importing.check(path, "students")
        assert [problem.row for problem in report.problems] == [2, 4, 6]
        assert "swapped by a spreadsheet" in report.problems[0].problem
        assert importing.check(path, "students", date_order="dmy").is_clean


@pytest.mark.parametrize("innocent", [date(2015, 3, 25), "03/04/2015"])
def test_a_column_with_a_cell_or_text_that_no_swap_makes_is_read(db: Database, north: Any, innocent: Any) -> None:
    people = [{"nombre": f"N{number}", "apellido": "S", "nacimiento": each} for number, each in enumerate(SWAPPED)]
    with db.tenant(north):
        assert importing.check([*people, people[0] | {"nombre": "X", "nacimiento": innocent}], "students").is_clean
        assert importing.check(people[:4], "students").is_clean


def test_an_iterator_is_held_to_its_order_as_a_list_is(db: Database, north: Any) -> None:
    def once() -> Iterator[dict[str, Any]]:
        yield from rows("31/12/2014", "12/31/2014", "03/04/2015")

    with db.tenant(north):
        assert [row for row, _ in told(check(once()))] == [2, 3]


def test_a_reading_decides_for_every_column(db: Database, north: Any) -> None:
    with db.tenant(north):
        reading = Reading(ZoneInfo("UTC"), day_first=False)
        assert check(rows("03/04/2015"), reading=reading).samples["date_of_birth"] == [("03/04/2015", "2015-03-04")]


@pytest.mark.parametrize(
    ("written", "order"),
    [
        ("31/12/2014", Order.DAY_FIRST),
        ("12-31-2014 10:00", Order.MONTH_FIRST),
        ("lunes 31.12.2014", Order.DAY_FIRST),
        (" 3/4/2015T10:00 ", Order.BOTH),
        ("3 4 15", Order.BOTH),
        ("05/05/2015", Order.ANY),
        ("2015-03-04", Order.ANY),
        ("13/13/2015", Order.ANY),
        ("00/12/2015", Order.ANY),
        ("3/4/2015x", Order.ANY),
        ("31 de diciembre de 2014", Order.ANY),
        ("\x00", Order.ANY),
    ],
)
def test_a_text_tells_which_orders_it_allows(written: str, order: Order) -> None:
    assert order_of(written) is order


@pytest.mark.parametrize(
    ("zone", "day_first"),
    [
        ("America/Argentina/Buenos_Aires", True),
        ("Europe/Madrid", True),
        ("America/Chicago", False),
        ("Asia/Manila", False),
        ("America/Toronto", None),
        ("America/Panama", None),
        ("Asia/Tokyo", None),
        ("UTC", None),
    ],
)
def test_a_country_has_a_habit_or_none(zone: str, day_first: bool | None) -> None:
    assert Reading(ZoneInfo(zone)).days_first is day_first
