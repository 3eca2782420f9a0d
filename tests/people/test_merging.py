"""Merging two contacts: what was the duplicate's is the other's, and the ledgers keep their chains."""

import re
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CheckFailedError,
    CreditBalance,
    CreditTransaction,
    InvalidDataError,
    Like,
    MergeRefusedError,
    Notice,
    NotPermittedError,
    OutboxMessage,
    PermissionDeniedError,
    Post,
    ReferenceNotFoundError,
    Role,
    StateTransition,
    Student,
    TransactionFailedError,
    User,
    clock,
    credits,
    importing,
    people,
    scheduling,
)
from rayces_core.errors import WrongCredentialsError
from rayces_core.integrations import payments
from rayces_core.integrations.payments import Notification, Status
from rayces_core.models import TENANT_MODELS
from rayces_core.outbox.topics import parse
from rayces_core.people.rules import RULES, Rule
from rayces_core.sign_in import check_password, set_password
from tests.factory import (
    START,
    make_appointment,
    make_device,
    make_kind,
    make_like,
    make_notice,
    make_package,
    make_post,
    make_professional,
    make_student,
    make_user,
    rows_of,
)
from tests.people import racers
from tests.scheduling.worlds import Other
from tests.state_machine.racers import race
from tests.walking import walked

DAY = timedelta(days=1)


def left(user):
    return [(lot.remaining, lot.expires_at) for lot in credits.lots(user)]


# -- every row that names a user ---------------------------------------------------------------------------------------


def test_every_foreign_key_to_users_has_a_rule(bound, db):
    found = db.execute_sql(
        "SELECT c.relname::text, a.attname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[2] "
        "WHERE k.contype = 'f' AND k.confrelid = 'users'::regclass"
    ).fetchall()
    assert {tuple(row) for row in found} == set(RULES)


def test_nothing_that_moves_names_the_duplicate_afterwards(bound, db, desk, ana, twin):
    make_student(primary_contact=twin)
    make_student(secondary_contact=twin)
    make_appointment(client=twin)
    make_like(user=twin)
    make_post(user=twin)
    make_device(user=twin)
    people.merge_users(twin, make_user(), by=desk)
    merged = people.merge_users(ana, twin, by=desk)
    assert merged.moved == {
        "students": 2,
        "appointments.client_id": 1,
        "posts.user_id": 1,
        "likes.user_id": 1,
        "users.merged_into_id": 1,
        "devices": 1,
    }
    for (table, column), rule in RULES.items():
        if rule is not Rule.KEPT:
            sql = f"SELECT count(*) FROM {table} WHERE organization_id = %s AND {column} = %s"
            assert db.execute_sql(sql, (bound.id, twin.id)).fetchone() == (0,), (table, column)


def test_the_duplicate_says_into_whom_it_was_merged_and_old_ids_lead_there(ana, twin, desk):
    people.merge_users(ana, twin, by=desk, reason="entered twice")
    found = User.get_by_id(twin.id)
    assert (found.merged_into_id, found.merged_at is None) == (ana.id, False)
    assert people.person_behind(twin.id).id == people.person_behind(ana).id == ana.id
    (change,) = StateTransition.select().where(StateTransition.subject_type == "User")
    assert (change.subject_id, change.event, change.to_state) == (twin.id, "merged", "merged")
    assert (change.actor_id, change.reason) == (desk.id, "entered twice")


def test_a_message_tells_of_it(ana, twin, desk):
    people.merge_users(ana, twin, by=desk)
    (told,) = OutboxMessage.select().where(OutboxMessage.topic == "user.merged")
    assert (told.subject_type, told.subject_id) == ("User", twin.id)
    payload = parse(told.topic, told.version, told.payload)
    assert (payload.merged_into_id, payload.actor_id) == (ana.id, desk.id)


def test_a_second_duplicate_and_one_of_a_duplicate_lead_to_the_same_person(ana, twin, desk):
    third = make_user()
    people.merge_users(twin, third, by=desk)
    people.merge_users(ana, twin, by=desk)
    assert people.person_behind(third).id == ana.id
    fourth = make_user()
    assert people.merge_users(third, fourth, by=desk).keep_id == ana.id
    assert people.person_behind(fourth).id == ana.id


