"""Who is told of a machine's transitions: subscribers after the commit, effects within the unit of work itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rayces_core.database.binding import current
from rayces_core.state_machine.declaration import StateChange


@dataclass(frozen=True, slots=True)
class Effect:
    """What runs with a transition, for the rows that `when` says, which looks at the fields in `reads`."""

    run: Callable[[StateChange], object]
    when: Callable[[Any], bool] | None
    reads: tuple[str, ...]

    def concerns(self, row: Any) -> bool:
        """Whether it runs for this row."""
        return self.when is None or self.when(row)


class Announcements:
    """The subscribers and effects of one machine."""

    def __init__(self) -> None:
        self._subscribers: dict[str | None, list[Callable[[StateChange], object]]] = {}
        self._effects: dict[str | None, list[Effect]] = {}

    def subscribe(self, subscriber: Callable[[StateChange], object], events: Iterable[str]) -> None:
        """Have a function told of these events, or of all where none is named."""
        for event in tuple(events) or (None,):
            self._subscribers.setdefault(event, []).append(subscriber)

    def unsubscribe(self, subscriber: Callable[[StateChange], object]) -> None:
        """Have a function told of nothing any more, and run with nothing."""
        for subscribers in self._subscribers.values():
            subscribers[:] = [one for one in subscribers if one != subscriber]
        for effects in self._effects.values():
            effects[:] = [effect for effect in effects if effect.run != subscriber]

    def attach(self, effect: Effect, events: Iterable[str]) -> None:
        """Have an effect run with these events, or with all where none is named."""
        for event in tuple(events) or (None,):
            self._effects.setdefault(event, []).append(effect)

    def has_effects(self, event: str, row: Any = None) -> bool:
        """Whether anything runs with the event: for this row, as far as memory tells, or for some row."""
        return any(row is None or effect.concerns(row) for effect in self._of(event))

    def reads(self, event: str) -> tuple[str, ...]:
        """The fields that decide which effects run."""
        return tuple(name for effect in self._of(event) for name in effect.reads)

    def announce(self, change: StateChange, stored: Any = None) -> None:
        """Run the effects now, and have the subscribers told once the change is committed.

        `stored` is the row as the database has it, where the subject may hold what is not saved.
        """
        row = change.subject if stored is None else stored
        for effect in self._of(change.event):
            if effect.concerns(row):
                effect.run(change)
        for subscriber in (*self._subscribers.get(change.event, ()), *self._subscribers.get(None, ())):
            current().engine.after_commit(functools.partial(subscriber, change))

    def _of(self, event: str) -> tuple[Effect, ...]:
        """What runs with the event: first what is attached to it by name."""
        return (*self._effects.get(event, ()), *self._effects.get(None, ()))
