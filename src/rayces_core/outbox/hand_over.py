"""Hands messages over to a queue that a host runs already; what it does with them then is its own.

A message counts as delivered when the queue has it. It may be handed over twice, under the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rayces_core.outbox.message import Message


def as_plain(message: Message) -> dict[str, Any]:
    """The message as plain JSON, for a queue; `from_plain` makes it a Message again."""
    return asdict(message) | {"subject": list(message.subject), "occurred_at": message.occurred_at.isoformat()}


def from_plain(plain: dict[str, Any]) -> Message:
    """The message that `as_plain` was given."""
    from datetime import datetime

    subject_type, subject_id = plain["subject"]
    at = datetime.fromisoformat(plain["occurred_at"])
    return Message(**plain | {"subject": (subject_type, subject_id), "occurred_at": at})


def to_celery(task: Any, **options: Any) -> Callable[[Message], None]:
    """A deliverer that sends each message to a Celery task, as its one argument; the task's id is the message's.

    Args:
        options: of `apply_async`, such as queue="mail".
    """

    def deliver(message: Message) -> None:
        task.apply_async(args=[as_plain(message)], task_id=message.message_id, **options)

    return deliver


def to_procrastinate(task: Any, **options: Any) -> Callable[[Message], None]:
    """A deliverer that defers each message to a procrastinate task, as `message`; one subject's run one by one.

    Args:
        options: of `configure`, such as queue="mail".
    """

    def deliver(message: Message) -> None:
        lock = f"{message.organization_id}/{message.subject[0]}/{message.subject[1]}"
        task.configure(**{"lock": lock, **options}).defer(message=as_plain(message))

    return deliver
