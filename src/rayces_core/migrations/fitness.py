"""What a server or a database must be before anything is written to it: each fault is one sentence, told before.

Rule it guards: no migration begins where its first write, or the first name with a foreign letter, would fail.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from rayces_core.errors import ConfigurationError, ReadOnlyError

ENCODING: Final = "UTF8"


class Asking(Protocol):
    """A database that can be asked."""

    def one(self, sql: str, *values: object) -> Any:
        """The first column of the first row."""


def refuse_unfit(database: Asking) -> None:
    """Return where migrations can write.

    Raises:
        ReadOnlyError: the server is a standby, or transactions of this login are read-only.
        ConfigurationError: the encoding of the database does not hold every name.
    """
    if database.one("SELECT pg_is_in_recovery()"):
        raise ReadOnlyError("the server is a standby, which takes no writes; give migrations the URL of the primary")
    if database.one("SELECT current_setting('transaction_read_only')::boolean"):
        login, name = (database.one(f"SELECT quote_ident({what})") for what in ("current_user", "current_database()"))
        raise ReadOnlyError(
            "transactions are read-only here (default_transaction_read_only); where that is wrong, a DBA changes it: "
            f"ALTER DATABASE {name} RESET default_transaction_read_only; ALTER ROLE {login} RESET "
            "default_transaction_read_only;"
        )
    encoding = database.one("SELECT current_setting('server_encoding')")
    if encoding != ENCODING:
        raise ConfigurationError(wrong_encoding(encoding, database.one("SELECT quote_ident(current_database())")))


def wrong_encoding(encoding: str, name: str) -> str:
    """The sentence about a database, quoted as SQL has it, whose encoding is not UTF-8."""
    other = f'{name[:-1]}_utf8"' if name.endswith('"') else f"{name}_utf8"
    return (
        f"the database {name} is in {encoding}, which does not hold every name (Łucja, 美); make one in UTF-8 and move "
        f"it there: CREATE DATABASE {other} TEMPLATE template0 ENCODING 'UTF8', then pg_dump and "
        "pg_restore"
    )
