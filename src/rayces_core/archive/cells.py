"""Text in a spreadsheet's cell: what would run as a formula there is made plain text, in a way that can be undone.

Rule it guards: `unescaped(escaped(text))` is the text, whatever it is. A text that begins with = + - @, a tab or a line
break gets an apostrophe in front; so does one that begins that way behind apostrophes of its own.
"""

from __future__ import annotations

import re

_ESCAPE = "'"
_RUNS = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - some programs take the wide signs as well
_PHONE = re.compile(r"\+[0-9]{6,15}")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001


def is_phone(text: str) -> bool:
    """Whether a text is a phone number as E.164 has it, which begins with + and can be no formula."""
    return _PHONE.fullmatch(text) is not None


def twice_escaped(text: str) -> str:
    """The text for a cell that is text by its type: as it is, unless an import would take something off it.

    That is what looks as `escaped` makes it, and `="007"`, which is how some programs force 007 to stay a text.
    """
    return _ESCAPE + text if _ESCAPED.match(text) or text.startswith('="') else text


def escaped(text: str) -> str:
    """The text as a cell that no spreadsheet program runs."""
    return _ESCAPE + text if _RUNS.match(text) else text


def unescaped(text: str) -> str:
    """The text that `escaped` made the cell of; any other text stays as it is."""
    return text[1:] if _ESCAPED.match(text) else text
