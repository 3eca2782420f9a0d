"""`rayces users`: what it prints, what it does, and what it refuses."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from rayces_core import Role, Student, User, credits
from rayces_core.database.database import Database
from tests.cli.process import Terminal
from tests.factory import START, make_appointment, make_organization, make_student, make_user


@pytest.fixture
def north(bare_db: Database) -> SimpleNamespace:
    """The organization `north`, where Ana was entered twice."""
    with bare_db.tenant(make_organization(bare_db, subdomain="north")) as organization:
        desk = make_user(email="desk@example.org", role=Role.STAFF)
        ana = make_user(email="ana@example.org", phone="11 4000 0000")
        twin = make_user(email="amp@example.org", phone="(11) 4000-0000", first_name="Ana Maria")
        child = make_student(primary_contact=twin)
        credits.purchase(twin, 5)
    return SimpleNamespace(organization=organization, desk=desk, ana=ana, twin=twin, child=child)


HERE = ("--organization", "north", "--by", "desk@example.org")


@pytest.mark.slow
def test_duplicates_are_listed_and_merged(bare: Terminal, bare_db: Database, north: SimpleNamespace) -> None:
    ids = f"{north.ana.id} Ana Paz <ana@example.org>, {north.twin.id} Ana Maria Paz <amp@example.org>"
    assert f"phone: {ids}\n" in bare("users", "duplicates", "--organization", "north").out
    found = json.loads(bare("users", "duplicates", "--organization", "north", "--json").out)
    assert {"users": [north.ana.id, north.twin.id], "common": ["phone"]} in found
    tried = bare("users", "merge", "ana@example.org", str(north.twin.id), *HERE, "--dry-run")
    assert (tried.code, tried.err) == (0, "")
    assert tried.out == (
        f"credits: 5 would go\nstudents: 1 would go\nuser {north.twin.id} would be merged into user {north.ana.id}\n"
    )
    done = bare("users", "merge", "ana@example.org", str(north.twin.id), *HERE, "--reason", "entered twice")
    assert done.out.endswith(f"user {north.twin.id} is merged into user {north.ana.id}\n")
    again = bare("users", "merge", "ana@example.org", str(north.twin.id), *HERE)
    assert again.out == f"user {north.twin.id} had been merged into user {north.ana.id}\n"
    with bare_db.tenant("north"):
        assert Student.get_by_id(north.child.id).primary_contact_id == north.ana.id
        assert credits.balance(north.ana) == 5


@pytest.mark.slow
def test_people_are_erased(bare: Terminal, bare_db: Database, north: SimpleNamespace) -> None:
    refused = bare("users", "erase", "amp@example.org", *HERE)
    assert refused.code == 3
    assert "5 credits left" in refused.err
    with bare_db.tenant("north"):
        make_appointment(client=north.twin, scheduled_at=START)
    done = bare("users", "erase", "amp@example.org", *HERE, "--cancel", "--forfeit")
    assert done.out.startswith("sessions: 1 cancelled\ncredits: 5 taken\n")
    assert done.out.endswith(f"user {north.twin.id} is erased\n")
    assert bare("users", "erase", str(north.twin.id), *HERE).out == f"user {north.twin.id} had been erased\n"
    child = str(north.child.id)
    assert bare("users", "erase-student", child, *HERE, "--cancel").out.endswith(f"student {child} is erased\n")
    with bare_db.tenant("north"):
        assert re.fullmatch(rf"erased-.+-{north.twin.id}@erased.invalid", User.get_by_id(north.twin.id).full_name)
        assert Student.get_by_id(north.child.id).first_name == "Erased"


@pytest.mark.slow
def test_nobody_of_that_name_is_a_mistake_of_usage(bare: Terminal, north: SimpleNamespace) -> None:
    for name in ("nobody@example.org", "999999"):
        ran = bare("users", "merge", "ana@example.org", name, *HERE)
        assert (ran.code, f"there is no user '{name}'" in ran.err) == (2, True)
