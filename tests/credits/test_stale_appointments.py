"""Objects that fell behind or hold what is not saved, and programs that never imported credits: one price for all."""

import subprocess
import sys
from datetime import timedelta

import pytest

from rayces_core import (
    Appointment,
    CreditTransaction,
    credits,
)
from tests.credits.ledger import (
    amounts,
    as_stored,
    confirmed,
    early,
    held_appointment,
    without_reserving,
)
from tests.factory import have_unsaved, make_appointment, make_user, write_past
from tests.sizes import exhaustive
from tests.state_machine.rules import columns

# -- objects that fell behind ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stale_object_is_charged_as_the_database_says(rich):
    became, ceased, dearer = held_appointment(rich, 2), held_appointment(rich, 2), held_appointment(rich, 2)
    Appointment.update(uses_credit=False).where(Appointment.id == became.id).execute()
    became = Appointment.get_by_id(became.id)
    for row, change in (
        (became, {"uses_credit": True}),
        (ceased, {"uses_credit": False}),
        (dearer, {"credits_used": 5}),
    ):
        Appointment.update(**change).where(Appointment.id == row.id).execute()
        row.confirm(now=early(row))
        assert columns(row) == as_stored(row)
    assert amounts(rich) == [10, -2, -5]


def test_a_stale_object_pays_from_the_client_that_the_database_says(bound, rich):
    without_reserving(bound)
    other, appointment = make_user(), held_appointment(rich, 2)
    credits.purchase(other, 2)
    write_past(appointment, client_id=other.id)
    appointment.confirm(now=early(appointment))
    assert (credits.balance(rich), credits.balance(other)) == (10, 0)


def test_a_stale_object_is_refunded_by_the_start_that_the_database_says(rich):
    sooner, later = confirmed(rich, 1), confirmed(rich, 2)
    now = early(sooner, hours=30)
    later_start = now + timedelta(hours=100)
    write_past(sooner, scheduled_at=now + timedelta(hours=1))
    later_now = later.scheduled_at - timedelta(hours=1)
    write_past(later, scheduled_at=later_start + timedelta(days=300))
    sooner.cancel(reason="ill", now=now)
    assert credits.balance(rich) == 7
    later.cancel(reason="ill", now=later_now)
    assert credits.balance(rich) == 9


@pytest.mark.parametrize(
    "unsaved", [{"uses_credit": False}, {"credits_used": 1}, {"credits_used": 0}, {"client": "other"}], ids=repr
)
def test_what_is_assigned_and_not_saved_saves_nobody_the_price(rich, unsaved):
    appointment = held_appointment(rich, 3)
    for name, value in unsaved.items():
        have_unsaved(appointment, **{name: make_user().id if value == "other" else value})
    appointment.confirm(now=early(appointment))
    assert amounts(rich) == [10, -3]
    assert appointment.dirty_field_names == list(unsaved)
    assert as_stored(appointment)["credits_used"] == 3
    assert as_stored(appointment)["uses_credit"] is True
    assert credits.verify().is_clean


def test_what_is_assigned_and_not_saved_charges_nobody_for_a_free_one(rich):
    appointment = make_appointment(client=rich)
    appointment.pre_confirm(now=early(appointment))
    appointment.uses_credit, appointment.credits_used = True, 4
    appointment.confirm(now=early(appointment))
    assert amounts(rich) == [10]
    assert sorted(appointment.dirty_field_names) == ["credits_used", "uses_credit"]


def test_what_is_assigned_and_not_saved_gets_nobody_a_refund(rich):
    appointment = confirmed(rich, 3)
    now = early(appointment, hours=1)
    have_unsaved(appointment, scheduled_at=appointment.scheduled_at + timedelta(days=9))
    appointment.cancel(reason="ill", now=now)
    assert amounts(rich) == [10, -3]


def test_a_cancellation_with_a_hidden_price_is_refunded(rich):
    appointment = confirmed(rich, 3)
    appointment.uses_credit = False
    appointment.cancel(reason="ill", now=early(appointment))
    assert amounts(rich) == [10, -3, 3]


# -- whoever has imported what -----------------------------------------------------------------------------------------

CONFIRM = """
import sys
{imports}
from datetime import timedelta
from rayces_core.database.database import Database
import tests  # which has the engine of Citus taken in a laboratory
assert "rayces_core.credits" not in sys.modules
with Database.connect(sys.argv[1]) as db, db.tenant(int(sys.argv[2])):
    appointment = Appointment.get_by_id(int(sys.argv[3]))
    appointment.confirm(now=appointment.scheduled_at - timedelta(days=2))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    ["from rayces_core.models import Appointment", *exhaustive("from rayces_core import Appointment")],
    ids=["models alone", "the root's name alone"],
)
def test_a_program_that_never_mentions_credits_is_charged(db, bound, rich, imports):
    appointment = held_appointment(rich, 3)
    code = CONFIRM.format(imports=imports)
    command = [sys.executable, "-c", code, db.url, str(bound.id), str(appointment.id)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert amounts(rich) == [10, -3]
    assert CreditTransaction.select().count() == 2
