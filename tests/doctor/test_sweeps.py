"""The doctor says where no sweep runs: credits that expired long ago, and are still there."""

from __future__ import annotations

from rayces_core import Database, credits
from rayces_core.doctor import audit
from rayces_core.doctor.sweeps import CODES
from tests.factory import make_appointment, make_organization, make_package, make_user


def found(db: Database) -> list[str]:
    return [finding.message for finding in audit(db) if finding.check in CODES]


def age(db: Database, days: int) -> None:
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE credit_lots SET expires_at = now() - %s * interval '1 day'", [days])


def test_credits_that_expired_long_ago_are_a_warning_until_a_sweep_takes_them(own_db: Database) -> None:
    for number in (3, 4):
        with own_db.tenant(make_organization(own_db)):
            credits.purchase_package(make_user(), make_package(credits=number, valid_days=1))
    assert found(own_db) == []
    age(own_db, 1)
    assert found(own_db) == []
    age(own_db, 3)
    assert found(own_db) == [
        "7 credits of 2 organizations expired more than 2 days ago and are still there: no sweep takes them"
    ]
    with own_db.privileged(reason="test"):
        credits.expire_lots()
    assert found(own_db) == []


def test_what_a_hold_keeps_is_not_missed_by_a_sweep(own_db: Database) -> None:
    with own_db.tenant(make_organization(own_db)):
        ana = make_user()
        credits.purchase_package(ana, make_package(credits=2, valid_days=1))
        make_appointment(client=ana, uses_credit=True, credits_used=2).pre_confirm()
    age(own_db, 3)
    assert found(own_db) == []


def test_a_login_that_may_not_see_rows_is_told_nothing_of_them(own_db: Database) -> None:
    with own_db.tenant(make_organization(own_db)):
        credits.purchase_package(make_user(), make_package(credits=2, valid_days=1))
    age(own_db, 3)
    with Database.connect(own_db.url, admin_role="rayces_nobody") as other:
        assert found(other) == []
