"""`rayces migrate repair`: what it prints, what it keeps, and what it leaves to the doctor."""

from __future__ import annotations

import pytest

from rayces_core.database.database import Database
from rayces_core.doctor import audit
from tests.cli.process import Terminal, is_one_sentence
from tests.conftest import on_server


@pytest.mark.slow
def test_a_repair_prints_what_it_has_run_and_the_next_one_has_nothing_to_do(migrated: Terminal) -> None:
    on_server(str(migrated.url), "REVOKE INSERT ON users FROM rayces_app")
    assert migrated("doctor").code == 1
    done = migrated("migrate", "repair")
    assert (done.code, done.out) == (0, "GRANT INSERT ON users TO rayces_app;\nrepaired, by 1 statement\n")
    assert migrated("doctor").code == 0
    assert migrated("migrate", "repair").out == "nothing to repair\n"


@pytest.mark.slow
def test_a_script_is_printed_and_nothing_is_kept(migrated: Terminal) -> None:
    on_server(str(migrated.url), "DROP POLICY rayces_tenant ON posts")
    printed = migrated("migrate", "repair", "--sql")
    assert printed.code == 0
    assert "CREATE POLICY rayces_tenant ON posts FOR all TO rayces_app" in printed.out
    assert migrated("doctor").code == 1
    on_server(str(migrated.url), printed.out.replace("\\set ON_ERROR_STOP on", ""))
    assert migrated("doctor").code == 0
    assert migrated("migrate", "repair", "--sql").out == "-- nothing to do\n"


@pytest.mark.slow
def test_what_somebody_may_have_meant_is_left_and_told(migrated: Terminal) -> None:
    on_server(
        str(migrated.url), "CREATE VIEW names AS SELECT first_name FROM students; GRANT SELECT ON names TO rayces_app"
    )
    done = migrated("migrate", "repair")
    assert (done.code, done.out) == (1, "nothing to repair\n")
    assert done.err.splitlines() == [
        "left: view-as-owner names: the view reads tenants' rows with the rights of its owner, not of who asks",
        "`rayces doctor` says what mends the rest",
    ]
    with Database.connect(str(migrated.url)) as database:
        assert "view-as-owner" in {finding.check for finding in audit(database)}


def test_a_login_that_does_not_exist_is_one_sentence(bare: Terminal) -> None:
    done = bare("migrate", "repair", "--login", "nobody_there")
    assert done.code == 3
    assert is_one_sentence(done.err)
    assert "CREATE ROLE" in done.err


def test_a_database_without_schema_says_what_to_run(empty: Terminal) -> None:
    done = empty("migrate", "repair")
    assert (done.code, "rayces migrate up" in done.err) == (3, True)
