"""The statements of a migration's SQL, told apart by PostgreSQL's own rules, each with its words and where they stand.

Semicolons in parentheses (a rule's actions) and in the body of an SQL function (BEGIN ATOMIC ... END) end nothing, as
in psql. What the server could not read either has no statements here: it refuses the whole message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rayces_core import sql_lexer
from rayces_core.migrations.steps import Step

_UNREADABLE = ("open", "glued")
_OPENING, _CLOSING = ("(", "["), (")", "]")


@dataclass(frozen=True)
class Statement:
    """One statement: `words` as `sql_lexer.read` tells them, `spans` where each stands in `sql`."""

    sql: str
    words: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The statement as it is written."""
        return self.between(0, len(self.words))

    def between(self, first: int, last: int) -> str:
        """What is written from word `first` up to and without word `last`."""
        return self.sql[self.spans[first][0] : self.spans[last - 1][1]] if first < last else ""


def statements_of(step: Step) -> list[Statement]:
    """The statements of a step as the driver gets them, `%` doubled; none of a Python call."""
    return [] if step.is_call else statements(as_sent(step))


def as_sent(step: Step) -> str:
    """The SQL of a step as the driver gets it, `%` doubled."""
    return step.text if step.params else step.text.replace("%", "%%")


def statements(sql: str) -> list[Statement]:
    """The statements of a text of SQL; none when it cannot be read."""
    found, bodies = [Statement(sql)], _Bodies()
    for kind, start, end in sql_lexer.tokens(sql):
        if kind in _UNREADABLE:
            return []
        if kind == "comment":
            continue
        word = sql_lexer.readable(kind, sql[start:end])
        if word == ";" and not bodies.is_inside:
            found.append(Statement(sql))
            bodies = _Bodies()
            continue
        bodies.follow(found[-1].words, word)
        found[-1].words.append(word)
        found[-1].spans.append((start, end))
    return [statement for statement in found if statement.words]


def closing(words: list[str], opening: int) -> int:
    """Where the parenthesis that word `opening` opens is closed; the number of words if nowhere."""
    depth = 0
    for place in range(opening, len(words)):
        depth += (words[place] in _OPENING) - (words[place] in _CLOSING)
        if depth == 0:
            return place
    return len(words)


def parts(words: list[str], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Where the parts lie that commas outside of parentheses divide the words from `first` up to `last` into."""
    depth, start = 0, first
    for place in range(first, last):
        depth += (words[place] in _OPENING) - (words[place] in _CLOSING)
        if words[place] == "," and depth == 0:
            yield start, place
            start = place + 1
    if start < last:
        yield start, last


class _Bodies:
    """Whether what is read next stands in parentheses or in the body of an SQL function."""

    def __init__(self) -> None:
        self._parentheses = self._blocks = 0

    @property
    def is_inside(self) -> bool:
        return self._parentheses > 0 or self._blocks > 0

    def follow(self, before: list[str], word: str) -> None:
        self._parentheses = max(0, self._parentheses + (word == "(") - (word == ")"))
        if word == "atomic" and before[-1:] == ["begin"] and before[:1] == ["create"]:
            self._blocks = 1
        elif self._blocks:
            self._blocks += (word == "case") - (word == "end")
