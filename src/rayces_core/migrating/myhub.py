"""What every runner has to know of MyHub: a database of it is adopted, never migrated past the running application.

Rule it guards: no plain run begins on a MyHub, or goes on where an adoption stands half way; without its transitional
objects the old application would stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rayces_core.errors import MigrationError
from rayces_core.migrations.session import MigrationDatabase

TABLES = ("users", "posts", "likes")
RECORD = "rayces_adoption"
SET_ASIDE = "rayces_set_aside"

ADOPTING, ADOPTED, FINISHED, UNDOING = "adopting", "adopted", "finished", "undoing"
# The newest migration that an adoption adds something to.
LAST_TRANSITION = 25
# The one that makes sequences anew, which have to have their tables' owner.
_SEQUENCES = 5

_EXISTS = (
    "SELECT true FROM pg_class WHERE relname = %s AND relkind IN ('r', 'p') "
    "AND relnamespace = quote_ident(current_schema())::regnamespace"
)


_OWNED_BY_OTHERS = (
    "SELECT relname::text, quote_ident(pg_get_userbyid(relowner)), quote_ident(current_user) FROM pg_class "
    "WHERE relname = ANY (%s) AND relkind = 'r' AND relowner <> quote_ident(current_user)::regrole "
    "AND relnamespace = quote_ident(current_schema())::regnamespace ORDER BY 1"
)


def has_table(database: MigrationDatabase, name: str) -> bool:
    """Whether the current schema has a table of this name."""
    return bool(database.one(_EXISTS, name))


def adoption_stage(database: MigrationDatabase) -> str | None:
    """How far the adoption of this database is: adopting, adopted, finished or undoing; None if it is no MyHub's."""
    return database.one(f"SELECT stage FROM {RECORD}") if has_table(database, RECORD) else None


def refuse_half_adopted(database: MigrationDatabase) -> None:
    """Raise MigrationError while an adoption, or the way back from one, is not at its end."""
    stage = adoption_stage(database)
    if stage in (ADOPTING, UNDOING):
        raise MigrationError(
            f"the adoption of this MyHub stands half way ({stage}); `rayces migrate adopt` finishes it, "
            "`rayces migrate adopt --undo` goes back; a plain run would stop the old application"
        )


def refuse_untouched(database: MigrationDatabase, history: dict[str, Any]) -> None:
    """Raise MigrationError where the tables are another application's and nothing is applied yet."""
    if not history and has_table(database, "users"):
        raise MigrationError(
            "this database has a table users already and no migration is applied; a MyHub is taken over while it runs "
            "by `rayces migrate adopt --organization-name NAME --subdomain SUBDOMAIN`"
        )


def refuse_undoing(database: MigrationDatabase, numbers: Iterable[int]) -> None:
    """Raise MigrationError where undoing these would leave what an adoption has added, or could not be done here."""
    undone = set(numbers)
    if adoption_stage(database) == ADOPTED and any(number <= LAST_TRANSITION for number in undone):
        raise MigrationError(
            f"the old application still runs on this MyHub, and migrations up to {LAST_TRANSITION} are part of its "
            "adoption; go back with `rayces migrate adopt --undo`, or end it with `rayces migrate adopt --finish`"
        )
    if _SEQUENCES in undone:
        _refuse_other_owners(database)


def _refuse_other_owners(database: MigrationDatabase) -> None:
    others = database.execute_sql(_OWNED_BY_OTHERS, (list(TABLES),)).fetchall()
    if others:
        lines = "".join(f"\n  ALTER TABLE {table} OWNER TO {login};" for table, _, login in others)
        owners = ", ".join(sorted({owner for _, owner, _ in others}))
        raise MigrationError(
            f"undoing migration {_SEQUENCES} makes sequences anew, which only the tables' own login can, and they "
            f"belong to {owners}; nothing was undone. Change that before:{lines}"
        )
