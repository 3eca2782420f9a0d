"""`rayces groups verify`: what it finds, exit codes, for whom."""

from __future__ import annotations

import json

import psycopg2

from rayces_core import clock
from rayces_core.database.database import Database
from rayces_core.scheduling import book_group, create_group_session
from tests.cli.process import Terminal
from tests.factory import make_organization
from tests.scheduling.worlds import NOW, another_family, at, make_working


def test_seats_that_are_not_those_of_who_attends_are_1(bare: Terminal, bare_db: Database) -> None:
    make_organization(bare_db, subdomain="south")
    with bare_db.tenant(make_organization(bare_db, subdomain="north", time_zone="UTC")), clock.frozen(NOW):
        group = create_group_session(professional=make_working(), scheduled_at=at(10), capacity=2, now=NOW)
        book_group(group, now=NOW, **another_family())
    clean = bare("groups", "verify")
    assert (clean.code, clean.out) == (0, "Every group has its time to itself, and a seat for each who attends\n")
    with psycopg2.connect(bare_db.url) as connection, connection.cursor() as superuser:
        superuser.execute("ALTER TABLE appointments DROP CONSTRAINT appointments_group_session_id_check")
        superuser.execute("UPDATE appointments SET seat = NULL, seats = NULL")

    ran = bare("groups", "verify", "--organization", "north", "--json")
    assert ran.code == 1
    (found,) = json.loads(ran.out)
    assert (found["kind"], found["expected"], found["found"]) == ("seats", "1", "0")
    assert bare("groups", "verify", "--organization", "south").code == 0
    assert "1 findings" in bare("groups", "verify").out
