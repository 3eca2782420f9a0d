"""What a file of tests/analysis/cases tells besides appointments: admissions, credits, groups, and what was imported.

`admissions` name a student and the events of the admission, `credits` a client and what was bought or corrected, each
with its moment: "apply 2026-03-01 10:00", "purchase 2026-03-01 10:00 | 8". `slot_requests` name a student and the
events of the request, from "ask" on. `groups` tell what "gather" makes, and what becomes of who sits in it: "join
2026-03-01 10:00 | luz", "execute 2026-03-09 10:00 | luz". `imported` are the rows of an import, with the moment at
which it ran.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rayces_core import Appointment, GroupSession, Role, SlotRequest, Student, clock, credits, importing, scheduling
from tests.factory import make_user

RECORDS = ("admissions", "credits", "slot_requests", "groups", "imported")


@dataclass
class Besides:
    """One row of such a section; `happen` makes one of its events."""

    centre: Any
    kind: str
    row: dict[str, Any]
    made: Any = None
    seats: dict[str, Any] = field(default_factory=dict)

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

    def _slot_requests(self, event: str, _: str) -> None:
        if event == "ask":
            people = {kind: self.centre.person(kind, self.row.get(kind, "x")) for kind in ("student", "client")}
            if "professional" in self.row:
                people["professional"] = self.centre.person("professional", self.row["professional"])
            self.made = scheduling.request_slot(**people, until_day=(clock.now() + timedelta(days=90)).date())
        else:
            getattr(SlotRequest.get_by_id(self.made.id), event)()

    def _groups(self, event: str, given: str) -> None:
        if event == "gather":
            held = {kind: self.centre.person(kind, self.row[kind]) for kind in ("room", "device") if kind in self.row}
            self.made = scheduling.create_group_session(
                professional=self.centre.person("professional", self.row["professional"]),
                scheduled_at=self.centre.moment(self.row["start"]),
                duration_minutes=self.row.get("minutes", 60),
                capacity=self.row["capacity"],
                name=self.row.get("name"),
                **held,
                by=make_user(role=Role.ADMIN),
                override_schedule=True,
                override_window=True,
            )
        elif event == "join":
            student = self.centre.person("student", given)
            self.seats[given] = scheduling.book_group(
                self.made, student=student, client=make_user(), by=make_user(role=Role.ADMIN)
            )
        elif given:
            getattr(Appointment.get_by_id(self.seats[given].id), event)(
                **({"reason": "ill"} if event == "cancel" else {})
            )
        else:
            getattr(GroupSession.get_by_id(self.made.id), event)(reason="ill")

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
        elif kind == "appointments":
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
