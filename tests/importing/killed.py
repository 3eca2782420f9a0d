"""Imports users and is killed: `python -m tests.importing.killed URL TENANT ROWS BATCH (after K | soon MS)`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from rayces_core import Database, importing
from tests.importing.world import people


def main() -> None:
    url, tenant, rows, batch, how, when = sys.argv[1:]
    batches = 0

    def progress(what: str, _: int, __: int | None) -> None:
        nonlocal batches
        batches += what == "write"
        if batches == 1 and how == "soon":
            threading.Thread(target=die, args=(int(when),), daemon=True).start()
        if how == "after" and batches == int(when):
            die(0)

    with Database.connect(url) as db, db.tenant(tenant):
        importing.run(people(int(rows)), "users", batch_rows=int(batch), progress=progress)
        time.sleep(10)


def die(milliseconds: int) -> None:
    time.sleep(milliseconds / 1000)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
