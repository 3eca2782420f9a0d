"""Loads the tables of tests/analysis/cases: what happened at a centre, told by its events, and what metrics say of it.

A file tells the centre (`zone`, `settings`), its `professionals`, and `appointments`, each by the moments of its
events: all events of all appointments are made in the order of their moments, as they would be. Moments are of the
centre's wall clock, unless they name an offset. `expected` are the rows of a metric, worked out by hand: people by
the names that they have in the file, ratios as "30/900", null where a column is not named.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rayces_core import Appointment, Database, Organization, Role, analysis
from rayces_core.clock import frozen
from rayces_core.scheduling import reschedule
from tests.analysis import besides
from tests.factory import make_organization, make_professional, make_resource, make_student, make_user

CASES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
EVERYTHING_ALLOWED = {f"override_{rule}": True for rule in ("schedule", "blocked", "window", "notice")}


@dataclass
class Centre:
    """A centre as a file tells it. `names` are those of people, by table and id."""

    db: Database
    organization: Organization
    told: dict[str, Any]
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    people: dict[tuple[str, str], Any] = field(default_factory=dict)

    def moment(self, text: str) -> datetime:
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=ZoneInfo(self.organization.time_zone))).astimezone(UTC)

    def person(self, kind: str, name: str) -> Any:
        """The professional, student or client of that name, made when first named."""
        if (kind, name) not in self.people:
            made = getattr(self, f"_make_{kind}")(name, self.told.get(f"{kind}s", {}).get(name, {}))
            self.people[kind, name] = made
            self.names[kind, made.user_id if kind == "professional" else made.id] = name
        return self.people[kind, name]

    def _make_professional(self, name: str, told: dict[str, Any]) -> Any:
        schedule = {
            weekday: [dict(zip(("start", "end"), window.split("-"), strict=True)) for window in windows]
            for weekday, windows in told.get("schedule", {}).items()
        }
        columns = {"specialization": told["specialization"]} if "specialization" in told else {}
        return make_professional(weekly_schedule=schedule, buffer_minutes=told.get("buffer", 0), **columns)

    def say_when_nobody_is_booked(self) -> None:
        """What would have refused some of what happened before it was said."""
        for kind in ("professional", "room", "device"):
            for name, told in self.told.get(f"{kind}s", {}).items():
                one = self.person(kind, name)
                for column in told.keys() & {"blocked_dates", "active"}:
                    setattr(one, column, told[column])
                one.save()

    def _make_student(self, name: str, told: dict[str, Any]) -> Any:
        return make_student(first_name=name, **told)

    def _make_room(self, name: str, _: dict[str, Any]) -> Any:
        return make_resource(name=name)

    def _make_device(self, name: str, _: dict[str, Any]) -> Any:
        return make_resource(kind="device", name=name)

    def _make_client(self, name: str, told: dict[str, Any]) -> Any:
        return make_user(first_name=name, **told)


def load(db: Database, told: dict[str, Any]) -> Centre:
    """Make the centre and everything that happened there."""
    organization = make_organization(db, time_zone=told.get("zone", "UTC"), settings=told.get("settings", {}))
    with db.tenant(organization):
        centre = Centre(db, organization, told)
        for kind in ("professional", "room", "device"):
            for name in told.get(f"{kind}s", {}):
                centre.person(kind, name)
        staff = make_user(role=Role.STAFF)
        steps = [
            step for number, row in enumerate(told.get("appointments", [])) for step in _steps(centre, row, number)
        ]
        made: dict[int, Any] = {}
        steps += besides.steps(centre, made)
        for moment, _, number, event, given in sorted(steps, key=lambda step: step[:3]):
            with frozen(moment):
                _make_happen(centre, made, number, event, given, staff)
        centre.say_when_nobody_is_booked()
    return centre


def _steps(centre: Centre, row: dict[str, Any], number: int) -> list[Any]:
    """(moment, order, number of the appointment, event, what it is given) for each event that the row tells."""
    start = centre.moment(row["start"])
    booked = centre.moment(row["booked"]) if "booked" in row else start - timedelta(days=10)
    steps = [(booked, "draft", row)]
    for event in row.get("events", []):
        name, _, rest = event.partition(" ")
        moment, _, given = rest.partition(" | ")
        default = start if name in ("execute", "mark_no_show") else booked
        steps.append((centre.moment(moment) if moment else default, name, given))
    return [(moment, order, number, event, given) for order, (moment, event, given) in enumerate(steps)]


def _make_happen(centre: Centre, made: dict[int, Any], number: int, event: str, given: Any, staff: Any) -> None:
    if isinstance(made.get(number), besides.Besides):
        made[number].happen(event, given)
    elif event == "draft":
        people = {kind: centre.person(kind, given.get(kind, "x")) for kind in ("professional", "student", "client")}
        people |= {kind: centre.person(kind, given[kind]) for kind in ("room", "device") if kind in given}
        if "second" in given:
            people["second_professional"] = centre.person("professional", given["second"])
        made[number] = Appointment.create(
            **people,
            scheduled_at=centre.moment(given["start"]),
            duration_minutes=given.get("minutes", 60),
            buffer_minutes=people["professional"].buffer_minutes,
            allows_overlap=True,
            **given.get("columns", {}),
        )
    elif event == "move":
        reschedule(made[number], centre.moment(given), by=staff, allow_overlap=True, **EVERYTHING_ALLOWED)
    elif event == "cancel":
        made[number].cancel(reason=given or "ill")
    else:
        getattr(made[number], event)()


# -- what is expected -------------------------------------------------------------------------------------------------


def check(centre: Centre, expected: dict[str, Any]) -> None:
    """Compare the rows of a metric with those that were worked out by hand."""
    wanted = expected["rows"]
    names = list(dict.fromkeys(name for row in wanted for name in row))
    found = [{name: row[name] for name in names} for row in answers(centre, expected)]
    assert found == [{name: _meant(row.get(name)) for name in names} for row in wanted], (found, expected)


def answers(centre: Centre, expected: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that the metric gives, with people by their names; with `nonzero`, those that have some of that."""
    kinds = {f"{kind}_id": kind for kind in ("professional", "student", "client", "room", "device")}
    rows = ask(centre, expected).drop("organization_id").to_dicts()
    for row in rows:
        for column in kinds.keys() & row.keys():
            row[column] = None if row[column] is None else centre.names[kinds[column], row[column]]
    return [row for row in rows if row.get(expected.get("nonzero"), 1)]


def ask(centre: Centre, expected: dict[str, Any]) -> Any:
    """The frame of the metric that is asked for."""
    conditions = [getattr(Appointment, name) == value for name, value in expected.get("where", {}).items()]
    options = {name: expected[name] for name in ("every", "by", "window", "within") if name in expected}
    if conditions:
        options["where"] = reduce(and_, conditions)
    options["now"] = centre.moment(expected.get("now", "2030-01-01"))
    if "within" in options:
        options["within"] = timedelta(hours=options["within"])
    days = [expected[name] for name in ("start", "end") if name in expected]
    with centre.db.tenant(centre.organization):
        return getattr(analysis, expected["metric"])(*days, **options)


def _meant(value: Any) -> Any:
    is_ratio = isinstance(value, str) and value.replace("/", "").isdigit() and "/" in value
    return pytest.approx(float(Fraction(value))) if is_ratio else value


def told_by(path: Path) -> dict[str, Any]:
    """What a file tells."""
    return tomllib.loads(path.read_text())
