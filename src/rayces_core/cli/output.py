"""What commands print: tables that fit the terminal, plain text when piped, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 120
RED, YELLOW, GREEN, FAINT, HEADING = "bold red", "yellow", "green", "dim", "bold"


def console() -> Console:
    """A console on stdout; colours only on a terminal (NO_COLOR is respected), a fixed width elsewhere."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    # Names and messages are data: what looks like markup in them is none.
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)


def table(*headings: str, title: str | None = None, lines: bool = False) -> Table:
    """An empty table; cells fold rather than lose words. `lines` draws one between rows."""
    made = Table(
        title=title, title_justify="left", title_style=HEADING, box=box.SIMPLE_HEAD, show_lines=lines, pad_edge=False
    )
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def styled(value: object, style: str) -> Text:
    """A cell or a line in one style."""
    return Text(str(value), style=style)


def printable(text: str) -> str:
    """A text of a file without what would steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def moment(value: datetime | None) -> str:
    """A moment to the second, in UTC."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def print_json(rows: Iterable[Any]) -> None:
    """Print a JSON array; moments are ISO 8601."""
    print(json.dumps(list(rows), indent=2, ensure_ascii=False, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
