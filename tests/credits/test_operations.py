"""Each movement: what comes back, what is written, and that it happens in the caller's unit of work or its own."""

import itertools

import pytest

from rayces_core import (
    Database,
    credits,
)
from tests.credits.ledger import NOW, as_stored, entries, figures, nothing_written
from tests.factory import make_appointment, make_organization, make_user
from tests.walking import walked
from tests.wire import binds_tenant, wire

MOST = 2**31 - 1
pytestmark = pytest.mark.usefixtures("frozen")


class Undone(Exception):
    pass


def facts(entry):
    return entry.transaction_type, entry.amount, entry.status, entry.balance_before, entry.balance_after, entry.sequence


# -- results -----------------------------------------------------------------------------------------------------------


def test_a_purchase_adds_and_opens_the_balance(bound, ana, desk):
    entry = credits.purchase(
        ana,
        10,
        payment_method="card",
        payment_reference="r-1",
        idempotency_key="k-1",
        metadata={"pack": "ten"},
        by=desk,
        now=NOW,
    )
    assert facts(entry) == ("purchase", 10, "completed", 0, 10, 1)
    assert (entry.payment_method, entry.payment_reference, entry.idempotency_key) == ("card", "r-1", "k-1")
    assert (entry.created_by_id, entry.metadata, entry.reason) == (desk.id, {"pack": "ten"}, None)
    assert entry.processed_at == entry.created_at == entry.updated_at == NOW
    assert (entry.user, entry.appointment, entry.previous_sequence) == (ana, None, None)
    assert entry.organization_id == bound.id
    assert entry.__data__ == as_stored(entry)
    assert not entry.is_dirty()
    assert figures(ana) == (10, 10, 0)


def test_a_debit_takes(bound, ana, desk):
    appointment = make_appointment(client=ana)
    credits.purchase(ana, 10)
    entry = credits.debit(
        ana.id, 4, appointment=appointment, idempotency_key="d", reason=" late ", metadata={"a": 1}, by=desk, now=NOW
    )
    assert facts(entry) == ("appointment_debit", -4, "completed", 10, 6, 2)
    assert (entry.appointment, entry.reason, entry.metadata) == (appointment, "late", {"a": 1})
    assert (entry.created_by, entry.processed_at, entry.previous_sequence) == (desk, NOW, 1)
    assert entry.__data__ == as_stored(entry)
    assert figures(ana) == (6, 10, 4)


def test_a_debit_may_be_for_something_else_and_by_id(bound, ana):
    credits.purchase(ana, 10)
    appointment = make_appointment()
    assert credits.debit(ana, 10, appointment=appointment.id).balance_after == 0
    credits.purchase(ana, 3)
    assert [credits.debit(ana, 1).appointment_id for _ in range(2)] == [None, None]
    assert figures(ana) == (1, 13, 12)


def test_a_refund_gives_back_to_whoever_paid(bound, ana, desk):
    appointment = make_appointment()  # of another client
    credits.purchase(ana, 10)
    credits.debit(ana, 4, appointment=appointment)
    entry = credits.refund(appointment, idempotency_key="r", reason="ill", metadata={"b": 2}, by=desk, now=NOW)
    assert facts(entry) == ("cancellation_refund", 4, "completed", 6, 10, 3)
    assert (entry.user, entry.appointment, entry.reason, entry.created_by) == (ana, appointment, "ill", desk)
    assert (entry.metadata, entry.processed_at) == ({"b": 2}, NOW)
    assert figures(ana) == (10, 10, 0)  # a refund is no purchase
    assert figures(appointment.client) == (0, 0, 0)


@pytest.mark.parametrize("back", [1, 3, 4])
def test_a_refund_may_be_of_a_part(bound, ana, back):
    appointment = make_appointment(client=ana)
    credits.purchase(ana, 4)
    credits.debit(ana, 4, appointment=appointment)
    assert credits.refund(appointment.id, credits=back).balance_after == back
    assert figures(ana) == (back, 4, 4 - back)


@pytest.mark.parametrize(("amount", "after"), [(5, 15), (-5, 5), (-10, 0)])
def test_an_adjustment_corrects_and_is_neither_bought_nor_used(bound, ana, desk, amount, after):
    credits.purchase(ana, 10)
    entry = credits.adjust(ana, amount, reason=" counted wrong ", by=desk, metadata={"c": 3}, now=NOW)
    assert facts(entry) == ("admin_adjustment", amount, "completed", 10, after, 2)
    assert (entry.reason, entry.created_by, entry.metadata) == ("counted wrong", desk, {"c": 3})
    assert figures(ana) == (after, 10, 0)


def test_a_pending_purchase_counts_when_it_is_completed(bound, ana, desk):
    credits.purchase(ana, 1)
    pending = credits.purchase(ana, 5, pending=True, payment_method="card", payment_reference="r", by=desk, now=NOW)
    assert facts(pending) == ("purchase", 5, "pending", None, None, None)
    assert pending.processed_at is None
    assert figures(ana) == (1, 1, 0)
    credits.purchase(ana, 2)

    completed = credits.complete(pending, by=desk, now=NOW)

    assert completed is pending
    assert facts(pending) == ("purchase", 5, "completed", 3, 8, 3)
    assert (pending.processed_at, pending.previous_sequence) == (NOW, 2)
    assert pending.__data__ == as_stored(pending)
    assert figures(ana) == (8, 8, 0)
    assert [(change.event, change.actor) for change in pending.history()] == [("complete", desk)]


