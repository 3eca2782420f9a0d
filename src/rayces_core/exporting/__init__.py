"""Bringing records out: any record type as CSV, JSON Lines, Parquet or Excel, a tenant as an archive, a person as JSON.

Rule it guards: everything is read as the bound tenant and streamed, and a file is there whole or not at all.
"""

from rayces_core.archive import Archived, content_checksum
from rayces_core.archive import write as tenant
from rayces_core.exporting.formats import FORMATS
from rayces_core.exporting.person import person
from rayces_core.exporting.records import RECORDS
from rayces_core.exporting.rows import Exported, export

__all__ = ["FORMATS", "RECORDS", "Archived", "Exported", "content_checksum", "export", "person", "tenant"]
