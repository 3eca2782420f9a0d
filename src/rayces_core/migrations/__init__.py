"""Packaged migrations (`NNN_slug.py`, never edited once released) and the few names they are written with."""

from rayces_core.errors import MigrationError
from rayces_core.migrations.addresses import normal_address, trimmed_address
from rayces_core.migrations.session import MigrationDatabase, quote_identifier
from rayces_core.migrations.steps import Migrator, backfill
from rayces_core.migrations.tenant_tables import Parent

__all__ = [
    "MigrationDatabase",
    "MigrationError",
    "Migrator",
    "Parent",
    "backfill",
    "normal_address",
    "quote_identifier",
    "trimmed_address",
]
