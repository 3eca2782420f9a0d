"""Messages of the library's own: one or several statements with named values that go out together.

Parsing and planning cost the server more than such a statement itself. So each is prepared on the connection the first
time, in the same message, and from then on only executed. Behind a proxy that pools transactions a prepared statement
would be on another server connection next time; there the message goes out as plain SQL.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from typing import Any, Final

_NAMED: Final = re.compile(r"%\((\w+)\)s")


class Statement:
    """One statement: its text with numbered places, and the names and types of its values."""

    __slots__ = ("call", "names", "text", "types")

    def __init__(self, sql: str, types: Mapping[str, str]) -> None:
        self.names = tuple(dict.fromkeys(_NAMED.findall(sql)))
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        self.text = _NAMED.sub(lambda found: numbers[found[1]], sql)
        self.types = f"({', '.join(types[name] for name in self.names)})" if self.names else ""
        self.call = f"({', '.join(['%s'] * len(self.names))})" if self.names else ""


class Message:
    """Statements that go out together; the result is the last one's.

    Args:
        statements: SQL with %(name)s for its values, and no other percent sign.
        types: the PostgreSQL type of each value.
    """

    __slots__ = ("plain", "statements")

    def __init__(self, *statements: str, types: Mapping[str, str]) -> None:
        self.plain = "; ".join(statements)
        self.statements = tuple(Statement(sql, types) for sql in statements)


class Prepared:
    """What one connection has prepared: text → name.

    A name is never used twice, since after an error nobody knows whether the statement was prepared, and cannot be
    guessed, so that no other SQL can put a statement of its own in the place of one of these.
    """

    MOST: Final = 300

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._made = 0
        self._secret = secrets.token_hex(8)

    def takes(self, sql: str) -> bool:
        """Whether the statement is prepared, or may be."""
        return sql in self._names or len(self._names) < self.MOST

    def name_of(self, sql: str) -> tuple[str, str]:
        """What executes the statement, and what prepares it before where it is not prepared yet."""
        name = self._names.get(sql)
        if name is not None:
            return f"EXECUTE {name}", ""
        name = self._names[sql] = self._next_name()
        return f"EXECUTE {name}", f"PREPARE {name} AS {numbered(sql)}; "

    @staticmethod
    def places(count: int) -> str:
        """The places of so many values."""
        return _PLACES[count] if count < len(_PLACES) else f"({', '.join(['%s'] * count)})"

    def form(self, message: Message, values: Mapping[str, Any]) -> tuple[str, list[Any], list[str]]:
        """The SQL that executes `message`, its values, and the texts that it prepares on the way."""
        preparing, calling, given, new = [], [], [], []
        for statement in message.statements:
            name = self._names.get(statement.text)
            if name is None:
                name = self._names[statement.text] = self._next_name()
                new.append(statement.text)
                preparing.append(f"PREPARE {name} {statement.types} AS {statement.text}; ")
            calling.append(f"EXECUTE {name}{statement.call}")
            given += [values[name] for name in statement.names]
        return "".join(preparing) + "; ".join(calling), given, new

    def has_room_for(self, message: Message) -> bool:
        """Whether the connection may keep so many."""
        return len(self._names) + len(message.statements) <= self.MOST

    def forget(self, texts: list[str] | None = None) -> None:
        """Take these for not prepared, or all of them."""
        if texts is None:
            self._names.clear()
        for text in texts or ():
            self._names.pop(text, None)

    def _next_name(self) -> str:
        self._made += 1
        return f"rayces_{self._secret}_{self._made}"


_PLACES: Final = ("", *(f"({', '.join(['%s'] * count)})" for count in range(1, 40)))
_UNNAMED: Final = re.compile(r"%[s%]")


@lru_cache(maxsize=1024)
def numbered(sql: str) -> str:
    """SQL with %s for its values, as SQL with $1, $2 …; a doubled percent sign stays doubled, for the driver."""
    numbers = count(1)
    return _UNNAMED.sub(lambda found: f"${next(numbers)}" if found[0] == "%s" else found[0], sql)
