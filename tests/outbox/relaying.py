"""A relay that runs in a process of its own and writes down what it delivers; some of its sends fail."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from typing import Any

from rayces_core.database.database import Database
from rayces_core.outbox.relaying import Relay


def relay(url: str, path: str, seed: int) -> None:
    """Deliver until SIGTERM."""
    chance = random.Random(seed)
    written = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def deliver(message: Any) -> None:
        if chance.random() < 0.03:
            raise ConnectionError("the receiver is down")
        time.sleep(0.001)
        line = [message.organization_id, message.id, message.subject[1], message.payload["mark"], db.organization_id]
        os.write(written, (json.dumps(line) + "\n").encode())  # one write, so that a kill leaves no half line

    with Database.connect(url, max_connections=4) as db:
        running = Relay(
            db, {"file": deliver}, lease=1.0, poll=0.05, batch=20, threads=2, pause=lambda attempt: 0.02 * attempt
        )
        signal.signal(signal.SIGTERM, lambda *_: running.stop())
        running.run()
