"""The table and the diagram say what was declared, all of it and nothing else."""

import re
from enum import StrEnum

from rayces_core import Appointment
from rayces_core.state_machine import DatabaseGuard, Guard, Permission, StateMachine, diagram, table
from tests.state_machine.rules import RULES
from tests.walking import walked

SENDER = Permission("its sender", lambda *_: True)
POST = Permission("the post", lambda *_: True)
PAID = Guard("unpaid", "`stamps` suffice", "put more stamps on it", lambda *_: True)
DRY = Guard("rain", "it is dry", "wait for better weather", lambda *_: True)
ROOM = DatabaseGuard("there is room", ("SELECT 1",), "true", Exception)


class Letter(StrEnum):
    WRITTEN = "written"
    SENT = "sent"
    BURNT = "burnt"


def letters():
    machine = StateMachine("letter", Letter)

    @machine.transition(
        source=Letter.WRITTEN,
        target=Letter.SENT,
        stamp="sent_at",
        permitted=(SENDER, POST),
        guards=(PAID, DRY),
        database_guard=ROOM,
    )
    def send(self): ...

    @machine.transition(source=(Letter.WRITTEN, Letter.SENT), target=Letter.BURNT)
    def burn(self): ...

    return machine


def test_the_table_has_a_line_for_each_event():
    assert table(letters()).splitlines() == [
        "| event | from | to | sets | only if | who, when `by` is given |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `send` | written | sent | `sent_at` | `stamps` suffice; it is dry; there is room | its sender, the post |",
        "| `burn` | written, sent | burnt |  |  | anyone |",
    ]


def test_the_diagram_has_an_arrow_for_each_source_and_says_where_it_begins_and_ends():
    assert diagram(letters()).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> written",
        "    written --> sent: send",
        "    written --> burnt: burn",
        "    sent --> burnt: burn",
        "    burnt --> [*]",
    ]


@walked("model", RULES)
def test_the_arrows_of_a_lifecycle_are_the_rule_books(model):
    arrows = re.findall(r"^    (\w+) --> (\w+): (\w+)$", diagram(model.lifecycle), re.MULTILINE)
    rules = RULES[model].items()
    assert arrows == [(source, rule.target_from(source), event) for event, rule in rules for source in rule.sources]


def test_what_only_corrections_leave_is_an_end_all_the_same():
    ends = re.findall(r"^    (\w+) --> \[\*\]$", diagram(Appointment.lifecycle), re.MULTILINE)
    assert ends == ["executed", "cancelled", "no_show"]
