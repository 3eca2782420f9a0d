"""Relay: takes messages out of the outbox and has them delivered, at least once each, in order within a subject.

One thread of it speaks to the outbox: it claims many messages at once and settles many at once; others deliver. So no
transaction is open while something is sent, and a slow receiver holds up its own subject only. Any number of relays
may run, in any number of processes; one that dies loses what it held when its lease ends.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rayces_core.errors import (
    ConfigurationError,
    ConnectionLostError,
    DatabaseUnreachableError,
    DeadlockError,
    PoolTimeoutError,
    ReadOnlyError,
    SerializationError,
    ServerError,
    StatementCancelledError,
    TimeLimitError,
)
from rayces_core.outbox import claiming
from rayces_core.outbox.claiming import Verdict
from rayces_core.outbox.delivering import deliver, given_up, pause_after, verdict_on
from rayces_core.outbox.handlers import Deliver, Fan, Handlers, Routed
from rayces_core.outbox.listening import Listener
from rayces_core.outbox.message import Message
from rayces_core.outbox.turns import Turns

if TYPE_CHECKING:
    from rayces_core.database.database import Database

logger = logging.getLogger("rayces_core")

# What passes by itself. Whatever a statement of the relay's did before its answer was lost, it may be sent again.
PASSING: Final = (
    ConnectionLostError,
    DatabaseUnreachableError,
    DeadlockError,
    PoolTimeoutError,
    ReadOnlyError,
    SerializationError,
    ServerError,
    StatementCancelledError,
    TimeLimitError,
)
# A lease is renewed when so much of it is gone, so that one statement may fail meanwhile.
RENEWED_AFTER: Final = 1 / 3


_Key = tuple[int, int, int]


@dataclass(slots=True)
class _Held:
    """A message that this relay holds: who has it already, and until when it may be begun (time.monotonic())."""

    message: Message
    have: tuple[str, ...]
    until: float


class Relay:
    """Delivers what is in the outbox.

    Args:
        handlers: who gets messages: a name that stays → a function of the Message, `outbox.on(topics, function)`, or a
            deliverer such as `outbox.Webhooks()`. It runs with the message's organization bound; if it raises, the
            message comes again for it, and not for those who have it.
        batch: messages held at once. per_tenant: most of one tenant that are claimed at a time.
        lease: seconds after which what a dead relay held is due again; renewed while this one lives.
        poll: seconds between two looks where nothing notifies. attempts: after so many a message is dead.
        threads: that deliver; one tenant keeps all but one of them at most.
        pause: attempt → seconds until the next one.

    Raises:
        ConfigurationError: an argument is malformed, or the Database has Citus' engine.
    """

    def __init__(
        self,
        db: Database,
        handlers: Mapping[str, Deliver | Fan | Routed],
        *,
        batch: int = 50,
        per_tenant: int = 10,
        lease: float = 30.0,
        poll: float = 1.0,
        attempts: int = 12,
        threads: int = 4,
        pause: Callable[[int], float] = pause_after,
    ) -> None:
        if db.engine.kind.binds_apart:
            raise ConfigurationError(
                "no relay runs with Citus, which cannot go through all tenants' messages in one statement; leave them "
                "out, with outbox=False of Database.connect"
            )
        self.db, self.handlers = db, Handlers(handlers)
        self.batch, self.per_tenant = _whole(batch, "batch"), _whole(per_tenant, "per_tenant")
        self.attempts, self.threads = _whole(attempts, "attempts"), _whole(threads, "threads")
        self.lease, self.poll, self.pause = _seconds(lease, "lease"), _seconds(poll, "poll"), pause
        self._held: dict[_Key, _Held] = {}
        self._after = 0
        self._turns = Turns(self.threads)
        # What its one thread waits for: a verdict, or None for something to look at.
        self._heard: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
        self._verdicts: list[Verdict] = []
        self._settled: list[Message] = []
        self._is_stopping = self._is_cut_off = False
        self._running = threading.Lock()

    def stop(self) -> None:
        """Have `run` return once what is being delivered is; what is claimed and not begun goes back at once.

        May be called from another thread, a deliverer or a signal handler.
        """
        self._is_stopping = True
        self._heard.put(None)

    def run_once(self) -> int:
        """Deliver one batch; returns how many messages that were, failed ones included, and 0 where none is due."""
        with self._at_work():
            while self._claim() and not self._held and not self._verdicts:
                pass
            taken = len(self._held) + len(self._verdicts)
            self._finish_held()
        return taken

    def run(self) -> None:
        """Deliver until `stop` is called; woken by notifications, or looking every `poll` seconds."""
        logger.info("the relay of the outbox begins: %s", ", ".join(self.handlers.names))
        listener = Listener(self.db.url, lambda: self._heard.put(None))
        try:
            with self._at_work():
                while not self._is_stopping:
                    self._go_on()
        finally:
            listener.close()
            self._is_stopping = False
            logger.info("the relay of the outbox has ended")

    def _go_on(self) -> None:
        try:
            self._renew()
            self._settle()
            while len(self._held) <= self.batch // 2 and not self._is_stopping and self._claim():
                pass
        except PASSING as error:
            if not self._is_cut_off:
                logger.warning("the outbox cannot be reached, and is tried again until it can: %s", error)
            self._is_cut_off = True
            time.sleep(min(self.poll, self.lease * RENEWED_AFTER))
        else:
            if self._is_cut_off:
                logger.warning("the outbox can be reached again")
            self._is_cut_off = False
            if not self._verdicts:  # some were given up at once
                self._wait(self.poll)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Threads that deliver, for the block. At its end what is begun is waited for, the rest given back."""
        if not self._running.acquire(blocking=False):
            raise ConfigurationError("this relay runs already; make another one to run beside it")
        self._turns = Turns(self.threads)
        workers = [threading.Thread(target=self._work, name=f"rayces-outbox-{n}") for n in range(self.threads)]
        try:
            for worker in workers:
                worker.start()
            yield
        finally:
            for message in self._turns.end():
                self._heard.put(_untried(message, self._held[_key(message)].have))
            try:
                self._finish_held()
            finally:
                for worker in workers:
                    worker.join()
                self._held.clear()
                self._running.release()

    def _finish_held(self) -> None:
        """Wait until all that is held here is delivered or has failed, and write it down."""
        while self._held:
            self._wait(self.lease * RENEWED_AFTER / 10)
            with suppress(*PASSING):
                self._renew()
                self._settle()
        self._settle_the_rest()

    def _settle_the_rest(self) -> None:
        """Write down what is left, and once more where the connection was cut: else it would be delivered again."""
        try:
            self._settle()
        except PASSING as error:
            logger.warning("the outbox cannot be reached, and is tried once more: %s", error)
            self._settle()

    # -- what the one thread does -------------------------------------------------------------------------------

    def _claim(self) -> bool:
        """Claim what there is room for; returns whether there may be more at once."""
        counts = Counter(tenant for tenant, _, _ in self._held)
        busy = [tenant for tenant, count in counts.items() if count >= self.per_tenant]
        began, after = time.monotonic(), self._after
        claim = claiming.claim(
            self.db,
            after=after,
            busy=busy,
            batch=self.batch - len(self._held),
            per_tenant=self.per_tenant,
            lease=self.lease,
        )
        self._after = claim.last_tenant or 0
        begun = []
        for message, have in claim.messages:
            if message.attempt > self.attempts:
                self._verdicts.append(given_up(message, have))
            else:
                self._held[_key(message)] = _Held(message, have, began + self.lease)
                begun.append(message)
        self._turns.add(begun)
        return claim.found_something or after > 0  # those before it have not been looked at

    def _wait(self, seconds: float) -> None:
        """Wait for verdicts, or for something to look at, or so long."""
        with suppress(queue.Empty):
            heard = self._heard.get(timeout=seconds)
            while True:
                if heard is not None:
                    self._verdicts.append(heard)
                    self._held.pop(_key(heard.message), None)
                heard = self._heard.get_nowait()

    def _settle(self) -> None:
        """Write down what became of messages, and have those that waited for them be due."""
        if self._verdicts:
            claiming.settle(self.db, self._verdicts)
            self._settled += [each.message for each in self._verdicts if each.state != "pending"]
            self._verdicts.clear()
        if self._settled:
            claiming.wake(self.db, self._settled)
            self._settled.clear()

    def _renew(self) -> None:
        """Keep what takes long."""
        soon = time.monotonic() + self.lease * (1 - RENEWED_AFTER)
        ending = [held for held in self._held.values() if held.until < soon]
        if not ending:
            return
        until = time.monotonic() + self.lease
        kept = claiming.hold(self.db, [held.message for held in ending], self.lease)
        for held in ending:
            if _key(held.message) in kept:
                held.until = until

    # -- what the others do ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (message := self._turns.take()) is not None:
            held = self._held[_key(message)]
            have, verdict = held.have, _untried(message, held.have)
            try:
                if time.monotonic() < held.until:  # past its lease somebody else may have it by now
                    attempt = deliver(self.db, self.handlers, message, have)
                    verdict = verdict_on(message, attempt, self.attempts, self.pause)
            except Exception:
                logger.exception("the relay itself failed with a message")
                verdict = Verdict(message, "pending", have, "the relay failed", self.lease)
            self._turns.done(message)
            self._heard.put(verdict)


def _key(message: Message) -> _Key:
    # With the attempt: what was lost with its lease may have been claimed by this very relay anew.
    return message.organization_id, message.id, message.attempt


def _untried(message: Message, have: tuple[str, ...]) -> Verdict:
    return Verdict(message, "pending", have, was_tried=False)


def _whole(given: object, name: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 10_000:
        raise ConfigurationError(f"{name} must be a whole number from 1 to 10,000, not {given!r}")
    return given


def _seconds(given: object, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= 86_400:
        raise ConfigurationError(f"{name} must be a number of seconds above 0 and up to 86,400, not {given!r}")
    return float(given)
