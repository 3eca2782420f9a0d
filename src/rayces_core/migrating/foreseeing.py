"""What migrations would run, told before any of them runs; nothing is run, and nothing can be.

A body may look at the database to decide what it queues. One that needs what an earlier migration has yet to do cannot
be told, and is left to the run itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from rayces_core.errors import MigrationError
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.unsafe import refuse_unsafe
from rayces_core.migrations.session import MigrationDatabase
from rayces_core.migrations.steps import Migrator, Step


def foreseen(database: MigrationDatabase, file: MigrationFile, *, back: bool) -> list[Step] | None:
    """The steps of a migration, or of its way back (none where there is none); None if they cannot be told yet."""
    module = file.load()
    body = getattr(module, "rollback" if back else "migrate", None)
    if body is None:
        return []
    migrator = Migrator(database)
    try:
        with database.atomic():
            database.command("SET TRANSACTION READ ONLY")
            body(migrator, database, fake=False)
    except Exception:  # a body is anybody's Python; the run will tell what is wrong with it
        return None
    return migrator.steps


def refuse_unsafe_files(database: MigrationDatabase, files: Iterable[MigrationFile], *, back: bool) -> None:
    """Raise MigrationError if one of them begins or ends a transaction, or changes the session; nothing is run."""
    for file in files:
        steps = foreseen(database, file, back=back)
        try:
            refuse_unsafe(steps or ())
        except MigrationError as error:
            raise MigrationError(f"{file.name}, {error}; nothing was run") from error
