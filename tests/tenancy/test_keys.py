"""Acceptance: keys. A foreign key never leads to another tenant, and a duplicate reveals nothing of one."""

import pytest

from rayces_core import (
    Appointment,
    CreditBalance,
    DuplicateError,
    Like,
    OverlapError,
    Post,
    Professional,
    ReferenceNotFoundError,
    Student,
    User,
)
from tests.factory import START, make_user
from tests.walking import walked

NOBODY = 10**15
NAMES = {"first_name": "x", "last_name": "x"}

KEYS = {
    "create": lambda pair, key: Student.create(**NAMES, primary_contact=key),
    "insert": lambda pair, key: Student.insert(**NAMES, primary_contact=key).execute(),
    "insert_many": lambda pair, key: Student.insert_many(
        [NAMES | {"primary_contact": None}, NAMES | {"primary_contact": key}]
    ).execute(),
    "insert_many of tuples": lambda pair, key: Student.insert_many(
        [("x", "x", key)], fields=[Student.first_name, Student.last_name, Student.primary_contact]
    ).execute(),
    "bulk_create": lambda pair, key: Student.bulk_create([Student(**NAMES, primary_contact=key)]),
    "save": lambda pair, key: saved(pair, key),
    "update": lambda pair, key: Student.update(primary_contact=key).execute(),
    "bulk_update": lambda pair, key: bulk_updated(pair, key),
    "set_by_id": lambda pair, key: Student.set_by_id(pair.base, {"primary_contact_id": key}),
    "upsert": lambda pair, key: (
        Student.insert(**NAMES, id=pair.base)
        .on_conflict(conflict_target=[Student.id], update={Student.primary_contact: key})
        .execute()
    ),
    "key to a key": lambda pair, key: Appointment.create(
        professional=key, student=pair.base, client=pair.base, scheduled_at=START
    ),
    "raw insert": lambda pair, key: pair.db.execute_sql(
        "insert into students (organization_id, first_name, last_name, primary_contact_id) values (%s, 'x', 'x', %s)",
        (pair.a.id, key),
    ),
    "raw update": lambda pair, key: pair.db.execute_sql(
        "update students set primary_contact_id = %s where organization_id = %s", (key, pair.a.id)
    ),
}


def saved(pair, key):
    row = Student.get_by_id(pair.base)
    row.primary_contact = key
    row.save()


def bulk_updated(pair, key):
    row = Student.get_by_id(pair.base)
    row.primary_contact_id = key
    Student.bulk_update([row], ["primary_contact"])


@pytest.mark.slow
@walked("how", KEYS, anew="pair")
def test_a_key_of_another_tenants_row_is_refused_like_one_of_nobodys(pair, how):
    with pair.in_b():
        theirs = Professional.create(user=make_user(id=pair.base + 500)).user_id
    before, messages = pair.snapshot(), []
    with pair.in_a():
        for key in (theirs, NOBODY):
            with pytest.raises(ReferenceNotFoundError) as caught:
                KEYS[how](pair, key)
            messages.append((str(caught.value), caught.value.fields, caught.value.constraint, caught.value.table))
    assert messages[0] == messages[1]
    assert str(theirs) not in str(messages)
    assert pair.snapshot() == before


def test_an_instance_of_another_tenant_is_refused_as_a_key_too(pair):
    with pair.in_b():
        theirs = make_user(id=pair.base + 500)
    before = pair.snapshot()
    with pair.in_a():
        for attempt in (
            lambda: Student.create(**NAMES, primary_contact=theirs),
            lambda: Student.insert(**NAMES, primary_contact=theirs).execute(),
            lambda: Student.update(primary_contact=theirs).execute(),
            lambda: Like.create(user=theirs, post=pair.base),
        ):
            with pytest.raises(ReferenceNotFoundError, match="does not exist"):
                attempt()
    assert pair.snapshot() == before


# -- natural keys -----------------------------------------------------------------------------------------------------

DUPLICATES = {
    "e-mail": (lambda base: User.create(email=f"person{base}@example.org"), DuplicateError, ("email",)),
    "profile of a user": (lambda base: Professional.create(user=base), DuplicateError, ("user_id",)),
    "like": (lambda base: Like.create(user=base, post=base), DuplicateError, None),
    "balance of a user": (lambda base: CreditBalance.create(user=base), DuplicateError, ("user_id", "credit_kind_id")),
    "id": (lambda base: Post.create(id=base, user=base), DuplicateError, None),
    "time of a professional": (lambda base: booked(base), OverlapError, None),
}


def booked(base):
    """Take the time of the first appointment; drafts take none, so both are in a state that does."""
    state = {"state": "pre_confirmed", "pre_confirmed_at": START, "expires_at": START}
    first = Appointment.get_by_id(base)
    if first.state == "draft":
        first.pre_confirm(override_blocked=True)
    Appointment.create(professional=base, student=base, client=base, scheduled_at=first.scheduled_at, **state)


@walked("what", DUPLICATES, anew="pair")
def test_a_duplicate_within_a_tenant_is_an_error_that_names_the_field(pair, what):
    make, error, fields = DUPLICATES[what]
    with pair.in_a(), pytest.raises(error) as caught:
        make(pair.base)
    assert fields in (None, caught.value.fields)
    assert "organization" not in str(caught.value)
    assert not any(str(secret) in str(caught.value) for secret in (pair.base, pair.a.id, pair.b.id))


@pytest.mark.slow
@walked("what", DUPLICATES, anew="pair")
def test_the_same_natural_key_may_exist_in_two_tenants(pair, what):
    """The two tenants are made with equal keys; with B's rows alone there is no conflict in A."""
    make = DUPLICATES[what][0]
    with pair.in_a():
        with pytest.raises((DuplicateError, OverlapError)) as with_both:
            make(pair.base)
        assert User.get().email == f"person{pair.base}@example.org"
    with pair.in_b():
        assert User.get().email == f"person{pair.base}@example.org"
        with pytest.raises((DuplicateError, OverlapError)) as in_b:
            make(pair.base)
    assert str(in_b.value) == str(with_both.value)


def test_a_natural_key_that_only_another_tenant_has_is_free(pair):
    with pair.in_b():
        make_user(email="free@example.org", jti="free", id=pair.base + 500)
    with pair.in_a(), pair.b_untouched():
        made = make_user(email="free@example.org", jti="free", id=pair.base + 500)
        assert User.get_by_id(made.id).organization_id == pair.a.id
