"""Who may book and move whose appointments, where `by` says who acts; without it the application answers for it."""

import pytest

from rayces_core import NotPermittedError, Role
from rayces_core.scheduling import reschedule
from tests.factory import make_student, make_user
from tests.scheduling.worlds import NOW, another_family, at, make_working, moving
from tests.walking import walked

FULL, UNTIL_CONFIRMED, NEVER = "full", "until confirmed", "never"


def people(centre):
    """Everybody there is to act."""
    second = make_user()
    centre.student.secondary_contact = second
    centre.student.save()
    return {
        "staff": centre.staff,
        "admin": make_user(role=Role.ADMIN),
        "the client, a contact": centre.client,
        "another contact": second,
        "the professional": centre.professional.user,
        "another professional": make_working().user,
        "another guardian": make_user(),
    }


BOOKERS = {"staff", "admin", "the client, a contact"}
MOVERS = {"staff": FULL, "admin": FULL, "the client, a contact": UNTIL_CONFIRMED}
EVERYBODY = [
    "staff",
    "admin",
    "the client, a contact",
    "another contact",
    "the professional",
    "another professional",
    "another guardian",
]


@pytest.mark.slow
@walked("who", EVERYBODY, anew="centre")
def test_staff_book_for_anybody_and_a_client_for_students_whose_contact_they_are(centre, who):
    actor = people(centre)[who]

    if who in BOOKERS:
        assert centre.book(by=actor).pre_confirmed_by == actor
        return
    error = centre.refused(NotPermittedError, by=actor)
    assert error.actor_id == actor.id
    assert error.allowed == ("staff and admins", "the client, for a student whose contact they are")


def test_the_second_contact_is_a_contact_too(centre):
    second = people(centre)["another contact"]

    assert centre.book(by=second, client=second).client_id == second.id


def test_being_the_client_is_not_enough_and_being_a_contact_is_not_enough(centre):
    stranger = another_family()

    centre.refused(NotPermittedError, by=centre.client, student=stranger["student"])
    centre.refused(NotPermittedError, by=centre.client, client=stranger["client"])
    centre.refused(NotPermittedError, by=centre.client, student=make_student(admission_state="enrolled"))


def test_staff_who_are_no_contacts_book_for_any_client(centre):
    booked = centre.book(by=centre.staff, client=make_user(), student=make_student(admission_state="admitted"))

    assert booked.pre_confirmed_by == centre.staff


def test_without_an_actor_nobody_is_asked(centre):
    assert centre.book(client=make_user()).pre_confirmed_by is None


def test_who_may_not_book_learns_nothing_of_students_and_times(centre):
    guardian = make_user()
    centre.book(at(10))

    errors = [
        centre.refused(NotPermittedError, by=guardian, **asked)
        for asked in ({}, {"student": 10**12}, {"client": 10**12}, {"scheduled_at": NOW}, {"scheduled_at": at(3)})
    ]

    assert len({str(error) for error in errors}) == 1


@pytest.mark.slow
@walked("who", EVERYBODY)
@walked(
    "option",
    ["override_schedule", "override_blocked", "override_window", "override_notice", "allow_overlap"],
    anew="centre",
)
def test_only_staff_set_rules_aside(centre, who, option):
    actor = people(centre)[who]
    moved = centre.book(at(12))

    if who in ("staff", "admin"):
        booked = centre.book(at(3 if option == "override_schedule" else 9), by=actor, **{option: True})
        assert booked.pre_confirmed_by == actor
        assert reschedule(moved, at(4), by=actor, override_schedule=True, now=NOW).scheduled_at == at(4)
        return
    error = centre.refused(NotPermittedError, by=actor, **{option: True})
    assert error.allowed == ("staff and admins",)
    centre.refused(NotPermittedError, moving(moved), scheduled_at=at(14), by=actor, **{option: True})


@pytest.mark.slow
@walked("who", EVERYBODY)
@walked("state", ["draft", "pre_confirmed", "confirmed"], anew="centre")
def test_staff_move_any_appointment_and_a_client_their_own_until_it_is_confirmed(centre, who, state):
    actor, right = people(centre)[who], MOVERS.get(who, NEVER)
    booked = centre.book(at(10), draft=state == "draft", confirm=state == "confirmed")

    if right == FULL or (right == UNTIL_CONFIRMED and state != "confirmed"):
        reschedule(booked, at(12), by=actor, now=NOW)
        assert booked.history()[-1].actor == actor
        return
    error = centre.refused(NotPermittedError, moving(booked), scheduled_at=at(12), by=actor)
    assert error.actor_id == actor.id
    assert error.allowed == ("staff and admins", "the appointment's client until it is confirmed")
    assert booked.scheduled_at == at(10)


@pytest.mark.slow
@walked("who", EVERYBODY, anew="centre")
def test_confirming_at_once_asks_who_may_confirm_as_well(centre, who):
    actor = people(centre)[who]

    if who in BOOKERS:
        assert centre.book(by=actor, confirm=True).confirmed_by == actor
    else:
        centre.refused(NotPermittedError, by=actor, confirm=True)


def test_a_client_moves_by_what_the_database_says_and_not_by_an_old_object(centre):
    booked = centre.book(at(10))
    type(booked).get_by_id(booked.id).confirm(now=NOW)

    centre.refused(NotPermittedError, moving(booked), scheduled_at=at(12), by=centre.client)