def test_what_the_one_that_stays_lacks_is_taken_over_and_nothing_else(twin, desk):
    bare = make_user(first_name=None, last_name=None, phone=None)
    people.merge_users(bare, twin, by=desk)
    found = User.get_by_id(bare.id)
    assert (found.full_name, found.phone, found.external_id) == ("Ana Maria Paz", "11 4000-0000", "F-17")
    assert found.email == bare.email
    other = make_user(first_name="Otra", external_id="F-18")
    people.merge_users(bare, other, by=desk)
    found = User.get_by_id(bare.id)
    assert (found.first_name, found.external_id) == ("Ana Maria", "F-17")


@pytest.mark.slow
def test_who_wants_no_notices_in_one_of_the_rows_wants_none_and_a_language_is_kept(twin, desk):
    bare = make_user(muted_channels=["sms", "push"])
    User.update(muted_channels=["email", "sms"], language="en").where(User.id == twin.id).execute()
    people.merge_users(bare, twin, by=desk)
    found = User.get_by_id(bare.id)
    assert (found.muted_channels, found.language) == (["email", "push", "sms"], "en")
    people.merge_users(bare, make_user(language="es"), by=desk)
    found = User.get_by_id(bare.id)
    assert (found.muted_channels, found.language) == (["email", "push", "sms"], "en")


def test_nobody_signs_in_by_the_duplicate(ana, twin, desk):
    set_password(twin, "a long password")
    set_password(ana, "another password")
    people.merge_users(ana, twin, by=desk)
    for email in (twin.email, User.get_by_id(twin.id).email):
        with pytest.raises(WrongCredentialsError):
            check_password(email, "a long password")
    assert check_password(ana.email, "another password").id == ana.id
    assert make_user(email=twin.email).id != twin.id


def test_the_address_of_a_duplicate_is_nobodys_whatever_others_are_called(ana, twin, desk):
    make_user(email=f"merged-{twin.id}@merged.invalid")
    people.merge_users(ana, twin, by=desk)
    assert re.fullmatch(rf"merged-[0-9a-f]+-{twin.id}@merged.invalid", User.get_by_id(twin.id).email)


# -- the same row twice ------------------------------------------------------------------------------------------------


def test_of_a_student_whose_contacts_both_are_the_one_that_stays_is_the_first(ana, twin, desk):
    other = make_user()
    both = [make_student(primary_contact=ana, secondary_contact=twin)]
    both += [make_student(primary_contact=twin, secondary_contact=ana)]
    one = make_student(primary_contact=other, secondary_contact=twin)
    assert people.merge_users(ana, twin, by=desk).twice == {"students": 2}
    for student in both:
        found = Student.get_by_id(student.id)
        assert (found.primary_contact_id, found.secondary_contact_id) == (ana.id, None)
    found = Student.get_by_id(one.id)
    assert (found.primary_contact_id, found.secondary_contact_id) == (other.id, ana.id)


def test_a_post_that_both_like_is_liked_once(ana, twin, desk):
    post = make_post()
    make_like(user=ana, post=post)
    make_like(user=twin, post=post)
    make_like(user=twin)
    merged = people.merge_users(ana, twin, by=desk)
    assert (merged.twice, merged.moved["likes.user_id"]) == ({"likes": 1}, 1)
    assert Like.select().where(Like.user == ana).count() == 2
    assert Post.select().where(Post.user == twin).count() == 0


# -- credits -----------------------------------------------------------------------------------------------------------


def test_credits_of_each_kind_go_by_entries_of_both_ledgers(ana, twin, desk):
    speech = make_kind()
    credits.purchase(ana, 1)
    credits.purchase(twin, 5)
    credits.debit(twin, 2)
    credits.purchase(twin, 4, kind=speech)
    merged = people.merge_users(ana, twin, by=desk)
    assert merged.credits == {None: 3, speech.id: 4}
    assert (credits.balance(ana), credits.balance(ana, kind=speech)) == (4, 4)
    assert (credits.balance(twin), credits.balance(twin, kind=speech)) == (0, 0)
    assert credits.verify().is_clean
    entries = CreditTransaction.select().where(CreditTransaction.reason == f"merged from user {twin.id}")
    assert sorted(each.amount for each in entries) == [-4, -3, 3, 4]
    assert {each.created_by_id for each in entries} == {desk.id}


