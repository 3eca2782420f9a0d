"""`rayces slots`: what is offered where, a line that cannot be looked at stops no other; holds that are over end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rayces_core import Appointment, SlotRequest, clock, scheduling
from rayces_core.database.database import Database
from tests.cli.process import Terminal, is_one_sentence
from tests.conftest import on_server
from tests.factory import make_organization
from tests.scheduling.worlds import ALWAYS, another_family, make_working


@pytest.fixture
def waiting(bare_db: Database) -> dict[str, int]:
    """Organization → the request of a family that waits there."""
    found = {}
    for name in ("south", "north"):
        with bare_db.tenant(make_organization(bare_db, subdomain=name)):
            make_working(weekly_schedule=ALWAYS)
            until = (clock.now() + timedelta(days=20)).date()
            found[name] = scheduling.request_slot(**another_family(), until_day=until).id
    return found


def states(db: Database, waiting: dict[str, int]) -> dict[str, str]:
    found = {}
    for name, request in waiting.items():
        with db.tenant(name):
            found[name] = str(SlotRequest.get_by_id(request).state)
    return found


@pytest.mark.slow
def test_every_line_is_looked_at_and_once_is_enough(bare: Terminal, bare_db: Database, waiting: dict[str, int]) -> None:
    ran = bare("slots", "offer")
    assert (ran.code, ran.out, ran.err) == (0, "Offers made: 2\n", "")
    assert states(bare_db, waiting) == {"south": "offered", "north": "offered"}
    assert bare("slots", "offer").out == "Offers made: 0\n"


@pytest.mark.slow
def test_one_organization_is_asked_for_by_its_name(bare: Terminal, bare_db: Database, waiting: dict[str, int]) -> None:
    assert bare("slots", "offer", "--organization", "north").out == "Offers made: 1\n"
    assert states(bare_db, waiting) == {"south": "waiting", "north": "offered"}
    with bare_db.tenant("north"):
        (offer,) = Appointment.select()
        assert offer.slot_request_id == waiting["north"]


@pytest.mark.slow
def test_a_line_that_cannot_be_looked_at_is_told_and_stops_no_other(
    bare: Terminal, bare_db: Database, waiting: dict[str, int]
) -> None:
    on_server(
        bare_db.url,
        """UPDATE professionals SET weekly_schedule = '{"monday": 5}' WHERE organization_id =
           (SELECT id FROM organizations WHERE subdomain = 'south')""",
    )
    ran = bare("slots", "offer")
    assert (ran.code, ran.out) == (1, "Offers made: 1\n")
    assert "WeeklySchedule" in ran.err
    assert states(bare_db, waiting) == {"south": "waiting", "north": "offered"}
    alone = bare("slots", "offer", "--organization", "south")
    assert alone.code == 2
    assert is_one_sentence(alone.err)


@pytest.mark.slow
def test_holds_that_are_over_are_cancelled_once_here_or_everywhere(bare: Terminal, bare_db: Database) -> None:
    now = clock.now()
    start = now.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=9)
    for name in ("south", "north"):
        with bare_db.tenant(make_organization(bare_db, subdomain=name)):
            professional = make_working(weekly_schedule=ALWAYS)
            for number, made in enumerate((now - timedelta(days=3), now)):
                at = start + timedelta(hours=2 * number)
                scheduling.book(**another_family(), professional=professional, scheduled_at=at, now=made)
    assert bare("slots", "expire", "--organization", "north").out == "Appointments cancelled: 1\n"
    assert bare("slots", "expire").out == "Appointments cancelled: 1\n"
    assert bare("slots", "expire").out == "Appointments cancelled: 0\n"
    with bare_db.tenant("south"):
        assert Appointment.in_state("pre_confirmed").count() == 1
