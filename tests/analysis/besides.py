"""What a file of tests/analysis/cases tells besides appointments: admissions, credits, and what was imported.

`admissions` name a student and the events of the admission, `credits` a client and what was bought or corrected, each
with its moment: "apply 2026-03-01 10:00", "purchase 2026-03-01 10:00 | 8". `imported` are the rows of an import, with
the moment at which it ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rayces_core import Appointment, Role, Student, credits, importing
from tests.factory import make_user

RECORDS = ("admissions", "credits", "imported")


@dataclass
class Besides:
    """One row of such a section; `happen` makes one of its events."""

    centre: Any
    kind: str
    row: dict[str, Any]

    def happen(self, event: str, given: str) -> None:
        """Make an event happen at the present moment."""
        getattr(self, f"_{self.kind}")(event, given)

    def _admissions(self, event: str, _: str) -> None:
        student = self.centre.person("student", self.row["student"])
        getattr(Student.get_by_id(student.id), event)()

    def _credits(self, event: str, given: str) -> None:
        client = self.centre.person("client", self.row["client"])
        if event == "adjust":
            credits.adjust(client, int(given), reason="counted anew", by=make_user(role=Role.ADMIN))
        elif event in ("pending", "failed"):
            entry = credits.purchase(client, int(given), pending=True)
            if event == "failed":
                credits.fail(entry, "the card was declined")
        else:
            credits.purchase(client, int(given))

    def _imported(self, _: str, __: str) -> None:
        kind = self.row["kind"]
        rows = [dict(row) for row in self.row["rows"]]
        for row in rows:
            for column, person in (("professional", "professional"), ("client", "client")):
                if column in row:
                    found = self.centre.person(person, row[column])
                    row[column] = (found.user if person == "professional" else found).email
            if "student" in row:
                student = self.centre.person("student", row.pop("student"))
                row |= {"student_first_name": student.first_name, "student_last_name": student.last_name}
        report = importing.run(rows, kind)
        assert report.created == len(rows), list(report.every_problem())
        if kind == "students":
            for row in rows:
                child = Student.get(Student.first_name == row["first_name"])
                self.centre.people["student", child.first_name] = child
                self.centre.names["student", child.id] = child.first_name
        else:
            assert Appointment.select().count()


def steps(centre: Any, made: dict[int, Any]) -> list[Any]:
    """The events of these sections, as those of appointments; what they happen to goes into `made`."""
    found = []
    for kind in RECORDS:
        for row in centre.told.get(kind, []):
            number = 1000 + len(made)
            made[number] = Besides(centre, kind, row)
            events = row.get("events") or [f"import {row['at']}"]
            for order, event in enumerate(events):
                name, _, rest = event.partition(" ")
                moment, _, given = rest.partition(" | ")
                found.append((centre.moment(moment), order, number, name, given))
    return found
