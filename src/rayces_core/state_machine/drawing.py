"""A machine as a Markdown table and as a Mermaid diagram, both generated from its declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rayces_core.state_machine.declaration import Transition
    from rayces_core.state_machine.machine import StateMachine

HEAD = ("event", "from", "to", "sets", "only if", "who, when `by` is given")


def table(machine: StateMachine) -> str:
    """The transitions as a Markdown table, in the order of their declaration."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, machine.transitions.values())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(transition: Transition) -> tuple[str, ...]:
    conditions = [guard.condition for guard in transition.guards]
    if transition.database_guard is not None:
        conditions.append(transition.database_guard.condition)
    return (
        f"`{transition.event}`",
        ", ".join(transition.sources),
        transition.target or "the same",
        f"`{transition.stamp}`" if transition.stamp else "",
        "; ".join(conditions),
        ", ".join(permission.who for permission in transition.permitted) or "anyone",
    )


def diagram(machine: StateMachine) -> str:
    """The states and events as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {machine.initial}"]
    for transition in machine.transitions.values():
        lines += [
            f"    {source} --> {transition.target or source}: {transition.event}" for source in transition.sources
        ]
    left = {
        state for transition in machine.transitions.values() if not transition.corrects for state in transition.sources
    }
    lines += [f"    {state} --> [*]" for state in machine.states if state not in left]
    return "\n".join(lines)
