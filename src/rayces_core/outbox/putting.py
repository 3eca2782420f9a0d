"""A host's own messages, in the unit of work of what they tell of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError, TenantNotSetError
from rayces_core.models.outbox import OutboxMessage
from rayces_core.outbox.topics import RESERVED
from rayces_core.tenancy.scoping import check_reach

TOPIC: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
LONGEST: Final = 200


def put(
    topic: str, payload: Mapping[str, Any], *, subject: Any, version: int = 1, at: datetime | None = None
) -> OutboxMessage | None:
    """Write a message of the host's own: it is delivered if, and only if, the unit of work around it is kept.

    Args:
        topic: `thing.event`, such as "room.painted", with letters, digits and underscores; the library's own are taken.
        payload: what happened, as plain JSON; no secrets, as it stays where administrators can read it.
        subject: the row that it is about, or its type and id: messages about one subject are delivered in order.
        version: of the payload's shape, for whoever reads it.
        at: when it may be delivered; default: now. Until then it holds back what comes after it of its subject.

    Returns:
        The message, or None where the Database was made with `outbox=False`.

    Raises:
        InvalidDataError: the topic, the payload or the subject is none. TenantNotSetError: in privileged work.
    """
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("a message is one organization's; wrap the code in `with db.tenant(...):`")
    kind, key = _subject(subject)
    values: dict[str, Any] = {} if at is None else {"available_at": clock.moment(at, "at")}
    message = OutboxMessage(
        topic=_topic(topic), payload=dict(payload), subject_type=kind, subject_id=key, version=version, **values
    )
    if not binding.engine.writes_messages:
        return None
    message.save(force_insert=True)
    return message


def _topic(topic: object) -> str:
    if not isinstance(topic, str) or len(topic) > LONGEST or not TOPIC.fullmatch(topic):
        raise InvalidDataError("topic", topic, 'needs the form thing.event, such as "room.painted"')
    if topic.partition(".")[0] in RESERVED:
        raise InvalidDataError("topic", topic, f"begins as the library's own do: {', '.join(sorted(RESERVED))}")
    return topic


def _subject(subject: Any) -> tuple[str, int]:
    if isinstance(subject, tuple) and len(subject) == 2:
        kind, key = subject
    else:
        kind, key = type(subject).__name__, getattr(subject, "id", None)
        if key is not None and hasattr(subject, "_pk"):
            check_reach(subject)
    if not isinstance(kind, str) or not kind.strip() or isinstance(key, bool) or not isinstance(key, int):
        raise InvalidDataError("subject", None, 'needs a saved row, or its type and id, such as ("Room", 7)')
    return kind, key
