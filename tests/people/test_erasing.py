"""Erasing a person: no table knows the name any more, and what was done and paid is as it was."""

import re
import signal
import subprocess
import sys
from datetime import date, timedelta
from unicodedata import normalize

import psycopg2
import pytest

from rayces_core import (
    Appointment,
    CalendarFeed,
    CreditBalance,
    CreditTransaction,
    Database,
    ErasureRefusedError,
    FeedNotFoundError,
    GroupSession,
    InvalidDataError,
    Invoice,
    Notice,
    NotPermittedError,
    OutboxMessage,
    PermissionDeniedError,
    Post,
    Professional,
    ReferenceNotFoundError,
    Role,
    SlotRequest,
    StateTransition,
    Student,
    User,
    calendars,
    clock,
    credits,
    invoicing,
    outbox,
    people,
    scheduling,
)
from rayces_core.credits.packages import purchase_again
from rayces_core.models import TENANT_MODELS
from rayces_core.outbox.topics import parse
from rayces_core.people.erasing import _Erasure
from rayces_core.people.mentions import pattern
from rayces_core.people.rules import PERSONAL, REPLACED
from rayces_core.sign_in import set_password
from tests.credits.ledger import early
from tests.factory import (
    START,
    make_appointment,
    make_device,
    make_import_run,
    make_kind,
    make_like,
    make_notice,
    make_organization,
    make_package,
    make_post,
    make_professional,
    make_slot_request,
    make_student,
    make_time_off,
    make_user,
    rows_of,
)
from tests.invoicing.world import FIRST, LAST, session
from tests.people import racers
from tests.scheduling.worlds import ALWAYS, Other
from tests.state_machine.racers import race

DAY = timedelta(days=1)
WHO = {"first_name": "Filomena", "last_name": 'O"Brian', "phone": "+54 9 11 4321-8765", "email": "filo@example.org"}
CHILD = {"first_name": "Casimiro", "last_name": 'O"Brian'}
# What would tell who it was, however it is written.
TELLING = re.compile("filomena|casimiro|brian|filo@|4321.?8765", re.IGNORECASE)
ALL_TEXT = "SELECT to_jsonb(t)::text FROM {} AS t WHERE organization_id = %s"


@pytest.fixture
def filo(bound):
    """Somebody with a child, of whom much was written."""
    return make_user(**WHO)


@pytest.fixture
def child(filo):
    """Her child."""
    return make_student(**CHILD, primary_contact=filo, medical_notes="asthma", emergency_contacts=[CONTACT])


CONTACT = {"name": 'Filomena  O"Brian', "relationship": "mother", "phone": "11 4321 8765"}
NEIGHBOUR = {"name": "Rosa", "relationship": "neighbour", "phone": "11 5555 1234"}


