"""Objects follow their rows: what a transition wrote is in the object, and out of it again should that be undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import peewee

from rayces_core.database.binding import current
from rayces_core.fields import note_changes_in_place


def take_up(row: Any, values: Mapping[str, Any]) -> None:
    """Put what was written into the object, and take it out again should the transaction be undone."""
    data, relations, dirty = dict(row.__data__), dict(row.__rel__), set(row._dirty)
    for name, value in values.items():
        row.__rel__.pop(name, None)
        if isinstance(value, peewee.Model):
            row.__rel__[name] = value
        row.__data__[name] = value._pk if isinstance(value, peewee.Model) else value
    _mark_as_read(row, values)

    def restore() -> None:
        for name in values:
            _put_back(row.__data__, data, name)
            _put_back(row.__rel__, relations, name)
        _mark_as_read(row, values)
        row._dirty.update(dirty & values.keys())

    current().engine.restore_if_undone(restore)


def _mark_as_read(row: Any, names: Iterable[str]) -> None:
    # JSON columns are compared with what was last seen there, which is another document now.
    note_changes_in_place(row)
    row._dirty.difference_update(names)


def _put_back(mine: dict[str, Any], before: Mapping[str, Any], name: str) -> None:
    if name in before:
        mine[name] = before[name]
    else:
        mine.pop(name, None)
