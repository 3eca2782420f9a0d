"""Turns: what is claimed and not begun yet, handed to the relay's threads, each tenant in its turn.

Rule it guards: however slow the receivers of one tenant are, they keep all threads but one at most.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

from rayces_core.outbox.message import Message


class Turns:
    """A queue for each tenant, and one thread at a time that takes from it."""

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads - 1)
        self._waiting: dict[int, deque[Message]] = {}  # in the order in which tenants have their turn
        self._running: Counter[int] = Counter()
        self._changed = threading.Condition()
        self._is_over = False

    def add(self, messages: Iterable[Message]) -> None:
        """Have these delivered."""
        with self._changed:
            for message in messages:
                self._waiting.setdefault(message.organization_id, deque()).append(message)
            self._changed.notify_all()

    def take(self) -> Message | None:
        """Wait for the next message; None when it is over. Its tenant counts as busy until `done`."""
        with self._changed:
            while True:
                if self._is_over:
                    return None
                for tenant, queue in self._waiting.items():
                    if self._running[tenant] < self._most:
                        return self._taken(tenant, queue)
                self._changed.wait()

    def _taken(self, tenant: int, queue: deque[Message]) -> Message:
        message = queue.popleft()
        del self._waiting[tenant]
        if queue:
            self._waiting[tenant] = queue  # behind the others
        self._running[tenant] += 1
        return message

    def done(self, message: Message) -> None:
        """Say that the message was delivered, or failed."""
        with self._changed:
            self._running[message.organization_id] -= 1
            self._changed.notify()

    def end(self) -> list[Message]:
        """Let nobody take any more; returns what nobody has begun."""
        with self._changed:
            self._is_over = True
            rest = [message for queue in self._waiting.values() for message in queue]
            self._waiting.clear()
            self._changed.notify_all()
            return rest
