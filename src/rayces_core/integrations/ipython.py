"""The extension of IPython and Jupyter: `%load_ext rayces_core`, then `%%rayces_sql north` above a cell of SQL.

Rule it guards: a cell of SQL is held as any raw SQL of the library is: checked before it is sent, run as the tenants'
role with the one organization bound, under row-level security and composite keys. It reads, unless --write says more.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, NoReturn

from rayces_core import sql_lexer
from rayces_core.database.database import Database
from rayces_core.database.interactive import used_here
from rayces_core.errors import ConfigurationError, InvalidDataError, ReadOnlyError, UnsafeSQLError
from rayces_core.showing import html_table, text_table, told

MAGIC: Final = "rayces_sql"
SHOWN: Final = 20  # rows
# Once something was read, the server lets nobody take it back.
_READ_ONLY: Final = "SET TRANSACTION READ ONLY; SELECT 1"
_NAMED: Final = re.compile(r"%\((\w+)\)s")


def load(shell: Any) -> None:
    """Give the shell `%%rayces_sql`; `%load_ext rayces_core` calls this."""
    cell = partial(rayces_sql, shell)
    cell.__doc__ = rayces_sql.__doc__
    shell.register_magic_function(cell, "cell", MAGIC)


def unload(shell: Any) -> None:
    """Take it away again; `%unload_ext rayces_core` calls this."""
    shell.magics_manager.magics["cell"].pop(MAGIC, None)


def rayces_sql(shell: Any, line: str, cell: str) -> SQLRows | None:
    """Run the cell as one statement of SQL for an organization: `%%rayces_sql north`.

    Without a subdomain it is what is bound here, by `db.use` for example. It only reads; with --write it may change
    rows. %(name)s in the SQL is the value of the session's variable `name`, and %% is then a percent sign.

    Options: --write; --to NAME keeps the rows in a variable instead of showing them; --db NAME says which Database,
    where the session has several.

    Raises:
        TenantNotSetError, UnknownTenantError: no organization is bound, or there is none of this name.
        UnsafeSQLError: the SQL would end the transaction or change the role or tenant, or runs code (DO, CALL).
        ReadOnlyError: it would write. ConfigurationError: an option is wrong, or there is no Database, or several.
    """
    asked = _parser().parse_args(_words(line))
    db = _database(shell.user_ns, asked.db)
    rows = run(db, asked.tenant, cell, _values(cell, shell.user_ns), may_write=asked.write)
    if asked.to is None:
        return rows
    shell.user_ns[asked.to] = rows
    return None


def run(db: Any, tenant: str | None, sql: str, values: Mapping[str, Any] | None, *, may_write: bool) -> SQLRows:
    """Run raw SQL in a unit of work of the tenant, or of what is bound here; it reads unless `may_write`."""
    for words in sql_lexer.statements(sql):
        if words[:1] in (["do"], ["call"]):  # what they put together at run time, nobody has looked at
            raise UnsafeSQLError(f"{words[0].upper()} is not for a cell of SQL; write the statements themselves")
    with db.tenant(tenant) if tenant is not None else nullcontext(), db.atomic():
        if not may_write:
            db.execute_sql(_READ_ONLY)
        try:
            cursor = db.execute_sql(sql, values)
        except ReadOnlyError as error:
            error.add_note(f"%%{MAGIC} only reads; `%%{MAGIC} … --write` may change rows")
            raise
        names = [column.name for column in cursor.description or ()]
        return SQLRows(names, cursor.fetchall() if names else [], cursor.rowcount)


class SQLRows(Sequence[tuple[Any, ...]]):
    """The rows of a cell of SQL, as tuples.

    Attributes: `names` of the columns; `row_count`, how many rows were read or written.
    """

    def __init__(self, names: list[str], rows: list[tuple[Any, ...]], row_count: int) -> None:
        self.names, self.row_count = names, row_count
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by the names of their columns; of two columns of one name the last."""
        return [dict(zip(self.names, row, strict=True)) for row in self._rows]

    def _repr_html_(self) -> str:
        return html_table(self.names, self._texts(), note=self._note())

    def __repr__(self) -> str:
        return text_table(self.names, self._texts(), note=self._note()).strip()

    def _texts(self) -> list[list[str]]:
        return [[told(name, value) for name, value in zip(self.names, row, strict=True)] for row in self._rows[:SHOWN]]

    def _note(self) -> str:
        counted = f"{self.row_count:,} row{'' if self.row_count == 1 else 's'}"
        return f"{counted}, the first {SHOWN} of them" if len(self._rows) > SHOWN else counted


# -- what the line says -----------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"%%{MAGIC}: {message}; `%%{MAGIC}?` tells its options")


def _parser() -> _Parser:
    parser = _Parser(prog=f"%%{MAGIC}", add_help=False, allow_abbrev=False)
    parser.add_argument("tenant", nargs="?")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--to")
    parser.add_argument("--db")
    return parser


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigurationError(f"%%{MAGIC}: {error}") from error
    return words


def _database(variables: Mapping[str, Any], name: str | None) -> Database[Any]:
    """The Database that the line names, that is used, or that is the session's only one."""
    if name is not None:
        named = variables.get(name)
        if isinstance(named, Database):
            return named
        raise ConfigurationError(f"%%{MAGIC}: {name!r} is no Database of this session")
    used = used_here()
    if used is not None and isinstance(used.database, Database):
        return used.database
    found = {id(value): value for value in variables.values() if isinstance(value, Database)}
    if len(found) != 1:
        several = "there are several Databases in this session; say which by --db" if found else "make a Database first"
        raise ConfigurationError(f"%%{MAGIC}: {several}, such as `db = Database.from_env()`")
    return next(iter(found.values()))


def _values(sql: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
    """The session's variables that the SQL names; None where it names none, and percent signs are themselves."""
    names = set(_NAMED.findall(sql))
    for name in names:
        if name not in variables:
            raise InvalidDataError(name, None, "is no variable of this session")
    return {name: variables[name] for name in names} or None
