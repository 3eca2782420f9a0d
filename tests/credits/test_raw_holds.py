"""What the application's role may write by hand of what is reserved: the database refuses it, or `verify` names it."""

import pytest

from rayces_core import CheckFailedError, PermissionDeniedError, ReferenceNotFoundError, credits
from tests.credits.ledger import held_appointment
from tests.factory import make_kind, make_user
from tests.walking import walked

OF_BALANCE, OF_HOLD = "UPDATE credit_balances SET {}", "UPDATE appointments SET {} WHERE id = %(hold)s"
COPY = """
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, state,
    pre_confirmed_at, expires_at, uses_credit, credits_used, reserved_credits, credit_kind_id)
SELECT organization_id, professional_id, student_id, {client}, scheduled_at + interval '1 day', {state},
    pre_confirmed_at, expires_at, true, 1, {reserved}, {kind} FROM appointments WHERE id = %(hold)s"""
CONFIRMED = "state = 'confirmed', confirmed_at = pre_confirmed_at"
# A balance of five of which a hold has reserved two: what is written, and what the database or `verify` says to it.
WRITTEN = [
    (OF_BALANCE.format("reserved = -1"), CheckFailedError),
    (OF_BALANCE.format("reserved = 6"), CheckFailedError),
    (OF_BALANCE.format("balance = 1"), CheckFailedError),
    (OF_BALANCE.format("balance = 4"), ReferenceNotFoundError),
    (OF_BALANCE.format("user_id = %(other)s"), PermissionDeniedError),
    (OF_BALANCE.format("credit_kind_id = %(kind)s"), PermissionDeniedError),
    ("DELETE FROM credit_balances", PermissionDeniedError),
    (OF_HOLD.format("reserved_credits = -1"), CheckFailedError),
    (OF_HOLD.format(CONFIRMED), CheckFailedError),
    (OF_HOLD.format("state = 'cancelled', cancelled_at = now()"), CheckFailedError),
    (OF_HOLD.format("credit_kind_id = %(kind)s"), PermissionDeniedError),
    ("DELETE FROM appointments WHERE id = %(hold)s", PermissionDeniedError),
    (COPY.format(client="client_id", state="'draft'", reserved=1, kind="NULL"), CheckFailedError),
    (OF_BALANCE.format("reserved = 0"), {"reserved"}),
    (OF_BALANCE.format("reserved = 5"), {"reserved"}),
    (OF_HOLD.format("reserved_credits = 0"), {"reserved"}),
    (OF_HOLD.format("reserved_credits = 100"), {"reserved"}),
    (OF_HOLD.format(f"{CONFIRMED}, reserved_credits = 0"), {"reserved", "debit_missing"}),
    (OF_HOLD.format("client_id = %(other)s"), {"reserved", "reserved_of_nothing"}),
    (COPY.format(client="client_id", state="state", reserved=1, kind="NULL"), {"reserved"}),
    (COPY.format(client="client_id", state="state", reserved=1, kind="%(kind)s"), {"reserved_of_nothing"}),
    (COPY.format(client="%(other)s", state="state", reserved=1, kind="NULL"), {"reserved_of_nothing"}),
]


@pytest.fixture
def hold(ana):
    """What has reserved two of five credits."""
    credits.purchase(ana, 5)
    return held_appointment(ana, 2)


class _TakenBackError(Exception):
    pass


@walked(("sql", "found"), WRITTEN)
def test_what_is_written_by_hand_is_refused_or_found_by_its_name(db, hold, sql, found):
    values = {"hold": hold.id, "other": make_user().id, "kind": make_kind().id}
    if isinstance(found, type):
        with pytest.raises(found):
            db.execute_sql(sql, values)
        assert credits.verify().is_clean
        return
    with pytest.raises(_TakenBackError), db.atomic():
        db.execute_sql(sql, values)
        assert {each.kind for each in credits.verify().discrepancies} == found
        raise _TakenBackError


def test_what_is_found_is_put_right_where_credits_are_there(db, hold):
    db.execute_sql(OF_HOLD.format("reserved_credits = 0"), {"hold": hold.id})
    db.execute_sql(OF_BALANCE.format("reserved = 0"))
    credits.reserve_holds()
    assert (credits.available(hold.client_id), credits.verify().is_clean) == (3, True)
