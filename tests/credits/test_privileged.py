"""Privileged work confirms, cancels and discharges on credit in the ledger of the appointment's own organization."""

import pytest

from rayces_core import Appointment, CreditTransaction, InsufficientCreditsError, Student, User, credits
from tests.credits.ledger import amounts, early, figures, held_appointment, nothing_written, without_reserving
from tests.factory import make_appointment, make_student, make_user, write_past

COSTS = (3, 5)


@pytest.fixture
def twins(db, a, b):
    """Two organizations with the same ids of client, student and appointment; the second one's costs more."""
    shared, made = 9_100_000 + a.id, []
    for organization, cost in zip((a, b), COSTS, strict=True):
        with db.tenant(organization):
            people = {"client": make_user(id=shared), "student": make_student(id=shared, admission_state="enrolled")}
            credits.purchase(people["client"], 10)
            row = make_appointment(id=shared, uses_credit=True, credits_used=cost, **people)
            row.pre_confirm(now=early(row))
            made.append(row)
    return made


@pytest.fixture
def of(db):
    """A function for an appointment's organization: runs something there."""

    def ask(appointment, question):
        with db.tenant(appointment.organization_id):
            return question()

    return ask


def reread(model, row):
    return model.get((model.id == row.id) & (model.organization == row.organization_id))


def held(appointment):
    return amounts(appointment.client_id)


def test_confirming_and_cancelling_is_paid_and_refunded_there(db, twins, of):
    with db.privileged(reason="test"):
        for row in twins:
            mine = reread(Appointment, row)
            mine.confirm(now=early(row))
            assert mine.state == "confirmed"
    assert [of(row, lambda row=row: held(row)) for row in twins] == [[10, -3], [10, -5]]
    with db.privileged(reason="test"):
        reread(Appointment, twins[1]).cancel(reason="ill", now=early(twins[1]))
    assert [of(row, lambda row=row: held(row)) for row in twins] == [[10, -3], [10, -5, 5]]
    assert all(of(row, lambda: credits.verify().is_clean) for row in twins)


def test_the_entry_is_the_organizations_with_its_actor_and_reason(db, twins, of):
    row = twins[1]
    desk = of(row, lambda: make_user(role=2))
    with db.privileged(reason="test"):
        mine, by = reread(Appointment, row), reread(User, desk)
        mine.confirm(by=by, now=early(row))
        mine.cancel(by=by, reason="ill", now=early(row))
    found = of(row, lambda: list(CreditTransaction.select().order_by(CreditTransaction.id)))
    assert [(entry.organization_id, entry.created_by_id, entry.reason) for entry in found[1:]] == [
        (row.organization_id, desk.id, None),
        (row.organization_id, desk.id, "ill"),
    ]


def test_a_discharge_refunds_there(db, twins, of):
    for row in twins:
        of(row, lambda row=row: row.confirm(now=early(row)))
    with db.privileged(reason="test"):
        reread(Student, twins[0].student).discharge(now=early(twins[0]))
    assert [of(row, lambda row=row: figures(row.client_id)[0]) for row in twins] == [10, 5]


def test_without_credits_it_stays_as_it_was(db, a, twins, of):
    poor = twins[0]
    of(poor, lambda: without_reserving(a))
    of(poor, lambda: poor.cancel(reason="anew", now=early(poor)))
    poor = of(poor, lambda: held_appointment(poor.client_id, 3, student=poor.student_id))
    twins = [poor, twins[1]]
    of(poor, lambda: credits.debit(poor.client_id, 8))
    with db.privileged(reason="test"), pytest.raises(InsufficientCreditsError) as caught:
        reread(Appointment, poor).confirm(now=early(poor))
    assert (caught.value.required, caught.value.available) == (3, 2)
    of(poor, lambda: write_past(poor, client_id=make_user().id))
    with db.privileged(reason="test"), pytest.raises(InsufficientCreditsError) as caught:
        reread(Appointment, poor).confirm(now=early(poor))
    assert caught.value.available == 0
    assert {of(row, lambda row=row: Appointment.get_by_id(row.id).state) for row in twins} == {"pre_confirmed"}


def test_what_was_paid_by_hand_there_counts_and_nothing_elsewhere(db, twins, of):
    mine = twins[0]
    of(mine, lambda: credits.debit(mine.client_id, 4, appointment=mine))
    with db.privileged(reason="test"):
        for row in twins:
            reread(Appointment, row).confirm(now=early(row))
    assert [of(row, lambda row=row: held(row)) for row in twins] == [[10, -4], [10, -5]]
    assert [of(row, lambda row=row: Appointment.get_by_id(row.id).credits_used) for row in twins] == [4, 5]


def test_a_policy_of_ones_own_and_what_is_not_saved_are_asked_of_the_right_row(db, twins, of, use_policy):
    class Twice(credits.Policy):
        def cost(self, appointment):
            return 2 * appointment.credits_used - 1

    mine, other = twins
    with db.privileged(reason="test"):
        unsaved = reread(Appointment, mine)
        unsaved.credits_used = 1
        unsaved.confirm(now=early(mine))
        use_policy(Twice())
        reread(Appointment, other).confirm(now=early(other))
    assert [of(row, lambda row=row: held(row)) for row in twins] == [[10, -3], [10, -9]]


def test_entries_by_id_alone_are_still_refused(db, twins, of):
    row = twins[0]
    with db.privileged(reason="test"), pytest.raises(LookupError, match="needs a tenant"):
        credits.debit(row.client_id, 1, appointment=row.id)
    for each in twins:
        with db.tenant(each.organization_id), nothing_written():
            assert held(each) == [10]