@pytest.mark.slow
def test_lots_hold_until_the_day_they_held_until(ana, twin, desk):
    for days in (30, 10, 60):
        credits.purchase_package(twin, make_package(credits=8, valid_days=days))
    credits.debit(twin, 3)
    credits.purchase(twin, 2)
    before = left(twin)
    assert [remaining for remaining, _ in before] == [5, 8, 8]
    merged = people.merge_users(ana, twin, by=desk)
    assert merged.credits == {None: 23}
    assert (left(ana), left(twin)) == (before, [])
    assert credits.verify().is_clean
    assert (credits.balance(ana), credits.balance(twin)) == (23, 0)


def test_what_has_expired_does_not_go_on(ana, twin, desk):
    with clock.frozen(START):
        credits.purchase_package(twin, make_package(credits=8, valid_days=10))
        credits.purchase_package(twin, make_package(credits=3, valid_days=30))
        credits.purchase(twin, 1)
    with clock.frozen(START + 20 * DAY):
        merged = people.merge_users(ana, twin, by=desk)
        assert merged.credits == {None: 4}
        assert [remaining for remaining, _ in left(ana)] == [3]
        expired = CreditTransaction.select().where(CreditTransaction.transaction_type == "expiry")
        assert [(each.user_id, each.amount) for each in expired] == [(twin.id, -8)]
        assert credits.verify().is_clean


def test_a_lot_that_is_spent_stays_with_whom_it_was_bought_for(ana, twin, desk):
    credits.purchase_package(twin, make_package(credits=3, valid_days=10))
    credits.purchase_package(twin, make_package(credits=8, valid_days=30))
    credits.debit(twin, 4)
    assert people.merge_users(ana, twin, by=desk).credits == {None: 7}
    assert [remaining for remaining, _ in left(ana)] == [7]
    assert credits.verify().is_clean


def test_what_a_session_has_reserved_is_the_one_that_stays_afterwards(ana, twin, desk):
    dance = make_kind()
    credits.purchase(ana, 1)
    credits.purchase(twin, 3)
    credits.purchase(twin, 2, kind=dance)
    session = make_appointment(client=twin, uses_credit=True, credits_used=1)
    session.pre_confirm()
    assert session.reserved_credits == 1
    people.merge_users(ana, twin, by=desk)
    session = Appointment.get_by_id(session.id)
    held = {(row.user_id, row.credit_kind_id): (row.balance, row.reserved) for row in CreditBalance.select()}
    assert held == {
        (ana.id, None): (4, 1),
        (ana.id, dance.id): (2, 0),
        (twin.id, None): (0, 0),
        (twin.id, dance.id): (0, 0),
    }
    assert (session.client_id, session.reserved_credits) == (ana.id, 1)
    session.confirm()
    assert (credits.balance(ana), credits.verify().is_clean) == (3, True)


def test_what_a_session_had_reserved_of_what_has_expired_is_free_again(ana, twin, desk):
    package = make_package(credits=2, valid_days=1)
    with clock.frozen(START):
        credits.purchase_package(twin, package)
        session = make_appointment(client=twin, uses_credit=True, credits_used=1, scheduled_at=START + 5 * DAY)
        session.pre_confirm()
        assert session.reserved_credits == 1
    with clock.frozen(START + 2 * DAY):
        people.merge_users(ana, twin, by=desk)
        assert Appointment.get_by_id(session.id).reserved_credits == 0
        assert credits.verify().is_clean


def test_who_were_both_to_be_told_of_the_same_are_told_once(ana, twin, desk):
    notice = make_notice(recipient=twin)
    again = {
        name: getattr(notice, name) for name in ("appointment", "event", "minutes_before", "cause_id", "occurs_at")
    }
    make_notice(recipient=ana, channel=notice.channel, **again)
    make_notice(recipient=twin)
    merged = people.merge_users(ana, twin, by=desk)
    assert (merged.twice, merged.moved["notices.recipient_id"]) == ({"notices": 1}, 1)
    assert [told.recipient_id for told in Notice.select()] == [ana.id, ana.id]


