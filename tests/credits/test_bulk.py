"""Many entries at once: as one by one, all or none, by a number of statements that does not grow."""

import contextlib
import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from rayces_core import (
    AlreadyDebitedError,
    Appointment,
    BalanceTooLargeError,
    CreditTransaction,
    Database,
    IdempotencyConflictError,
    InsufficientCreditsError,
    InvalidDataError,
    RaycesError,
    ReferenceNotFoundError,
    Role,
    User,
    credits,
)
from tests.credits.ledger import NOW, amounts, entries, figures, nothing_written, still_usable
from tests.factory import START, make_appointment, make_organization, make_professional, make_student, make_user
from tests.sizes import examples, quick_or_whole
from tests.walking import walked
from tests.wire import wire


def noted(row):
    return [f"row {row}, counted from 0"]


@pytest.mark.usefixtures("frozen")
def test_purchases_are_posted_in_their_order_and_reported(bound, ana, desk):
    bruno = make_user()
    credits.purchase(ana, 1)
    paid = {"payment_method": "card", "payment_reference": "1"}
    report = credits.purchase_many(
        [
            {"user": ana, "credits": 5, "metadata": {"pack": "five"}, **paid},
            {"user": bruno.id, "credits": 2, "idempotency_key": "k", "reason": " gift "},
            {"user": ana, "credits": 3},
        ],
        by=desk,
        now=NOW,
    )
    assert [(row.number, row.outcome, row.balance_after) for row in report] == [
        (0, "posted", 6),
        (1, "posted", 2),
        (2, "posted", 9),
    ]
    posted = [CreditTransaction.get_by_id(row.transaction_id) for row in report]
    assert [(entry.user_id, entry.amount, entry.sequence) for entry in posted] == [
        (ana.id, 5, 2),
        (bruno.id, 2, 1),
        (ana.id, 3, 3),
    ]
    assert {(entry.created_by, entry.processed_at, entry.status) for entry in posted} == {(desk, NOW, "completed")}
    assert (posted[0].metadata, posted[0].payment_method, posted[0].payment_reference) == (
        {"pack": "five"},
        "card",
        "1",
    )
    assert (posted[1].idempotency_key, posted[1].reason, posted[1].metadata) == ("k", "gift", {})
    assert (figures(ana), figures(bruno)) == ((9, 9, 0), (2, 2, 0))
    assert credits.verify().is_clean


@pytest.mark.usefixtures("frozen")
def test_debits_too(bound, ana):
    appointment = make_appointment(client=ana)
    credits.purchase(ana, 9)
    report = credits.debit_many(
        [{"user": ana, "credits": 4, "appointment": appointment}, {"user": ana, "credits": 5}], now=NOW
    )
    assert [row.balance_after for row in report] == [5, 0]
    assert [(entry.amount, entry.appointment) for entry in entries(ana)[1:]] == [(-4, appointment), (-5, None)]
    assert figures(ana) == (0, 9, 9)
    assert credits.refund(appointment).balance_after == 4


def test_no_rows_are_no_entries(bound):
    assert credits.purchase_many([]) == credits.debit_many(iter(())) == []


def test_rows_may_come_one_after_the_other(bound, ana):
    assert len(credits.purchase_many({"user": ana, "credits": n} for n in (1, 2))) == 2


def test_rows_that_were_there_before_are_repeated_and_the_rest_is_posted(bound, ana):
    rows = [{"user": ana, "credits": n, "idempotency_key": f"k{n}"} for n in (1, 2, 3)]
    first = credits.purchase(ana, 2, idempotency_key="k2")
    paid = {"payment_method": "card", "payment_reference": "1"}
    other = credits.purchase(ana, 7, **paid)
    report = credits.purchase_many([*rows, {"user": ana, "credits": 7, **paid}])
    assert [(row.outcome, row.balance_after) for row in report] == [
        ("posted", 10),
        ("repeated", None),
        ("posted", 13),
        ("repeated", None),
    ]
    assert [report[1].transaction_id, report[3].transaction_id] == [first.id, other.id]
    again = credits.purchase_many(rows)
    assert [(row.outcome, row.transaction_id) for row in again] == [
        ("repeated", row.transaction_id) for row in report[:3]
    ]
    assert figures(ana) == (13, 13, 0)


