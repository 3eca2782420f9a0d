"""What a state machine is declared with: transitions, their conditions, who may make them, what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

# What a transition's method returns: columns to write besides state and stamp, as values or as peewee.SQL.
Writes = Mapping[str, Any] | None
# A row's can_<event>(by=None, now=None).
Predicate = Callable[..., bool]


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on the row and the moment, told in Python.

    Attributes:
        reason: stable name of the refusal, for programs.
        condition: what must hold, in words.
        refusal: what is wrong where it does not, as a sentence for people.
        holds: `holds(row, now)`; looks at nothing of the row but the columns in `reads`.
        reads: names of those fields. The statement finds no row where one has changed meanwhile.
    """

    reason: str
    condition: str
    refusal: str
    holds: Callable[[Any, datetime], bool]
    reads: tuple[str, ...] = ()


# What decides on an event besides: row, moment, actor, what the event was called with; gives what it has seen.
Decision = Callable[[Any, datetime, Any, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class DatabaseGuard:
    """A condition that only the database can tell, because other rows decide it.

    Attributes:
        condition: what must hold, in words.
        locks: statements that are sent before, so that what decides cannot change meanwhile.
        sql: the condition on the row's own columns, AND-ed to the compare-and-set.
        refusal: `refusal(row, now)` makes the error for a row that it does not hold for.
        clear: `clear(row, now)` takes away what only seems to stand in the way, once the locks are held and the
            condition did not hold; then it is asked again.
        seen: texts that a decision gives of what it has seen, None where it has seen nothing; `sql` asks whether it is
            still so.
    All SQL texts may use %(organization_id)s and %(id)s, and `sql` %(now)s and those.
    """

    condition: str
    locks: tuple[str, ...]
    sql: str
    refusal: Callable[[Any, datetime], Exception]
    clear: Callable[[Any, datetime], None] | None = None
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may act: `permission(row, user)` is true or false.

    Attributes:
        who: the people, in words.
        allows: `allows(row, user)`; looks at nothing of the row but the columns in `reads`.
    """

    who: str
    allows: Callable[[Any, Any], bool]
    reads: tuple[str, ...] = ()

    def __call__(self, row: Any, user: Any) -> bool:
        """Whether `user` is one of those people for this row."""
        return self.allows(row, user)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A transition that was made: what subscribers are told.

    Attributes: `subject`, the row; `event`; `from_state` and `to_state`; `actor`, the user or None; `reason`;
    `occurred_at`; `given`, the arguments of the call.
    """

    subject: Any
    event: str
    from_state: StrEnum
    to_state: StrEnum
    actor: Any
    reason: str | None
    occurred_at: datetime
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Transition:
    """One declared event. A `target` of None keeps the state; what `remembers` names is journalled as it was before."""

    event: str
    sources: tuple[StrEnum, ...]
    target: StrEnum | None
    stamp: str | None
    permitted: tuple[Permission, ...]
    guards: tuple[Guard, ...]
    database_guard: DatabaseGuard | None
    steps: str
    afterwards: str
    body: Callable[..., Writes]
    defaults: Mapping[str, Any]
    corrects: bool = False
    remembers: tuple[str, ...] = ()
    picks: tuple[str, ...] = ()

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The columns that guards look at."""
        return tuple(dict.fromkeys(name for guard in self.guards for name in guard.reads))

    @cached_property
    def actor_reads(self) -> tuple[str, ...]:
        """The columns that guards and permissions look at."""
        return tuple(dict.fromkeys((*self.reads, *(name for one in self.permitted for name in one.reads))))
