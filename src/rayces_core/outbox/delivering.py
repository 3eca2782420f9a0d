"""One message, delivered to each who is to get it; and what is to become of it then."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from rayces_core.errors import DeliveryError, UndeliverableError
from rayces_core.outbox.claiming import Verdict
from rayces_core.outbox.handlers import Deliver, Handlers
from rayces_core.outbox.message import Message

if TYPE_CHECKING:
    from rayces_core.database.database import Database

logger = logging.getLogger("rayces_core")

LONGEST_PAUSE_SECONDS: Final = 3600.0
LONGEST_ERROR: Final = 500


@dataclass(slots=True)
class Attempt:
    """How one attempt went: who has the message, and why others do not."""

    delivered_to: list[str]
    failures: list[tuple[str, BaseException]] = field(default_factory=list)

    @property
    def error(self) -> str | None:
        """What went wrong, in a line."""
        said = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in self.failures)
        return " ".join(said.replace("\0", "").split())[:LONGEST_ERROR] or None

    @property
    def may_succeed(self) -> bool:
        """Whether another attempt may help anybody."""
        return any(not isinstance(error, UndeliverableError) for _, error in self.failures)

    @property
    def retry_after(self) -> float | None:
        """How long those who failed ask to be left alone."""
        asked = [error.retry_after for _, error in self.failures if isinstance(error, DeliveryError)]
        return max((seconds for seconds in asked if seconds is not None), default=None)


def pause_after(attempt: int) -> float:
    """Seconds to wait after so many attempts: twice as long each time, an hour at most, cut at random to half."""
    longest = min(2.0 ** min(attempt, 30), LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret


def deliver(db: Database, handlers: Handlers, message: Message, have: tuple[str, ...]) -> Attempt:
    """Give the message to each who does not have it yet, with its organization bound."""
    attempt, payload = Attempt(list(have)), cast("object", message.payload)
    if not isinstance(payload, dict):  # put by SQL of somebody's own
        attempt.failures.append(("relay", UndeliverableError("the payload is no JSON object")))
        return attempt
    try:
        with db.tenant(message.organization_id) if handlers.has_fans else nullcontext():
            targets = handlers.targets(message)
    except Exception as error:
        attempt.failures.append(("relay", error))
        return attempt
    for name, target in targets.items():
        if name in have:
            continue
        failure = _failure(db, message, target)
        if failure is None:
            attempt.delivered_to.append(name)
        else:
            attempt.failures.append((name, failure))
    return attempt


def _failure(db: Database, message: Message, target: Deliver) -> BaseException | None:
    # Whatever a deliverer raises, sys.exit() included, is the message's failure and not the relay's.
    try:
        with db.tenant(message.organization_id):
            target(message)
    except BaseException as error:
        return error
    return None


def verdict_on(
    message: Message, attempt: Attempt, attempts: int, pause: Callable[[int], float] = pause_after
) -> Verdict:
    """What is to become of the message; told to the log where it failed."""
    delivered_to = tuple(attempt.delivered_to)
    if not attempt.failures:
        return Verdict(message, "delivered", delivered_to)
    if message.attempt >= attempts or not attempt.may_succeed:
        logger.error("%s is given up at attempt %d: %s", named(message), message.attempt, attempt.error)
        return Verdict(message, "dead", delivered_to, attempt.error)
    wait = pause(message.attempt) if attempt.retry_after is None else attempt.retry_after
    wait = min(max(wait, 0.0), LONGEST_PAUSE_SECONDS)
    logger.warning("%s failed at attempt %d, again in %.1f s: %s", named(message), message.attempt, wait, attempt.error)
    return Verdict(message, "pending", delivered_to, attempt.error, wait)


def given_up(message: Message, have: tuple[str, ...]) -> Verdict:
    """The verdict on a message that had no attempt left: each was begun, and none came to an end."""
    error = f"{message.attempt - 1} attempts were begun and none ended: the relay died each time, or took too long"
    logger.error("%s is given up: %s", named(message), error)
    return Verdict(message, "dead", have, error)


def named(message: Message) -> str:
    """The message, for the log; nothing of its payload."""
    return f"message {message.message_id} ({message.topic}, organization {message.organization_id})"
