"""Delivering: what comes is looked for, and what is due is handed to the sender of its channel, at least once.

Rule it guards: a sender gets a notice again only where it failed or nobody can tell, and then under the same key.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import (
    ConfigurationError,
    DeliveryError,
    InactiveTenantError,
    RaycesError,
    TenantMovedError,
    TenantMovingError,
)
from rayces_core.errors import UndeliverableError as Undeliverable
from rayces_core.models.appointment import Appointment
from rayces_core.models.notice import Notice
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.notices import claiming
from rayces_core.notices.expiring import left_of, make_expiries
from rayces_core.notices.making import make_reminders
from rayces_core.notices.quiet import quiet_until
from rayces_core.notices.words import Facts, Render, render
from rayces_core.outbox.delivering import LONGEST_PAUSE_SECONDS, pause_after
from rayces_core.tenancy.organization import Organization

if TYPE_CHECKING:
    from rayces_core.database.database import Database

logger = logging.getLogger("rayces_core")

LONGEST_REASON: Final = 500
LONGEST_REFERENCE: Final = 200
_WITH_SETTINGS: Final = (
    "SELECT id FROM organizations WHERE active AND moving IS NULL AND settings ? 'notices' ORDER BY id"
)
_WITH_QUEUED: Final = "SELECT DISTINCT organization_id FROM notices WHERE state = 'queued' AND retry_at <= %(now)s"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a sender is given; the notice's organization is bound while it runs.

    Attributes:
        key: the same at every attempt, so that a provider that takes idempotency keys sends once.
        address: an e-mail address or a phone number; None where the channel needs none, such as push.
        subject, text: in words. notice, recipient, organization: the rows. attempt: 1 at the first one.
    """

    key: str
    channel: str
    address: str | None
    subject: str
    text: str
    notice: Notice
    recipient: User
    organization: Organization
    attempt: int


Sender = Callable[[Outgoing], str | None]
"""Hands a notice to a provider and returns what that knows it by, or None.

What it raises has the notice tried again; `UndeliverableError` gives it up at once.
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one pass has done: notices made of what comes, notices sent, given up, skipped, and to be tried again.

    `halted` is how many organizations' turns an error of the database ended; what is left of them is the next pass's.
    """

    made: int = 0
    sent: int = 0
    failed: int = 0
    skipped: int = 0
    again: int = 0
    halted: int = 0


