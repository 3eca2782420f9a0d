"""A whole tenant brought in from its archive."""

from __future__ import annotations

from rayces_core.archive import Restored, restore

__all__ = ["Restored", "tenant"]

tenant = restore
