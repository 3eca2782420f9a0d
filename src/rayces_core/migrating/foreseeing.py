"""What migrations would run, told before any of them runs; nothing is run, and nothing can be.

A body may look at the database to decide what it queues. One that needs what an earlier migration has yet to do cannot
be told, and is left to the run itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from rayces_core.errors import MigrationError
from rayces_core.migrating.files import MigrationFile
from rayces_core.migrating.unsafe import inspected, refuse_unsafe, refuse_unsafe_sql
from rayces_core.migrations.session import MigrationDatabase
from rayces_core.migrations.steps import Migrator, Step

# Another transaction has another time.
_BEGAN = "SELECT transaction_timestamp()"
_ENDED = (
    "its body has ended the transaction in which it is asked what it would do, so what it did behind that stays; undo "
    "that by hand, and take the COMMIT or ROLLBACK out of it"
)


def foreseen(database: MigrationDatabase, file: MigrationFile, *, back: bool) -> list[Step] | None:
    """The steps of a migration, or of its way back (none where there is none); None if they cannot be told yet.

    Raises MigrationError where the body itself would begin or end a transaction, or change the session.
    """
    module = file.load()
    body = getattr(module, "rollback" if back else "migrate", None)
    if body is None:
        return []
    migrator, told = Migrator(database), list[str]()

    def refuse(sql: str) -> None:
        try:
            refuse_unsafe_sql(sql)
        except MigrationError as error:
            told.append(f"{file.name}: {error}; nothing was run")
            raise

    try:
        with database.atomic():
            database.command("SET TRANSACTION READ ONLY")
            began = database.one(_BEGAN)
            with inspected(database, refuse):
                body(migrator, database, fake=False)
            if database.one(_BEGAN) != began:
                told.append(f"{file.name}: {_ENDED}")
    except Exception:  # a body is anybody's Python; the run will tell what is wrong with it
        if not told:
            return None
    if told:
        raise MigrationError(told[0])
    return migrator.steps


def refuse_unsafe_files(database: MigrationDatabase, files: Iterable[MigrationFile], *, back: bool) -> None:
    """Raise MigrationError if one of them begins or ends a transaction, or changes the session; nothing is run."""
    for file in files:
        steps = foreseen(database, file, back=back)
        try:
            refuse_unsafe(steps or ())
        except MigrationError as error:
            raise MigrationError(f"{file.name}, {error}; nothing was run") from error
