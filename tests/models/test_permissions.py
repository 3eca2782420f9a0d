"""Who may do what, by the rule book: in each state, each kind of user, each event; asked and done."""

import pytest

from rayces_core import Appointment, CreditTransaction, NotPermittedError, Role, Student
from rayces_core.models.permissions import (
    ADMIN,
    OWN_CLIENT,
    OWN_CLIENT_BEFORE_CONFIRMATION,
    OWN_PROFESSIONAL,
    STAFF,
)
from tests.factory import make_user
from tests.state_machine.rules import RULES, fire, in_memory, make_in, moment_for, stored
from tests.walking import walked

KINDS = ("admin", "staff", "professional", "other_professional", "client", "other_guardian")
DESK = {"admin", "staff"}
MAY = {
    ("draft", "pre_confirm"): DESK | {"professional"},
    ("pre_confirmed", "confirm"): DESK | {"professional", "client"},
    ("confirmed", "execute"): {"admin", "professional"},
    ("confirmed", "mark_no_show"): DESK | {"professional"},
    ("draft", "cancel"): DESK | {"client"},
    ("pre_confirmed", "cancel"): DESK | {"client"},
    ("confirmed", "cancel"): DESK,
    ("pre_confirmed", "expire"): DESK,
    **{(state, "change_price"): DESK for state in ("draft", "pre_confirmed", "confirmed")},
    ("no_show", "correct_to_executed"): DESK,
    ("executed", "correct_to_no_show"): DESK,
    ("executed", "reopen"): DESK,
    ("no_show", "reopen"): DESK,
}


def test_every_event_of_an_appointment_is_tried_from_every_state_it_starts_from():
    assert set(MAY) == {(state, event) for event, rule in RULES[Appointment].items() for state in rule.sources}


@pytest.mark.slow
@walked("kind", KINDS)
@walked("state, event", MAY)
def test_an_event_of_an_appointment_is_made_by_those_the_rule_book_names(people, state, event, kind):
    appointment = make_in(Appointment, state, professional=people.profile, client=people.client)
    actor, now = getattr(people, kind), moment_for(appointment, event)
    before, remembered = stored(appointment), in_memory(appointment)

    assert getattr(appointment, f"can_{event}")(by=actor, now=now) == (kind in MAY[state, event])
    assert (event in appointment.available_events(by=actor, now=now)) == (kind in MAY[state, event])
    if kind in MAY[state, event]:
        fire(appointment, event, by=actor)
        assert appointment.actor_of(event) == actor
    else:
        with pytest.raises(NotPermittedError) as caught:
            fire(appointment, event, by=actor)
        assert (caught.value.actor_id, caught.value.action) == (actor.id, f"{event} this Appointment")
        assert caught.value.allowed == tuple(one.who for one in Appointment.lifecycle.transitions[event].permitted)
        assert (stored(appointment), in_memory(appointment)) == (before, remembered)
        assert list(appointment.history()) == []


@pytest.mark.slow
@walked("role", Role)
@walked("model", [Student, CreditTransaction])
def test_admissions_and_credits_are_the_desks(bound, model, role):
    actor = make_user(role=role)
    for event, rule in RULES[model].items():
        row = make_in(model, rule.sources[0])
        assert getattr(row, f"can_{event}")(by=actor) == (role in (Role.STAFF, Role.ADMIN)), event
        if role in (Role.STAFF, Role.ADMIN):
            fire(row, event, by=actor)
        else:
            with pytest.raises(NotPermittedError, match=r"allowed: staff and admins$"):
                fire(row, event, by=actor)


@pytest.mark.slow
def test_where_nobody_is_named_nobody_is_asked(bound):
    for model, rules in RULES.items():
        for event, rule in rules.items():
            row = make_in(model, rule.sources[0])
            fire(row, event)
            assert row.actor_of(event) is None


def test_the_state_is_told_before_the_permission(people):
    appointment = make_in(Appointment, "executed", client=people.client)
    with pytest.raises(Exception, match="is executed"):
        fire(appointment, "cancel", by=people.client)


def test_a_professional_who_books_for_a_child_of_their_own_is_its_client_too(people):
    appointment = make_in(Appointment, "pre_confirmed", client=people.other_professional)
    fire(appointment, "confirm", by=people.other_professional)
    assert appointment.confirmed_by == people.other_professional


@walked(
    "predicate, kinds",
    [
        (STAFF, DESK),
        (ADMIN, {"admin"}),
        (OWN_PROFESSIONAL, {"professional"}),
        (OWN_CLIENT, {"client"}),
        (OWN_CLIENT_BEFORE_CONFIRMATION, {"client"}),
    ],
)
def test_permissions_are_plain_predicates(people, predicate, kinds):
    appointment = make_in(Appointment, "pre_confirmed", professional=people.profile, client=people.client)
    assert {kind for kind in KINDS if predicate(appointment, getattr(people, kind))} == kinds


def test_the_client_loses_the_cancellation_with_the_confirmation(people):
    appointment = make_in(Appointment, "confirmed", client=people.client)
    assert not OWN_CLIENT_BEFORE_CONFIRMATION(appointment, people.client)
    assert OWN_CLIENT(appointment, people.client)


def test_someone_whose_role_was_read_in_part_may_nothing(people):
    from rayces_core import User

    part = User.select(User.id).where(User.id == people.admin.id).get()
    assert make_in(Appointment, "draft").available_events(by=part) == []
