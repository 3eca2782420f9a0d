"""Idempotency keys: the same request again gives the appointment of the first time, another request is refused."""

import pytest

from rayces_core import (
    Appointment,
    IdempotencyConflictError,
    InvalidDataError,
    NotPermittedError,
    PermissionDeniedError,
    SlotTakenError,
    credits,
)
from rayces_core.scheduling import book, reschedule
from tests.factory import make_user
from tests.scheduling import racing
from tests.scheduling.worlds import NOW, Other, another_family, at, make_working, noted, open_centre
from tests.sizes import quick_or_whole
from tests.walking import walked

# -- the same again ---------------------------------------------------------------------------------------------------


@walked("options", [{}, {"confirm": True}, {"draft": True}, {"uses_credit": True, "notes": "a"}], anew="centre")
def test_the_same_request_again_gives_the_appointment_of_the_first_time(centre, told, options):
    credits.purchase(centre.client, 1)
    first = centre.book(idempotency_key="k", **options)
    told.clear()

    with centre.untouched():
        again = centre.book(idempotency_key="k", **options)

    assert again.__data__ == first.__data__
    assert told == []


def test_without_a_key_nothing_is_repeated(centre):
    centre.book(draft=True)

    assert centre.book(draft=True).idempotency_key is None
    assert Appointment.select().count() == 2


@pytest.mark.slow
@walked("became", ["confirmed", "cancelled", "moved", "executed"], anew="centre")
def test_whatever_became_of_it_is_given(centre, became):
    booked = centre.book(idempotency_key="k")
    if became in ("confirmed", "executed"):
        booked.confirm(now=NOW)
    if became == "executed":
        booked.execute(now=at(10))
    if became == "cancelled":
        booked.cancel(reason="ill")
    if became == "moved":
        reschedule(booked, at(14), now=NOW)

    with centre.untouched():
        assert centre.book(idempotency_key="k").__data__ == booked.__data__


def test_what_has_changed_since_does_not_matter(centre):
    booked = centre.book(idempotency_key="k")
    centre.professional.active = False
    centre.professional.save()

    assert centre.book(idempotency_key="k", now=at(12)) == booked


def test_another_present_and_another_who_may_book_are_the_same_request(centre):
    booked = centre.book(idempotency_key="k", by=centre.client)

    assert centre.book(idempotency_key="k", by=centre.staff, now=at(9)) == booked
    assert noted(booked) == [("pre_confirm", "draft", "pre_confirmed")]


def test_the_same_person_and_moment_in_other_words_are_the_same_request(centre):
    booked = centre.book(idempotency_key="k")
    wanted = centre.wanted(professional=centre.professional.user_id, student=centre.student.id)

    assert book(**wanted | {"client": centre.client.id}, idempotency_key="k") == booked


def test_a_key_opens_nothing_to_who_may_not_book(centre):
    centre.book(idempotency_key="k")

    centre.refused(NotPermittedError, idempotency_key="k", by=make_user())


def test_a_request_that_was_refused_may_come_again(centre):
    taken = centre.book_for_another(at(10))
    centre.refused(SlotTakenError, idempotency_key="k")
    taken.cancel(reason="ill")

    assert centre.book(idempotency_key="k").idempotency_key == "k"


def test_within_one_unit_of_work_too(centre):
    with centre.db.atomic():
        assert centre.book(idempotency_key="k") == centre.book(idempotency_key="k")


# -- another request --------------------------------------------------------------------------------------------------


OTHERS = {
    "scheduled_at": lambda: at(12),
    "duration_minutes": lambda: 60,
    "student": lambda: another_family()["student"],
    "client": make_user,
    "professional": make_working,
    "uses_credit": lambda: True,
    "notes": lambda: "",
    "confirm": lambda: True,
    "draft": lambda: True,
    "override_schedule": lambda: True,
    "override_blocked": lambda: True,
    "override_window": lambda: True,
    "override_notice": lambda: True,
    "allow_overlap": lambda: True,
}


@walked("field", OTHERS)
def test_each_part_of_a_request_tells_it_from_another(centre, field):
    centre.book(idempotency_key="k")

    error = centre.refused(IdempotencyConflictError, idempotency_key="k", **{field: OTHERS[field]()})

    assert error.key == "k"


def test_a_key_is_the_organizations_own(db, centre):
    ours = centre.book(idempotency_key="k")

    with open_centre(db) as other:
        theirs = other.book(idempotency_key="k")
        assert theirs.id != ours.id
        assert other.book(idempotency_key="k") == theirs


# -- keys -------------------------------------------------------------------------------------------------------------


@walked("key", ["k", "k" * 255, " k ", "ключ", "a/b?c=%s%%(tenant)s"], anew="centre")
def test_a_key_is_a_text_of_at_most_255_characters(centre, key):
    assert centre.book(idempotency_key=key).idempotency_key == key
    assert centre.book(idempotency_key=key).id


@walked("key", ["", "  ", "k" * 256, "a\0b", "\ud800", 7, b"k", True])
def test_what_is_no_key_is_refused(centre, key):
    assert centre.refused(InvalidDataError, idempotency_key=key).field == "idempotency_key"


def test_keys_differ_by_case_and_blanks(centre):
    ids = {centre.book(at(9 + number), idempotency_key=key).id for number, key in enumerate(["k", "K", "k "])}

    assert len(ids) == 3


@walked("column", ["idempotency_key", "request_fingerprint"])
def test_a_request_stays_what_it_was(centre, column):
    centre.book(idempotency_key="k")

    with centre.untouched(), pytest.raises(PermissionDeniedError):
        centre.db.execute_sql(f"UPDATE appointments SET {column} = 'other'")


# -- at the same time -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@walked("options", [{}, {"draft": True}, {"confirm": True}, {"allow_overlap": True}], anew="centre")
def test_a_repetition_waits_for_the_first_and_gives_what_it_made(db, centre, options):
    with db.atomic():
        first = centre.book(idempotency_key="k", **options)
        other = Other(db, centre.organization, lambda: centre.book(idempotency_key="k", **options))
        other.wait_until_blocked()

    assert other.finish() == first
    assert Appointment.select().count() == 1


def test_another_request_with_the_key_waits_and_is_refused(db, centre):
    asked = another_family() | {"professional": make_working(), "idempotency_key": "k"}
    with db.atomic():
        centre.book(idempotency_key="k")
        other = Other(db, centre.organization, lambda: centre.book(**asked))
        other.wait_until_blocked()

    assert isinstance(other.finish(), IdempotencyConflictError)
    assert Appointment.select().count() == 1


def test_a_repetition_books_when_the_first_is_undone(db, centre):
    with pytest.raises(RuntimeError), db.atomic():
        centre.book(idempotency_key="k")
        other = Other(db, centre.organization, lambda: centre.book(idempotency_key="k"))
        other.wait_until_blocked()
        raise RuntimeError

    assert other.finish() == Appointment.get()


ROUNDS = quick_or_whole(1, 5)


@pytest.mark.slow
def test_processes_that_ask_the_same_at_once_make_one_appointment(db, centre):
    with racing.crew(db, 8) as crew:
        for number, options in enumerate([{}, {"draft": True}, {"confirm": True}, {"allow_overlap": True}] * ROUNDS):
            wanted = centre.wanted(at(9 + number % 8, number // 8), idempotency_key=f"k{number}", **options)
            outcomes = crew.race([(racing.book, wanted)] * 8)
            assert {outcome.value for outcome in outcomes} == {Appointment.get(idempotency_key=f"k{number}").id}

    assert Appointment.select().count() == 4 * ROUNDS
