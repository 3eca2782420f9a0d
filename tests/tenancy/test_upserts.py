"""Acceptance: upserts. A conflict is one within the tenant, and DO UPDATE never touches another tenant's row."""

from datetime import timedelta

import pytest
from peewee import EXCLUDED, SQL

from rayces_core import (
    Appointment,
    CrossTenantError,
    DuplicateError,
    Like,
    Organization,
    Student,
    TenantImmutableError,
    TenantNotSetError,
    User,
)
from tests.factory import START, write_past
from tests.tenancy.write_paths import TENANT_KEYS
from tests.walking import walked


def email(world):
    """The address that one user of A and one of B share."""
    return f"person{world.base}@example.org"


def user(world, **columns):
    return User.insert({"email": email(world), "first_name": "upserted"} | columns)


UPSERTS = {
    "target and update": lambda w: user(w).on_conflict(
        conflict_target=[User.email], update={User.first_name: "updated"}
    ),
    "target by name": lambda w: user(w).on_conflict(conflict_target=["email"], update={"first_name": "updated"}),
    "target with the organization": lambda w: user(w).on_conflict(
        conflict_target=[User.organization, User.email], update={User.first_name: "updated"}
    ),
    "target with the column": lambda w: user(w).on_conflict(
        conflict_target=["organization_id", "email"], update={User.first_name: "updated"}
    ),
    "target that is the id": lambda w: user(w, id=w.base, email="new@example.org").on_conflict(
        conflict_target=[User.id], update={User.first_name: "updated"}
    ),
    "preserve": lambda w: user(w, first_name="updated").on_conflict(
        conflict_target=[User.email], preserve=[User.first_name]
    ),
    "excluded": lambda w: user(w, first_name="upd").on_conflict(
        conflict_target=[User.email], update={User.first_name: EXCLUDED.first_name.concat("ated")}
    ),
    "constraint": lambda w: user(w).on_conflict(
        conflict_constraint="users_organization_id_email_key", update={User.first_name: "updated"}
    ),
    "where": lambda w: user(w).on_conflict(
        conflict_target=[User.email], update={User.first_name: "updated"}, where=(User.first_name << ["ours", "theirs"])
    ),
    "where a sub-query": lambda w: user(w).on_conflict(
        conflict_target=[User.email],
        update={User.first_name: "updated"},
        where=(User.id << Student.select(Student.primary_contact)),
    ),
    "insert_many": lambda w: User.insert_many([{"email": email(w), "first_name": "updated"}]).on_conflict(
        conflict_target=[User.email], preserve=[User.first_name]
    ),
    "insert_many of tuples": lambda w: User.insert_many(
        [(email(w), "updated")], [User.email, User.first_name]
    ).on_conflict(conflict_target=[User.email], preserve=[User.first_name]),
    "insert_from": lambda w: User.insert_from(
        User.select(User.email, SQL("'updated'"), SQL("'token'")), [User.email, User.first_name, User.jti]
    ).on_conflict(conflict_target=[User.email], preserve=[User.first_name]),
    "returning": lambda w: (
        user(w).on_conflict(conflict_target=[User.email], update={User.first_name: "updated"}).returning(User)
    ),
}


@pytest.mark.slow
@walked("how", UPSERTS, anew="pair")
def test_an_upsert_updates_the_tenants_own_row_and_never_anothers(pair, how):
    with pair.b_untouched(), pair.in_a():
        UPSERTS[how](pair).execute()
        assert [(row.id, row.first_name, row.organization_id) for row in User] == [(pair.base, "updated", pair.a.id)]


@pytest.mark.slow
@walked("how", [how for how in UPSERTS if how not in ("insert_from", "target that is the id")], anew="pair")
def test_an_upsert_inserts_where_only_another_tenant_has_the_row(pair, how):
    with pair.in_a():
        User.update(email="other@example.org").execute()
        with pair.b_untouched():
            UPSERTS[how](pair).execute()
        assert User.select().count() == 2
        assert User.select().where(User.email == email(pair)).get().id != pair.base


@walked("how", UPSERTS)
def test_an_upsert_raises_without_a_tenant_before_any_sql(walled, how):
    with walled.nothing_sent(), pytest.raises(TenantNotSetError):
        UPSERTS[how](walled).execute()


