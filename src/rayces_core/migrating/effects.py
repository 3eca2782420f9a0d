"""What the statements of a way back do to what is there: what they drop, what they retype, what they demand of rows.

Read from their words, before any of them runs. What a Python function does cannot be read, nor what a function of the
database or a DO block that may take something away does; it is told that it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rayces_core import sql_lexer
from rayces_core.errors import UnsafeSQLError
from rayces_core.migrating.statements import Statement, closing, parts

_KINDS = (
    "table", "view", "index", "sequence", "type", "domain", "function", "procedure", "routine", "schema", "extension",
)  # fmt: skip
_ON_TABLES = ("policy", "trigger", "rule")
# What may come between the verb and the name.
_BEFORE_NAME = {"if", "exists", "not", "only", "concurrently"}
_ENDS = {"cascade", "restrict"}
_CONSTRAINT_BEGINS = {"constraint", "check", "unique", "foreign", "primary", "exclude"}
# A DO block that has one of these may take something away, and one that drops anything but what holds no values.
_TAKES_AWAY = {"cascade", "disable", "execute", "merge", "truncate", "type"}
_HOLDS_NO_VALUES = {
    "constraint", "default", "expression", "extension", "function", "identity", "index", "not", "policy", "procedure",
    "routine", "rule", "sequence", "statistics", "trigger",
}  # fmt: skip
_CHANGES = {"insert", "update", "delete", "merge", "execute", "call"}
# Statements in which a name before a parenthesis may be a function that is called.
_CALLING = {"select", "values", "with", "insert", "update", "delete", "merge", "call", "do"}


@dataclass(frozen=True)
class Dropped:
    """An object that is dropped: `kind` as SQL calls it, `name` as SQL; of a column, constraint, policy its `table`."""

    kind: str
    name: str
    table: str = ""
    cascades: bool = False


@dataclass(frozen=True)
class Retyped:
    """A column that gets another type; `type` and `using`, what its values are made of if that is said, as SQL."""

    table: str
    column: str
    type: str = ""
    using: str = ""


@dataclass(frozen=True)
class Renamed:
    """A table that is called otherwise from here on."""

    table: str
    name: str


@dataclass(frozen=True)
class Unheld:
    """A table whose rows no policy keeps apart any more."""

    table: str


@dataclass(frozen=True)
class Emptied:
    """Rows that are deleted; `condition` as SQL, empty where all are."""

    table: str
    condition: str = ""


@dataclass(frozen=True)
class Demanded:
    """A rule that every row has to meet; `condition` as SQL is what a row that breaks it meets.

    Of a unique key `columns` are what no two rows that meet `condition` may share.
    """

    table: str
    what: str
    condition: str = ""
    columns: str = ""


@dataclass(frozen=True)
class Referring:
    """A foreign key that every row has to meet."""

    table: str
    what: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class Changed:
    """Rows that are written, so that what they break now says nothing; of any table where none is named."""

    table: str = ""


@dataclass(frozen=True)
class Called:
    """Functions that may be called, by their names without a schema; other names may be among them."""

    names: frozenset[str]


@dataclass(frozen=True)
class Unknown:
    """Something that could take anything away."""

    what: str


Effect = Dropped | Retyped | Renamed | Unheld | Emptied | Demanded | Referring | Changed | Called | Unknown


def effects(statement: Statement) -> Iterator[Effect]:
    """What one statement does, as far as it matters to rows and to what depends on them."""
    words = statement.words
    match words[0]:
        case "drop":
            yield from _dropped(statement)
        case "alter" if words[1:2] == ["table"]:
            yield from _altered(statement)
        case "delete" | "truncate":
            yield from _emptied(statement)
        case "create":
            yield from _unique_index(statement)
        case "update":
            yield Changed(_named(statement, 1))
        case "insert" | "merge":
            yield Changed(_named(statement, 2))
        case "with" | "copy" | "call":
            yield Changed()
        case "do":
            yield from _block(statement)
    if words[0] in {"with", "merge"} and "delete" in words:
        yield Unknown(f"a DELETE in {words[0].upper()}")
    if words[0] in _CALLING:
        yield from _called(words)


def _dropped(statement: Statement) -> Iterator[Effect]:
    words = statement.words
    kind, place = words[1] if len(words) > 1 else "", 2
    if words[1:3] in (["materialized", "view"], ["foreign", "table"]):
        kind, place = words[2], 3
    place, cascades = _to_name(words, place), "cascade" in words[-1:]
    last = len(words) - (words[-1] in _ENDS)
    if kind in _ON_TABLES and "on" in words:
        on = words.index("on")
        yield Dropped(kind, statement.between(place, on), statement.between(on + 1, last))
    elif kind in _KINDS:
        for first, end in parts(words, place, last):
            yield Dropped(kind, statement.between(first, end), cascades=cascades)
    elif kind == "owned":
        yield Unknown("DROP OWNED")


def _altered(statement: Statement) -> Iterator[Effect]:
    words = statement.words
    first = _to_name(words, 2)
    place = _behind_name(words, first)
    table = statement.between(first, place)
    for start, end in parts(words, place, len(words)):
        yield from _action(statement, table, start, end)


def _action(statement: Statement, table: str, start: int, end: int) -> Iterator[Effect]:
    words = statement.words[start:end]
    match words:
        case ["drop", "constraint", *_]:
            yield _drop_of_table(statement, "constraint", table, start + 2, end)
        case ["drop", *_]:
            yield _drop_of_table(statement, "column", table, start + 1 + (words[1:2] == ["column"]), end)
        case ["alter", *_]:
            yield from _altered_column(statement, table, start, end)
        case ["rename", "to", _]:
            yield Renamed(table, statement.between(end - 1, end))
        case ["disable", "row", "level", "security"] | ["disable", "row", "level", "security", *_]:
            yield Unheld(table)
        case ["add", first, *_] if first in _CONSTRAINT_BEGINS:
            yield from _added(statement, table, start + 1, end)


def _drop_of_table(statement: Statement, kind: str, table: str, start: int, end: int) -> Dropped:
    place = _to_name(statement.words, start)
    last = statement.words[end - 1]
    return Dropped(kind, statement.between(place, end - (last in _ENDS)), table, last == "cascade")


def _altered_column(statement: Statement, table: str, start: int, end: int) -> Iterator[Effect]:
    place = start + 1 + (statement.words[start + 1 : start + 2] == ["column"])
    column, rest = statement.between(place, place + 1), statement.words[place + 1 : end]
    if rest[:1] == ["type"] or rest[:3] == ["set", "data", "type"]:
        first = place + 2 + rest.index("type")
        using = statement.words.index("using", first, end) if "using" in rest else end
        collate = statement.words.index("collate", first, using) if "collate" in statement.words[first:using] else using
        yield Retyped(table, column, statement.between(first, collate), statement.between(using + 1, end))
    elif rest[:3] == ["set", "not", "null"]:
        yield Demanded(table, f"{column} NOT NULL", f"{column} IS NULL")


def _added(statement: Statement, table: str, start: int, end: int) -> Iterator[Effect]:
    words, what = statement.words, statement.between(start, end)
    if words[start] == "constraint":
        what, start = f"constraint {statement.between(start + 1, start + 2)}", start + 2
    opening = next((place for place in range(start, end) if words[place] == "("), end)
    inside = statement.between(opening + 1, closing(words, opening))
    match words[start:opening]:
        case ["check"]:
            yield Demanded(table, what, f"NOT ({inside})")
        case ["unique"] | ["primary", "key"]:
            yield Demanded(table, what, columns=inside)
        case ["foreign", "key"]:
            yield from _referring(statement, table, what, opening, end)


def _referring(statement: Statement, table: str, what: str, opening: int, end: int) -> Iterator[Effect]:
    words, closed = statement.words, closing(statement.words, opening)
    first = closed + 2
    last = _behind_name(words[:end], first)
    if words[closed + 1 : first] == ["references"] and words[last : last + 1] == ["("]:
        theirs = _names(statement, last)
        yield Referring(table, what, _names(statement, opening), statement.between(first, last), theirs)


def _names(statement: Statement, opening: int) -> tuple[str, ...]:
    inside = parts(statement.words, opening + 1, closing(statement.words, opening))
    return tuple(statement.between(first, last) for first, last in inside)


def _emptied(statement: Statement) -> Iterator[Effect]:
    words = statement.words
    if words[0] == "truncate":
        place = 1 + (words[1:2] == ["table"])
        for first, last in parts(words, place, len(words)):
            name = _to_name(words, first)
            yield Emptied(statement.between(name, min(last, _behind_name(words, name))))
        return
    first = _to_name(words, 2)
    last = _behind_name(words, first)
    if words[last : last + 1] == ["where"] and "returning" not in words:
        yield Emptied(statement.between(first, last), statement.between(last + 1, len(words)))
    else:
        yield Emptied(statement.between(first, last)) if last == len(words) else Unknown(f"DELETE FROM {words[first]}")


def _unique_index(statement: Statement) -> Iterator[Effect]:
    words = statement.words
    if words[1:3] != ["unique", "index"] or "on" not in words:
        return
    on = words.index("on")
    first = _to_name(words, on + 1)
    opening = next((place for place in range(first, len(words)) if words[place] == "("), len(words))
    closed = closing(words, opening)
    table = statement.between(first, _behind_name(words, first))
    where = next((place for place in range(closed, len(words)) if words[place] == "where"), len(words) - 1)
    condition = statement.between(where + 1, len(words))
    name = statement.between(_to_name(words, 3), on)
    yield Demanded(table, f"unique index {name}", condition, statement.between(opening + 1, closed))


def _block(statement: Statement) -> Iterator[Effect]:
    try:
        code = "\n".join(code for token in statement.words for code in sql_lexer.strings(token))
        words = sql_lexer.read(code)
    except UnsafeSQLError:
        yield Unknown("a DO block")
        return
    if not _CHANGES.isdisjoint(words):
        yield Changed()
    pairs = set(pairwise(words))
    drops = {what for verb, what in pairs if verb == "drop"}
    if not _TAKES_AWAY.isdisjoint(words) or ("delete", "from") in pairs or drops - _HOLDS_NO_VALUES:
        yield Unknown("a DO block")
    yield from _called(words)


def _called(words: list[str]) -> Iterator[Effect]:
    names = {word.removeprefix('"') for word, after in pairwise(words) if after == "("}
    if names:
        yield Called(frozenset(names))


def _named(statement: Statement, place: int) -> str:
    first = _to_name(statement.words, place)
    return statement.between(first, _behind_name(statement.words, first))


def _to_name(words: list[str], place: int) -> int:
    while place < len(words) and words[place] in _BEFORE_NAME:
        place += 1
    return place


def _behind_name(words: list[str], place: int) -> int:
    """Where the words go on behind a name, which may have a schema before it."""
    place += 1
    while words[place : place + 1] == ["."]:
        place += 2
    return min(place, len(words))
