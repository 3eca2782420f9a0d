"""What the commands do, print and return."""

from __future__ import annotations

import json
import re

import pytest

from rayces_core import ClosedDay, Organization
from rayces_core.database.database import Database
from tests.cli.process import Terminal, is_one_sentence
from tests.conftest import on_server


@pytest.mark.slow
def test_migrations_go_up_and_down_and_show_where_they_are(empty: Terminal) -> None:
    assert empty("migrate", "status").code == 1
    up = empty("migrate", "up", "--to", "2")
    assert (up.code, up.out) == (0, "applied 001_myhub\napplied 002_organizations\n")
    status = empty("migrate", "status")
    assert status.code == 1
    assert re.search(r"002_organizations +applied +\d{4}-\d\d-\d\d ", status.out)
    assert re.search(r"003_\w+ +pending", status.out)
    assert empty("migrate", "up").code == 0
    assert empty("migrate", "status").code == 0
    assert empty("migrate", "up").out == "nothing to apply: the schema is up to date\n"
    assert len(empty("migrate", "down", "--count", "2").out.splitlines()) == 2
    assert empty("migrate", "down", "--to", "1").out.endswith("undone 002_organizations\n")
    assert empty("migrate", "down").out == "undone 001_myhub\n"
    assert empty("migrate", "down").out == "nothing to undo\n"


@pytest.mark.slow
def test_down_says_what_would_be_gone_and_asks(migrated: Terminal) -> None:
    assert migrated("organizations", "create", "North", "--subdomain", "north").code == 0
    asked = migrated("migrate", "down", "--to", "1")
    assert (asked.code, asked.out) == (3, "")
    assert "002_organizations: table organizations, 1 row" in asked.err
    assert "--yes" in asked.err
    told = migrated("migrate", "down", "--to", "1", "--dry-run")
    assert told.code == 1
    assert "036_external_ids: column users.external_id, 0 rows\n" in told.out
    assert told.out.endswith(" migrations would be undone, with --yes\n")
    (plan,) = json.loads(migrated("migrate", "down", "--to", "1", "--dry-run", "--json").out)
    assert plan["needs_yes"]
    assert [loss for loss in plan["losses"] if loss["rows"]] == [
        {"migration": "002_organizations", "what": "table organizations", "rows": 1, "is_estimate": False}
    ]
    assert migrated("migrate", "status").code == 0
    assert migrated("migrate", "down", "--dry-run").code == 0
    assert "-- gone with it: 002_organizations: table organizations, 1 row" in (
        migrated("migrate", "down", "--to", "1", "--sql").out
    )
    assert migrated("migrate", "down", "--to", "1", "--yes").out.endswith("undone 002_organizations\n")


@pytest.mark.slow
def test_down_is_refused_where_something_is_in_the_way(migrated: Terminal) -> None:
    on_server(str(migrated.url), "CREATE VIEW names AS SELECT first_name FROM students")
    ran = migrated("migrate", "down", "--to", "1", "--yes")
    assert ran.code == 3
    assert "DROP VIEW names;" in ran.err
    told = migrated("migrate", "down", "--to", "1", "--dry-run")
    assert told.code == 1
    assert "in the way: 013_students: " in told.out
    assert migrated("migrate", "status").code == 0


def test_the_status_is_json_for_programs(bare: Terminal) -> None:
    ran = bare("migrate", "status", "--json")
    states = json.loads(ran.out)
    assert ran.code == 0
    assert [state["number"] for state in states] == list(range(1, len(states) + 1))
    assert {state["state"] for state in states} == {"applied"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", state["applied_at"]) for state in states)


def test_a_migration_that_is_not_there_is_the_database_s_refusal(empty: Terminal) -> None:
    ran = empty("migrate", "up", "--to", "999")
    assert ran.code == 3
    assert is_one_sentence(ran.err)


@pytest.mark.slow
def test_an_edited_migration_is_a_finding_with_advice(migrated: Terminal) -> None:
    on_server(str(migrated.url), "UPDATE rayces_migrations SET checksum = 'other' WHERE id = 1")
    ran = migrated("migrate", "status")
    assert ran.code == 1
    assert "1 changed" in ran.out
    assert migrated("migrate", "down").code == 3


@pytest.mark.slow
def test_other_role_names_are_used_throughout(empty: Terminal) -> None:
    roles = ("--app-role", "cli_app", "--admin-role", "cli_admin")
    try:
        assert empty(*roles, "migrate", "up").code == 0
        assert empty("organizations", "create", "North", "--subdomain", "north", *roles).code == 0
        assert empty("doctor", *roles).code == 0
        assert "cli_app" in json.dumps(empty("doctor", "--json", *roles).out)
    finally:
        on_server(str(empty.url), "DROP OWNED BY cli_app, cli_admin; DROP ROLE cli_app, cli_admin")


@pytest.mark.slow
def test_an_organization_is_made_with_its_columns_and_listed(bare: Terminal) -> None:
    assert "no organizations yet" in bare("organizations", "list").out
    made = bare(
        *("organizations", "create", "Centro Añasco", "--subdomain", "anasco", "--time-zone", "America/Montevideo"),
        *("--currency", "UYU", "--email", "Hola@Anasco.example.org", "--phone", "+598 2 410", "--address", "Calle 1"),
    )
    assert (made.code, made.err) == (0, "")
    assert made.out == "created organization 1: Centro Añasco (subdomain anasco)\n"
    assert re.search(r"anasco +Centro Añasco +America/Montevideo +UYU +yes", bare("organizations", "list").out)
    (row,) = json.loads(bare("organizations", "list", "--json").out)
    assert row.pop("created_at").endswith("+00:00")
    assert row == {
        "id": 1,
        "subdomain": "anasco",
        "name": "Centro Añasco",
        "time_zone": "America/Montevideo",
        "currency": "UYU",
        "active": True,
        "email": "hola@anasco.example.org",
        "phone": "+598 2 410",
        "address": "Calle 1",
    }


def test_a_subdomain_that_is_taken_is_refused_by_the_database(bare: Terminal) -> None:
    assert bare("organizations", "create", "North", "--subdomain", "north").code == 0
    ran = bare("organizations", "create", "Other", "--subdomain", "north")
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)
    assert "subdomain" in ran.err


