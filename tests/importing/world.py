"""A centre to import into, and rows as people have them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rayces_core import Professional, Role, Student, User, importing
from rayces_core.models import TENANT_MODELS, ImportRun

NOW = datetime(2031, 3, 3, 12, 0, tzinfo=UTC)
START = datetime(2031, 4, 7, 12, 0, tzinfo=UTC)

PEOPLE = [
    {"email": "eva@example.org", "first_name": "Eva", "last_name": "Luna", "role": "professional"},
    {"email": "leo@example.org", "first_name": "Leo", "last_name": "Río", "role": "professional"},
    {"email": "ana@example.org", "first_name": "Ana", "last_name": "Paz"},
]
CHILDREN = [
    {
        "first_name": "Luz",
        "last_name": "Sosa",
        "date_of_birth": "31/12/2019",
        "primary_contact": "ana@example.org",
        "admission_state": "enrolled",
    },
    {"first_name": "Teo", "last_name": "Sosa", "date_of_birth": "01/02/2020", "primary_contact": "ana@example.org"},
]


ROLES = {"professional": Role.PROFESSIONAL, None: Role.GUARDIAN}


def make_centre() -> None:
    """Two professionals, a guardian and two students: the rows that importing PEOPLE and CHILDREN makes."""
    eva, leo, ana = (User.create(**row | {"role": ROLES[row.get("role")]}) for row in PEOPLE)
    for person in (eva, leo):
        Professional.create(user=person, buffer_minutes=15)
    for child in CHILDREN:
        born = datetime.strptime(child["date_of_birth"], "%d/%m/%Y").date()
        Student.create(**child | {"date_of_birth": born, "primary_contact": ana})


def session(hours: float = 0, **changes: Any) -> dict[str, Any]:
    """A row of an appointment so many hours after START."""
    return {
        "professional": "eva@example.org",
        "student_first_name": "Luz",
        "student_last_name": "Sosa",
        "scheduled_at": START + timedelta(hours=hours),
        "duration_minutes": 60,
        "state": "confirmed",
    } | changes


def people(count: int) -> Iterator[dict[str, str]]:
    """Rows of so many users."""
    for number in range(1, count + 1):
        yield {"email": f"person{number}@example.org", "first_name": f"Ana {number}", "last_name": "Paz"}


def counts() -> dict[str, int]:
    """How many rows the bound tenant has in each table, the progress of imports left out."""
    return {model.__name__: model.select().count() for model in TENANT_MODELS if model is not ImportRun}


def told(report: importing.Report) -> list[tuple[int, str]]:
    """Row and column of each problem."""
    return [(problem.row, problem.column) for problem in report.every_problem()]
