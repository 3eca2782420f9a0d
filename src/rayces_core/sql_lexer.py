"""Reads SQL into the tokens that PostgreSQL's own lexer (scan.l, standard_conforming_strings on) reads.

One compiled expression walks the text; Python runs once a token, and comments that hold comments are the only
thing counted by hand. What the server refuses whatever follows (`1a`, `""`, a backslash) may be read in any way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from rayces_core.errors import UnsafeSQLError

_SPACES: Final = " \t\n\r\f\v"
_LETTER: Final = r"A-Za-z_\x80-\U0010ffff"  # to PostgreSQL whatever is not ASCII is a letter
_OPERATORS: Final = r"~!@#^&|`?+\-*/%<>="

_GAP = r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]++|--[^\n\r]*+[\n\r])*+"  # joins two strings to one
_PLAIN, _ESCAPED, _BITS = r"[^']*+(?:''[^']*+)*+'", r"(?:[^'\\]++|\\.|'')*+'", r"[^']*+'"
_DIGITS = r"[0-9](?:_?[0-9])*+"
_NUMBER = (
    r"0[xX](?:_?[0-9A-Fa-f])++|0[oO](?:_?[0-7])++|0[bB](?:_?[01])++"
    rf"|(?:{_DIGITS}(?:\.(?!\.)(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?{_DIGITS})?"
)
# An operator ends where a comment begins; one of 64 characters is an error.
_OPERATOR_CHARACTER = rf"(?!/\*|--)[{_OPERATORS}]"
# psycopg2's, with the flags that it bears. PostgreSQL never sees one, but its value instead.
_PLACEHOLDER = r"%(?:\([^)%]*\))?[-+\ \#0-9.]*s"

# The frequent ones first; each of the others begins with characters of its own.
_WORD = rf"""
    (?P<word> (?![eE](?:'|{_PLACEHOLDER})|[bBxX]'|[uU]&['"]) [{_LETTER}][{_LETTER}0-9$]*+ )
  | (?P<punctuation> [,()\[\];] )
"""
_CONSTANTS = rf"(?P<constants> (?:(?:{_NUMBER}|'{_PLAIN})[{_SPACES}]*+,[{_SPACES}]*+)++ )"
_THE_REST = rf"""
    (?P<number> {_NUMBER} )
  | (?P<name> "[^"]*+(?:""[^"]*+)*+" )
  | (?P<string> (?:[uU]&)?'{_PLAIN}(?:{_GAP}'{_PLAIN})*+ | [bBxX]'{_BITS}(?:{_GAP}'{_BITS})*+ )
  | (?P<escaped> [eE]'{_ESCAPED}(?:{_GAP}'{_ESCAPED})*+ )
  | (?P<unicode> [uU]&"[^"]*+(?:""[^"]*+)*+" )
  | (?P<comment> --[^\n\r]*+ | /\*(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/ )
  | (?P<nested> /\* )
  | (?P<dollar> (?P<tag>\$(?:[{_LETTER}][{_LETTER}0-9]*+)?\$).*?(?P=tag) )
  | (?P<open> (?:[eEbBxX]|[uU]&)?' | (?:[uU]&)?" | \$(?:[{_LETTER}][{_LETTER}0-9]*+)?\$ )
  | (?P<parameter> \$[0-9]+ )
  | (?P<glued> \$
      | [eE]{_PLACEHOLDER}
      | (?:{_OPERATOR_CHARACTER}){{0,63}}?(?<!%)(?:%%)*+
        (?: {_PLACEHOLDER}[{_LETTER}0-9]*+['$] | %\([^)%]*(?:['"$]|--|/\*)[^)%]*\)[-+\ \#0-9.]*s ) )
  | (?P<operator> (?:(?!/\*|--)[*/<>=+\-]){{0,63}}+(?!/\*|--)[~!@\#^&|`?%](?:{_OPERATOR_CHARACTER}){{0,63}}+
      | (?:(?!/\*|--)[*/<>=+\-]){{0,63}}(?!/\*)[*/<>=] | [+\-] )
  | (?P<other> ::|:=|\.\.|. )
  | (?P<nothing> \Z )
"""


def _compiled(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"[{_SPACES}]*+(?:{'|'.join(alternatives)})", re.VERBOSE | re.DOTALL)


_EVERY_TOKEN = _compiled(_WORD, _THE_REST)
_COARSE = _compiled(_WORD, _CONSTANTS, _THE_REST)  # the constants of a long VALUES list are one token
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_STARTS_WITH_PLACEHOLDER = re.compile(_PLACEHOLDER)
_HAS_PLACEHOLDER = re.compile(rf"(?<!%)(?:%%)*+{_PLACEHOLDER}")
_OPAQUE: Final = {"comment", "escaped", "string", "dollar", "unicode", "name"}
_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Token(NamedTuple):
    """One token: what it is, and where it stands in the text."""

    kind: str
    start: int
    end: int


def tokens(sql: str) -> Iterator[Token]:
    """Every token of `sql`, comments included, the last perhaps of kind "open": it is never closed."""
    return _walk(sql, _EVERY_TOKEN)


def read(sql: str) -> list[str]:
    """The tokens that count, each as a string that tells what it is.

    A word is lower case, as PostgreSQL folds it; a quoted name is decoded and stands behind one `"`; constants that
    follow each other may be one string; all else is as written. Comments are left out.

    Raises:
        UnsafeSQLError: something is never closed, or a placeholder would run together with what stands beside it.
    """
    found: list[str] = []
    unicode, escaped = [], False
    for kind, start, end in _walk(sql, _COARSE):
        text = sql[start:end]
        if kind == "comment":
            continue
        if kind == "open":
            raise UnsafeSQLError(f"{text} at character {start + 1} of the SQL is never closed")
        if kind == "glued" or (escaped and _STARTS_WITH_PLACEHOLDER.match(sql, start)):
            raise UnsafeSQLError(
                f"what stands at character {start + 1} of the SQL would run together with a placeholder's value; "
                "put a space or an operator between"
            )
        if kind == "unicode":
            unicode.append(len(found))
        escaped = kind == "escaped"
        found.append(readable(kind, text))
    for place in reversed(unicode):
        _decode(found, place)
    return found


def statements(sql: str) -> Iterator[list[str]]:
    """What `read` gives, statement by statement; one that holds `;` in its body comes in pieces.

    Raises:
        UnsafeSQLError: as `read`.
    """
    found = read(sql)
    start = 0
    for end in [*(place for place, token in enumerate(found) if token == ";"), len(found)]:  # noqa: S105
        if end > start:
            yield found[start:end]
        start = end + 1


def strings(token: str) -> Iterator[str]:
    """What is written in the strings of one that `read` gave: none, one, or several constants; escapes as they are."""
    if not token.startswith('"'):
        for kind, start, end in tokens(token):
            if kind in {"string", "escaped", "dollar"}:
                yield _content(token[start:end])


def quotes_placeholder(sql: str) -> bool:
    """Whether a placeholder stands in a string, a quoted name or a comment, so that its value can end that."""
    return any(kind in _OPAQUE and _HAS_PLACEHOLDER.search(sql[start:end]) for kind, start, end in tokens(sql))


def _walk(sql: str, pattern: re.Pattern[str]) -> Iterator[Token]:
    position: int | None = 0
    while position is not None:
        start, position = position, None
        for match in pattern.finditer(sql, start):
            kind = match.lastgroup or "nothing"
            if kind == "nested":
                position = _comment_end(sql, match.end())
                yield Token("comment" if position else "open", match.start(kind), position or match.end())
                break
            if kind == "nothing":
                return
            yield Token(kind, *match.span(kind))
            if kind == "open":
                return


def _comment_end(sql: str, position: int) -> int | None:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return None


def readable(kind: str, text: str) -> str:
    """A token as `read` tells it: a word folded, a quoted name behind one `"`, all else as written."""
    if kind == "word":
        return text.lower() if text.isascii() else text.translate(_LOWER)
    if kind == "name":
        return '"' + text[1:-1].replace('""', '"')
    return text


def _content(string: str) -> str:
    if string.startswith("$"):
        tag = string.index("$", 1) + 1
        return string[tag:-tag]
    return string[string.index("'") + 1 : -1].replace("''", "'")


def _decode(found: list[str], place: int) -> None:
    """Replace U&"..." and the UESCAPE behind it by the name that they mean; the server refuses what has no meaning."""
    escape, text = "\\", found[place][3:-1].replace('""', '"')
    if found[place + 1 : place + 2] == ["uescape"] and len(found) > place + 2:
        escape = next(strings(found[place + 2]), escape)[:1] or escape
        del found[place + 1 : place + 3]
    e = re.escape(escape)
    spelled = re.compile(rf"{e}(?:({e})|\+([0-9A-Fa-f]{{6}})|([0-9A-Fa-f]{{4}}))")
    found[place] = '"' + spelled.sub(lambda m: m[1] or _character(int(m[2] or m[3], 16)), text)


def _character(number: int) -> str:
    return chr(number) if number <= 0x10FFFF else "\ufffd"
