"""Packaged migrations (`NNN_slug.py`, never edited once released) and the `Runner` that applies them."""

from rayces_core.migrations.runner import Runner

__all__ = ["Runner"]
