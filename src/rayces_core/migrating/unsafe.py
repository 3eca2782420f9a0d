"""What the SQL of a migration may not do: begin or end a transaction, or change the session that the runner works in.

Rule it guards: the transaction around a migration, its time limits and where its names are looked up are the runner's.
A script that was pasted brings its own (`BEGIN; ... COMMIT;`, the first lines of a dump); with those a migration would
be half done where the history says it is not, and wait for its locks as long as it likes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from rayces_core import sql_lexer
from rayces_core.errors import MigrationError
from rayces_core.migrating.statements import Statement, as_sent, closing, statements
from rayces_core.migrations.session import MigrationDatabase
from rayces_core.migrations.steps import Step

_TRANSACTION = (
    "{word} would begin or end the transaction that the runner holds around it, and what comes after would run without "
    "time limits and stay when the migration fails; take it out (ATOMIC = False lets each statement commit by itself)"
)
_PATH = (
    "{word} would change where names are looked up for the rest of the session, the history's own among them; take it "
    "out and write the schema before the names"
)
_LIMIT = (
    "{word} would let the application wait for longer than the runner allows; take it out and say LOCK_TIMEOUT_MS or "
    "STATEMENT_TIMEOUT_MS in the module"
)
_ROLE = "{word} would stay for the rest of the session; write SET LOCAL ROLE, and RESET ROLE behind it"
_EVERYTHING = "{word} would reset the time limits and the search path that the runner works with; take it out"

_SETTINGS = {
    '"search_path': _PATH,
    "search_path": _PATH,
    "schema": _PATH,
    "lock_timeout": _LIMIT,
    "statement_timeout": _LIMIT,
    "role": _ROLE,
    "authorization": _ROLE,
}
# Most of what a rehearsal sends is not worth reading.
_PERHAPS = re.compile(
    r"\b(?:begin|start|commit|end|abort|rollback|prepare|set|reset|discard|set_config)\b", re.IGNORECASE
)
_TRANSACTION_ID = "pg_current_xact_id_if_assigned()::text"
_SESSION = "current_user || ' ' || current_setting('search_path')"
_BEGINS_OR_ENDS = {"begin", "start", "commit", "end", "abort"}
_TRUE = {"true", "'t'", "'true'", "'on'", "'yes'", "'1'"}


def refuse_unsafe(steps: Iterable[Step]) -> None:
    """Raise MigrationError if a step's SQL begins or ends a transaction, or changes the session; nothing is run."""
    for number, step in enumerate(steps, start=1):
        reason = "" if step.is_call else _reason_in(as_sent(step))
        if reason:
            raise MigrationError(f"step {number}: {reason}")


@lru_cache(maxsize=2048)  # every step is asked about before the first runs, and again before its own migration does
def _reason_in(sql: str) -> str:
    return next((reason for statement in statements(sql) if (reason := _reason(statement))), "")


@lru_cache(maxsize=512)
def refuse_unsafe_sql(sql: str) -> None:
    """Raise MigrationError if one of these statements begins or ends a transaction, or changes the session."""
    if not _PERHAPS.search(sql):
        return
    reason = _reason_in(sql)
    if reason:
        raise MigrationError(reason)


@contextmanager
def inspected(database: MigrationDatabase, refuse: Callable[[str], None] = refuse_unsafe_sql) -> Iterator[None]:
    """Refuse such SQL while the block, which is Python, sends it by itself."""
    database.inspect = refuse
    try:
        yield
    finally:
        database.inspect = None


