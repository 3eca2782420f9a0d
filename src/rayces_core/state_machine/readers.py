"""What a machine gives to its model: can_<event>(), available_events(), history() and actor_of()."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from peewee import fn

from rayces_core.state_machine.statement import place_of

# So many ids each database gives (docs/cells.md). Within them rows follow each other by id, whatever moments were told;
# those of a tenant that was moved lie in several, and tell nothing of time between two.
IDS_OF_A_DATABASE: Final = 1 << 40


def latest_told(row: str, *subject: str) -> str:
    """SQL of the moment by which a row of the journal has its place, before its id: rows in the order of history().

    Args:
        row: what the journal's row is called in the statement. subject: columns of its that say whose rows these are,
            where the statement has those of several.
    """
    parted = ", ".join((*(f"{row}.{column}" for column in subject), f"({row}.id - 1) / {IDS_OF_A_DATABASE}"))
    return f"max({row}.occurred_at) OVER (PARTITION BY {parted} ORDER BY {row}.id)"


# Whether an event is possible: row, event, user, moment.
Can = Callable[[Any, str, Any, Any], bool]


def predicate(possible: Can, event: str) -> Callable[..., bool]:
    """Make a can_<event>() of a model."""

    def can(row: Any, *, by: Any = None, now: Any = None) -> bool:
        return possible(row, event, by, now)

    can.__name__, can.__doc__ = f"can_{event}", f"Whether {event}() is possible, as far as the row in memory tells."
    return can


def available_events(possible: Can, events: Iterable[str]) -> Callable[..., list[str]]:
    """Make what tells a model its possible events."""

    def available_events(row: Any, *, by: Any = None, now: Any = None) -> list[str]:
        """The events that are possible now (for the user `by`), as far as the row in memory tells."""
        return [event for event in events if possible(row, event, by, now)]

    return available_events


def history(journal: Any, subject_type: str) -> Callable[..., Any]:
    """Make what reads a model its journal."""

    def history(row: Any) -> Any:
        """Every change of this row's state, as rows of the journal, the first one first."""
        place = place_of(row)
        of_this = (journal.subject_type == subject_type) & (journal.subject_id == place["id"])
        of_this &= journal.organization == place["organization_id"]
        within = (journal.id - 1) / IDS_OF_A_DATABASE
        latest = fn.MAX(journal.occurred_at).over(partition_by=[within], order_by=[journal.id])
        return journal.select().where(of_this).order_by(latest, journal.id)

    return history


def actor_of(row: Any, *events: str) -> Any:
    """The user who last made one of these events happen; None where none ever did, or no user acted."""
    changes = [change for change in row.history() if change.event in events]
    return changes[-1].actor if changes else None
