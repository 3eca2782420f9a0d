"""Applying migrations: the `Runner`, rehearsal, checking, and adopting a live MyHub."""

from rayces_core.migrating.runner import Runner

__all__ = ["Runner"]