def test_a_pending_purchase_that_fails_counts_never(bound, ana, desk):
    pending = credits.purchase(ana, 5, pending=True)
    assert credits.fail(pending, " the card was refused ", by=desk, now=NOW) is pending
    assert facts(pending) == ("purchase", 5, "failed", None, None, None)
    assert pending.processed_at == NOW
    assert figures(ana) == (0, 0, 0)
    assert [(change.reason, change.actor) for change in pending.history()] == [("the card was refused", desk)]


def test_the_first_thing_may_be_a_pending_purchase(bound, ana):
    assert credits.complete(credits.purchase(ana, 5, pending=True)).balance_after == 5


def test_two_users_and_two_tenants_have_their_own(db, bound, b, ana):
    bruno = make_user()
    credits.purchase(ana, 1)
    credits.purchase(bruno, 2)
    with db.tenant(b):
        theirs = make_user()
        credits.purchase(theirs, 3)
        assert figures(theirs) == (3, 3, 0)
    assert (figures(ana), figures(bruno)) == ((1, 1, 0), (2, 2, 0))


# -- one message, or the caller's unit of work --------------------------------------------------------------------


@pytest.fixture
def alone(bare_db):
    """Sends of a tenant with a user who has a balance, and somebody at the desk."""
    organization = make_organization(bare_db)
    with wire(bare_db.url) as proxy, Database.connect(proxy.url) as database, database.tenant(organization):
        ana, desk = make_user(), make_user(role=2)
        credits.purchase(ana, 100)
        yield proxy, ana, desk


_numbers = itertools.count()
POSTS = {
    "purchase": lambda ana, desk: credits.purchase(ana, 5),
    "debit": lambda ana, desk: credits.debit(ana, 5),
    "adjust": lambda ana, desk: credits.adjust(ana, 5, reason="x", by=desk),
    "pending purchase": lambda ana, desk: credits.purchase(ana, 5, pending=True),
    "purchase with a key": lambda ana, desk: credits.purchase(ana, 5, idempotency_key=f"key {next(_numbers)}"),
    "purchase with a payment": lambda ana, desk: credits.purchase(
        ana, 5, payment_method="card", payment_reference=f"payment {next(_numbers)}"
    ),
}


@walked("post", POSTS.values())
def test_a_posting_alone_is_one_message(alone, post):
    proxy, ana, desk = alone
    for _ in range(2):  # when it is prepared, and afterwards
        proxy.sent.clear()
        post(ana, desk)
        assert len(proxy.sent) == 1
        assert binds_tenant(proxy.sent[0])


def test_a_posting_in_a_unit_of_work_is_one_message_more(alone):
    proxy, ana, _ = alone
    from rayces_core.database.binding import current

    for _ in range(2):  # when it is prepared on the connection, and afterwards
        proxy.sent.clear()
        with current().engine.atomic():
            credits.debit(ana, 1)
    begin, post, commit = proxy.sent
    assert (begin[:5], post[:7], commit) == ("BEGIN", "EXECUTE", "COMMIT")


MOVES = {
    "purchase": lambda w: credits.purchase(w.ana, 5),
    "pending purchase": lambda w: credits.purchase(w.ana, 5, pending=True),
    "debit": lambda w: credits.debit(w.ana, 5, appointment=w.free),
    "refund": lambda w: credits.refund(w.paid),
    "adjust": lambda w: credits.adjust(w.ana, -5, reason="x", by=w.desk),
    "complete": lambda w: credits.complete(w.pending),
    "fail": lambda w: credits.fail(w.pending, "no"),
    "transfer": lambda w: credits.transfer(w.ana, w.bruno, 5, reason="x", by=w.desk),
    "purchase_many": lambda w: credits.purchase_many([{"user": w.ana, "credits": 1}, {"user": w.bruno, "credits": 2}]),
    "debit_many": lambda w: credits.debit_many([{"user": w.ana, "credits": 1}] * 3),
}


@pytest.fixture
def world(bound, ana, desk):
    """A user with a balance, an appointment that was paid, one that was not, and a pending purchase."""

    class World:
        free = make_appointment(client=ana)
        paid = make_appointment(client=ana)
        bruno = make_user()

    World.ana, World.desk = ana, desk
    credits.purchase(ana, 20)
    credits.debit(ana, 2, appointment=World.paid)
    World.pending = credits.purchase(ana, 3, pending=True)
    return World


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_movement_is_undone_with_the_callers_unit_and_kept_with_it(db, world, move):
    with nothing_written(), pytest.raises(Undone), db.atomic():
        move(world)
        raise Undone
    before = len(entries(world.ana)) + sum(entry.status != "pending" for entry in entries(world.ana))
    with db.atomic():
        move(world)
    assert len(entries(world.ana)) + sum(entry.status != "pending" for entry in entries(world.ana)) > before
    assert credits.verify().is_clean


def test_the_object_of_a_completion_that_is_undone_is_pending_again(db, world):
    before = dict(world.pending.__data__)
    with pytest.raises(Undone), db.atomic():
        credits.complete(world.pending)
        raise Undone
    assert world.pending.__data__ == before
