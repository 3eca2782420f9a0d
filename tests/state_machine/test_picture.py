"""A lifecycle's picture has every state and every event of the declaration, whatever page it is put into."""

from xml.etree import ElementTree

import pytest

from rayces_core import Appointment, CreditTransaction, Student
from rayces_core.state_machine import StateMachine

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("model", [Appointment, Student, CreditTransaction])
def test_every_state_and_event_is_drawn(model):
    machine: StateMachine = model.lifecycle
    drawn = ElementTree.fromstring(machine._repr_html_())
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert texts[: len(list(machine.states))] == [str(state) for state in machine.states]
    kept = [one for one in machine.transitions.values() if one.target is None]
    moving = [one.event for one in machine.transitions.values() if one.target is not None]
    assert [text for text in texts if text in moving] == moving
    for one in kept:
        assert texts.count(one.event) == len(one.sources)
    dots = len(list(drawn.iter(f"{SVG}circle")))
    assert dots == sum(len(one.sources) for one in machine.transitions.values())


def test_it_is_one_self_contained_picture():
    shown = Appointment.lifecycle._repr_html_()
    assert "<script" not in shown
    assert "href" not in shown
    assert "Appointment.state" in shown
    assert repr(Appointment.lifecycle).startswith("<StateMachine Appointment.state: draft, pre_confirmed")