@walked("how", ["ignore", "nothing", "target"], anew="pair")
def test_a_conflict_is_ignored_within_the_tenant_only(pair, how):
    query = {
        "ignore": lambda: user(pair).on_conflict_ignore(),
        "nothing": lambda: user(pair).on_conflict("ignore"),
        "target": lambda: user(pair).on_conflict(action="ignore", conflict_target=[User.email]),
    }[how]
    with pair.b_untouched(), pair.in_a():
        assert query().execute() is None
        User.update(email="other@example.org").execute()
        query().execute()
        assert User.select().count() == 2


def test_a_partial_unique_index_is_a_target_within_the_tenant(pair):
    state = {"state": "confirmed", "pre_confirmed_at": START, "expires_at": START, "confirmed_at": START}
    slot = {"professional": pair.base, "student": pair.base, "client": pair.base, "scheduled_at": START}
    upsert = Appointment.insert(slot | state | {"notes": "updated"}).on_conflict(
        conflict_target=[Appointment.professional, Appointment.scheduled_at, Appointment.state],
        conflict_where=SQL("state IN ('confirmed', 'executed') AND group_session_id IS NULL"),
        preserve=[Appointment.notes],
    )
    for scope in (pair.in_b, pair.in_a):
        with scope():
            first = Appointment.get()
            write_past(first, scheduled_at=START)
            first = Appointment.get()
            first.pre_confirm(override_blocked=True, now=START - timedelta(hours=1))
            first.confirm(now=START)
    with pair.b_untouched(), pair.in_a():
        upsert.execute()
        assert [row.notes for row in Appointment] == ["updated"]


@walked("key", TENANT_KEYS)
def test_an_upsert_cannot_set_the_organization(walled, key):
    named = TENANT_KEYS[key]()
    row = {"first_name": "x", "last_name": "x"}
    for options in ({"update": {named: walled.b.id}}, {"preserve": [Student.first_name, named]}):
        for scope in (walled.in_a, walled.privileged):
            upsert = Student.insert(row | {"organization": walled.a}).on_conflict(
                conflict_target=[Student.id], **options
            )
            with scope(), walled.nothing_sent(), pytest.raises(TenantImmutableError):
                upsert.execute()


def test_an_upsert_that_names_another_tenant_is_refused_before_any_sql(walled):
    for how in ("target and update", "preserve", "constraint"):
        upsert = UPSERTS[how](walled)
        upsert._insert = upsert._insert | {User.organization: walled.b.id}
        with walled.in_a(), walled.nothing_sent(), pytest.raises(CrossTenantError):
            upsert.execute()


def test_an_upsert_in_privileged_work_is_one_within_the_organization_it_names(walled_pair):
    pair = walled_pair
    with pair.b_untouched():
        with pair.privileged():
            upsert = user(pair, first_name="updated", organization=pair.a)
            upsert.on_conflict(conflict_target=[User.email], preserve=[User.first_name]).execute()
        with pair.in_a():
            assert [row.first_name for row in User] == ["updated"]


def test_an_organization_is_upserted_by_its_own_keys(walled_pair):
    pair = walled_pair
    with pair.b_untouched(), pair.privileged():
        for target, own in ((Organization.subdomain, {}), ("subdomain", {}), (Organization.id, {"id": pair.a.id})):
            row = {"name": f"by {target}", "subdomain": pair.a.subdomain} | own
            upsert = Organization.insert(row).on_conflict(conflict_target=[target], preserve=[Organization.name])
            assert upsert.execute() == pair.a.id
            assert Organization.get_by_id(pair.a.id).name == f"by {target}"


def test_a_conflict_that_is_not_handled_is_a_duplicate(pair):
    with pair.in_a(), pair.b_untouched():
        with pytest.raises(DuplicateError):
            user(pair).on_conflict(conflict_target=[User.jti], preserve=[User.first_name]).execute()
        with pytest.raises(DuplicateError):
            Like.insert(user=pair.base, post=pair.base).execute()


def test_an_organization_is_upserted_by_nobody_but_privileged_work(world):
    row = {"name": "taken over", "subdomain": world.b.subdomain}
    upsert = Organization.insert(row).on_conflict(
        conflict_target=[Organization.subdomain], preserve=[Organization.name]
    )
    with world.in_a(), world.nothing_sent(), pytest.raises(Exception, match="create_organization"):
        upsert.execute()
