"""ImportRun: how far an import has come; each of its batches moves it on in the same unit of work."""

from __future__ import annotations

from datetime import datetime

from peewee import Check

from rayces_core.fields import BigIntegerField, IntegerField, StringField, UTCDateTimeField
from rayces_core.tenancy.model import TimestampedTenantModel


class ImportRun(TimestampedTenantModel):
    """One import of one source.

    Attributes:
        record_type: what was imported, such as "students". source: what the source was called.
        fingerprint: SHA-256 of the rows as they were read, by which the same import is known again.
        last_row: number of the last row that is committed. finished_at: None while rows are left.
        created, updated, unchanged, skipped: what became of the rows so far.
    """

    record_type = StringField()
    source = StringField()
    fingerprint = StringField()
    last_row = BigIntegerField(default=0)
    created = IntegerField(default=0)
    updated = IntegerField(default=0)
    unchanged = IntegerField(default=0)
    skipped = IntegerField(default=0)
    finished_at = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "import_runs"
        personal = {"words": "source", "plain": "record_type fingerprint"}
        defaults_in_database = True
        constraints = [
            Check("btrim(record_type) <> ''", name="import_runs_record_type_check"),
            Check("last_row >= 0", name="import_runs_last_row_check"),
            Check(
                "created >= 0 AND updated >= 0 AND unchanged >= 0 AND skipped >= 0", name="import_runs_created_check"
            ),
        ]

    @property
    def is_finished(self) -> bool:
        """Whether all of its rows are committed."""
        return self.finished_at is not None

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return self.created_at


ImportRun.add_index(
    ImportRun.organization, ImportRun.fingerprint, ImportRun.id, name="index_import_runs_on_fingerprint"
)
