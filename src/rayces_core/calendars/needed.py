"""The packages that calendars need, loaded when they are."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rayces_core.errors import MissingExtraError


def wanted(package: str) -> Any:
    """The package; raises MissingExtraError, which says how to install it."""
    try:
        return import_module(package)
    except ImportError:
        raise MissingExtraError("calendars need icalendar and more: pip install 'rayces-core[ical]'") from None
