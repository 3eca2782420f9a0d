"""Who subscribed is told what was committed, once, and nothing else."""

import asyncio
import contextlib
import contextvars
import functools
import threading

import psycopg2
import pytest

from rayces_core import Appointment, ConfigurationError, Student
from tests.factory import make_appointment, make_student
from tests.state_machine.rules import fire, make_in, moment_for
from tests.state_machine.test_rollback import WAYS
from tests.walking import walked


class Undone(Exception):
    pass


def test_a_subscriber_is_told_the_facts(bound, admin, listen):
    told = listen(Appointment.lifecycle, "cancel")
    appointment = make_appointment()
    now = moment_for(appointment, "cancel")
    appointment.cancel(by=admin, reason="ill", now=now)
    (change,) = told
    assert change.subject is appointment
    assert (change.event, change.from_state, change.to_state) == ("cancel", "draft", "cancelled")
    assert (change.actor, change.reason, change.occurred_at) == (admin, "ill", now)
    assert change.given == {"by": admin, "reason": "ill", "refund": None, "now": now}
    assert type(change.from_state) is type(change.to_state) is type(appointment.state)


def test_a_subscriber_is_told_of_the_events_it_named_or_of_all(bound, listen):
    named = listen(Appointment.lifecycle, "pre_confirm", "cancel")
    every = listen(Appointment.lifecycle)
    others = listen(Student.lifecycle)
    appointment = make_appointment()
    for event in ("pre_confirm", "confirm", "cancel"):
        fire(appointment, event)
    assert [change.event for change in named] == ["pre_confirm", "cancel"]
    assert [change.event for change in every] == ["pre_confirm", "confirm", "cancel"]
    assert others == []


async def waiting(change):
    pass


class Waiting:
    async def __call__(self, change):
        pass


def yielding(change):
    yield change


@walked("deferred", [waiting, Waiting(), yielding, functools.partial(waiting)])
def test_what_calling_does_not_run_can_be_told_of_nothing(db, deferred):
    for subscribe in (Appointment.lifecycle.on("cancel"), Appointment.lifecycle.within("cancel"), db.on_commit):
        with pytest.raises(ConfigurationError, match="returns before it has run"):
            subscribe(deferred)


def test_subscribing_gives_the_function_back_and_off_ends_it_for_every_event(bound):
    told = []
    listener = Appointment.lifecycle.on("pre_confirm", "confirm")(told.append)
    Appointment.lifecycle.on()(listener)
    try:
        appointment = make_appointment()
        fire(appointment, "pre_confirm")
        assert len(told) == 1  # once, however often it was subscribed
    finally:
        Appointment.lifecycle.off(listener)
    fire(appointment, "confirm")
    assert len(told) == 1
    Appointment.lifecycle.off(listener)  # nothing to end any more


def test_an_object_behind_tells_where_the_row_really_came_from(bound, listen):
    told = listen(Appointment.lifecycle, "cancel")
    appointment = make_appointment()
    stale = Appointment.get_by_id(appointment.id)
    fire(appointment, "pre_confirm")
    fire(stale, "cancel")
    assert [change.from_state for change in told] == ["pre_confirmed"]


def test_it_is_told_after_the_outermost_commit_when_others_can_see_it(db, bound, listen):
    appointment, seen = make_appointment(), []

    def look(change):
        with contextlib.closing(psycopg2.connect(db.url)) as other:
            cursor = other.cursor()
            cursor.execute("select state from appointments where id = %s", (change.subject.id,))
            seen.append((cursor.fetchone()[0], db.engine.holder_of_transaction()))

    listen(Appointment.lifecycle, listener=look)
    with db.atomic():
        with db.atomic():
            fire(appointment, "pre_confirm")
        assert seen == []
    assert seen == [("pre_confirmed", None)]
    fire(appointment, "confirm")
    assert seen[1:] == [("confirmed", None)]


@pytest.mark.slow
@walked("undo", WAYS)
def test_of_what_was_undone_nobody_hears(db, bound, listen, undo):
    told, appointment = listen(Appointment.lifecycle), make_appointment()
    undo(db, lambda: fire(appointment, "pre_confirm"))
    with db.atomic():
        make_student()
    assert told == []


def test_of_a_savepoint_that_was_undone_nobody_hears_and_of_the_rest_everybody(db, bound, listen):
    told, appointment = listen(Appointment.lifecycle), make_appointment()
    with db.atomic():
        fire(appointment, "pre_confirm")
        with pytest.raises(Undone), db.atomic():
            fire(appointment, "cancel")
            raise Undone
        fire(appointment, "confirm")
    assert [change.event for change in told] == ["pre_confirm", "confirm"]


def test_of_what_was_refused_nobody_hears(bound, listen):
    told, appointment = listen(Appointment.lifecycle), make_in(Appointment, "executed")
    with contextlib.suppress(Exception):
        fire(appointment, "cancel")
    assert told == []


@pytest.mark.slow
@walked("inside", [False, True])
def test_one_that_fails_is_logged_and_undoes_nothing(db, bound, listen, caplog, inside):
    def fail(change):
        raise Undone("mail server")

    listen(Appointment.lifecycle, "pre_confirm", listener=fail)
    told, appointment = listen(Appointment.lifecycle, "pre_confirm"), make_appointment()
    with db.atomic() if inside else contextlib.nullcontext():
        fire(appointment, "pre_confirm")
    assert len(told) == 1
    assert "mail server" in caplog.text
    assert Appointment.get_by_id(appointment.id).state == appointment.state == "pre_confirmed"


