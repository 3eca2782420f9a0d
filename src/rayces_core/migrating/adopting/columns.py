"""Columns of MyHub's tables next to those that this library writes: what is missing, of another type, or stricter.

Rule it guards: a column is taken as it is wherever the library can live with it; where it is stricter than the
library's own, so that a write would be refused, somebody has chosen what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rayces_core.migrating.adopting.finding import Finding, choice
from rayces_core.migrating.adopting.record import TIMESTAMPS, Column
from rayces_core.migrating.myhub import TABLES
from rayces_core.migrations.session import quote_identifier

VARYING = "character varying"
TEXT = (VARYING, "text", "citext")
NUMBER = ("bigint", "integer")
MOMENT = ("timestamp without time zone", "timestamp with time zone")

# Table → the columns that this library reads and writes → the types it can live with.
OURS: dict[str, dict[str, tuple[str, ...]]] = {
    "users": {
        **dict.fromkeys(("email", "uid", "provider", "first_name", "last_name", "phone", "jti"), TEXT),
        "sign_in_count": NUMBER,
        **dict.fromkeys(("current_sign_in_at", "last_sign_in_at"), MOMENT),
        **dict.fromkeys(("current_sign_in_ip", "last_sign_in_ip"), ("inet",)),
    },
    "posts": {"user_id": NUMBER, "content": TEXT},
    "likes": {"user_id": NUMBER, "post_id": NUMBER},
}
STAMPS = dict.fromkeys(TIMESTAMPS, "timestamp with time zone DEFAULT now() NOT NULL")
# What MyHub may lack → what is added; all of it without touching a row.
ADDED: dict[str, dict[str, str]] = {
    "users": {"uid": "character varying", "provider": "character varying", **STAMPS},
    "posts": {"user_id": "bigint", "content": "text", **STAMPS},
    "likes": STAMPS,
}
# The library never leaves these empty.
ALWAYS = {"id", "email", "user_id", "post_id", "sign_in_count", *TIMESTAMPS}
# 003 makes these, unless MyHub has them in a form that does.
SIGN_IN_TIMES = ("current_sign_in_at", "last_sign_in_at")
# What 003 and 036 add and MyHub's cannot stand for, as their values mean something else.
UNSHARED = ("role", "external_id")
_NEUTRAL = {
    **dict.fromkeys(TEXT, "''"),
    **dict.fromkeys(("bigint", "integer", "smallint", "numeric", "double precision", "real"), "0"),
    "boolean": "false",
    **dict.fromkeys(("json", "jsonb"), "'{}'"),
    **dict.fromkeys((*MOMENT, "date"), "now()"),
}


def is_ours(column: Column) -> bool:
    """Whether the library knows this column."""
    return column.name in ("id", *TIMESTAMPS) or column.name in OURS[column.table]


def is_short(column: Column) -> bool:
    """Whether it is a text of the library's with a longest length, or of a domain with rules of its own."""
    return OURS[column.table].get(column.name) is TEXT and bool(column.length or column.is_domain)


def is_required(column: Column) -> bool:
    """Whether the library may leave it empty and MyHub does not."""
    if not column.not_null or column.is_generated or column.identity or column.name in (*ALWAYS, *UNSHARED):
        return False
    return is_ours(column) or not column.fills_itself


def is_kept(column: Column, choices: Mapping[str, str]) -> bool:
    """Whether it stays of another type than a fresh install's."""
    kinds = NUMBER if column.name == "id" else MOMENT if column.name in TIMESTAMPS else _kinds(column)
    if not kinds or column.base == MOMENT[0]:
        return False
    widened = is_short(column) and choices.get("short-columns") == "widen"
    return (VARYING if widened else column.type) != _fresh(column, kinds)


def _fresh(column: Column, kinds: tuple[str, ...]) -> str:
    if kinds is TEXT:
        return "text" if column.name == "content" else VARYING
    return "integer" if column.name == "sign_in_count" else MOMENT[1] if kinds is MOMENT else kinds[0]


def _kinds(column: Column) -> tuple[str, ...]:
    return OURS[column.table].get(column.name, ())


def neutral(column: Column) -> str | None:
    """A default that says nothing, as SQL; None where the type has none that is known."""
    return "'{}'" if column.type.endswith("[]") else _NEUTRAL.get(column.base)


def missing(found: Iterable[Column]) -> dict[str, dict[str, str]]:
    """Table → what has to be added to it, name → type."""
    there = {(column.table, column.name) for column in found}
    lacking = {
        table: {name: kind for name, kind in added.items() if (table, name) not in there}
        for table, added in ADDED.items()
    }
    return {table: added for table, added in lacking.items() if added}