class Kept:
    """The transaction and the session as they are after `opening`; `check` says whether they still are.

    The SQL of `opening` is sent with the question: each step asks, and a message costs as much as a small statement.
    """

    def __init__(self, database: MigrationDatabase, opening: str = "") -> None:
        self._database = database
        self._transaction, self._session = self._ask(f"{opening}SELECT pg_current_xact_id()::text, {_SESSION}")

    def check_transaction(self) -> None:
        """Raise MigrationError unless the transaction goes on."""
        self._goes_on(str(self._database.one(f"SELECT {_TRANSACTION_ID}")))

    def check(self) -> None:
        """Raise MigrationError unless it does, and names are looked up as before, by the same role."""
        transaction, session = self._ask(f"SELECT {_TRANSACTION_ID}, {_SESSION}")
        self._goes_on(transaction)
        if session != self._session:
            raise MigrationError(
                "it has changed search_path or role and not put them back, so the history would be looked for "
                "elsewhere; write the schema before the names, or put both back before its end; nothing of it is kept"
            )

    def _goes_on(self, transaction: str) -> None:
        if transaction != self._transaction:
            raise MigrationError(
                "it has ended the transaction that the runner holds around it, so what it did before stays although it "
                "is not noted; undo that by hand, and take the COMMIT or ROLLBACK out of its Python functions"
            )

    def _ask(self, sql: str) -> tuple[str, str]:
        transaction, session = self._database.execute_sql(sql).fetchone()
        return transaction, session


@contextmanager
def kept_session(database: MigrationDatabase) -> Iterator[None]:
    """Outside of a transaction: raise MigrationError where the block has left one open, or has changed the session."""
    before = _session(database)
    yield
    if database.server.info.transaction_status != TRANSACTION_STATUS_IDLE:
        database.server.cursor().execute("ROLLBACK")
        raise MigrationError(
            "it has begun a transaction and not ended it, so what it did there is gone; commit it there"
        )
    if _session(database) != before:
        database.command("RESET ROLE; RESET search_path")
        raise MigrationError(
            "it has changed search_path or role for the rest of the session; write the schema before the names, or put "
            "both back before its end"
        )


def _session(database: MigrationDatabase) -> str:
    return str(database.one(f"SELECT {_SESSION}"))


def _reason(statement: Statement) -> str:
    words = statement.words
    if words[0] in _BEGINS_OR_ENDS or words[:2] == ["prepare", "transaction"] or _is_rollback(words):
        return _TRANSACTION.format(word=" ".join(words[:2]).upper())
    if words[0] == "set":
        return _of_setting(words)
    if words[0] in {"reset", "discard"}:
        return _of_reset(words)
    return next((_of_call(words, place) for place in _calls(words)), "")


def _is_rollback(words: list[str]) -> bool:
    """Whether it ends the transaction; back to a savepoint it goes on."""
    rest = words[1:]
    if rest[:1] in (["work"], ["transaction"]):
        rest = rest[1:]
    return words[0] == "rollback" and rest[:1] != ["to"]


def _of_setting(words: list[str]) -> str:
    rest = words[1:]
    if rest[:1] == ["local"]:
        return ""
    if rest[:1] == ["session"]:
        rest = rest[1:]
    return _about(rest[0] if rest else "", words)


def _of_reset(words: list[str]) -> str:
    if words[1:2] == ["all"]:
        return _EVERYTHING.format(word=" ".join(words[:2]).upper())
    # Back from SET LOCAL ROLE.
    is_harmless = words[1:2] in (["role"], ["session"]) or words[0] == "discard"
    return "" if is_harmless else _about("".join(words[1:2]), words)


def _about(setting: str, words: list[str]) -> str:
    advice = _SETTINGS.get(setting.lower(), "")
    return advice.format(word=f"{words[0].upper()} {setting.strip(chr(34))}") if advice else ""


def _calls(words: list[str]) -> Iterator[int]:
    for place, word in enumerate(words[:-1]):
        if word in {"set_config", '"set_config'} and words[place + 1] == "(":
            yield place


def _of_call(words: list[str], place: int) -> str:
    inside = words[place + 2 : closing(words, place + 1)]
    if not inside or inside[-1] in _TRUE:
        return ""
    setting = next(sql_lexer.strings(inside[0]), "")
    advice = _SETTINGS.get(setting.lower(), "")
    return advice.format(word=f"set_config('{setting}')") if advice else ""
