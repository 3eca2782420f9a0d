"""Who may move whose credits, and that nothing which is assigned and not saved makes anybody somebody."""

import pytest

from rayces_core import CrossTenantError, InvalidDataError, NotPermittedError, Role, User, credits, scheduling
from tests.credits.ledger import NOW, confirmed, held_appointment, nothing_written
from tests.factory import make_appointment, make_professional, make_student, make_user
from tests.walking import walked

# Every way in that takes `by=`, and who may use it for a balance of their own or of somebody else's.
WAYS = {
    "purchase": lambda by, ana, _: credits.purchase(ana, 1, by=by),
    "purchase, pending": lambda by, ana, _: credits.purchase(ana, 1, pending=True, by=by),
    "debit": lambda by, ana, _: credits.debit(ana, 1, by=by),
    "refund": lambda by, _, paid: credits.refund(paid, credits=1, by=by),
    "adjust": lambda by, ana, _: credits.adjust(ana, 1, reason="x", by=by),
    "transfer": lambda by, ana, _: credits.transfer(ana, make_user(), 1, reason="x", by=by),
    "purchase_many": lambda by, ana, _: credits.purchase_many([{"user": ana, "credits": 1}], by=by),
    "debit_many": lambda by, ana, _: credits.debit_many([{"user": ana, "credits": 1}], by=by),
    "complete": lambda by, ana, _: credits.complete(credits.purchase(ana, 1, pending=True), by=by),
    "fail": lambda by, ana, _: credits.fail(credits.purchase(ana, 1, pending=True), "no", by=by),
}


@pytest.fixture
def paid(rich):
    return confirmed(rich, 3)


@pytest.mark.slow
@walked("way", WAYS)
@walked("role", Role)
def test_f06_the_table_of_the_docs_holds_for_every_way_and_role(rich, paid, role, way):
    somebody = make_user(role=role)
    if role in (Role.STAFF, Role.ADMIN):
        WAYS[way](somebody, rich, paid)
    else:
        with pytest.raises(NotPermittedError) as caught:
            WAYS[way](somebody, rich, paid)
        assert (caught.value.actor_id, caught.value.allowed[0]) == (somebody.id, "staff and admins")


@walked("way", WAYS)
def test_f06_a_guardian_may_note_a_payment_of_their_own_and_nothing_else(rich, paid, way):
    if way == "purchase, pending":
        entry = WAYS[way](rich, rich, paid)
        assert (entry.status, entry.created_by) == ("pending", rich)
    else:
        with pytest.raises(NotPermittedError):
            WAYS[way](rich, rich, paid)


def test_f06_a_professional_does_not_even_note_a_payment_of_their_own(bound):
    user = make_user(role=Role.PROFESSIONAL)
    with nothing_written(), pytest.raises(NotPermittedError):
        credits.purchase(user, 1, pending=True, by=user)


def test_what_is_not_permitted_writes_nothing(rich, paid):
    for way, attempt in WAYS.items():
        if way not in ("purchase, pending", "complete", "fail"):  # these make one before, here
            with nothing_written(), pytest.raises(NotPermittedError):
                attempt(rich, rich, paid)


# -- one check of who acts, everywhere ---------------------------------------------------------------------------------


def promoted_by_a_form(user):
    user.role = Role.ADMIN  # and the form's save() failed
    return user


def made_up(user):
    return User(id=user.id, role=Role.ADMIN)


def with_another_id(user):
    user.id = make_user(role=Role.ADMIN).id
    return user


def partly_read(user):
    return User.select(User.id).where(User.id == user.id).get()


EVERYWHERE = {
    **WAYS,
    "an event": lambda by, ana, _: held_appointment(ana).confirm(by=by, now=NOW),
    "may an event": lambda by, ana, _: held_appointment(ana).can_confirm(by=by, now=NOW),
    "an event of a student": lambda by, *_: make_student().apply(by=by),
    "book": lambda by, ana, _: scheduling.book(
        student=make_student(), professional=make_professional(), client=ana, scheduled_at=NOW, by=by
    ),
    "reschedule": lambda by, ana, _: scheduling.reschedule(make_appointment(client=ana), NOW, by=by),
}


@pytest.mark.slow
@walked("way", EVERYWHERE)
@walked("claim", [promoted_by_a_form, made_up, with_another_id])
def test_f06_what_is_assigned_and_not_saved_convinces_nobody(rich, paid, way, claim):
    with pytest.raises(InvalidDataError) as caught:
        EVERYWHERE[way](claim(make_user()), rich, paid)
    assert caught.value.field == "by"


def test_f06_another_unsaved_column_matters_nothing(rich, desk):
    desk.first_name = "Mia"
    assert credits.purchase(rich, 1, by=desk).created_by == desk


def test_f06_a_role_that_was_not_read_is_none(rich, paid, desk):
    with pytest.raises((NotPermittedError, InvalidDataError)):
        WAYS["debit"](partly_read(make_user()), rich, paid)


@walked("way", EVERYWHERE)
def test_nobody_acts_in_another_organization(db, b, rich, paid, way):
    with db.tenant(b):
        stranger = make_user(role=Role.ADMIN)
    with pytest.raises(CrossTenantError):
        EVERYWHERE[way](stranger, rich, paid)
