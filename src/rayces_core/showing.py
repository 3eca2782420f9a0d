"""Rows as a small table, in HTML for notebooks and as text for terminals.

Rule it guards: what is shown is escaped and short, and of what is named like a secret only that it is there.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

# Columns that nobody is shown unasked; rayces_core.integrations keeps them out of answers by the same names.
SECRET: Final = re.compile(r"^(jti|uid|idempotency_key)$|password|secret|token|fingerprint|digest|hash|.*_ip$")
HIDDEN: Final = "…"
LONGEST: Final = 80  # characters of a cell


def counted(number: int, things: str) -> str:
    """A number with what it counts, whose plural ends in s: "1 user", "1,200 users"."""
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"


def told(name: str, value: Any) -> str:
    """A value as a short text; a secret is only said to be there."""
    if value is None:
        return ""
    if SECRET.search(name):
        return HIDDEN
    if isinstance(value, datetime):
        zone = " UTC" if value.tzinfo is UTC else ""
        text = value.replace(tzinfo=None).isoformat(" ", "auto") + zone if zone else value.isoformat(" ")
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    text = text.replace("\x00", "")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + HIDDEN


def html_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", note: str = "") -> str:
    """Texts as a table; title and note are texts too."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    caption = f"<div><strong>{html.escape(title)}</strong></div>" if title else ""
    foot = f'<div style="opacity: .7">{html.escape(note)}</div>' if note else ""
    return f"<div>{caption}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}</div>"


def _cell(text: str) -> str:
    return f'<td style="text-align: left">{html.escape(text)}</td>'


def text_table(names: Sequence[str], rows: Iterable[Sequence[str]], *, note: str = "") -> str:
    """The same for a terminal."""
    lines = [tuple(names), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    drawn = ["  ".join(_plain(text).ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*(line.rstrip() for line in drawn), *([note] if note else [])])


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
