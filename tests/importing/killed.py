"""Imports users and is killed: after so many batches, or soon (milliseconds) after the first."""

from __future__ import annotations

import os
import signal
import threading
import time

from rayces_core import Database, importing
from tests.importing.world import people


def bring_in(url: str, tenant: str, rows: int, batch: int, how: str, when: int) -> None:
    batches = 0

    def progress(what: str, _: int, __: int | None) -> None:
        nonlocal batches
        batches += what == "write"
        if batches == 1 and how == "soon":
            threading.Thread(target=die, args=(when,), daemon=True).start()
        if how == "after" and batches == when:
            die(0)

    with Database.connect(url) as db, db.tenant(tenant):
        importing.run(people(rows), "users", batch_rows=batch, progress=progress)
        time.sleep(60)


def die(milliseconds: int) -> None:
    time.sleep(milliseconds / 1000)
    os.kill(os.getpid(), signal.SIGKILL)
