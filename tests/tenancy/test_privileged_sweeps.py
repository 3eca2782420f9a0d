"""What sweeps do for all organizations at once they do to the rows that are due, and to none of another's with that id.

Ids coincide wherever a tenant came from another database: from another cell, an archive, a MyHub.
"""

from datetime import timedelta

import pytest

from rayces_core import notices, outbox, sign_in
from rayces_core.models import User
from rayces_core.scheduling import expire_overdue
from tests.tenancy.worlds import several_pairs

NOW = "statement_timestamp()"
LONG_AGO, LATER = f"{NOW} - interval '400 days'", f"{NOW} + interval '30 days'"


def hold(until):
    held = f"state = 'pre_confirmed', pre_confirmed_at = {LONG_AGO}"
    return f"UPDATE appointments SET {held}, uses_credit = false, expires_at = {until}"


# Table → what makes a tenant's row due, what makes it not, and what looks for those that are due.
SWEEPS = {
    "devices": (
        f"UPDATE devices SET expires_at = {LONG_AGO}",
        f"UPDATE devices SET expires_at = {LATER}",
        lambda db: sign_in.prune(),
    ),
    "single_use_tokens": (
        f"UPDATE single_use_tokens SET expires_at = {LONG_AGO}",
        f"UPDATE single_use_tokens SET expires_at = {LATER}",
        lambda db: sign_in.prune(),
    ),
    "sign_in_attempts": (
        f"UPDATE sign_in_attempts SET last_at = {LONG_AGO}",
        f"UPDATE sign_in_attempts SET last_at = {NOW}",
        lambda db: sign_in.prune(),
    ),
    "appointments": (hold(LONG_AGO), hold(LATER), lambda db: expire_overdue()),
    "notices": (
        f"UPDATE notices SET occurs_at = {LONG_AGO}",
        f"UPDATE notices SET occurs_at = {LATER}, state = 'failed', reason = 'test', attempts = 1",
        lambda db: notices.prune(db),
    ),
    "outbox_messages": (
        f"UPDATE outbox_messages SET settled_at = {LONG_AGO}",
        f"UPDATE outbox_messages SET settled_at = {NOW}",
        lambda db: outbox.prune(db, older_than=timedelta(days=30)),
    ),
}


@pytest.fixture
def pair(own_db):
    """Two tenants of a database of their own, which sweeps over all organizations leave to other tests."""
    return several_pairs(own_db, 1)[0]


def test_a_sweep_leaves_a_row_that_is_not_due_though_another_tenants_of_its_id_is(pair):
    db = pair.db
    with db.privileged(reason="test"):
        for due, not_due, _ in SWEEPS.values():
            for organization, make in ((pair.a, due), (pair.b, not_due)):
                db.execute_sql(f"{make} WHERE organization_id = %s", (organization.id,))
        mine = {table: rows(db, table, pair.a) for table in SWEEPS}
        theirs = {table: rows(db, table, pair.b) for table in SWEEPS}
        for *_, sweep in SWEEPS.values():
            sweep(db)
        assert {table: rows(db, table, pair.b) for table in SWEEPS} == theirs
        assert all(theirs.values())
        assert [table for table in SWEEPS if rows(db, table, pair.a) == mine[table]] == []


def test_signing_out_in_privileged_work_is_of_one_organizations_user(pair):
    db = pair.db
    with db.privileged(reason="test"):
        db.execute_sql(f"UPDATE devices SET expires_at = {LATER} WHERE id = %s", (pair.base,))
        user = User.get(User.id == pair.base, User.organization == pair.a)
        theirs = rows(db, "users", pair.b), rows(db, "devices", pair.b)
        assert [device.organization_id for device in sign_in.devices(user)] == [pair.a.id]
        before = user.jti
        sign_in.sign_out(user, pair.base)
        assert sign_in.devices(user) == []
        sign_in.sign_out(user)
        assert user.jti != before
        assert (rows(db, "users", pair.b), rows(db, "devices", pair.b)) == theirs


def rows(db, table, organization):
    return db.execute_sql(
        f"SELECT to_jsonb(t) FROM {table} AS t WHERE organization_id = %s ORDER BY id", (organization.id,)
    ).fetchall()
