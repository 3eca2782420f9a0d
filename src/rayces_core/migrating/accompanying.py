"""What a way back drops that holds no rows: functions, triggers, views, types, policies, sequences.

Nothing is lost with them that an `up` would not make again, so they are told and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from rayces_core.migrating.effects import Dropped
from rayces_core.migrating.losing import WayBack
from rayces_core.migrations.session import MigrationDatabase

# Kind → whether it is there now: %(name)s is its name as SQL, %(table)s its table.
_FUNCTION = (
    "CASE WHEN strpos(%(name)s, '(') > 0 THEN to_regprocedure(%(name)s)::text ELSE to_regproc(%(name)s)::text END"
)
_THERE = {
    **dict.fromkeys(("function", "procedure", "routine"), f"SELECT {_FUNCTION}"),
    **dict.fromkeys(("view", "sequence"), "SELECT to_regclass(%(name)s)::text"),
    **dict.fromkeys(("type", "domain"), "SELECT to_regtype(%(name)s)::text"),
    "trigger": """
        SELECT format('%%I on %%s', tgname, tgrelid::regclass) FROM pg_trigger
         WHERE tgrelid = to_regclass(%(table)s) AND tgname = (parse_ident(%(name)s))[1] AND NOT tgisinternal""",
    "policy": """
        SELECT format('%%I on %%s', polname, polrelid::regclass) FROM pg_policy
         WHERE polrelid = to_regclass(%(table)s) AND polname = (parse_ident(%(name)s))[1]""",
}
_WITH_TABLE = """
SELECT format('trigger %%I on %%s', tgname, tgrelid::regclass) FROM pg_trigger
 WHERE tgrelid = to_regclass(%(name)s) AND NOT tgisinternal ORDER BY 1
"""


def others(database: MigrationDatabase, way_back: WayBack) -> tuple[str, ...]:
    """What is there and would be dropped besides tables, columns and rows, a line each, in that order."""
    found: dict[str, str] = {}
    for migration, effects in way_back:
        for effect in effects:
            if isinstance(effect, Dropped):
                for what in _of(database, effect):
                    found.setdefault(what, f"{migration}: {what}")
    return tuple(found.values())


def _of(database: MigrationDatabase, effect: Dropped) -> Iterator[str]:
    names = {"name": effect.name, "table": effect.table}
    if effect.kind == "table":
        yield from (what for (what,) in database.execute_sql(_WITH_TABLE, names).fetchall())
    elif effect.kind in _THERE:
        for (there,) in database.execute_sql(_THERE[effect.kind], names).fetchall():
            if there is not None:
                yield f"{effect.kind} {there}"
