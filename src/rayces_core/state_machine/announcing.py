"""What others have to do with a machine's transitions: they decide, run within the unit of work, are told after it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from rayces_core.database.binding import current
from rayces_core.database.callbacks import refuse_deferred, run_each
from rayces_core.state_machine.declaration import Decision, StateChange

EVERY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Effect:
    """What runs with a transition, for the rows that `when` says, which looks at the fields in `reads`.

    `prepare`, where there is one, is given all the changes of one statement before, and gives those that it runs for.
    """

    run: Callable[[StateChange], object]
    when: Callable[[Any], bool] | None
    reads: tuple[str, ...]
    prepare: Callable[[Sequence[StateChange]], Sequence[StateChange]] | None = None

    def concerns(self, row: Any) -> bool:
        """Whether it runs for this row."""
        return self.when is None or self.when(row)


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides on an event besides, by the fields in `reads`; what an object lacks of `may_lack` is None."""

    run: Decision
    reads: tuple[str, ...]
    may_lack: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Announcement:
    """Subscribers that are to be told of a change, after those that are being told of an earlier one."""

    subscribers: tuple[Callable[[StateChange], object], ...]
    change: StateChange
    waits: ClassVar[bool] = True

    def __call__(self) -> None:
        run_each(functools.partial(subscriber, self.change) for subscriber in self.subscribers)


class Announcements:
    """The subscribers, effects and decisions of one machine; modules that attach some are imported when first asked."""

    def __init__(self, wired_by: Iterable[str] = ()) -> None:
        self.wired_by = tuple(wired_by)
        self.decisions: dict[str, Deciding] = {}
        # In the order of their registration; a subscriber is there once, with all the events that it named.
        self._subscribers: list[tuple[Callable[[StateChange], object], frozenset[str]]] = []
        self._effects: dict[str | None, list[Effect]] = {}

    def subscribe(self, subscriber: Callable[[StateChange], object], events: Iterable[str]) -> None:
        """Have a function told of these events, or of all where none is named."""
        refuse_deferred(subscriber, "subscriber")
        named = frozenset(events)
        for place, (other, known) in enumerate(self._subscribers):
            if other == subscriber:
                self._subscribers[place] = (other, EVERY if EVERY in (known, named) else known | named)
                return
        self._subscribers.append((subscriber, named))

    def unsubscribe(self, subscriber: Callable[[StateChange], object]) -> None:
        """Have a function told of nothing any more, and run with nothing."""
        self._subscribers[:] = [one for one in self._subscribers if one[0] != subscriber]
        for effects in self._effects.values():
            effects[:] = [effect for effect in effects if effect.run != subscriber]

    def attach(self, effect: Effect, events: Iterable[str]) -> None:
        """Have an effect run with these events, or with all where none is named."""
        refuse_deferred(effect.run, "effect")
        for event in tuple(events) or (None,):
            self._effects.setdefault(event, []).append(effect)

    def decision(self, event: str) -> Deciding | None:
        """What decides on the event besides."""
        self._wire()
        return self.decisions.get(event)

    def decide(self, row: Any, move: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was seen as it was decided that the Move is made; raises what speaks against it."""
        deciding = self.decision(move.transition.event)
        return {} if deciding is None else deciding.run(row, move.now, move.actor, given)

    def has_effects(self, event: str, row: Any = None) -> bool:
        """Whether anything runs with the event: for this row, as far as memory tells, or for some row."""
        return any(row is None or effect.concerns(row) for effect in self._of(event))

    def is_heard(self, event: str) -> bool:
        """Whether anybody is told of the event, or anything runs with it."""
        self._wire()
        return bool(self._of(event)) or any(not named or event in named for _, named in self._subscribers)

    def reads(self, event: str) -> tuple[str, ...]:
        """The fields that a decision looks at, and those that decide which effects run."""
        deciding = self.decision(event)
        own = () if deciding is None else deciding.reads
        return (*own, *(name for effect in self._of(event) for name in effect.reads))

    def announce_all(self, event: str, changes: Sequence[StateChange]) -> None:
        """Announce the changes of one statement; effects may look at all of them before they run for each."""
        idle: dict[Effect, set[int]] = {}
        for effect in self._of(event):
            concerned = [change for change in changes if effect.concerns(change.subject)]
            if effect.prepare is not None and concerned:
                idle[effect] = {id(change) for change in concerned} - set(map(id, effect.prepare(concerned)))
        for change in changes:
            self.announce(change, spared=[effect for effect, its in idle.items() if id(change) in its])

    def announce(self, change: StateChange, stored: Any = None, spared: Sequence[Effect] = ()) -> None:
        """Run the effects now but for the spared ones, and have the subscribers told once the change is committed.

        `stored` is the row as the database has it, where the subject may hold what is not saved.
        """
        self._wire()
        # First in line, since effects may go on with changes of their own.
        told = tuple(one for one, named in self._subscribers if not named or change.event in named)
        if told:
            current().engine.after_commit(_Announcement(told, change))
        row = change.subject if stored is None else stored
        for effect in self._of(change.event):
            if effect.concerns(row) and effect not in spared:
                effect.run(change)

    def _of(self, event: str) -> tuple[Effect, ...]:
        """What runs with the event: first what is attached to it by name."""
        self._wire()
        return (*self._effects.get(event, ()), *self._effects.get(None, ()))

    def _wire(self) -> None:
        for name in self.wired_by:
            import_module(name)
        self.wired_by = ()
