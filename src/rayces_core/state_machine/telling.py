"""The part of a statement that tells outside what it does: a message in the outbox, written with the change itself.

Rule it guards: a message is there if and only if what it tells of is, and costs no further message to the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rayces_core.database.binding import current

VERSION: Final = 1
# Called after the commit of a message that no event, booking or posting is heard of for.
heard: Final[list[Callable[[], object]]] = []


def is_told() -> bool:
    """Whether messages are written at all here; see `Database.connect(outbox=)`."""
    return bool(current().engine.writes_messages)


def has_told() -> None:
    """Have whoever wakes relays hear of a message, once it is committed."""
    for each in heard:
        current().engine.after_commit(each)


def topic_of(subject_type: str, event: str) -> str:
    """The topic of an event: `("CreditTransaction", "complete")` → `"credit_transaction.complete"`."""
    return f"{re.sub(r'(?<!^)(?=[A-Z])', '_', subject_type).lower()}.{event}"


def told(
    subject_type: str,
    event: str,
    facts: Mapping[str, str],
    columns: Iterable[str],
    *,
    source: str,
    organization: str,
    at: str,
    order: str = "",
) -> str:
    """A common table expression, with a comma in front, that writes a message for every row of `source`.

    Args:
        facts: name in the payload → SQL. columns: names of columns of `source` that go into the payload as they are.
        source: table expression with "id" and the columns. organization, at: SQL of whose it is and when it happened.
        order: in which order the rows are told, where there may be several.
    """
    pairs = {"id": '"id"', "event": f"'{event}'", **facts, **{name: f'"{name}"' for name in columns}}
    payload = ", ".join(f"'{name}', {sql}" for name, sql in pairs.items())
    return f""", told AS (
        INSERT INTO outbox_messages (organization_id, topic, version, subject_type, subject_id, payload, occurred_at)
        SELECT {organization}, '{topic_of(subject_type, event)}', {VERSION}, '{subject_type}', "id",
            jsonb_build_object({payload}), {at}
        FROM {source}{order} RETURNING 1
    )"""


def columns_of(model: Any, names: Iterable[str]) -> tuple[str, ...]:
    """The columns of these fields."""
    return tuple(model._meta.fields[name].column_name for name in names)