@pytest.mark.slow
def test_payments_that_were_awaited_and_refunds_of_old_sessions_go_on_later(ana, twin, desk):
    booked = make_appointment(client=twin, uses_credit=True, credits_used=2)
    credits.purchase(twin, 2)
    credits.debit(twin, 2, appointment=booked)
    awaited = credits.purchase(twin, 5, pending=True, payment_method="mp", payment_reference="17")
    people.merge_users(ana, twin, by=desk)
    assert people.forward_credits(by=desk) == 0
    credits.complete(awaited)
    credits.refund(booked)
    assert (credits.balance(ana), credits.balance(twin)) == (0, 7)
    assert people.forward_credits(by=desk) == 7
    assert (credits.balance(ana), credits.balance(twin)) == (7, 0)
    assert people.forward_credits(by=desk) == 0
    assert credits.verify().is_clean


def test_a_payment_that_is_given_back_after_the_merge_is_taken_from_the_one_that_stays(ana, twin, desk):
    paid = {"payment_method": "pretend", "payment_reference": "17"}
    credits.purchase(twin, 5, pending=True, **paid)
    payments.post(Notification("pretend", "17", Status.COMPLETED))
    people.merge_users(ana, twin, by=desk)
    for _ in range(2):
        payments.post(Notification("pretend", "17", Status.REFUNDED))
        assert (credits.balance(ana), credits.balance(twin)) == (0, 0)
    assert credits.verify().is_clean


def test_what_is_taken_back_after_the_merge_comes_from_its_own_lot(ana, twin, desk):
    again = make_user()
    bought = credits.purchase_package(twin, make_package(credits=8, valid_days=60))
    credits.purchase_package(ana, make_package(credits=5, valid_days=10))
    for keep, duplicate in ((ana, twin), (again, ana)):
        people.merge_users(keep, duplicate, by=desk)
        credits.take_back(bought, credits=3, reason="refunded", from_user=keep)
        assert [remaining for remaining, _ in left(keep)] == ([5, 5] if keep is ana else [5, 2])
        assert credits.verify().is_clean


def test_credits_of_a_duplicate_are_what_its_ledger_says(ana, twin, desk):
    credits.purchase_package(twin, make_package(credits=3, valid_days=9))
    people.merge_users(ana, twin, by=desk)
    ends = clock.now() + timedelta(minutes=1)
    told = credits.statement(twin, ends - timedelta(days=1), ends)
    assert (credits.balance(twin), credits.lots(twin)) == (0, [])
    assert ([line.entry.amount for line in told.lines], told.closing_balance) == ([3, -3], 0)
    assert (credits.balance(ana), [lot.remaining for lot in credits.lots(ana)]) == (3, [3])


# -- again, and what is refused ----------------------------------------------------------------------------------------


def test_a_second_time_nothing_is_done(ana, twin, desk):
    credits.purchase(twin, 5)
    people.merge_users(ana, twin, by=desk)
    before = CreditTransaction.select().count(), StateTransition.select().count(), OutboxMessage.select().count()
    again = people.merge_users(ana, twin, by=desk)
    assert (again.was_repeated, again.credits, again.moved) == (True, {}, {})
    assert before == (
        CreditTransaction.select().count(),
        StateTransition.select().count(),
        OutboxMessage.select().count(),
    )


def test_a_preview_says_the_same_and_changes_nothing(ana, twin, desk):
    make_student(primary_contact=twin)
    make_appointment(client=twin)
    credits.purchase(twin, 5)
    told = people.preview_merge(ana, twin, by=desk)
    assert (User.get_by_id(twin.id).email, credits.balance(twin)) == (twin.email, 5)
    assert OutboxMessage.select().where(OutboxMessage.topic == "user.merged").count() == 0
    assert people.merge_users(ana, twin, by=desk) == told


