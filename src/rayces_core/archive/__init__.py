"""A whole tenant as one file, free of ids: what `exporting.tenant` writes and `importing.tenant` brings in.

Rule it guards: an archive holds the rows of one organization, every table of it, as of one moment, and goes into
another organization whole or not at all. Rows name each other by their places (the first user is 1), never by ids of a
database, so the archive of what was brought in is the archive that it came from.
"""

from rayces_core.archive.restoring import Restored, restore
from rayces_core.archive.snapshot import content_checksum
from rayces_core.archive.writing import Archived, write

__all__ = ["Archived", "Restored", "content_checksum", "restore", "write"]
