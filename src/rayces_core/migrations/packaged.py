"""Which tables packaged migrations make: what is written there is asked, so no migration lists those of later ones."""

from __future__ import annotations

import importlib.resources
import re
from functools import lru_cache
from typing import Final

NUMBERED: Final = re.compile(r"(\d{3})_\w+\.py")
MADE: Final = re.compile(r"\bCREATE TABLE (\w+) \(")


def tables_made_after(number: int) -> list[str]:
    """The tables of the packaged migrations after that one.

    None of them is there yet while it is done, nor any more while it is undone; a script of it is written where they
    still are.
    """
    return [table for each, tables in _made() if each > number for table in tables]


@lru_cache(maxsize=1)
def _made() -> list[tuple[int, list[str]]]:
    files = sorted(importlib.resources.files(__package__).iterdir(), key=lambda file: file.name)
    numbered = ((NUMBERED.fullmatch(file.name), file) for file in files)
    return [(int(found[1]), MADE.findall(file.read_text("utf-8"))) for found, file in numbered if found]
