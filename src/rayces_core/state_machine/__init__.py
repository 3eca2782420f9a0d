"""State machines: transitions declared on explicit methods, each of them one compare-and-set statement.

    class Appointment(TenantModel):
        lifecycle = StateMachine("state", AppointmentState, journal=StateTransition)

        @lifecycle.transition(source=PRE_CONFIRMED, target=CONFIRMED, stamp="confirmed_at")
        def confirm(self, *, by=None, now=None): ...

Rule it guards: a row changes its state only from one that the declaration allows, as the database sees it, and the
journal says so in the same statement. Knows no model.
"""

from rayces_core.state_machine.actors import check_actor
from rayces_core.state_machine.declaration import (
    DatabaseGuard,
    Guard,
    Permission,
    Predicate,
    StateChange,
    Transition,
    Writes,
)
from rayces_core.state_machine.drawing import diagram, table
from rayces_core.state_machine.machine import StateMachine

__all__ = [
    "DatabaseGuard",
    "Guard",
    "Permission",
    "Predicate",
    "StateChange",
    "StateMachine",
    "Transition",
    "Writes",
    "check_actor",
    "diagram",
    "table",
]
