"""Collects what the library sends while the suite runs: each distinct statement once, with its first values.

One that is sent without some of its values is distinct from it with them, since planners fold what is nothing.

SQL of a test's own, that goes out by `db.execute_sql` or a cursor, is not the library's and left out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rayces_core.database.binding import bound_here
from rayces_core.database.cursor import OwnSQL
from rayces_core.database.engine import Engine
from rayces_core.database.messages import Message

# Statement, whether it was privileged, which values are nothing → its first values, the tenant and the test.
Key = tuple[str, bool, frozenset[str]]
Sent = dict[Key, tuple[Any, int | None, str]]
MANY = 60


def key_of(text: str, values: Any, *, privileged: bool) -> Key:
    """What a statement is kept by; of rows in a long list it does not matter what they lack."""
    named = values.items() if isinstance(values, Mapping) else enumerate(values or ())
    lacks = [str(name) for name, value in named if value is None] if len(values or ()) < MANY else []
    return text, privileged, frozenset(lacks)


class Collector:
    """What was sent by the tests that `during` names, one after the other."""

    def __init__(self) -> None:
        self.sent: Sent = {}
        self.during = ""

    def note(self, sql: Any, values: Any) -> None:
        """Keep the statement, if it is the library's."""
        binding = bound_here()
        if not self.during or binding is None or (not isinstance(sql, OwnSQL | Message) and not _is_ours()):
            return
        text = sql.plain if isinstance(sql, Message) else str(sql)
        key = key_of(text, values, privileged=binding.organization_id is None)
        if key not in self.sent:
            self.sent[key] = (values, binding.organization_id, self.during)

    def install(self) -> None:
        """Look at every statement from here on."""
        send = Engine._send

        def noted(engine: Engine, how: Any, sql: Any, values: Any) -> Any:
            self.note(sql, values)
            return send(engine, how, sql, values)

        Engine._send = noted  # type: ignore[method-assign]


def _is_ours() -> bool:
    """Whether it is the library that says execute_sql, and not the test by way of it."""
    frame = sys._getframe(3)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("rayces_core.database"):
        frame = frame.f_back
    return bool(frame.f_globals.get("__name__", "").startswith("rayces_core"))
