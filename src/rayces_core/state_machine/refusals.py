"""Why a transition is not made: by the row as memory or, locked, as the database has it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from rayces_core.errors import InvalidTransitionError, NotPermittedError, TransitionRefusedError
from rayces_core.state_machine.declaration import Transition
from rayces_core.state_machine.statement import Move


class Machine(Protocol):
    """What a refusal needs to know of the machine."""

    field: str
    owner: type

    def events_from(self, state: StrEnum) -> tuple[str, ...]:
        """The events that start from a state."""


def refusal_of(row: Any, move: Move, machine: Machine) -> Exception | None:
    """What stands in the way of the transition, as far as the row tells; None if nothing does."""
    transition = move.transition
    if row.__data__.get(machine.field) not in transition.sources:
        return invalid(row, transition, machine)
    if move.actor is not None and not permits(transition, row, move.actor):
        who = tuple(permission.who for permission in transition.permitted)
        return NotPermittedError(f"{transition.event} this {machine.owner.__name__}", move.actor._pk, who)
    for guard in transition.guards:
        if not guard.holds(row, move.now):
            return TransitionRefusedError(transition.event, guard.reason, guard.refusal)
    return None


def invalid(row: Any, transition: Transition, machine: Machine) -> InvalidTransitionError:
    """The event does not start from the state that the row has."""
    state = row.__data__.get(machine.field)
    return InvalidTransitionError(machine.owner.__name__, transition.event, state, machine.events_from(state))


def permits(transition: Transition, row: Any, actor: Any) -> bool:
    """Whether the user may make the transition of this row."""
    return not transition.permitted or any(permission(row, actor) for permission in transition.permitted)


def has_read(row: Any, transition: Transition) -> bool:
    """Whether the row was read with the columns that the guards look at."""
    return all(name in row.__data__ for name in transition.reads)


def locked(row: Any) -> Any:
    """The row as the database has it, locked so that it stays so."""
    this = type(row).select().where(row._pk_expr())
    # A row that may not be written any more cannot be locked either, by its policy; it does not change.
    found = this.for_update("FOR NO KEY UPDATE").first() or this.first()
    if found is None:
        raise type(row).DoesNotExist(f"there is no {type(row).__name__} with id {row._pk!r}")
    return found
