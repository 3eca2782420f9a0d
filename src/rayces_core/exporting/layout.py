"""What every format shares: the layout of an export, and values that several of them write alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from rayces_core.errors import MissingExtraError
from rayces_core.exporting.records.shape import Column

Rows = list[tuple[Any, ...]]
Write = Callable[[Rows], object]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a writer has to know: the record type's name, the columns, the zone of moments, and how CSV is written."""

    name: str
    columns: Sequence[Column]
    zone: ZoneInfo
    delimiter: str | None = None
    excel: bool = False

    @property
    def header(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]


def document(value: Any) -> str:
    """A document as JSON."""
    return json.dumps(value, ensure_ascii=False)


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The moment in the zone; in UTC where the zone would take it out of the calendar."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment


def wanted(module: str) -> Any:
    """The module of that name; MissingExtraError where it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"{module.partition('.')[0]} writes this format and is not installed; "
            "pip install 'rayces-core[importing]', or export CSV or JSON Lines"
        ) from None
