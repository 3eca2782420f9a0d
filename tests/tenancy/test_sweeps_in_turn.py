"""What stands in one tenant's way holds up no other: sweeps go on, and say at the end what failed."""

from datetime import timedelta

import pytest

from rayces_core import Appointment, CreditTransaction, Notice, User, clock, credits, notices, sign_in
from rayces_core.calendars import refresh_calendars
from rayces_core.errors import LockTimeoutError
from rayces_core.models import Device, SingleUseToken
from rayces_core.scheduling import expire_overdue
from tests.conftest import on_server
from tests.factory import make_package
from tests.tenancy.test_privileged_sweeps import LONG_AGO, SWEEPS
from tests.tenancy.worlds import several_pairs

BLOCKED = """
CREATE FUNCTION blocked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'canceling statement due to lock timeout' USING ERRCODE = '55P03'; END $$;
CREATE TRIGGER blocked BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW WHEN (OLD.organization_id = {organization})
EXECUTE FUNCTION blocked()"""


@pytest.fixture
def pair(own_db):
    """Two tenants; all of both is due."""
    pair = several_pairs(own_db, 1)[0]
    with own_db.privileged(reason="test"):
        for due, *_ in SWEEPS.values():
            own_db.execute_sql(due)
        own_db.execute_sql("UPDATE outside_calendars SET url = 'https://127.0.0.1/' || id")
    return pair


def block(pair, table):
    """From here on the rows of this table that are A's are locked by somebody, as far as anybody can tell."""
    on_server(pair.db.url, BLOCKED.format(table=table, organization=pair.a.id))


def count(pair, model, *conditions):
    """How many rows of A there are, and how many of B."""
    found = []
    for block_ in (pair.in_a, pair.in_b):
        with block_():
            found.append(model.select().where(*conditions).count() if conditions else model.select().count())
    return found


def test_holds_of_the_others_expire(pair):
    block(pair, "appointments")
    with pair.privileged(), pytest.raises(LockTimeoutError) as caught:
        expire_overdue()
    assert caught.value.__notes__ == ["the first of 1 that failed; the others are done: 1 in all"]
    assert count(pair, Appointment, Appointment.state == "cancelled") == [0, 1]


@pytest.mark.slow
def test_within_a_unit_of_work_nothing_is_done(pair):
    block(pair, "appointments")
    with pair.privileged(), pytest.raises(LockTimeoutError), pair.db.atomic():
        expire_overdue()
    assert count(pair, Appointment, Appointment.state == "cancelled") == [0, 0]


@pytest.mark.slow
def test_credits_of_the_others_expire(pair):
    with clock.frozen(clock.now() - timedelta(days=9)):
        for block_ in (pair.in_a, pair.in_b):
            with block_():
                user = User.create(email="ana@example.org", first_name="Ana")
                credits.purchase_package(user, make_package(credits=3, valid_days=2))
    block(pair, "credit_balances")
    with pair.privileged(), pytest.raises(LockTimeoutError):
        credits.expire_lots()
    expired = CreditTransaction.transaction_type == "expiry"
    assert count(pair, CreditTransaction, expired) == [0, 1]


def test_notices_of_the_others_are_delivered(pair):
    block(pair, "notices")
    with pair.privileged():
        pair.db.execute_sql(
            "UPDATE notices SET state = 'queued', reason = NULL WHERE organization_id = %s", (pair.b.id,)
        )
    done = notices.deliver(pair.db, {"email": print})
    assert (done.halted, done.skipped) == (1, 1)
    assert count(pair, Notice, Notice.state == "queued") == [1, 0]


@pytest.mark.slow
def test_old_notices_of_the_others_are_deleted(pair):
    block(pair, "notices")
    with pytest.raises(LockTimeoutError):
        notices.prune(pair.db)
    assert count(pair, Notice) == [1, 0]


@pytest.mark.slow
def test_calendars_of_the_others_are_read(pair):
    block(pair, "outside_calendars")
    done = refresh_calendars(pair.db)
    assert {each.organization_id: each.reason for each in done} == {
        pair.a.id: "lock_timeout",
        pair.b.id: "refused_address",
    }


@pytest.mark.slow
def test_what_is_of_no_use_any_more_goes_from_the_other_tables(pair):
    block(pair, "devices")
    with pair.privileged(), pytest.raises(LockTimeoutError):
        sign_in.prune()
    assert count(pair, Device) == [1, 1]
    assert count(pair, SingleUseToken) == [0, 0]


@pytest.mark.slow
def test_what_is_of_no_use_any_more_goes_in_batches(pair, monkeypatch):
    monkeypatch.setattr("rayces_core.sign_in.pruning.BATCH", 2)
    with pair.in_a():
        user = User.get()
        more = [Device(user=user, token_id=str(n), name="x", expires_at=clock.now()) for n in range(4)]
        Device.bulk_create(more)
        pair.db.execute_sql(f"UPDATE devices SET expires_at = {LONG_AGO}")
    with pair.privileged(), pair.statements() as sent:
        assert sign_in.prune() == 10
    assert len([each for each in sent if each.startswith('DELETE FROM "devices"')]) == 4