def refusal(keep, duplicate, desk):
    with pytest.raises(MergeRefusedError) as caught:
        people.merge_users(keep, duplicate, by=desk)
    return caught.value.reason


@pytest.mark.parametrize(("given", "field"), [({"keep": "ana"}, "keep"), ({"duplicate": True}, "duplicate")])
def test_what_is_no_user_is_refused_by_its_name(ana, twin, desk, given, field):
    with pytest.raises(InvalidDataError, match=field) as caught:
        people.merge_users(**({"keep": ana, "duplicate": twin, "by": desk} | given))
    assert caught.value.field == field


def test_a_long_reason_is_refused(ana, twin, desk):
    with pytest.raises(InvalidDataError) as caught:
        people.merge_users(ana, twin, by=desk, reason="x" * 501)
    assert caught.value.field == "reason"


def test_what_is_refused_says_why(ana, twin, desk):
    working = make_professional()
    assert refusal(ana, working.user, desk) == "role"
    working.user.role = Role.GUARDIAN
    working.user.save()
    assert refusal(ana, working.user, desk) == "professional"
    assert refusal(ana, make_user(role=Role.ADMIN), desk) == "role"
    assert people.merge_users(working.user, make_user(), by=desk).moved == {}
    people.merge_users(ana, twin, by=desk)
    assert refusal(make_user(), twin, desk) == "merged"
    with pytest.raises(InvalidDataError):
        people.merge_users(ana, ana, by=desk)
    assert refusal(twin, ana, desk) == "merged"
    with pytest.raises(ReferenceNotFoundError):
        people.merge_users(ana, 10**15, by=desk)
    with pytest.raises(NotPermittedError):
        people.merge_users(ana, make_user(), by=ana)


def test_a_user_of_another_organization_is_not_found(db, b, ana, desk):
    with db.tenant(b):
        other = make_user()
    with pytest.raises(ReferenceNotFoundError):
        people.merge_users(ana, other.id, by=desk)
    with db.tenant(b):
        assert User.get_by_id(other.id).merged_into_id is None


def test_nobody_books_for_a_duplicate_any_more(ana, twin, desk):
    professional, student = make_professional(), make_student(primary_contact=twin)
    wish = {"professional": professional, "student": student, "scheduled_at": START, "by": desk, "now": START - DAY}
    people.merge_users(ana, twin, by=desk)
    with pytest.raises(ReferenceNotFoundError):
        scheduling.book(client=twin, override_schedule=True, **wish)
    assert scheduling.book(client=ana, override_schedule=True, **wish).client_id == ana.id


# -- duplicates --------------------------------------------------------------------------------------------------------


def test_who_has_a_telephone_or_a_whole_name_in_common_may_be_one_person(ana, twin, desk):
    named = make_user(first_name="ana", last_name="PAZ ")
    make_user(first_name="Ana", last_name=None)
    found = {tuple(user.id for user in each.users): each.common for each in people.duplicates()}
    assert found == {(ana.id, twin.id): ("phone",), (ana.id, named.id): ("name",)}
    people.merge_users(ana, twin, by=desk)
    assert [each.common for each in people.duplicates()] == [("name",)]


@pytest.mark.slow
def test_a_name_in_a_file_is_the_one_that_stays(desk):
    zoe, twin = (make_user(first_name="Zoe", last_name="Rey") for _ in range(2))
    working, child = make_professional(), make_student()
    row = {"professional": working.user.email, "student_first_name": child.first_name}
    row |= {"student_last_name": child.last_name, "scheduled_at": "03/03/2031 14:00", "client": "Zoe Rey"}
    assert not importing.check([row], "appointments").is_clean
    people.merge_users(zoe, twin, by=desk)
    assert importing.check([row], "appointments").is_clean


# -- races -------------------------------------------------------------------------------------------------------------


RACING = (racers.merge, racers.buy, racers.spend, racers.book, racers.merge_crossed)


