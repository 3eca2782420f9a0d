"""Every event from every state of every machine, against the rule book; and random walks that the journal replays."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from rayces_core import Appointment, CheckFailedError, InvalidTransitionError, Invoice, LifecycleError, Student, clock
from rayces_core.models import TENANT_MODELS
from tests.factory import START, make_appointment, make_student
from tests.sizes import examples
from tests.state_machine.rules import (
    KEEPING,
    RULES,
    allowed_from,
    columns,
    fire,
    in_memory,
    make_in,
    moment_for,
    replayed,
    steps,
    stored,
)
from tests.walking import walked


class Undone(Exception):
    pass


def test_every_model_with_a_state_is_walked_here():
    """Invoices, whose events need something to invoice, are so in tests/invoicing/test_properties.py."""
    moved = {model for model in TENANT_MODELS if any(field.by_event_only for field in state_fields(model))}
    assert moved == {*RULES, Invoice}


def state_fields(model):
    return [field for field in model._meta.sorted_fields if getattr(field, "by_event_only", False)]


@walked("model", RULES)
def test_the_declaration_is_the_rule_book(model):
    machine = model.lifecycle
    declared = {event: (tuple(map(str, t.sources)), t.target) for event, t in machine.transitions.items()}
    assert declared == {event: (rule.sources, rule.target) for event, rule in RULES[model].items()}
    assert machine.keeping == KEEPING[model]
    assert [field.name for field in state_fields(model)] == [machine.field]


@pytest.mark.slow
@walked("step", steps())
def test_an_event_leads_where_the_rule_book_says_or_nowhere(bound, admin, step):
    model, state, event = step
    row, rule = make_in(model, state), RULES[model][event]
    before, remembered = stored(row), in_memory(row)

    if state in rule.sources:
        assert event in row.available_events(by=admin, now=moment_for(row, event))
        with clock.frozen(moment_for(row, event)):
            fire(row, event, by=admin, reason="because")
        check_moved(row, event, before, admin)
    else:
        assert not getattr(row, f"can_{event}")(by=admin, now=moment_for(row, event))
        with pytest.raises(InvalidTransitionError) as caught:
            fire(row, event, by=admin)
        error = caught.value
        assert (error.event, error.from_state, error.allowed) == (event, state, allowed_from(model, state))
        assert stored(row) == before
        assert in_memory(row) == remembered
        assert list(row.history()) == []


def check_moved(row, event, before, admin):
    model, field = type(row), type(row).lifecycle.field
    rule, after, now = RULES[model][event], stored(row), moment_for(row, event)
    target = rule.target_from(before[field])
    moved = set() if rule.target is None else {field}
    assert after[field] == target
    written = set(rule.writes) if event != "reopen" else {f"{before[field]}_at"}
    assert {name for name in after if after[name] != before[name]} == {"updated_at", *moved, *written}
    assert after["updated_at"] == now
    assert columns(row) == after
    assert not row.is_dirty()
    stamps = [name for name in rule.writes if name.endswith("_at") and name != "expires_at"]
    if event.startswith("correct_"):  # the moment that it was recorded stays
        assert {after[name] for name in stamps} == {before[name] for name in stamps}
    else:
        assert all(after[name] == now for name in stamps)
    (change,) = row.history()
    assert (change.subject_type, change.subject_id, change.organization_id) == (
        model.__name__,
        row.id,
        row.organization_id,
    )
    assert (change.event, change.from_state, change.to_state) == (event, before[field], target)
    assert (change.actor, change.reason, change.occurred_at) == (admin, "because", now)
    assert row.actor_of(event) == admin


def test_an_event_that_never_happened_has_no_actor(bound):
    row = make_appointment()
    assert row.actor_of("confirm") is None
    assert row.confirmed_by is None


# One test holds the database for all its examples, each of which has a row of its own.
walks = examples(6, 40, suppress_health_check=[HealthCheck.function_scoped_fixture])
choices = st.lists(
    st.tuples(st.integers(0, 20), st.integers(-9, 3), st.booleans(), st.booleans(), st.sampled_from(["keep", "undo"])),
    min_size=1,
    max_size=9,
)


@pytest.mark.slow
@walked("model, make", [(Appointment, make_appointment), (Student, make_student)])
@walks
@given(data=st.data())
def test_wherever_a_row_walks_the_journal_replays_to_its_state(db, a, model, make, data):
    with db.tenant(a):
        objects = [row := make(), model.get_by_id(row.id)]  # the second one falls behind
        start = getattr(row, "scheduled_at", START)
        for number, days, stale, alone, outcome in data.draw(choices):
            event = list(RULES[model])[number % len(RULES[model])]
            step(db, objects[stale], event, start + timedelta(days=days), alone, outcome)
            assert all(one.__data__[model.lifecycle.field] in model.lifecycle.states for one in objects)
        assert replayed(row) == stored(row)[model.lifecycle.field]
        if model is Appointment:
            check_stamps(stored(row), happened_to(row))


def step(db, row, event, now, alone, outcome):
    """Try one event, alone or in a unit of work that is kept or undone; the object agrees with the database after."""
    state, remembered = stored(row)[type(row).lifecycle.field], in_memory(row)
    possible = state in RULES[type(row)][event].sources
    try:
        if alone:
            fire(row, event, now=now)
        else:
            with db.atomic():
                fire(row, event, now=now)
                if outcome == "undo":
                    raise Undone
    except (LifecycleError, Undone, CheckFailedError) as refusal:
        error: Exception | None = refusal
        # A walk goes back in time as well, and nobody is discharged before the admission.
        if isinstance(refusal, CheckFailedError):
            assert refusal.constraint == "students_discharge_date_check"  # noqa: PT017
    else:
        error = None
    assert isinstance(error, InvalidTransitionError) != possible
    if error is None:
        assert known(row, columns(row), event) == known(row, stored(row), event)
    else:
        assert in_memory(row) == remembered
        assert stored(row)[type(row).lifecycle.field] == state


def known(row, values, event):
    """What an object has to know after an event: all but what only another object may have changed."""
    kept = [each for each in RULES[type(row)].values() if each.target is None]
    others = {name for rule in kept if rule is not RULES[type(row)][event] for name in rule.writes}
    return {name: value for name, value in values.items() if name not in others}


def happened_to(row):
    """The states that the row has reached, without what a correction has taken back."""
    happened = set()
    for change in row.history():
        if change.event in ("reopen", "correct_to_executed", "correct_to_no_show"):
            happened.discard(change.from_state)
        happened.add(change.to_state)
    return happened


def check_stamps(row, happened):
    stamps = {"pre_confirmed": "pre_confirmed_at", "confirmed": "confirmed_at", "executed": "executed_at"}
    stamps |= {"no_show": "no_show_at", "cancelled": "cancelled_at"}
    assert {state for state, stamp in stamps.items() if row[stamp] is not None} == happened - {"draft"}