def findings(found: Sequence[Column]) -> list[Finding]:
    """What is to be said of the columns."""
    return [*_missing(found), *_types(found), *_short(found), *_required(found), *_times(found)]


def _missing(found: Sequence[Column]) -> Iterator[Finding]:
    for table, added in missing(found).items():
        yield Finding(
            "missing-columns",
            "note",
            f"{table} has no column {', '.join(added)}",
            "they are added, without touching a row",
            len(added),
        )


def _types(found: Sequence[Column]) -> Iterator[Finding]:
    for column in found:
        name, kinds = f"{column.table}.{column.name}", _kinds(column)
        if column.name in TIMESTAMPS:
            kinds = MOMENT
        elif column.name == "id":
            kinds = NUMBER
        if kinds and (column.base not in kinds or column.is_generated):
            yield Finding(
                "columns", "refusal", f"{name} is {_shown(column)}, not {' or '.join(kinds)}", _advice(column)
            )
        elif column.name == "sign_in_count" and not (column.not_null and column.default == "0"):
            yield Finding(
                "columns",
                "refusal",
                f"{name} has to be NOT NULL with the default 0, as Devise makes it",
                f"ALTER TABLE users ALTER COLUMN {column.name} SET DEFAULT 0; then, once no row has NULL there, "
                f"ALTER TABLE users ALTER COLUMN {column.name} SET NOT NULL (reads the table once, under a lock)",
            )
        elif (column.table == "users" and column.name in UNSHARED) or column.name == "organization_id":
            yield _taken(column)
    integers = [f"{each.table}.{each.name}" for each in found if is_ours(each) and each.base == "integer"]
    integers = [name for name in integers if not name.endswith("sign_in_count")]
    if integers:
        yield Finding(
            "integer-keys",
            "note",
            f"{', '.join(integers)} are integer, which ends at 2,147,483,647",
            "they stay as they are; making them bigint rewrites their tables, while nobody can read or write",
            len(integers),
        )


def _shown(column: Column) -> str:
    return f"{column.type}, generated" if column.is_generated else column.type


def _advice(column: Column) -> str:
    table, name = column.table, quote_identifier(column.name)
    if column.base == "uuid" or column.name == "id":
        return (
            f"this library's ids are bigint, and no statement makes them of {column.type}: such a MyHub is not adopted "
            "in place. Make a new database with `rayces migrate up` and bring people over with `rayces import`, the "
            "old id as external_id"
        )
    if column.base == "character":
        return (
            f"ALTER TABLE {table} ALTER COLUMN {name} TYPE character varying; this rewrites the table, while nobody "
            "can read or write it"
        )
    return (
        "the library cannot write there. Give the column another name in MyHub, in its code as well as by ALTER TABLE "
        f"{table} RENAME COLUMN {name} TO {quote_identifier('old_' + column.name)}; until both are done MyHub fails"
    )


def _taken(column: Column) -> Finding:
    return Finding(
        "taken-columns",
        "refusal",
        f"{column.table} has a column {column.name} already, a name that this library's own needs",
        f"rename it in MyHub: ALTER TABLE {column.table} RENAME COLUMN {column.name} TO old_{column.name}; its code "
        "has to say so too, and fails between the two",
    )


def _short(found: Sequence[Column]) -> Iterator[Finding]:
    short = [f"{each.table}.{each.name} ({each.type})" for each in found if is_short(each)]
    if short:
        yield choice(
            "short-columns",
            f"{', '.join(short)} may be no longer than that, or have a rule of their own",
            "widen: they become varchar without a length, at once and without a rewrite, and --undo makes them what "
            "they were; keep: longer texts of this library are refused",
            count=len(short),
        )


def _required(found: Sequence[Column]) -> Iterator[Finding]:
    required = [f"{each.table}.{each.name}" for each in found if is_required(each)]
    if required:
        yield choice(
            "required-columns",
            f"{', '.join(required)} must not be empty, and this library leaves them empty",
            "nullable: they may be empty, which MyHub then finds in rows of this library's; default: those that the "
            "library does not know are given '', 0 or false instead, where they need not be unique",
            count=len(required),
        )


def _times(found: Sequence[Column]) -> Iterator[Finding]:
    loose = [f"{each.table}.{each.name}" for each in found if each.name in TIMESTAMPS and not each.not_null]
    if loose:
        yield choice(
            "nullable-times",
            f"{', '.join(loose)} may be empty",
            "empty ones are given the row's other time, or now, rayces_set_aside keeps the row as it was, and they "
            "become NOT NULL with the default now()",
            count=len(loose),
        )


def tables_in_lock_order() -> tuple[str, ...]:
    """likes, posts, users: the order in which an insert takes its locks."""
    return tuple(reversed(TABLES))
