"""What a machine is told when it is declared, and what it gives the model in return."""

from enum import StrEnum

import pytest

from rayces_core import ConfigurationError
from rayces_core.state_machine import StateMachine
from tests.state_machine.rules import KEEPING, RULES
from tests.walking import walked


class Lamp(StrEnum):
    OFF = "off"
    ON = "on"
    BROKEN = "broken"


def lamp():
    class Switch:
        machine = StateMachine("lamp", Lamp, keeping=("clean",))

        @machine.transition(source=Lamp.OFF, target=Lamp.ON)
        def turn_on(self, *, by=None, now=None):
            """Let there be light."""

        @machine.transition(source=(Lamp.OFF, Lamp.ON), target=Lamp.BROKEN)
        def drop(self, *, by=None, now=None): ...

    return Switch


def test_a_row_begins_in_the_first_state_of_the_enum():
    assert lamp().machine.initial is Lamp.OFF


def test_the_events_from_a_state_come_in_the_order_of_their_declaration():
    machine = lamp().machine
    assert [machine.events_from(state) for state in Lamp] == [("turn_on", "drop"), ("drop",), ()]


def test_an_event_keeps_the_name_and_the_docstring_of_its_method():
    assert (lamp().turn_on.__name__, lamp().turn_on.__doc__) == ("turn_on", "Let there be light.")


def test_the_model_gets_a_predicate_for_each_event():
    switch = lamp()
    assert {name for name in dir(switch) if name.startswith("can_")} == {"can_turn_on", "can_drop"}
    assert switch.can_drop.__name__ == "can_drop"
    assert not hasattr(switch, "history")  # it keeps no journal


@walked("model", RULES)
def test_every_model_has_the_readers_of_its_machine(model):
    assert {name for name in dir(model) if name.startswith("can_")} == {f"can_{event}" for event in RULES[model]}
    assert all(callable(getattr(model, name)) for name in ("available_events", "history", "actor_of"))


@walked("source, target", [("off", Lamp.ON), (Lamp.OFF, "glowing"), ((Lamp.OFF, "x"), Lamp.ON)])
def test_a_state_that_the_enum_does_not_have_is_refused(source, target):
    with pytest.raises(ConfigurationError, match="is no Lamp"):
        StateMachine("lamp", Lamp).transition(source=source, target=target)


def test_an_event_is_declared_once():
    machine = lamp().machine
    with pytest.raises(ConfigurationError, match="'turn_on' is declared twice"):

        @machine.transition(source=Lamp.ON, target=Lamp.OFF)
        def turn_on(self): ...


@walked("attach", ["on", "within"])
def test_nobody_waits_for_an_event_that_is_not_there(attach):
    machine = lamp().machine
    with pytest.raises(ConfigurationError, match="there is no event 'explode'; there are turn_on, drop, clean"):
        getattr(machine, attach)("turn_on", "explode")
    assert (machine._announcements._subscribers, machine._announcements._effects) == ([], {})


def test_forgotten_parentheses_are_noticed():
    with pytest.raises(ConfigurationError, match="there is no event"):

        @lamp().machine.on
        def listener(change): ...


def test_events_that_keep_the_state_are_known_and_are_no_transitions():
    assert {model: model.lifecycle.keeping for model in RULES} == KEEPING
    for model, events in KEEPING.items():
        assert not set(events) & set(model.lifecycle.transitions)
        for event in events:
            model.lifecycle.on(event)  # nothing is subscribed before the function is given