def told(db, organization):
    """Everything that the tables of an organization hold that tells who it was, as a superuser reads it."""
    found = []
    with psycopg2.connect(db.url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND column_name = 'organization_id'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(ALL_TEXT.format(table), (organization.id,))
            found += [(table, row) for (row,) in cursor.fetchall() if TELLING.search(row)]
    return found


def live(filo, child, desk):
    """What becomes of a family in a year: sessions, credits, words here and there."""
    booked = make_appointment(
        client=filo, student=child, uses_credit=True, credits_used=2, notes='Mother: FILOMENA O"BRIAN, 11-4321-8765'
    )
    credits.purchase(filo, 5, metadata={"payer": WHO["email"]}, payment_method="mp", payment_reference="17")
    booked.pre_confirm(now=early(booked))
    booked.confirm(by=desk, reason='Filomena O"Brian called', now=early(booked))
    booked.execute(now=booked.scheduled_at + DAY)
    credits.adjust(filo, -3, reason="Casimiro broke a lamp", by=desk)
    other = make_appointment(notes='a friend of Casimiro O"Brian', metadata={"who": 'O"Brian, Filomena'})
    other.cancel(by=desk, reason=f"ask {WHO['email']}")
    make_student(emergency_contacts=[CONTACT, NEIGHBOUR], educational_notes='shares a desk with Casimiro O"Brian')
    make_post(user=filo, content="my Casimiro")
    make_post(content=f"call {WHO['phone']}!")
    make_like(user=filo)
    set_password(filo, "a long password")
    make_device(user=filo, name="Filomena's phone")
    make_import_run(source='letter of Filomena O"Brian.csv')
    for _ in range(2):
        draft = invoicing.draft_invoice(filo, date(2031, 3, 1), date(2031, 3, 31), customer={"name": WHO["email"]})
    draft.discard(by=desk)
    make_time_off(note='holidays with Filomena O"Brian')
    outbox.put("host.noticed", {"text": f"wrote {WHO['email']}"}, subject=("Room", 1))
    return booked


# -- nothing tells who it was ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_afterwards_no_table_of_the_organization_tells_who_it_was(own_db):
    organization = own_db.create_organization("Centre", subdomain="centre")
    with own_db.tenant(organization):
        desk, filo = make_user(role=Role.STAFF), make_user(**WHO)
        child = make_student(**CHILD, primary_contact=filo, emergency_contacts=[CONTACT])
        live(filo, child, desk)
        assert len(told(own_db, organization)) > 15
        people.erase_student(own_db, child, by=desk)
        people.erase_user(own_db, filo, by=desk)
        assert told(own_db, organization) == []
        assert credits.verify().is_clean


@pytest.mark.slow
def test_what_was_done_and_paid_stays(db, filo, child, desk):
    booked = live(filo, child, desk)
    before = [(each.amount, each.balance_after, each.processed_at) for each in filo.credit_transactions]
    people.erase_student(db, child, by=desk)
    people.erase_user(db, filo, by=desk)
    found = Appointment.get_by_id(booked.id)
    assert (found.state, found.scheduled_at, found.executed_at is None) == ("executed", booked.scheduled_at, False)
    assert (found.client_id, found.student_id, found.credits_used) == (filo.id, child.id, 2)
    entries = list(CreditTransaction.select().where(CreditTransaction.user == filo))
    assert [(each.amount, each.balance_after, each.processed_at) for each in entries] == before
    assert {each.payment_reference for each in entries} == {"17", None}
    assert {each.reason for each in entries if each.transaction_type == "admin_adjustment"} == {
        "erased at the person's request"
    }


def test_what_is_written_while_it_waits_goes_too_whatever_the_servers_default(own_db):
    with psycopg2.connect(own_db.url) as connection, connection.cursor() as cursor:
        name = connection.info.dbname
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    with Database.connect(own_db.url) as db:
        organization = make_organization(db)
        with db.tenant(organization):
            desk, filo = make_user(role=Role.STAFF), make_user(**WHO)
        with db.tenant(organization), db.atomic():
            make_post(user=filo, content=WHO["first_name"])
            erasing = Other(db, organization, lambda: people.erase_user(db, filo, by=desk))
            erasing.wait_until_blocked()
        assert erasing.finish().user_ids == (filo.id,)
        assert told(db, organization) == []


@pytest.mark.slow
def test_the_rows_are_of_nobody_known(db, filo, child, desk):
    live(filo, child, desk)
    people.erase_student(db, child, by=desk)
    people.erase_user(db, filo, by=desk)
    user, student = User.get_by_id(filo.id), Student.get_by_id(child.id)
    assert re.fullmatch(rf"erased-[0-9a-f]+-{filo.id}@erased.invalid", user.email)
    assert (user.full_name, user.email == filo.email) == (user.email, False)
    assert (user.phone, user.erased_at is None, user.jti == filo.jti) == (None, False, False)
    assert (student.full_name, student.medical_notes) == (f"Erased student {child.id}", None)
    assert (student.emergency_contacts, student.erased_at is None) == ([], False)
    assert Post.select().where(Post.user == filo).count() == 0


@pytest.mark.parametrize(
    ("metadata", "left"),
    [
        ({"receipt": 541140000000, "of": 1}, {"receipt": "[erased]", "of": 1}),
        ({"call +54 11 4000-0000": [2.5, "54 11 4000 0000"]}, {"call [erased]": [2.5, "[erased]"]}),
        ({"rooms": [54, 11, 4000, "0000"]}, {"rooms": [54, 11, 4000, "0000"]}),
        ({"said": 'by "Filomena O"Brian"\n', "n": 10**20}, {"said": 'by "[erased]"\n', "n": 10**20}),
    ],
)
def test_what_is_taken_out_of_a_document_leaves_a_document(db, filo, desk, metadata, left):
    filo.phone = "+54 11 4000-0000"
    filo.save()
    entry = credits.purchase(make_user(), 1, metadata=metadata)
    people.erase_user(db, filo, by=desk)
    assert CreditTransaction.get_by_id(entry.id).metadata == left


def test_nobody_is_in_the_way_by_an_address_such_as_the_erased_have(db, filo, desk):
    make_user(email=f"erased-{filo.id}@erased.invalid")
    people.erase_user(db, filo, by=desk)
    assert User.get_by_id(filo.id).first_name is None


def test_a_childs_sessions_keep_their_words_when_a_parent_is_erased(db, filo, child, desk):
    booked = make_appointment(client=filo, student=child, notes='reads well, says Filomena O"Brian')
    booked.cancel(by=desk)
    people.erase_user(db, filo, by=desk)
    assert Appointment.get_by_id(booked.id).notes == "reads well, says [erased]"
    assert (Student.get_by_id(child.id).first_name, Student.get_by_id(child.id).medical_notes) == ("Casimiro", "asthma")
    people.erase_student(db, child, by=desk)
    assert Appointment.get_by_id(booked.id).notes is None


def test_others_who_are_to_be_called_stay(db, filo, child, desk):
    friend = make_student(emergency_contacts=[CONTACT, NEIGHBOUR])
    people.erase_user(db, filo, by=desk)
    assert Student.get_by_id(friend.id).emergency_contacts == [NEIGHBOUR]


def test_a_professional_is_erased_and_takes_no_more_bookings(db, bound, desk):
    working = make_professional(bio="I grew up in Salta", license_number="MN 4711")
    people.erase_user(db, working.user, by=desk)
    working = Professional.get_by_id(working.id)
    assert (working.bio, working.license_number, working.title, working.active) == (None, None, None, False)


@pytest.mark.parametrize("role", ["professional", "second_professional"])
def test_the_groups_that_a_professional_gives_are_in_the_way_or_cancelled(db, filo, child, desk, role):
    working = make_professional(weekly_schedule=ALWAYS)
    gives = {"professional": make_professional(weekly_schedule=ALWAYS)} | {role: working}
    group = scheduling.create_group_session(**gives, scheduled_at=START, capacity=2, now=START - DAY)
    with pytest.raises(ErasureRefusedError) as refused:
        people.erase_user(db, working.user, by=desk, now=START - DAY)
    assert refused.value.sessions == 1
    seat = scheduling.book_group(group, student=child, client=filo, now=START - DAY)
    assert people.erase_user(db, working.user, by=desk, cancel=True, now=START - DAY).cancelled == 2
    assert GroupSession.get_by_id(group.id).state == Appointment.get_by_id(seat.id).state == "cancelled"


def test_those_who_were_merged_into_the_person_are_erased_with_it(db, filo, desk):
    twin = make_user(first_name="Filomena", last_name="Brian")
    people.merge_users(filo, twin, by=desk)
    erased = people.erase_user(db, twin, by=desk)
    assert erased.user_ids == (filo.id, twin.id)
    assert {User.get_by_id(key).first_name for key in erased.user_ids} == {None}


@pytest.mark.slow
def test_the_journal_and_a_message_say_that_somebody_was_erased_and_not_who(db, filo, child, desk):
    people.erase_student(db, child, by=desk)
    people.erase_user(db, filo, by=desk)
    changes = StateTransition.select().where(StateTransition.event == "erased").order_by(StateTransition.id)
    assert [(each.subject_type, each.subject_id, each.actor_id, each.reason) for each in changes] == [
        ("Student", child.id, desk.id, None),
        ("User", filo.id, desk.id, None),
    ]
    messages = OutboxMessage.select().where(OutboxMessage.topic << ["user.erased", "student.erased"])
    assert [parse(each.topic, each.version, each.payload).id for each in messages.order_by(OutboxMessage.id)] == [
        child.id,
        filo.id,
    ]


def test_nobody_of_another_organization_is_touched(db, b, filo, desk):
    with db.tenant(b):
        other = make_user(**WHO)
        post = make_post(content='Filomena O"Brian')
    people.erase_user(db, filo, by=desk)
    with db.tenant(b):
        assert User.get_by_id(other.id).first_name == "Filomena"
        assert Post.get_by_id(post.id).content == 'Filomena O"Brian'
    with pytest.raises(ReferenceNotFoundError):
        people.erase_user(db, other.id, by=desk)


# -- refused, cancelled, forfeited -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_open_sessions_credits_and_payments_are_in_the_way(db, filo, child, desk):
    booked = make_appointment(client=filo, student=child, scheduled_at=START)
    credits.purchase(filo, 3)
    credits.purchase(filo, 2, pending=True)
    before = rows_of(*TENANT_MODELS)
    for given in ({}, {"cancel": True}, {"forfeit": True}):
        with pytest.raises(ErasureRefusedError) as caught:
            people.erase_user(db, filo, by=desk, now=START - 9 * DAY, **given)
        assert (caught.value.sessions, caught.value.credits_left, caught.value.payments) == (1, 3, 1)
    with pytest.raises(ErasureRefusedError):
        people.erase_student(db, child, by=desk, now=START - 9 * DAY)
    assert rows_of(*TENANT_MODELS) == before
    erased = people.erase_user(db, filo, by=desk, now=START - 9 * DAY, cancel=True, forfeit=True)
    assert (erased.cancelled, erased.forfeited) == (1, 3)
    assert (Appointment.get_by_id(booked.id).state, credits.balance(filo)) == ("cancelled", 0)
    assert {each.status for each in CreditTransaction.select()} == {"completed", "failed"}
    failed = CreditTransaction.get(CreditTransaction.status == "failed").history()[-1]
    assert (failed.event, failed.actor_id) == ("fail", desk.id)
    assert credits.verify().is_clean


def test_credits_of_every_kind_are_forfeited_and_those_whose_day_is_over_expire(db, filo, desk):
    dance = make_kind()
    with clock.frozen(START):
        credits.purchase_package(filo, make_package(credits=8, valid_days=10))
        credits.purchase_package(filo, make_package(credits=3, valid_days=30))
        credits.purchase(filo, 2, kind=dance)
    with clock.frozen(START + 20 * DAY):
        assert people.erase_user(db, filo, by=desk, forfeit=True).forfeited == 5
        taken = CreditTransaction.select().where(CreditTransaction.amount < 0).order_by(CreditTransaction.amount)
        assert [(each.transaction_type, each.amount, each.credit_kind_id) for each in taken] == [
            ("expiry", -8, None),
            ("admin_adjustment", -3, None),
            ("admin_adjustment", -2, dance.id),
        ]
        assert credits.verify().is_clean


def test_what_others_have_open_goes_on(db, filo, child, desk):
    """The waiting list, drafts of invoices, sessions to come and payments of everybody else."""
    other, student = make_user(), make_student()
    asked = make_slot_request(client=other, student=student)
    booked = make_appointment(client=other, student=student)
    session(other, student=student)
    draft = invoicing.draft_invoice(other, FIRST, LAST)
    credits.purchase(other, 2)
    payment = credits.purchase(other, 2, pending=True)
    people.erase_user(db, filo, by=desk)
    people.erase_student(db, child, by=desk)
    open_still = (SlotRequest[asked.id], Appointment[booked.id], Invoice[draft.id])
    assert [each.state for each in open_still] == ["waiting", booked.state, "draft"]
    assert (CreditTransaction[payment.id].status, credits.balance(other)) == ("pending", 2)


@pytest.mark.parametrize("who", ["child", "filo"])
def test_an_offer_that_nobody_answered_is_over_and_its_request_withdrawn(db, filo, child, desk, who):
    working = make_professional(weekly_schedule=ALWAYS)
    until = START.date() + DAY
    request = scheduling.request_slot(
        student=child, client=filo, professional=working, from_day=START.date(), until_day=until, now=START - DAY
    )
    (offer,) = scheduling.offer_slots(START - DAY)
    now = offer.scheduled_at + DAY / 24
    if who == "child":
        people.erase_student(db, child, by=desk, now=now)
    else:
        people.erase_user(db, filo, by=desk, now=now)
    states = Appointment.get_by_id(offer.id).state, SlotRequest.get_by_id(request.id).state
    assert states == ("cancelled", "withdrawn")


def test_a_second_time_nothing_is_done(db, filo, desk):
    once = people.erase_user(db, filo, by=desk)
    before = rows_of(*TENANT_MODELS)
    again = people.erase_user(db, filo, by=desk)
    assert (again.was_repeated, again.changed) == (True, {})
    assert (again.user_ids, again.student_ids) == (once.user_ids, once.student_ids) == ((filo.id,), ())
    assert rows_of(*TENANT_MODELS) == before


def test_who_may_not(db, filo, desk, child):
    with pytest.raises(NotPermittedError):
        people.erase_user(db, desk, by=filo)
    for nobody in (None, desk):
        with pytest.raises(InvalidDataError):
            people.erase_user(db, desk, by=nobody)
    with pytest.raises(ReferenceNotFoundError):
        people.erase_student(db, 10**15, by=desk)
    for wrong in (None, True, "x", filo):
        with pytest.raises(InvalidDataError):
            people.erase_student(db, wrong, by=desk)


def test_nobody_books_for_who_was_erased(db, filo, child, desk):
    other = make_student(primary_contact=filo)
    wish = {"professional": make_professional(), "scheduled_at": START, "by": desk, "now": START - DAY}
    people.erase_student(db, child, by=desk)
    with pytest.raises(ReferenceNotFoundError):
        scheduling.book(student=child, client=filo, override_schedule=True, **wish)
    people.erase_user(db, filo, by=desk)
    with pytest.raises(ReferenceNotFoundError):
        scheduling.book(student=other, client=filo, override_schedule=True, **wish)


@pytest.mark.parametrize("had_a_balance", [True, False])
def test_nothing_is_sold_to_who_was_erased(db, filo, desk, had_a_balance):
    package = make_package(credits=4)
    if had_a_balance:
        credits.purchase(filo, 1, idempotency_key="before")
    people.erase_user(db, filo, by=desk, forfeit=True)
    for pending in (False, True):
        for buy in (
            lambda of, **o: credits.purchase(of, 3, **o),
            lambda of, **o: credits.purchase_package(of, package, **o),
        ):
            with pytest.raises(ReferenceNotFoundError, match="was erased"):
                buy(filo.id, pending=pending)
    assert credits.balance(filo) == 0
    if had_a_balance:
        assert credits.purchase(filo, 1, idempotency_key="before").was_repeated


@pytest.mark.slow
@pytest.mark.parametrize("do", [lambda of: credits.purchase(of, 3), lambda of: calendars.create_feed(of)])
@pytest.mark.parametrize("had_a_balance", [True, False])
def test_what_is_begun_while_somebody_is_erased_waits_and_is_refused(own_db, do, had_a_balance):
    organization = make_organization(own_db)
    with own_db.tenant(organization):
        desk, filo = make_user(role=Role.STAFF), make_user(**WHO)
        if had_a_balance:
            credits.purchase(filo, 1)
            credits.debit(filo, 1)
        erasure = _Erasure(desk, None, False, False, user=filo.id)
        with own_db.privileged(reason="test"), own_db.atomic():
            erasure.carried_out()
            meanwhile = Other(own_db, organization, lambda: do(filo))
            meanwhile.wait_until_blocked()
        assert isinstance(meanwhile.finish(), ReferenceNotFoundError)
        assert (credits.balance(filo), CalendarFeed.select().count()) == (0, 0)


def test_a_payment_that_failed_and_arrives_after_all_counts_for_who_was_erased(db, filo, desk):
    awaited = credits.purchase(filo, 3, pending=True, payment_method="mp", payment_reference="17")
    people.erase_user(db, filo, by=desk, forfeit=True)
    failed = CreditTransaction.get_by_id(awaited.id)
    assert (failed.status, purchase_again(failed).balance_after) == ("failed", 3)


def test_nobody_makes_a_feed_for_who_was_erased(db, filo, desk):
    people.erase_user(db, filo, by=desk)
    with pytest.raises(ReferenceNotFoundError):
        calendars.create_feed(filo, by=desk)
    assert CalendarFeed.select().count() == 0


# -- the walls ---------------------------------------------------------------------------------------------------------


def test_settled_entries_and_the_journal_change_in_an_erasure_alone(db, bound, filo):
    entry = credits.purchase(filo, 1)
    for sql in ("UPDATE credit_transactions SET reason = 'x'", "UPDATE state_transitions SET reason = 'x'"):
        with pytest.raises(PermissionDeniedError):
            db.execute_sql(sql)
    with db.privileged(reason="test"):
        changed = db.execute_sql("UPDATE credit_transactions SET reason = 'x' WHERE id = %s", (entry.id,))
        assert changed.rowcount == 0
        assert db.execute_sql("UPDATE state_transitions SET reason = 'x', details = '{}'").rowcount == 0
        with pytest.raises(PermissionDeniedError):
            db.execute_sql("UPDATE credit_transactions SET amount = 7")
        with pytest.raises(PermissionDeniedError):
            db.execute_sql("UPDATE state_transitions SET event = 'x'")


def test_every_column_of_text_is_said_to_be_somebodys_or_nobodys(bound, db):
    found = db.execute_sql(
        "SELECT c.table_name::text, c.column_name::text FROM information_schema.columns AS c "
        "JOIN pg_class AS t ON t.oid = to_regclass(quote_ident(c.table_name)) AND t.relkind = 'r' "
        "WHERE c.table_schema = 'public' AND c.table_name <> 'rayces_migrations' "
        "AND c.data_type IN ('text', 'character varying', 'jsonb', 'json', 'inet', 'ARRAY', 'bytea')"
    ).fetchall()
    said = {(table, column) for table, names in PERSONAL.items() for column in names}
    assert said == {tuple(row) for row in found}


def test_who_waits_for_a_time_waits_no_more(filo, child, desk, db):
    asked = make_slot_request(client=filo, student=child)
    people.erase_user(db, filo, by=desk)
    asked = SlotRequest.get_by_id(asked.id)
    assert (asked.state, asked.history()[-1].event) == ("withdrawn", "withdraw")


def test_what_the_person_was_told_and_what_shows_its_sessions_is_gone(filo, child, desk, db):
    make_notice(recipient=filo, address="filo@example.org", state="sent", sent_at=START, attempts=1)
    token = calendars.create_feed(filo).token
    people.erase_user(db, filo, by=desk)
    assert Notice.select().count() == 0
    with pytest.raises(FeedNotFoundError):
        calendars.read_feed(db, token)


def test_what_is_the_persons_own_is_emptied_where_it_can_be(bound, db):
    for table, replaced in REPLACED.items():
        emptied = [column for column, sql in replaced.items() if sql == "NULL"]
        sql = (
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnotnull AND attname = ANY(%s)"
        )
        assert db.execute_sql(sql, (table, emptied)).fetchall() == []


@pytest.mark.parametrize(
    ("written", "is_known"),
    [
        ('Filomena O"Brian', True),
        ('filomena   o"brian', True),
        ('O"Brian, Filomena', True),
        ("filo@example.org", True),
        ("xfilo@example.org", False),
        ("5491143218765", True),
        ("54 (9) 11-4321.8765", True),
        ("5491143218766", False),
        ("11 4321-8765", True),
        ("(011) 4321-8765", True),
        ("+54 11 4321 8765", True),
        ("4321-8765", False),
        ("911143218765", False),
        ("Filomena", False),
        ('Filomena O"Briant', False),
    ],
)
def test_what_is_known_again_as_the_person(bound, db, filo, written, is_known):
    sql = "SELECT %s ~* %s, to_jsonb(%s::text)::text ~* %s"
    found = pattern([filo])
    assert db.execute_sql(sql, (written, found, written, found)).fetchone() == (is_known, is_known)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_name_is_known_again_however_its_accents_are_written(bound, db, form, written):
    person = User(first_name=normalize(form, "José"), last_name=normalize(form, "Núñez"))
    text = normalize(written, "Lo trae Núñez, José los martes.")
    assert db.execute_sql("SELECT %s ~* %s", (text, pattern([person]))).fetchone() == (True,)


def test_of_nobody_in_particular_nothing_is_known_again():
    assert pattern([User(first_name="Ana", email="a@b", phone="123")]) is None


# -- races and kills ---------------------------------------------------------------------------------------------------


RACING = (racers.erase, racers.buy, racers.book, racers.write)


@pytest.mark.slow
@pytest.mark.parametrize("racing", RACING, ids=lambda racer: racer.__name__)
def test_what_happens_meanwhile_comes_before_or_after(own_db, racing):
    a = own_db.create_organization("Centre", subdomain="centre")
    with own_db.tenant(a):
        make_user(role=Role.STAFF)
        make_appointment(scheduled_at=START)
        rows = [make_user(first_name=f"Filo{number}", last_name="Mena") for number in range(6)]
    outcomes = race(own_db, a, rows, [racers.erase, racing])
    with own_db.tenant(a):
        assert outcomes[0] == [None] * len(rows)
        assert {User.get_by_id(row.id).first_name for row in rows} == {None}
        ahead = (Appointment.client << [row.id for row in rows]) & (Appointment.state != "cancelled")
        assert Appointment.select().where(ahead).count() == 0
        assert CreditBalance.select().where(CreditBalance.balance > 0).count() == 0
        assert credits.verify().is_clean


KILLED = """
import os, signal, sys
import tests
from rayces_core import Database, Role, User, people
from rayces_core.people.erasing import _Erasure
steps, url, organization, user = int(sys.argv[1]), *sys.argv[2:]
run = _Erasure._run
def counted(erasure, sql, **more):
    global steps
    steps -= 1
    if steps == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(erasure, sql, **more)
_Erasure._run = counted
with Database.connect(url) as db, db.tenant(int(organization)):
    people.erase_user(db, int(user), by=User.get(User.role == Role.STAFF), cancel=True, forfeit=True)
"""


@pytest.mark.slow
def test_killed_anywhere_nothing_is_half_done(own_db):
    a = own_db.create_organization("Centre", subdomain="centre")
    with own_db.tenant(a):
        desk, filo = make_user(role=Role.STAFF), make_user(**WHO)
        make_appointment(client=filo, scheduled_at=START)
        credits.purchase(filo, 5)
        before = rows_of(*TENANT_MODELS)
        for steps in (3, 4, 8, 15, 22, 30, 36):
            given = [str(each) for each in (steps, own_db.url, a.id, filo.id)]
            done = subprocess.run([sys.executable, "-c", KILLED, *given], capture_output=True, text=True, check=False)
            assert done.returncode == -signal.SIGKILL, (steps, done.stderr)
            assert rows_of(*TENANT_MODELS) == before
        people.erase_user(own_db, filo, by=desk, cancel=True, forfeit=True)
        assert told(own_db, a) == []
