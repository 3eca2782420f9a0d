"""What operators do with the outbox: list, try again, delete in batches."""

from datetime import timedelta

import pytest

from rayces_core.errors import InvalidDataError
from rayces_core.outbox import keeping
from rayces_core.outbox.relaying import Relay
from tests.factory import make_organization
from tests.outbox.boxes import Kept, put, standing, states


@pytest.fixture
def box(bare_db):
    """Two organizations: three dead messages, a delivered one, a pending one."""
    db = bare_db
    a, b = make_organization(db), make_organization(db)
    dead = [*put(db, a, 1, word="secret"), *put(db, a, 2, topic="student.admit"), *put(db, b, 3)]
    put(db, b, 4)
    Relay(db, {"kept": Kept(fails=dead)}, attempts=1).run_once()
    put(db, b, 5)
    assert states(db) == ["dead", "dead", "dead", "delivered", "pending"]
    return db, a, b


def test_the_list_shows_how_delivery_stands_and_no_payload(box):
    db, a, b = box
    dead = keeping.listed(db)
    assert [(each.organization_id, each.topic, each.attempts) for each in dead] == [
        (a.id, "appointment.confirm", 1),
        (a.id, "student.admit", 1),
        (b.id, "appointment.confirm", 1),
    ]
    assert dead[0].last_error == "kept: ConnectionError: smtp is down"
    assert "secret" not in repr(dead)
    assert len(keeping.listed(db, state=None)) == 5
    assert [each.id for each in keeping.listed(db, organization=b.id, state="pending")] == [5]
    assert len(keeping.listed(db, limit=2)) == 2
    assert keeping.counted(db) == {"pending": 1, "delivered": 1, "dead": 3}
    assert keeping.counted(db, organization=a.id) == {"pending": 0, "delivered": 0, "dead": 2}


def test_dead_messages_are_tried_again_by_id_topic_organization_or_all(box):
    db, a, _ = box
    first = keeping.listed(db)[0]
    assert keeping.retry(db, message_ids=[first.message_id]) == 1
    assert keeping.retry(db, topic="student.admit") == 1
    assert keeping.retry(db, organization=a.id) == 0
    assert keeping.retry(db) == 1
    assert standing(db)[first.id][:2] == ("pending", 0)
    kept = Kept()
    Relay(db, {"kept": kept}).run_once()
    assert set(states(db)) == {"delivered"}
    assert len(kept.ids) == 4


def test_what_is_settled_long_enough_is_deleted_in_batches(box):
    db, _, _ = box
    with db.privileged(reason="test"):
        db.execute_sql(
            "UPDATE outbox_messages SET settled_at = now() - interval '31 days' WHERE settled_at IS NOT NULL"
        )
    assert keeping.prune(db, older_than=timedelta(days=32)) == 0
    assert keeping.prune(db, older_than=timedelta(days=30)) == 1
    assert states(db) == ["dead", "dead", "dead", "pending"]
    assert keeping.prune(db, older_than=timedelta(days=30), dead=True, batch=2) == 3
    assert states(db) == ["pending"]
    assert keeping.prune(db, older_than=timedelta(0), dead=True) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda db: keeping.listed(db, state="lost"),
        lambda db: keeping.retry(db, message_ids=["1; DROP"]),
        lambda db: keeping.prune(db, older_than=timedelta(days=-1)),
        lambda db: keeping.prune(db, older_than=30),
    ],
)
def test_malformed_arguments_are_refused(db, call):
    with pytest.raises(InvalidDataError):
        call(db)