def bad_rows(ana):
    paid, free, unnamed = (make_appointment(client=ana) for _ in range(3))
    credits.debit(ana, 1, appointment=unnamed)
    credits.debit(ana, 1, appointment=paid, idempotency_key="used")
    row = {"user": ana, "credits": 1}
    return [
        (credits.debit_many, {"user": ana, "credits": 100}, InsufficientCreditsError),
        (credits.debit_many, {"user": make_user(), "credits": 1}, InsufficientCreditsError),
        (credits.debit_many, row | {"appointment": paid}, AlreadyDebitedError),
        (
            credits.debit_many,
            row | {"appointment": unnamed},
            AlreadyDebitedError,
        ),  # as one by one: no key, no repetition
        (
            credits.debit_many,
            row | {"appointment": paid, "idempotency_key": "used", "credits": 2},
            IdempotencyConflictError,
        ),
        (credits.debit_many, row | {"appointment": free, "idempotency_key": "used"}, IdempotencyConflictError),
        (credits.debit_many, row | {"appointment": 10**15}, ReferenceNotFoundError),
        (credits.debit_many, row | {"payment_method": "card"}, InvalidDataError),
        (credits.purchase_many, row | {"idempotency_key": "used"}, IdempotencyConflictError),
        (credits.purchase_many, {"user": 10**15, "credits": 1}, ReferenceNotFoundError),
        (credits.purchase_many, row | {"appointment": free}, InvalidDataError),
        (credits.purchase_many, {"user": ana, "credits": 0}, InvalidDataError),
    ]


@pytest.mark.slow
def test_one_row_that_is_refused_refuses_all_and_is_named(db, bound, ana):
    credits.purchase(ana, 10)
    for post, bad, error in bad_rows(ana):
        rows = [{"user": ana, "credits": 1}, {"user": ana, "credits": 1, "idempotency_key": "new"}, bad]
        with nothing_written(), pytest.raises(error) as caught:
            post(rows)
        assert caught.value.__notes__ == noted(2), bad
        with still_usable(db, ana), pytest.raises(error):
            post(rows)
    assert len([entry for entry in entries(ana) if entry.idempotency_key == "new"]) == 0


def test_what_rows_before_took_is_gone(bound, ana):
    credits.purchase(ana, 5)
    with nothing_written(), pytest.raises(InsufficientCreditsError) as caught:
        credits.debit_many([{"user": ana, "credits": 2}] * 3)
    assert (caught.value.required, caught.value.available) == (2, 1)
    assert caught.value.__notes__ == noted(2)


def test_a_balance_that_the_rows_together_would_overflow(bound, ana):
    with nothing_written(), pytest.raises(BalanceTooLargeError) as caught:
        credits.purchase_many([{"user": ana, "credits": 10**9}] * 3)
    assert (caught.value.added, caught.value.balance) == (10**9, 2 * 10**9)
    assert caught.value.__notes__ == noted(2)


@walked("same", [{"idempotency_key": "k"}, {"payment_method": "card", "payment_reference": "1"}])
def test_two_rows_cannot_be_the_same_entry(bound, ana, same):
    rows = [
        {"user": ana, "credits": 1},
        {"user": ana, "credits": 1, **same},
        {"user": make_user(), "credits": 2, **same},
    ]
    with nothing_written(), pytest.raises(InvalidDataError, match="rows 1 and 2 have the same"):
        credits.purchase_many(rows)


def test_two_rows_cannot_debit_one_appointment(bound, ana):
    credits.purchase(ana, 5)
    appointment = make_appointment()
    with nothing_written(), pytest.raises(InvalidDataError, match="rows 0 and 1 have the same appointment"):
        credits.debit_many([{"user": ana, "credits": 1, "appointment": appointment}] * 2)


# -- as one by one -----------------------------------------------------------------------------------------------------

_numbers = itertools.count()
ROWS = st.lists(
    st.fixed_dictionaries(
        {"user": st.integers(0, 2), "credits": st.integers(1, 6)},
        optional={"idempotency_key": st.sampled_from("abcd"), "appointment": st.integers(0, 2)},
    ),
    min_size=1,
    max_size=8,
)


def has_doubles(rows):
    named = [(name, row[name]) for row in rows for name in ("idempotency_key", "appointment") if name in row]
    return max(Counter(named).values(), default=0) > 1


def posted_rows(users, appointments, rows):
    for row in rows:
        who = {"user": users[row["user"]]}
        booked = {"appointment": appointments[row["appointment"]]} if "appointment" in row else {}
        yield {**row, **who, **booked}


def is_kept(db, run):
    """Whether a call went through; of several errors either way may tell another one first."""
    try:
        with db.atomic():
            run()
    except RaycesError:
        return False
    return True


