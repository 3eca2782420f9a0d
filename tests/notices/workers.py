"""Workers in processes of their own, that write down what they send; some of their sends fail."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import datetime, timedelta
from typing import Any

from rayces_core.database.database import Database
from rayces_core.errors import DeliveryError
from rayces_core.notices import deliver


def work(url: str, path: str, seed: int, now: datetime) -> None:
    """Deliver until SIGTERM, with a clock that runs from `now` on."""
    chance, began, stopped = random.Random(seed), time.monotonic(), []
    written = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))

    def send(outgoing: Any) -> str:
        if chance.random() < 0.03:
            raise DeliveryError("the provider is down")
        os.write(written, f"{outgoing.key} {of(outgoing.notice)}\n".encode())  # one write
        time.sleep(0.002)
        return outgoing.key

    with Database.connect(url, max_connections=2) as db:
        while not stopped:
            deliver(
                db,
                {"email": send},
                now=now + timedelta(seconds=time.monotonic() - began),
                batch=5,
                lease=timedelta(seconds=1),
                attempts=1000,
                pause=lambda _: 0.01,
                is_stopping=lambda: bool(stopped),
            )
            time.sleep(0.02)


def of(notice: Any) -> int:
    """What it tells of."""
    return int(notice.appointment_id or notice.purchase_id)


def once(url: str, now: datetime, gate: Any, line: Any) -> None:
    """Make reminders and send what is due, all from the same moment on; tells of which appointments or purchases."""
    sent: list[int] = []
    with Database.connect(url, max_connections=2) as db:
        gate.wait(60)
        for _ in range(3):
            deliver(db, {"email": lambda outgoing: sent.append(of(outgoing.notice))}, now=now, batch=3)
    line.send(sent)
