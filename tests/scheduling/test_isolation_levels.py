"""Whoever takes time sees what others took meanwhile: in a unit of work that cannot, nothing is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from rayces_core import (
    Appointment,
    ClosedDay,
    Database,
    GroupSession,
    Professional,
    Resource,
    TransactionFailedError,
)
from rayces_core.scheduling import (
    affected_by,
    free_slots,
    offer_slots,
    request_time_off,
    reschedule,
    reschedule_group,
    verify_groups,
)
from tests.factory import make_resource
from tests.scheduling.test_groups import gather, join
from tests.scheduling.test_slot_offers import TEN, THAT_DAY, wait
from tests.scheduling.worlds import NOW, Centre, Other, at, open_centre
from tests.sizes import exhaustive

LEVELS = ["REPEATABLE READ", *exhaustive("SERIALIZABLE")]
OTHERS = {"a group": lambda centre: gather(centre, at(10)), "a booking": lambda centre: centre.book(at(10))}


def pre_confirm(centre: Centre) -> Callable[[], Any]:
    draft = centre.book_for_another(at(10), draft=True)
    return lambda: draft.pre_confirm(now=NOW)


def move(centre: Centre) -> Callable[[], Any]:
    booked = centre.book_for_another(at(14))
    return lambda: reschedule(booked, at(10), now=NOW)


def move_group(centre: Centre) -> Callable[[], Any]:
    group = gather(centre, at(14))
    return lambda: reschedule_group(group, at(10), now=NOW)


def attend(centre: Centre) -> Callable[[], Any]:
    group = gather(centre, at(14))
    return lambda: join(group)


def offer(centre: Centre) -> Callable[[], Any]:
    wait(centre, **TEN, **THAT_DAY)
    return lambda: offer_slots(now=NOW)


WAYS = {
    "a booking": lambda centre: lambda: centre.book_for_another(at(10)),
    "a draft that is held": pre_confirm,
    "a move": move,
    "a group": lambda centre: lambda: gather(centre, at(10)),
    "a group that is moved": move_group,
    "a seat": attend,
    "an offer": offer,
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_nothing_is_taken_on_a_snapshot_of_an_earlier_moment(centre, way, other, level):
    deed = way(centre)
    with pytest.raises(TransactionFailedError, match=rf"{level} sees what was committed .*READ COMMITTED"):
        with centre.db.atomic(level):
            Appointment.select().count()
            meanwhile = Other(centre.db, centre.organization, lambda: other(centre)).finish()
            deed()
    assert isinstance(meanwhile, Appointment | GroupSession)
    assert verify_groups() == []
    with centre.db.atomic(level):  # and what is only read is
        free_slots(centre.professional, at(9), at(17), now=NOW)


def close(centre: Centre) -> Any:
    return ClosedDay.create(day=at(10).date(), name="Feast")


def block(centre: Centre) -> Any:
    professional = Professional.get(Professional.user == centre.professional.user_id)
    professional.blocked_dates = [{"start": at(10).date().isoformat(), "end": at(10).date().isoformat()}]
    professional.save()
    return professional


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("change", [close, block])
def test_no_session_that_a_change_hits_is_missed_on_a_snapshot_of_an_earlier_moment(centre, change, level):
    with pytest.raises(TransactionFailedError, match=rf"{level} sees what was committed .*READ COMMITTED"):
        with centre.db.atomic(level):
            Appointment.select().count()
            booked = Other(centre.db, centre.organization, lambda: centre.book(at(10))).finish()
            change(centre)
    with centre.db.atomic():
        assert list(change(centre).affected) == [booked]


def days_off(centre: Centre) -> Callable[[], Any]:
    day = at(10).date()
    return lambda: request_time_off(centre.professional, day, day).hits(now=NOW).appointments


def room_off(centre: Centre) -> Callable[[], Any]:
    room = make_resource()
    room.blocked_dates = [at(10).date().isoformat()]
    return lambda: room.hits(now=NOW).appointments


PREVIEWS = {
    "of time off": days_off,
    "of a room": room_off,
    "of a change": lambda centre: lambda: affected_by(centre.professional, now=NOW),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("preview", PREVIEWS.values(), ids=PREVIEWS)
def test_no_preview_that_somebody_decides_on_is_of_an_earlier_moment(centre, preview, level):
    asked = preview(centre)
    with pytest.raises(TransactionFailedError, match=rf"{level} sees what was committed .*READ COMMITTED"):
        with centre.db.atomic(level):
            Appointment.select().count()
            held = {"room": Resource.get_or_none()}
            booked = Other(centre.db, centre.organization, lambda: centre.book(at(10), **held)).finish()
            asked()
    with centre.db.atomic():
        assert asked() == [booked]


def test_a_server_whose_default_is_another_level_is_told_of_and_read_committed_is_taken(own_db: Database) -> None:
    name = parse_dsn(own_db.url)["dbname"]
    with psycopg2.connect(own_db.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    with Database.connect(own_db.url) as db, open_centre(db) as centre:
        with pytest.raises(TransactionFailedError, match="REPEATABLE READ sees"):
            centre.book(at(10))
        with db.atomic("READ COMMITTED"):
            centre.book(at(10))
