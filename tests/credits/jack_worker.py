"""A worker of the jack-hammer: it asks for one movement after the other and keeps a diary that outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
import traceback
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rayces_core import (
    AlreadyDebitedError,
    AlreadyRefundedError,
    Appointment,
    ConnectionLostError,
    CreditPackage,
    CreditTransaction,
    Database,
    DatabaseUnreachableError,
    InsufficientCreditsError,
    InvalidTransitionError,
    NothingToRefundError,
    TransactionFailedError,
    User,
    credits,
)

HOT, PAYMENTS = 2, 400
# What is asked for, and how often.
KINDS = {
    "purchase": 10,
    "debit": 10,
    "webhook": 3,
    "booked": 3,
    "refund": 3,
    "part": 3,
    "declined": 2,
    "transfer": 2,
    "look": 2,
    "adjust": 1,
    "unit": 1,
    "undone": 1,
    "debit_many": 1,
    "purchase_many": 1,
    "package": 4,
    "hold": 8,
    "confirm": 4,
    "cancel": 2,
    "expire": 2,
}
# What a caller is told when it may go on; anything else that is raised is a failure of the run.
REFUSALS = (InsufficientCreditsError, AlreadyRefundedError, AlreadyDebitedError, NothingToRefundError)
UNANSWERED = (ConnectionLostError, DatabaseUnreachableError, TransactionFailedError)


@dataclass(frozen=True)
class Site:
    """What the workers work on; `pause` is how many seconds they wait before they ask again.

    `sessions` are drafts that cost credits, each at a time of its own.
    """

    url: str
    organization: int
    desk: int
    users: tuple[int, ...]
    appointments: tuple[int, ...]
    folder: str
    pause: float = 0.0
    sessions: tuple[int, ...] = ()

    def pick(self, dice: random.Random) -> int:
        """A user: every other time one of the few whom everybody wants."""
        return dice.choice(self.users[:HOT]) if dice.random() < 0.5 else dice.choice(self.users)


# -- one operation -----------------------------------------------------------------------------------------------------


def choose(site: Site, dice: random.Random, key: str) -> dict[str, Any]:
    """The next request of a worker: all that is needed to ask for it again."""
    (kind,) = dice.choices(list(KINDS), list(KINDS.values()))
    asked = {"kind": kind, "key": key, "user": site.pick(dice), "credits": dice.randint(1, 4)}
    asked["other"] = dice.choice([user for user in site.users if user != asked["user"]])
    asked["appointment"] = dice.choice(site.appointments)
    asked["payment"] = dice.randrange(PAYMENTS)
    asked["session"] = dice.choice(site.sessions)
    return asked


def act(site: Site, desk: User, asked: dict[str, Any]) -> list[int]:
    """Carry a request out; the ids of the entries that the caller is told of."""
    user, amount, key, other = asked["user"], asked["credits"], asked["key"], asked["other"]
    match asked["kind"]:
        case "purchase":
            return [credits.purchase(user, amount, idempotency_key=key).id]
        case "package":
            package = CreditPackage.get()
            return [credits.purchase_package(user, package, idempotency_key=key).id]
        case "debit":
            return [credits.debit(user, amount, idempotency_key=key).id]
        case "booked":
            return [credits.debit(user, amount, appointment=asked["appointment"], idempotency_key=key).id]
        case "refund":
            return [credits.refund(asked["appointment"], idempotency_key=key).id]
        case "part":
            return [credits.refund(asked["appointment"], credits=1, idempotency_key=key).id]
        case "declined":
            return [_declined_first(user, amount, key)]
        case "adjust":
            signed = amount if asked["payment"] % 2 else -amount
            return [credits.adjust(user, signed, reason="counted", by=desk, idempotency_key=key).id]
        case "transfer":
            return [e.id for e in credits.transfer(user, other, amount, reason="x", by=desk, idempotency_key=key)]
        case "webhook":
            return [_webhook(site, asked["payment"])]
        case "debit_many" | "purchase_many" as name:
            rows = [{"user": who, "credits": amount, "idempotency_key": f"{key}/{who}"} for who in (other, user)]
            return [row.transaction_id for row in getattr(credits, name)(rows)]
        case "unit":
            return _unit(sorted((user, other)), amount, key)
        case "hold" | "confirm" | "cancel" | "expire" as event:
            return _session(asked["session"], event)
        case "undone":
            _undone(sorted((user, other)), amount)
            return []
    _look(user)
    return []


def _webhook(site: Site, payment: int) -> int:
    """A payment that everybody hears of, again and again."""
    user = site.users[payment % len(site.users)]
    paid = {"payment_method": "mp", "payment_reference": f"payment {payment}"}
    entry = credits.purchase(user, 1 + payment % 5, pending=True, **paid)
    return credits.complete(entry).id


def _session(session: int, event: str) -> list[int]:
    """An event of an appointment that costs credits; whoever comes later is told of the same entries."""
    booked = Appointment.get_by_id(session)
    given: dict[str, Any] = {"reason": "ill", "refund": True} if event == "cancel" else {}
    if event == "expire":
        given["now"] = booked.scheduled_at + timedelta(days=1)
    with contextlib.suppress(InvalidTransitionError):
        getattr(booked, "pre_confirm" if event == "hold" else event)(**given)
    mine = (CreditTransaction.appointment == session) & (CreditTransaction.status == "completed")
    return [entry.id for entry in CreditTransaction.select().where(mine)]


def _declined_first(user: int, amount: int, key: str) -> int:
    """A payment that its provider declines at first, and takes later under the same reference."""
    paid = {"payment_method": "stripe", "payment_reference": key}
    entry = credits.purchase(user, amount, pending=True, **paid)
    if entry.status == "pending" and entry.payment_attempt == 1:
        credits.fail(entry, "declined")
        entry = credits.purchase(user, amount, pending=True, **paid)
    return credits.complete(entry).id


def _unit(users: list[int], amount: int, key: str) -> list[int]:
    from rayces_core.database.binding import current

    with current().engine.atomic():
        return [credits.purchase(user, amount, idempotency_key=f"{key}/{user}").id for user in users]


class _UndoneError(Exception):
    pass


def _undone(users: list[int], amount: int) -> None:
    from rayces_core.database.binding import current

    with contextlib.suppress(_UndoneError), current().engine.atomic():
        for user in users:
            credits.purchase(user, amount)
        raise _UndoneError


def _look(user: int) -> None:
    if credits.balance(user) < 0:
        raise AssertionError(f"user {user} has a negative balance")


# -- a worker ----------------------------------------------------------------------------------------------------------


def work(site: Site, number: int, seed: int, operations: int, deadline: float | None) -> None:
    """Go on where the one before was killed: ask again for what was not answered, then for more."""
    diary = Diary(Path(site.folder) / f"{number}.jsonl")
    with Database.connect(site.url, max_connections=2) as database, contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(database.tenant(site.organization))
            except UNANSWERED:
                continue
            break
        answer(site, diary, diary.unanswered())
        for count in range(diary.asked, operations if deadline is None else 10**9):
            if deadline is not None and time.time() > deadline:
                return
            dice = random.Random(f"{seed} {number} {count}")
            answer(site, diary, choose(site, dice, f"{number}-{count}"))


def answer(site: Site, diary: Diary, asked: dict[str, Any] | None) -> None:
    """Ask until there is an answer, and note it."""
    if asked is None:
        return None
    diary.note({"asked": asked})
    for _ in range(100):
        try:
            told = act(site, _desk(site), asked)
        except UNANSWERED as error:
            diary.note({"again": type(error).__name__})
            time.sleep(site.pause)
            continue
        except REFUSALS as error:
            return diary.note({"told": [], "outcome": type(error).__name__})
        except Exception as error:
            where = traceback.format_exc(limit=-6)
            return diary.note({"told": [], "outcome": "failed", "failure": f"{asked['kind']}: {error!r}\n{where}"})
        return diary.note({"told": told, "outcome": asked["kind"]})
    return diary.note({"told": [], "outcome": "failed", "failure": f"{asked['kind']}: no answer after 100 attempts"})


_desks: dict[tuple[str, int], User] = {}


def _desk(site: Site) -> User:
    place = (site.url, site.desk)
    if place not in _desks:
        _desks[place] = User.get_by_id(site.desk)
    return _desks[place]


class Diary:
    """One line for each thing that happened, written at once, so that it outlives a SIGKILL."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.lines = [json.loads(line) for line in lines if line.endswith("}")]
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        if lines:
            os.write(self._file, b"\n")

    @property
    def asked(self) -> int:
        """How many requests there were, those that were repeated by a successor counted once."""
        return len({line["asked"]["key"] for line in self.lines if "asked" in line})

    def unanswered(self) -> dict[str, Any] | None:
        """The request that nobody answered, if the last one was not."""
        open_request = None
        for line in self.lines:
            open_request = line.get("asked", None if "told" in line else open_request)
        return open_request

    def note(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


def work_alone(site: Site, number: int, seed: int, operations: int, deadline: float | None) -> None:
    """The same as a process of its own, whose end the parent decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(site, number, seed, operations, deadline)