@pytest.mark.slow
@examples(4, 60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(starts=st.lists(st.integers(0, 12), min_size=3, max_size=3), earlier=ROWS, rows=ROWS, takes=st.booleans())
def test_many_at_once_leave_what_one_by_one_leaves(db, starts, earlier, rows, takes):
    if not takes:
        rows = [{name: value for name, value in row.items() if name != "appointment"} for row in rows]
    assume(not has_doubles(rows))
    left = []
    for at_once in (True, False):
        with db.tenant(db.create_organization("One of many", subdomain=f"many-{id(db) % 10_000}-{next(_numbers)}")):
            users, appointments = people()
            for user, start in zip(users, starts, strict=True):
                if start:
                    credits.purchase(user, start)
            for row in posted_rows(users, appointments, earlier):
                with contextlib.suppress(RaycesError):
                    credits.debit(**row)
            given = list(posted_rows(users, appointments, rows))
            kept = is_kept(db, lambda given=given, at_once=at_once: post(given, takes, at_once))
            left.append((kept, [figures(user) for user in users], [facts(user) for user in users]))
            assert credits.verify().discrepancies == ()
    assert left[0] == left[1]


def people():
    """The ids of three users and three appointments, by few statements."""
    emails = [{"email": f"{name}@many.example.org", "role": Role.PROFESSIONAL} for name in ("ana", "bruno", "carla")]
    users = [key for (key,) in User.insert_many(emails).execute()]
    booked = {"professional": make_professional(user=users[0]), "student": make_student(), "client": users[0]}
    drafts = [booked | {"scheduled_at": START}] * 3
    return users, [key for (key,) in Appointment.insert_many(drafts).execute()]


def post(rows, takes, at_once):
    if at_once:
        (credits.debit_many if takes else credits.purchase_many)(rows)
        return
    for row in rows:
        (credits.debit if takes else credits.purchase)(**row)


def facts(user):
    return [
        (entry.amount, entry.transaction_type, entry.balance_after, given_key(entry), entry.appointment_id is None)
        for entry in sorted(entries(user), key=lambda entry: entry.sequence)
    ]


def given_key(entry):
    """Its idempotency key, unless that is the library's own: those that are made alone and have none get one."""
    key = entry.idempotency_key
    return None if key is None or key.startswith("rayces:") else key


# -- size --------------------------------------------------------------------------------------------------------------


LONG = quick_or_whole(1_000, 3_000)


@pytest.mark.slow
def test_thousands_of_rows(bound):
    users = [make_user().id for _ in range(40)]
    rows = [{"user": users[n * 7 % 40], "credits": 1 + n % 5, "idempotency_key": f"row {n}"} for n in range(LONG)]
    report = credits.purchase_many(rows)
    assert [row.number for row in report] == list(range(LONG))
    assert sum(credits.balance(user) for user in users) == sum(row["credits"] for row in rows)
    running = dict.fromkeys(users, 0)
    for row, posted in zip(rows, report, strict=True):
        running[row["user"]] += row["credits"]
        assert posted.balance_after == running[row["user"]]
    assert {row.outcome for row in credits.purchase_many(rows)} == {"repeated"}
    assert len(credits.debit_many([{"user": row["user"], "credits": row["credits"]} for row in rows])) == LONG
    assert {credits.balance(user) for user in users} == {0}
    assert credits.verify().is_clean


@pytest.mark.slow
@walked("keyed", [False, True])
def test_the_number_of_messages_does_not_grow_with_the_rows(bare_db, keyed):
    organization = make_organization(bare_db)
    with wire(bare_db.url) as proxy, Database.connect(proxy.url) as database, database.tenant(organization):
        users = [make_user() for _ in range(20)]
        sent = []
        for count in (1, 20, 500):
            proxy.sent.clear()
            keys = [{"idempotency_key": f"{count}-{n}"} if keyed else {} for n in range(count)]
            credits.purchase_many([{"user": users[n % 20], "credits": 2, **keys[n]} for n in range(count)])
            credits.debit_many([{"user": users[n % 20], "credits": 1} for n in range(count)])
            sent.append(len(proxy.sent))
        assert len(set(sent)) == 1
        assert sent[0] <= 14


def test_amounts_are_what_was_asked_for(bound, ana):
    credits.purchase_many([{"user": ana, "credits": 5}])
    credits.debit_many([{"user": ana, "credits": 2}])
    assert amounts(ana) == [5, -2]