def deliver(
    db: Database,
    senders: Mapping[str, Sender],
    *,
    now: datetime | None = None,
    render: Render = render,
    batch: int = 20,
    lease: timedelta = timedelta(minutes=5),
    attempts: int = 12,
    pause: Callable[[int], float] = pause_after,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Delivered:
    """Make the reminders of every organization, and its notices of credits that expire, and send what is due.

    Run it again and again, from however many hosts.

    Args:
        senders: channel → who sends over it, such as {"email": notices.Email(...), "sms": my_sms}. What is for another
            channel waits for a worker that has it.
        render: makes the words, in place of the library's.
        batch: notices held at once. lease: after which what a dead worker held is due again; a sender has to be done
            within half of it. attempts: after so many a notice is given up. pause: attempt → seconds until the next.
        is_stopping: asked between two notices; what is not begun then goes back.

    Raises:
        ConfigurationError: an argument is malformed.
    """
    _check(senders, batch, attempts, lease)
    moment = clock.moment(now)
    counts: Counter[str] = Counter()
    for organization in _organizations(db, moment):
        if is_stopping():
            break
        try:
            with db.tenant(organization):
                pass_ = _Pass(senders, render, batch, lease, attempts, pause, is_stopping, moment, now is not None)
                pass_.run(counts)
        except (InactiveTenantError, TenantMovingError, TenantMovedError) as error:
            logger.info("organization %s is left out: %s", organization, error)
        except RaycesError as error:
            logger.warning("notices of organization %s wait for the next pass: %s", organization, error)
            counts["halted"] += 1
    return Delivered(**counts)


def _organizations(db: Database, moment: datetime) -> list[int]:
    with db.privileged(reason="whose notices are delivered"):
        run = current().engine.run_prepared
        rows = run(_WITH_SETTINGS, ()).fetchall() + run(_WITH_QUEUED, {"now": moment}).fetchall()
    return sorted({key for (key,) in rows})


@dataclass(frozen=True, slots=True)
class _Pass:
    """One organization's turn, with its block around it."""

    senders: Mapping[str, Sender]
    render: Render
    batch: int
    lease: timedelta
    attempts: int
    pause: Callable[[int], float]
    is_stopping: Callable[[], bool]
    began: datetime
    is_still: bool  # `now` was given, and time stands

    def run(self, counts: Counter[str]) -> None:
        """Have the turn, and add up what is done, also where an error ends it."""
        counts["made"] += make_reminders(self.began)
        counts["made"] += make_expiries(self.began)
        organization = Organization.get_by_id(current().organization_id)
        settings = organization.policy.notices
        while not self.is_stopping():
            now = self._now()
            claimed = claiming.claim(
                self.senders,
                settings.rules,
                now,
                quiet_until=quiet_until(now, settings.quiet_hours, organization.zone),
                batch=self.batch,
                lease=self.lease,
                attempts=self.attempts,
            )
            counts.update(claimed.settled)
            self._send_all(organization, claimed.notices, counts)
            if not claimed.found_something:
                break

    def _send_all(self, organization: Organization, notices: list[Notice], counts: Counter[str]) -> None:
        until = time.monotonic() + self.lease.total_seconds() / 2
        for number, notice in enumerate(notices):
            if self.is_stopping() or time.monotonic() > until:
                claiming.give_back(notices[number:], self._now())
                return
            counts[self._send(organization, notice)] += 1

    def _send(self, organization: Organization, notice: Notice) -> str:
        """Send one, and write down what became of it."""
        try:
            reference = self.senders[notice.channel](self._outgoing(organization, notice))
        except Exception as error:
            return self._failed(notice, error)
        claiming.settle(
            notice, self._now(), "sent", reference=None if reference is None else _line(reference, LONGEST_REFERENCE)
        )
        return "sent"

    def _failed(self, notice: Notice, error: Exception) -> str:
        said, now = _line(f"{type(error).__name__}: {error}", LONGEST_REASON), self._now()
        if isinstance(error, Undeliverable) or notice.attempts >= self.attempts:
            logger.error("notice %d is given up at attempt %d: %s", notice.id, notice.attempts, said)
            claiming.settle(notice, now, "failed", reason=said)
            return "failed"
        asked = error.retry_after if isinstance(error, DeliveryError) else None
        seconds = self.pause(notice.attempts) if asked is None else asked
        wait = timedelta(seconds=min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS))
        logger.warning("notice %d failed at attempt %d, again in %s: %s", notice.id, notice.attempts, wait, said)
        claiming.settle(notice, now, "queued", reason=said, retry_at=now + wait)
        return "again"

    def _outgoing(self, organization: Organization, notice: Notice) -> Outgoing:
        recipient = User.get_by_id(notice.recipient_id)
        words = self.render(_facts(notice, recipient, organization))
        return Outgoing(
            f"notice-{organization.id}-{notice.id}",
            notice.channel,
            notice.address,
            words.subject,
            words.text,
            notice,
            recipient,
            organization,
            notice.attempts,
        )

    def _now(self) -> datetime:
        return self.began if self.is_still else clock.now()


def _facts(notice: Notice, recipient: User, organization: Organization) -> Facts:
    if notice.purchase_id is not None:
        return Facts(notice, None, recipient, organization, "", "", *left_of(notice.purchase_id))
    appointment = Appointment.get_by_id(notice.appointment_id)
    student = Student.get_by_id(appointment.student_id).full_name
    professional = User.get_by_id(appointment.professional_id).full_name
    return Facts(notice, appointment, recipient, organization, student, professional)


def _line(text: str, longest: int) -> str:
    return " ".join(str(text).replace("\0", "").split())[:longest]


def _check(senders: object, batch: object, attempts: object, lease: object) -> None:
    if not isinstance(senders, Mapping) or not all(map(callable, senders.values())):
        raise ConfigurationError('senders go by channel, such as {"email": notices.Email(...)}')
    for name, given in (("batch", batch), ("attempts", attempts)):
        if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 1000:
            raise ConfigurationError(f"{name} must be a whole number from 1 to 1000, not {given!r}")
    if not isinstance(lease, timedelta) or not timedelta(seconds=1) <= lease <= timedelta(days=1):
        raise ConfigurationError(f"lease must be a timedelta of a second to a day, not {lease!r}")