@pytest.mark.parametrize(
    "wrong",
    [("--currency", "pesos"), ("--time-zone", "Mars/Olympus"), ("--email", "nobody")],
    ids=lambda words: words[0],
)
def test_a_malformed_value_is_wrong_usage(wrong: tuple[str, str], bare: Terminal) -> None:
    ran = bare("organizations", "create", "North", "--subdomain", "north", *wrong)
    assert ran.code == 2
    assert is_one_sentence(ran.err)
    assert json.loads(bare("organizations", "list", "--json").out) == []


def test_what_looks_like_markup_in_a_name_is_shown_as_it_is(bare: Terminal) -> None:
    bare("organizations", "create", "[red]North[/red] :smile:", "--subdomain", "north")
    assert "[red]North[/red] :smile:" in bare("organizations", "list").out


def test_a_database_without_schema_says_what_to_run(empty: Terminal) -> None:
    for words in (["organizations", "list"], ["doctor"]):
        ran = empty(*words)
        assert ran.code == 3
        assert "rayces migrate up" in ran.err


@pytest.mark.slow
def test_the_doctor_finds_errors_and_gives_the_remedy(migrated: Terminal) -> None:
    on_server(str(migrated.url), "ALTER TABLE students NO FORCE ROW LEVEL SECURITY")
    ran = migrated("doctor")
    assert ran.code == 1
    assert "rls-not-forced" in ran.out
    assert "ALTER TABLE students FORCE ROW LEVEL SECURITY;" in ran.out
    first = json.loads(migrated("doctor", "--json").out)[0]
    assert (first["severity"], first["check"], first["object"]) == ("error", "rls-not-forced", "students")
    on_server(str(migrated.url), first["remedy"])
    assert migrated("doctor").code == 0


@pytest.mark.slow
def test_warnings_alone_are_well_unless_the_doctor_is_strict(bare: Terminal) -> None:
    ran = bare("doctor")
    assert ran.code == 0
    assert "login-unrestricted" in ran.out
    assert bare("doctor", "--strict").code == 1


@pytest.mark.slow
def test_public_holidays_become_closed_days_and_twice_changes_nothing(bare: Terminal, bare_db: Database) -> None:
    assert bare("organizations", "create", "North", "--subdomain", "north").code == 0
    ran = bare("organizations", "holidays", "north")
    assert (ran.code, "--country AR" in ran.err) == (2, True)
    line = ("organizations", "holidays", "north", "--country", "AR", "--year", "2031")
    ran = bare(*line)
    assert (ran.code, ran.err) == (0, "")
    assert "2031-05-25" in ran.out
    assert ran.out.endswith("closed days are new or changed\n")
    assert bare(*line).out == "0 closed days are new or changed\n"
    with bare_db.tenant("north") as north:
        assert north.settings["holiday_country"] == "AR"
        assert ClosedDay.select().where(ClosedDay.region == "AR").count() == ran.out.count("2031-")
    assert bare(*line[:4], "XX").code == 2
    assert bare(*line, "--remove").code == 2
    with bare_db.tenant("north") as north:
        north.settings |= {"holiday_subdivision": "B"}
        north.save()
    ran = bare(*line[:4], "UY", "--year", "2031", "--dry-run")
    assert ran.out.endswith("closed days would be new or changed\n")
    assert bare(*line[:4], "UY", "--year", "2031").code == 0
    with bare_db.tenant("north") as north:
        assert (north.settings["holiday_country"], "holiday_subdivision" in north.settings) == ("UY", False)
        assert {each.region for each in ClosedDay.select()} == {"UY"}
    assert bare("organizations", "holidays", "north", "--remove").out == "0 closed days are new or changed\n"
    with bare_db.tenant("north"):
        north = Organization.get(Organization.subdomain == "north")
        assert ("holiday_country" in north.settings, ClosedDay.select().count()) == (False, 0)
