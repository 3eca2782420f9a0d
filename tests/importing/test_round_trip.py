"""What is exported is imported again, into another organization, to the same content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayces_core import Appointment, Database, Professional, Student, User, exporting, importing
from tests.importing.world import NOW, make_centre, session
from tests.sizes import exhaustive

KINDS = ("users", "professionals", "students", "appointments")


def content() -> dict[str, list[Any]]:
    """The bound tenant's rows without ids and times of writing."""
    people = {user.id: user.email for user in User.select()}
    children = {child.id: child.full_name for child in Student.select()}
    left_out = {"id", "organization", "created_at", "updated_at", "jti"}
    found: dict[str, list[Any]] = {}
    for model in (User, Professional, Student, Appointment):
        rows = []
        for row in model.select().dicts():
            named = {name: value for name, value in row.items() if name not in left_out}
            for name in named.keys() & {"user", "professional", "client", "primary_contact", "cancelled_by"}:
                named[name] = people.get(named[name])
            named["student"] = children.get(named.get("student"))
            rows.append(sorted(map(str, named.items())))
        found[model.__name__] = sorted(rows)
    return found


@pytest.mark.parametrize("form", ["csv", "xlsx", *exhaustive("jsonl", "parquet")])
def test_an_export_is_imported_to_the_same_content(db: Database, a: Any, b: Any, tmp_path: Path, form: str) -> None:
    with db.tenant(a):
        make_centre()
        states = ("draft", "pre_confirmed", "confirmed", "cancelled")
        importing.run([session(24 * day, state=state) for day, state in enumerate(states)], Appointment, now=NOW)
        importing.run([session(-24 * 90, state="executed", notes='=1+1\n"ñ"')], Appointment, now=NOW)
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
