"""Processes that are killed: a mover of one tenant, and writers of it and of its neighbours meanwhile."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from rayces_core import Cells, Student, User, credits
from rayces_core.errors import RaycesError, TenantMovedError, TenantMovingError


def move(urls: dict[str, str], tenant: str, to: str) -> None:
    """Move a tenant, as `rayces move tenant` does."""
    with Cells(urls, catalogue="a") as cells:
        cells.move(tenant, to=to)


def finish(urls: dict[str, str], tenant: str) -> None:
    """Finish a move, as `rayces move finish` does."""
    with Cells(urls, catalogue="a") as cells:
        cells.finish_move(tenant, grace=timedelta(0))


def cancel(urls: dict[str, str], tenant: str) -> None:
    """Cancel a move, as `rayces move cancel` does."""
    with Cells(urls, catalogue="a") as cells:
        cells.cancel_move(tenant)


def write(urls: dict[str, str], tenant: str, path: str, held: bool, ready: Any, stop: Any) -> None:
    """Write until told to stop, and note what was certainly committed, and what failed otherwise than it may.

    Args:
        path: of the file where it is noted: a pipe that nobody reads would be full after some hundred lines.
        held: whether the tenant is moved. ready, stop: Events.
    """
    with Cells(urls, catalogue="a") as cells, Path(path).open("w", buffering=1) as told:
        ready.set()
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{os.getpid()}-{number}"
            try:
                with cells.tenant(tenant):
                    Student.create(first_name=name, last_name="written")
                    print(json.dumps(["wrote", name]), file=told)
                    credits.purchase(User.get(User.email == "payer@example.org"), 1)
                    print(json.dumps(["bought", name]), file=told)
            except (TenantMovingError, TenantMovedError) as error:
                if not held:
                    print(json.dumps(["failed", repr(error)]), file=told)
                time.sleep(0.05)
            except RaycesError as error:
                print(json.dumps(["failed", repr(error)]), file=told)
            time.sleep(0.01)
