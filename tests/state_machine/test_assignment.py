"""A state is reached, never assigned; and the journal of how it was reached is only added to."""

from datetime import UTC, datetime, timedelta

import pytest

from rayces_core import (
    CheckFailedError,
    CreditTransaction,
    InvalidTransitionError,
    Organization,
    RaycesError,
    StateAssignmentError,
    StateTransition,
    Student,
)
from tests.factory import make_appointment, make_balance, make_transaction
from tests.state_machine.rules import RULES, columns, make_in, stored
from tests.walking import walked

MOMENT = datetime(2031, 2, 3, 15, tzinfo=UTC)


@pytest.mark.slow
@walked("model", RULES)
def test_the_state_of_a_row_is_not_assigned(bound, model):
    field, initial = model.lifecycle.field, model.lifecycle.initial
    other = list(model.lifecycle.states)[1]
    created = make_in(model, initial)
    part = model.select(model.id).where(model.id == created.id).get()
    setattr(part, field, other)  # it was not read, so there is nothing to tell it from a new row
    key, name = model._meta.fields[field], {field: other}
    for assign in (
        lambda: setattr(created, field, other),
        lambda: setattr(created, field, initial),
        lambda: setattr(model.get_by_id(created.id), field, other),
        lambda: setattr(next(iter(model.select())), field, other),
        lambda: part.save(),
        lambda: created.save(only=[field]),
        lambda: model.update(**name).execute(),
        lambda: model.update({key: other}).execute(),
        lambda: model.update({getattr(model._meta.table, field): other}).execute(),
        lambda: model.set_by_id(created.id, name),
        lambda: model.bulk_update([created], [field]),
        lambda: model.bulk_update([created], [key]),
        lambda: model.insert(**columns(created)).on_conflict(conflict_target=[model.id], update={key: other}).execute(),
        lambda: model.insert(**columns(created)).on_conflict(conflict_target=[model.id], preserve=[key]).execute(),
    ):
        with pytest.raises(StateAssignmentError, match="changed by events alone"):
            assign()
    assert stored(created)[field] == getattr(created, field) == initial


def test_a_state_may_be_assigned_until_the_row_is_saved(bound):
    student = Student(first_name="Luz", last_name="Sosa", admission_state="applied")
    student.admission_state = "enrolled"
    student.save()
    with pytest.raises(StateAssignmentError):
        student.admission_state = "applied"
    assert stored(student)["admission_state"] == "enrolled"


@pytest.mark.slow
@walked("model", RULES)
def test_a_new_row_may_be_given_any_state_that_its_stamps_fit(bound, model):
    for state in model.lifecycle.states:
        row = make_in(model, str(state))
        assert stored(row)[model.lifecycle.field] is state
        assert list(row.history()) == []


def test_a_new_row_with_a_state_and_without_its_stamps_is_refused(bound):
    with pytest.raises(CheckFailedError):
        make_appointment(state="confirmed")


def test_the_journal_is_only_added_to(db, bound):
    appointment = make_appointment()
    appointment.cancel(reason="ill")
    (change,) = appointment.history()
    for binding in (db.tenant(bound), db.privileged(reason="test")):
        with binding:
            for attempt in (
                "UPDATE state_transitions SET to_state = 'draft'",
                "DELETE FROM state_transitions",
                "TRUNCATE state_transitions",
            ):
                with pytest.raises(RaycesError, match="by design"):
                    db.execute_sql(attempt)
            for attempt in (
                lambda: StateTransition.update(event="well").execute(),
                lambda: StateTransition.delete().execute(),
                lambda: change.delete_instance(),
            ):
                with pytest.raises(RaycesError, match="by design"):
                    attempt()
    # Privileged work takes words out of it, where it says that it erases; see tests/people/test_erasing.py.
    with db.tenant(bound), pytest.raises(RaycesError, match="by design"):
        StateTransition.update(reason="well").execute()
    with db.privileged(reason="test"):
        assert StateTransition.update(reason="well").execute() == 0
    assert [c.reason for c in appointment.history()] == ["ill"]


def test_credit_entries_that_are_final_say_so(bound):
    balance = make_balance()
    entry = make_transaction(credit_balance=balance)
    stale = CreditTransaction.get_by_id(entry.id)
    entry.complete()
    for event in (entry.complete, stale.complete, stale.fail):
        with pytest.raises(InvalidTransitionError, match="is completed; nothing can follow it"):
            event()


def test_the_organizations_settings_decide_by_the_rows_organization(db, bound):
    Organization.update(settings={"confirmation_hours": 2}).execute()
    appointment = make_appointment()
    with db.privileged(reason="test"):
        appointment.pre_confirm(now=MOMENT)
    assert appointment.expires_at == MOMENT + timedelta(hours=2)
