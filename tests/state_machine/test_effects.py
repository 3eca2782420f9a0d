"""Effects attached with `within(when=, reads=)`: which rows they run for, what they may rely on, who attaches them."""

import contextlib
import subprocess
import sys
from enum import StrEnum

import pytest

from rayces_core import Appointment, Database, Student
from rayces_core.state_machine import StateMachine
from tests.factory import make_appointment, make_organization, make_student
from tests.state_machine.rules import columns, fire, in_memory, make_in, moment_for, stored
from tests.wire import wire


def is_noted(row):
    return bool(row.notes)


class Undone(Exception):
    pass


@pytest.fixture
def ran(within):
    """What an effect saw that runs for appointments with notes."""
    seen = []
    within(
        Appointment.lifecycle,
        "pre_confirm",
        lambda change: seen.append(change.subject.notes),
        when=is_noted,
        reads=("notes",),
    )
    return seen


@pytest.mark.slow
def test_it_runs_for_the_rows_that_when_says(bound, ran):
    fire(make_appointment(notes="bring the file"), "pre_confirm")
    fire(make_appointment(), "pre_confirm")
    assert ran == ["bring the file"]


@pytest.mark.slow
def test_rows_that_when_excludes_keep_their_single_statement(own_pool, within):
    organization = make_organization(own_pool)
    within(Appointment.lifecycle, "cancel", lambda change: None, when=is_noted, reads=("notes",))
    with wire(own_pool.url) as proxy, Database.connect(proxy.url) as database, database.tenant(organization):
        bare, noted = (
            Appointment.get_by_id(row.id) for row in (make_appointment(), make_appointment(notes="bring the file"))
        )
        fire(Appointment.get_by_id(make_appointment().id), "cancel")  # prepared on the connection
        proxy.sent.clear()
        fire(bare, "cancel")
        assert [sent.count("BEGIN") for sent in proxy.sent] == [0]
        proxy.sent.clear()
        fire(noted, "cancel")
        assert [sent.split(";")[0].split()[0] for sent in proxy.sent] == ["BEGIN", "EXECUTE", "COMMIT"]


@pytest.mark.slow
def test_what_it_reads_is_as_the_database_has_it(bound, ran):
    came, went = make_appointment(), make_appointment(notes="bring the file")
    Appointment.update(notes="written elsewhere").where(Appointment.id == came.id).execute()
    Appointment.update(notes=None).where(Appointment.id == went.id).execute()

    fire(came, "pre_confirm")
    fire(went, "pre_confirm")

    assert ran == ["written elsewhere"]
    for row in (came, went):
        assert columns(row) == stored(row)
        assert row.state == "pre_confirmed"
        assert len(row.history()) == 1


@pytest.mark.slow
def test_what_is_assigned_and_not_saved_is_no_answer(bound, ran):
    hidden, pretended = make_appointment(notes="bring the file"), make_appointment()
    hidden.notes, pretended.notes = None, "none there"
    fire(hidden, "pre_confirm")
    fire(pretended, "pre_confirm")
    assert ran == [None]  # for the hidden one; the function gets the caller's object
    assert stored(hidden)["notes"] == "bring the file"
    assert [row.dirty_field_names for row in (hidden, pretended)] == [["notes"]] * 2


def test_when_is_told_by_the_row_as_it_has_become(bound, within):
    asked, stale = [], make_appointment()
    Appointment.update(notes="written elsewhere").where(Appointment.id == stale.id).execute()
    within(
        Appointment.lifecycle,
        "pre_confirm",
        lambda change: None,
        when=lambda row: asked.append((row.state, row.notes)),
        reads=("notes",),
    )
    fire(stale, "pre_confirm")
    assert asked[-1] == ("pre_confirmed", "written elsewhere")


def test_a_stale_row_that_turns_out_to_need_it_is_undone_with_it(bound, within):
    def fail(change):
        raise Undone

    within(Appointment.lifecycle, "pre_confirm", fail, when=is_noted, reads=("notes",))
    stale = make_appointment()
    Appointment.update(notes="written elsewhere").where(Appointment.id == stale.id).execute()
    remembered, before = in_memory(stale), stored(stale)
    with pytest.raises(Undone):
        fire(stale, "pre_confirm")
    assert (in_memory(stale), stored(stale)) == (remembered, before)
    assert list(stale.history()) == []


def test_a_row_read_without_those_columns_is_read_again(bound, ran):
    row = make_appointment(notes="bring the file")
    part = Appointment.select(Appointment.id, Appointment.state).where(Appointment.id == row.id).get()
    part.pre_confirm(now=moment_for(row, "pre_confirm"))
    assert ran == ["bring the file"]


@pytest.mark.slow
def test_many_rows_at_once_have_it_for_those_that_when_says(db, bound, within):
    seen = []
    within(
        Appointment.lifecycle, "cancel", lambda change: seen.append(change.subject.id), when=is_noted, reads=("notes",)
    )
    student = make_in(Student, "enrolled")
    noted = make_appointment(student=student, notes="bring the file")
    make_appointment(student=student)
    student.discharge(now=noted.scheduled_at.replace(month=1))
    assert seen == [noted.id]


def test_effects_of_other_events_and_rows_are_not_asked_for(bound, ran):
    machine = Appointment.lifecycle
    assert machine.has_effects("pre_confirm")
    assert machine.has_effects("pre_confirm", Appointment(notes="bring the file"))
    assert not machine.has_effects("pre_confirm", Appointment())
    assert not machine.has_effects("execute")


# -- who attaches them -------------------------------------------------------------------------------------------------


class Lamp(StrEnum):
    OFF = "off"
    ON = "on"


def test_the_module_that_wires_a_machine_is_imported_before_its_first_event_and_once(tmp_path, monkeypatch):
    (tmp_path / "wiring_of_a_lamp.py").write_text("import sys\nsys.lamps = getattr(sys, 'lamps', 0) + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "lamps", 0, raising=False)
    machine = StateMachine("lamp", Lamp, wired_by=["wiring_of_a_lamp"])

    @machine.transition(source=Lamp.OFF, target=Lamp.ON)
    def turn_on(self, *, by=None, now=None): ...

    assert sys.lamps == 0
    with contextlib.suppress(Exception):
        machine.has_effects("turn_on")
    assert machine.has_effects("turn_on") is False
    assert sys.lamps == 1


def test_a_wiring_that_cannot_be_imported_stops_the_event(bound, monkeypatch):
    monkeypatch.setattr(Student.lifecycle._announcements, "wired_by", ("rayces_core.nowhere",))
    student = make_student()
    for _ in range(2):  # and goes on stopping it
        with pytest.raises(ModuleNotFoundError):
            student.apply()
    assert stored(student)["admission_state"] == "prospect"


@pytest.mark.slow
def test_whoever_imports_the_models_alone_has_drafts_decided_on_and_confirmed_ones_paid():
    code = (
        "import rayces_core.models as m; told = m.Appointment.lifecycle; "
        "print(told._announcements.decision('pre_confirm').run.__name__, told.has_effects('confirm'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "decide_draft True\n"


@pytest.mark.slow
def test_declaring_and_asking_import_no_wiring():
    code = (
        "import sys, rayces_core.models as m; m.Appointment.lifecycle.events_from('draft'); "
        "print('rayces_core.credits' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
