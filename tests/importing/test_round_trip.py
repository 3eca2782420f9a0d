"""What is exported is imported again, into another organization, to the same content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayces_core import (
    Appointment,
    Database,
    Professional,
    ProfessionalService,
    Resource,
    Role,
    Service,
    Student,
    User,
    exporting,
    importing,
)
from tests.factory import make_professional, make_user
from tests.importing.world import NOW, make_centre, session
from tests.sizes import exhaustive

KINDS = ("users", "professionals", "services", "professional_services", "resources", "students", "appointments")


SPEECH = {
    "name": "Speech therapy",
    "duration_minutes": "40",
    "buffer_before_minutes": "10",
    "price": "$ 12.500,50",
    "credits": "2",
    "colour": "#1f6feb",
    "families_may_book": "no",
    "room_features": "Mirror, ramp",
    "tax_basis_points": "1050",
}
ROOM = {"name": "Room 2", "features": "ramp; mirror", "active": "yes", "blocked_dates": '["2031-05-25"]'}
GIVEN = {"professional": "eva@example.org", "service_name": "speech therapy", "price": "100", "currency": "usd"}


def content() -> dict[str, list[Any]]:
    """The bound tenant's rows without ids and times of writing."""
    people = {user.id: user.email for user in User.select()}
    children = {child.id: child.full_name for child in Student.select()}
    services = {service.id: service.name for service in Service.select()}
    left_out = {"id", "organization", "created_at", "updated_at", "jti", "room_key", "device_key"}
    resources = {resource.id: resource.name for resource in Resource.select()}
    found: dict[str, list[Any]] = {}
    for model in (User, Professional, Service, ProfessionalService, Resource, Student, Appointment):
        rows = []
        for row in model.select().dicts():
            named = {name: value for name, value in row.items() if name not in left_out}
            for name in named.keys() & {"user", "professional", "client", "primary_contact", "cancelled_by"}:
                named[name] = people.get(named[name])
            named["service"] = services.get(named.get("service"))
            named["second_professional"] = people.get(named.get("second_professional"))
            named |= {kind: resources.get(named.get(kind)) for kind in ("room", "device")}
            named["student"] = children.get(named.get("student"))
            rows.append(sorted(map(str, named.items())))
        found[model.__name__] = sorted(rows)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "xlsx", *exhaustive("jsonl", "parquet")])
def test_an_export_is_imported_to_the_same_content(db: Database, a: Any, b: Any, tmp_path: Path, form: str) -> None:
    with db.tenant(a):
        make_centre()
        importing.run([SPEECH, {"name": "Evaluation", "active": "no"}], Service, now=NOW)
        importing.run([GIVEN], ProfessionalService, now=NOW)
        states = ("draft", "pre_confirmed", "confirmed", "cancelled")
        importing.run([session(24 * day, state=state) for day, state in enumerate(states)], Appointment, now=NOW)
        spoken = session(12, service_name="Speech therapy", duration_minutes=None)
        make_professional(user=make_user(email="mara@example.org", role=Role.PROFESSIONAL))
        importing.run([ROOM, {"name": "Tablet", "kind": "device"}], Resource, now=NOW)
        importing.run(
            [spoken | {"room": "room 2", "device": "tablet", "second_professional": "mara@example.org"}],
            Appointment,
            now=NOW,
        )
        importing.run([session(-24 * 90, state="executed", notes='=1+1\n"ñ"')], Appointment, now=NOW)
        User.update(language="en").where(User.email == "mara@example.org").execute()
        for kind in KINDS:
            exporting.export(kind, tmp_path / f"{kind}.{form}")
        before = content()
    with db.tenant(b):
        for kind in KINDS:
            assert importing.run(tmp_path / f"{kind}.{form}", kind, now=NOW).is_clean
        assert content() == before
        for kind in KINDS:
            again = importing.run(tmp_path / f"{kind}.{form}", kind, now=NOW)
            assert (again.created, again.updated) == (0, 0)