def test_one_may_make_the_next_transition(bound, listen):
    listen(Student.lifecycle, "apply", listener=lambda change: fire(change.subject, "admit"))
    told, student = listen(Student.lifecycle, "admit"), make_student()
    fire(student, "apply")
    assert student.admission_state == "admitted"
    assert [change.event for change in told] == ["admit"]


def test_one_that_subscribes_or_leaves_while_others_are_told_disturbs_nobody(bound, listen):
    told = []

    def once(change):
        told.append("once")
        Appointment.lifecycle.off(once)

    Appointment.lifecycle.on("pre_confirm", "confirm")(once)
    every = listen(Appointment.lifecycle)
    appointment = make_appointment()
    fire(appointment, "pre_confirm")
    fire(appointment, "confirm")
    assert told == ["once"]
    assert len(every) == 2


def test_an_event_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError):
        Appointment.lifecycle.on("confirmed")


# -- f10: in which order -----------------------------------------------------------------------------------------------


def goes_on(change):
    if change.event == "pre_confirm":
        fire(change.subject, "confirm")


@walked("inside", [False, True])
@walked("first", ["who goes on", "who listens"])
def test_f10_what_follows_from_a_change_is_told_after_it(db, bound, listen, inside, first):
    events = []
    listeners = [goes_on, lambda change: events.append((change.event, str(change.to_state)))]
    for listener in listeners if first == "who goes on" else reversed(listeners):
        listen(Appointment.lifecycle, listener=listener)
    with db.atomic() if inside else contextlib.nullcontext():
        fire(make_appointment(), "pre_confirm")
    assert events == [("pre_confirm", "pre_confirmed"), ("confirm", "confirmed")]


def test_f10_what_an_effect_goes_on_with_is_told_after_its_cause(bound, listen, within):
    within(Appointment.lifecycle, "pre_confirm", goes_on)
    told, appointment = listen(Appointment.lifecycle), make_appointment()
    fire(appointment, "pre_confirm")
    assert [change.event for change in told] == ["pre_confirm", "confirm"]
    assert [change.event for change in appointment.history()] == ["pre_confirm", "confirm"]


def test_f10_what_follows_is_told_after_all_that_one_unit_brought_about(db, bound, listen):
    heard, first, second = [], make_appointment(), make_appointment()

    def hear(change):
        heard.append((change.subject.id, change.event))

    listen(Appointment.lifecycle, listener=goes_on)
    listen(Appointment.lifecycle, listener=hear)
    with db.atomic():
        fire(first, "pre_confirm")
        fire(second, "pre_confirm")
    assert heard == [(row.id, event) for event in ("pre_confirm", "confirm") for row in (first, second)]


def test_f10_a_chain_of_consequences_comes_in_its_order(bound, listen):
    heard = []

    def each_goes_on(change):
        following = {"pre_confirm": "confirm", "confirm": "cancel"}.get(change.event)
        if following:
            fire(change.subject, following)

    for listener in (each_goes_on, lambda change: heard.append(change.event), lambda change: heard.append("again")):
        listen(Appointment.lifecycle, listener=listener)
    fire(make_appointment(), "pre_confirm")
    assert heard == ["pre_confirm", "again", "confirm", "again", "cancel", "again"]


def test_f10_subscribers_are_told_in_the_order_of_their_registration_whatever_they_registered_for(bound, listen):
    heard = []
    for number, events in enumerate([(), ("cancel",), (), ("cancel", "confirm")]):
        listen(Appointment.lifecycle, *events, listener=lambda change, number=number: heard.append(number))
    fire(make_appointment(), "cancel")
    assert heard == [0, 1, 2, 3]


def test_f10_one_that_registered_twice_is_told_once_of_all_that_it_named(bound):
    heard = []

    def hear(change):
        heard.append(change.event)

    Appointment.lifecycle.on("pre_confirm")(hear)
    Appointment.lifecycle.on("confirm", "pre_confirm")(hear)
    try:
        appointment = make_appointment()
        for event in ("pre_confirm", "confirm", "cancel"):
            fire(appointment, event)
        assert heard == ["pre_confirm", "confirm"]
        Appointment.lifecycle.on()(hear)
        fire(make_appointment(), "cancel")
        assert heard[2:] == ["cancel"]
    finally:
        Appointment.lifecycle.off(hear)


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a unit of work"])
@pytest.mark.parametrize("stopped", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_f10_one_that_is_stopped_keeps_nobody_from_hearing(db, bound, listen, stopped, inside):
    def stop(change):
        raise stopped

    first = listen(Appointment.lifecycle)
    listen(Appointment.lifecycle, listener=stop)
    last, appointment = listen(Appointment.lifecycle), make_appointment()
    with pytest.raises(stopped):
        with db.atomic() if inside else contextlib.nullcontext():
            fire(appointment, "pre_confirm")
    assert len(first) == len(last) == 1
    assert Appointment.get_by_id(appointment.id).state == "pre_confirmed"


def test_what_is_announced_in_another_thread_meanwhile_waits_for_nobody(db, bound, listen):
    heard, other = [], make_appointment()

    def in_a_thread(change):
        if change.subject.id == other.id:
            return heard.append("there")

        def act():
            with db.tenant(bound.id):
                fire(Appointment.get_by_id(other.id), "pre_confirm")

        thread = threading.Thread(target=contextvars.copy_context().run, args=(act,))
        thread.start()
        thread.join(60)
        return heard.append("here")

    listen(Appointment.lifecycle, listener=in_a_thread)
    fire(make_appointment(), "pre_confirm")
    assert heard == ["there", "here"]
