"""Messages put by hand, as the library's own statements put them, and what became of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PUT = """
INSERT INTO outbox_messages (organization_id, topic, subject_type, subject_id, payload, occurred_at)
SELECT %(organization)s, %(topic)s, 'Appointment', %(subject)s, %(payload)s::jsonb, now()
  FROM generate_series(1, %(times)s)
RETURNING id"""
STATE = "CASE WHEN settled_at IS NULL THEN 'pending' WHEN dead THEN 'dead' ELSE 'delivered' END"
STANDING = f"SELECT id, {STATE}, attempts, delivered_to, last_error FROM outbox_messages ORDER BY organization_id, id"


def put(
    db: Any, organization: Any, subject: int = 1, times: int = 1, topic: str = "appointment.confirm", **payload: Any
) -> list[int]:
    """Put messages of one subject into an organization's outbox; returns their ids."""
    values = {"organization": organization.id, "topic": topic, "subject": subject, "times": times}
    with db.tenant(organization):
        rows = db.execute_sql(PUT, values | {"payload": json.dumps(payload)}).fetchall()
    return [id_ for (id_,) in rows]


def standing(db: Any) -> dict[int, tuple[str, int, list[str], str | None]]:
    """Each message: its state, attempts, who has it, its last error."""
    with db.privileged(reason="test"):
        return {id_: tuple(rest) for id_, *rest in db.execute_sql(STANDING).fetchall()}


def states(db: Any) -> list[str]:
    return [each[0] for each in standing(db).values()]


def let_be_due(db: Any, **where: Any) -> None:
    """As if the pauses and leases were over."""
    with db.privileged(reason="test"):
        db.execute_sql("UPDATE outbox_messages SET available_at = now() - interval '1 hour' WHERE settled_at IS NULL")


@contextmanager
def running(*relays: Any) -> Iterator[None]:
    """Relays that run for the block, each in a thread; stopped at its end whatever ends it."""
    threads = [threading.Thread(target=relay.run, daemon=True) for relay in relays]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for relay in relays:
            relay.stop()
        for thread in threads:
            thread.join(60)


class Kept:
    """A deliverer that keeps what it was given, and fails where it is told to."""

    def __init__(self, fails: Any = ()) -> None:
        self.messages: list[Any] = []
        self.fails = fails

    def __call__(self, message: Any) -> None:
        if self.fails(message) if callable(self.fails) else message.id in self.fails:
            raise ConnectionError("smtp is down")
        self.messages.append(message)

    @property
    def ids(self) -> list[int]:
        return [message.id for message in self.messages]