@pytest.mark.slow
@pytest.mark.parametrize("racing", RACING, ids=lambda racer: racer.__name__)
def test_what_happens_to_the_duplicate_meanwhile_comes_before_or_after(own_db, racing):
    a = own_db.create_organization("Centre", subdomain="centre")
    with own_db.tenant(a):
        make_user(role=Role.STAFF)
        keep = make_user(first_name="Keep")
        make_appointment(scheduled_at=START)
        rows = [make_user() for _ in range(4 if racing is racers.merge_crossed else 8)]
        for row in rows:
            credits.purchase(row, 5)
    if racing is racers.merge_crossed:
        rows = rows[:1]
    outcomes = race(own_db, a, rows, [racers.merge, racing])
    with own_db.tenant(a):
        people.forward_credits(by=racers.desk())
        assert credits.verify().is_clean
        if racing is racers.merge_crossed:
            merged = [user for user in User.select() if user.merged_into_id is not None]
            assert len(merged) == 1
            return
        assert outcomes[0] == [None] * len(rows)
        assert {User.get_by_id(row.id).merged_into_id for row in rows} == {keep.id}
        assert Appointment.select().where(Appointment.client << [row.id for row in rows]).count() == 0
        assert sum(credits.balance(row) for row in rows) == 0


KILLED = """
import os, signal, sys
import tests
from rayces_core import Database, Role, User, people
from rayces_core.people.merging import _Merge
steps, url, organization, keep, duplicate = int(sys.argv[1]), *sys.argv[2:]
run = _Merge._run
def counted(merge, sql, **more):
    global steps
    steps -= 1
    if steps == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(merge, sql, **more)
_Merge._run = counted
with Database.connect(url) as db, db.tenant(int(organization)):
    people.merge_users(int(keep), int(duplicate), by=User.get(User.role == Role.STAFF))
"""
STATEMENTS = 14


@pytest.mark.slow
def test_killed_anywhere_nothing_is_half_done(own_db):
    a = own_db.create_organization("Centre", subdomain="centre")
    with own_db.tenant(a):
        make_user(role=Role.STAFF)
        keep, old = make_user(), make_user()
        make_student(primary_contact=old)
        make_appointment(client=old)
        credits.purchase(old, 5)
        before = rows_of(*TENANT_MODELS)
        for steps in (*range(3, STATEMENTS, 2), STATEMENTS):
            given = [str(each) for each in (steps, own_db.url, a.id, keep.id, old.id)]
            done = subprocess.run([sys.executable, "-c", KILLED, *given], capture_output=True, text=True, check=False)
            assert done.returncode == -signal.SIGKILL, (steps, done.stderr)
            assert rows_of(*TENANT_MODELS) == before
        people.merge_users(keep, old, by=racers.desk())
        assert rows_of(*TENANT_MODELS) != before


def test_two_are_no_one_on_a_snapshot_that_shows_not_all_of_them(db, bound, desk, ana, twin):
    with pytest.raises(TransactionFailedError, match="REPEATABLE READ sees"), db.atomic("REPEATABLE READ"):
        User.select().count()
        Other(db, bound, lambda: make_post(user=twin)).finish()
        people.merge_users(ana, twin, by=desk)
    assert User.get_by_id(twin.id).merged_into_id is None


# -- past the library --------------------------------------------------------------------------------------------------

BY_HAND = {
    "merged_into_id = NULL, merged_at = NULL": CheckFailedError,
    "merged_into_id = NULL": CheckFailedError,
    "merged_at = NULL": CheckFailedError,
    "merged_into_id = id": CheckFailedError,
    "merged_into_id = 0": ReferenceNotFoundError,
    "erased_at = now()": PermissionDeniedError,
    "organization_id = 0": PermissionDeniedError,
}


@walked("written", BY_HAND)
def test_a_merge_is_not_taken_back_by_hand(bound, db, ana, twin, desk, written):
    if User.get_by_id(twin.id).merged_into_id is None:
        people.merge_users(ana, twin, by=desk)
    with pytest.raises(BY_HAND[written]):
        db.execute_sql(f"UPDATE users SET {written} WHERE id = %s", (twin.id,))
    assert User.get_by_id(twin.id).merged_into_id == ana.id


def test_nobody_is_called_as_a_duplicate_is(twin):
    with pytest.raises(CheckFailedError, match="no merge is taken back by hand"):
        make_user(email="merged-0123abcd-17@merged.invalid")
