"""What a statement of raw SQL may not do, told by its words.

These are strings as `sql_lexer.read` gives them: lower case where unquoted, quoted names behind one `"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from rayces_core import sql_lexer
from rayces_core.errors import UnsafeSQLError

Words = list[str]

_TENANT = "the tenant is bound by `with db.tenant(...)` only; take {} out of the SQL"
_LOCK = "a session's advisory lock would stay on the connection, {} too; use pg_advisory_xact_lock"
_SEED = "{} would stay on the connection, which others use after this; it is refused"
_LARGE = "{} works on large objects, which all tenants share; keep the bytes in a column of your own table"


def _either_way(names: Iterable[str], message: str) -> dict[str, str]:
    return {spelled: message.format(name) for name in names for spelled in (name, '"' + name)}


_FUNCTIONS: Final = (
    _either_way(["set_config"], _TENANT)
    | _either_way(["setseed"], _SEED)
    | _either_way(
        [
            "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
            "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all",
        ],
        _LOCK,
    )
    | _either_way(
        [
            "lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import", "lo_lseek",
            "lo_lseek64", "lo_open", "lo_put", "lo_tell", "lo_tell64", "lo_truncate", "lo_truncate64", "lo_unlink",
            "loread", "lowrite",
        ],
        _LARGE,
    )
)  # fmt: skip
_RUN_A_STRING: Final = _either_way(
    ["query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "ts_stat", "ts_rewrite"], ""
)
_TEMPORARY_SCHEMA: Final = re.compile(r'"?pg_(?:toast_)?temp(?:_.*)?$', re.DOTALL)
_SETTINGS_VIEW: Final = {"pg_settings", '"pg_settings'}
_CATALOG: Final = {"pg_catalog", '"pg_catalog'}

_ENDS_TRANSACTION: Final = {
    "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release",
}  # fmt: skip
_CHANGES_CONNECTION: Final = {
    "discard", "reset", "listen", "unlisten", "load", "prepare", "deallocate", "execute",
}  # fmt: skip
_OTHER_ROLES: Final = {"role", "user", "group", "database", "system"}
_HARMLESS_SETS: Final = {"constraints", "transaction"}
_HELD_SETTINGS: Final = {
    "role", "session authorization", "session_authorization", "session characteristics", "row_security",
    "search_path", "seed",
    "standard_conforming_strings", "backslash_quote", "client_encoding",  # how the server reads SQL
}  # fmt: skip
_SAID_OTHERWISE: Final = {"schema": "search_path", "names": "client_encoding", "time": "timezone"}


def check_statement(words: Words) -> None:
    """Raise UnsafeSQLError when the statement would step out of the tenant, or leave something on the connection."""
    words = _without_explain(words)
    first = words[0]
    if first in _ENDS_TRANSACTION or words[:2] == ["prepare", "transaction"]:
        raise UnsafeSQLError(f"{first.upper()} is not raw SQL's to run; use `with db.atomic():`")
    if first in _CHANGES_CONNECTION or _is_execute(words):
        raise UnsafeSQLError(f"{first.upper()} would change the connection, which others use after this; it is refused")
    check_names(words)
    if first in _BY_FIRST_WORD:
        _BY_FIRST_WORD[first](words)
    for code in _code_in(words):
        check_code(code)


def check_names(words: Words) -> None:
    """Raise UnsafeSQLError when a function, a schema, a view or a table is named that is not for raw SQL."""
    seen = set(words)
    if called := seen & _FUNCTIONS.keys():
        _check_calls(words, called)
    for word in seen:
        if word.startswith(("pg_t", '"pg_t')) and _TEMPORARY_SCHEMA.match(word):
            raise UnsafeSQLError("what is in pg_temp stays on the connection for whoever gets it next; it is refused")
    if seen & _SETTINGS_VIEW:
        _check_settings_view(words)
    if seen & {"temp", "temporary"}:
        _check_temporary(words)
    if "owned" in seen and (_places(words, ["drop", "owned", "by"]) or _places(words, ["reassign", "owned", "by"])):
        raise UnsafeSQLError("OWNED BY a role are the policies of all tenants too; dropping them is refused")


def check_code(code: str) -> None:
    """The same for the body of a function or of a DO block, as far as it is plain to see."""
    try:
        words = sql_lexer.read(code)
    except UnsafeSQLError:
        return  # of another language, perhaps; PostgreSQL refuses it where it is SQL
    check_names(words)
    for place, word in enumerate(words):
        if word in _IN_CODE and (place == 0 or words[place - 1] in {";", "begin", "then", "else", "loop"}):
            _IN_CODE[word](words[place:])


def _without_explain(words: Words) -> Words:
    """What EXPLAIN explains, and with ANALYZE runs."""
    if words[0] != "explain":
        return words
    start = 1
    if words[1:2] == ["("]:
        start = words.index(")") + 1 if ")" in words else 1
    while start < len(words) and words[start] in {"analyze", "analyse", "verbose"}:
        start += 1
    return words[start:] or words


def _is_execute(words: Words) -> bool:
    return words[0] == "create" and _places(words, ["as", "execute"]) != []


def _calls(words: Words, names: set[str]) -> Iterator[str]:
    """Those of `names` that are called, by themselves or in pg_catalog."""
    for place, word in enumerate(words):
        if word in names and words[place + 1 : place + 2] == ["("]:
            schema = words[place - 2] if place >= 2 and words[place - 1] == "." else "pg_catalog"
            if schema in _CATALOG:
                yield word


def _check_calls(words: Words, names: set[str]) -> None:
    for name in _calls(words, names):
        raise UnsafeSQLError(_FUNCTIONS[name])


def _check_settings_view(words: Words) -> None:
    for place, word in enumerate(words):
        if word not in _SETTINGS_VIEW:
            continue
        before = place - 1
        while before > 0 and words[before] == ".":
            before -= 2
        if before > 0 and words[before - 1 : before + 1] == ["only", "("]:
            before -= 1
        if before > 0 and words[before] == "only":
            before -= 1
        if before >= 0 and words[before] in {"update", "into"}:
            raise UnsafeSQLError("what is written to pg_settings stays on the pooled connection; use SET LOCAL")


def _check_temporary(words: Words) -> None:
    for place, word in enumerate(words):
        if word not in {"temp", "temporary"}:
            continue
        before = place - 1
        if before > 0 and words[before] in {"global", "local"}:
            before -= 1
        if before > 1 and words[before - 1 : before + 1] == ["or", "replace"]:
            before -= 2
        made = before >= 0 and words[before] == "create"
        if made and words[place + 1 : place + 2] == ["table"] and _is_dropped_on_commit(words[place:]):
            continue
        written = before > 0 and words[before] == "into" and words[before - 1] not in {"insert", "merge"}
        if made or written:
            raise UnsafeSQLError(
                "this would stay on the connection for whoever gets it next; "
                "only CREATE TEMPORARY TABLE ... ON COMMIT DROP goes with its transaction"
            )


def _is_dropped_on_commit(words: Words) -> bool:
    depth, outermost = 0, []
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth == 0:
            if word == "as":
                break
            outermost.append(word)
    return _places(outermost, ["on", "commit", "drop"]) != []


def _places(words: Words, wanted: Words) -> list[int]:
    size = len(wanted)
    return [place for place in range(len(words) - size + 1) if words[place : place + size] == wanted]


# -- by the first word ------------------------------------------------------------------------------------------------


def _check_set(words: Words) -> None:
    name, local = _setting(words)
    if name in _HARMLESS_SETS:
        return
    if _is_held(name):
        raise UnsafeSQLError(f"SET {name} would step out of the tenant; it is refused")
    if not local:
        raise UnsafeSQLError(
            f"SET {name} would stay on the pooled connection; use SET LOCAL inside `with db.atomic():`"
        )


def _is_held(name: str) -> bool:
    return name in _HELD_SETTINGS or name.startswith("rayces.")


def _setting(words: Words) -> tuple[str, bool]:
    """Name of the setting that SET sets, and whether for the transaction only."""
    rest, local = words[1:], False
    # Both words may be a setting's name as well.
    if rest[:1] in (["local"], ["session"]) and rest[1:2] not in (["."], ["="], ["to"], ["authorization"]):
        if rest[:2] == ["session", "characteristics"]:
            return "session characteristics", False
        local, rest = rest[0] == "local", rest[1:]
    if rest[:1] == ["session"] and rest[1:2] in (["authorization"], ["characteristics"]):
        return " ".join(rest[:2]), local
    name = rest[0] if rest else ""
    for dot, part in zip(rest[1::2], rest[2::2], strict=False):
        if dot != ".":
            break
        name += "." + part
    name = name.replace('"', "").lower()  # settings are found by name in any case
    return _SAID_OTHERWISE.get(name, name), local


def _check_copy(words: Words) -> None:
    depth = 0
    for place, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word in {"from", "to"}:
            if words[place + 1 : place + 2] not in (["stdin"], ["stdout"]):
                raise UnsafeSQLError("COPY reads and writes files of the server's; use copy_expert, STDIN and STDOUT")
            return


def _check_declare(words: Words) -> None:
    head = words[: words.index("for")] if "for" in words else words
    if _places(head, ["with", "hold"]):
        raise UnsafeSQLError("a cursor WITH HOLD would outlive its transaction and its tenant")


def _check_alter(words: Words) -> None:
    if words[1:2] and words[1] in _OTHER_ROLES:
        raise UnsafeSQLError(f"ALTER {words[1].upper()} would change every later connection; it is refused")
    if words[1:3] == ["default", "privileges"]:
        raise UnsafeSQLError("ALTER DEFAULT PRIVILEGES changes rights that all tenants share; it is refused")
    _check_large_objects(words)


def _check_large_objects(words: Words) -> None:
    if _places(words, ["large", "object"]) or _places(words, ["large", "objects"]):
        raise UnsafeSQLError(_LARGE.format(words[0].upper() + " ... LARGE OBJECT"))


def _refuse_lock(_: Words) -> None:
    raise UnsafeSQLError("LOCK would stop every tenant at that table; use SELECT ... FOR UPDATE or an advisory lock")


def _refuse_label(_: Words) -> None:
    raise UnsafeSQLError("SECURITY LABEL changes what all tenants share; it is refused")


_BY_FIRST_WORD: Final[dict[str, Callable[[Words], None]]] = {
    "set": _check_set,
    "copy": _check_copy,
    "declare": _check_declare,
    "alter": _check_alter,
    "comment": _check_large_objects,
    "grant": _check_large_objects,
    "revoke": _check_large_objects,
    "lock": _refuse_lock,
    "security": _refuse_label,
}


def _check_set_in_code(words: Words) -> None:
    name = _setting(words)[0]
    if _is_held(name):
        raise UnsafeSQLError(f"SET {name} would step out of the tenant; it is refused")


def _check_reset(words: Words) -> None:
    name = _setting(words)[0]
    if name == "all" or _is_held(name):
        raise UnsafeSQLError(f"RESET {name} would step out of the tenant; it is refused")


# What runs within a function too; its variables may be called so, and are then followed by an operator.
_IN_CODE: Final[dict[str, Callable[[Words], None]]] = {
    "set": _check_set_in_code,
    "reset": _check_reset,
    "alter": _check_alter,
}


# -- code in strings --------------------------------------------------------------------------------------------------


def _code_in(words: Words) -> Iterator[str]:
    """The strings of a statement that PostgreSQL runs as SQL."""
    makes_code = words[0] == "do" or (words[0] == "create" and {"function", "procedure"} & set(words[:5]))
    if makes_code or set(words) & _RUN_A_STRING.keys():
        for word in words:
            yield from sql_lexer.strings(word)
