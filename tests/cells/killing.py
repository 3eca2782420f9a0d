"""Processes that are killed: a mover of one tenant, and writers of it and of its neighbours meanwhile."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from rayces_core import Cells, Student, User, credits
from rayces_core.errors import RaycesError, TenantMovedError, TenantMovingError


def move(path: str, tenant: str, to: str) -> None:
    """Move a tenant, as `rayces move tenant` does."""
    with Cells.from_file(path) as cells:
        cells.move(tenant, to=to)


def write(path: str, tenant: str, held: bool) -> None:
    """Write until a file is there, and tell what was certainly committed, and what failed otherwise than it may.

    It is told in a file: a pipe that nobody reads would be full after some hundred lines, and stop the writer.
    """
    with Cells.from_file(path) as cells, Path(f"{path}.{tenant}").open("w", buffering=1) as told:
        print("ready", flush=True)
        number = 0
        while not Path(f"{path}.stop").exists():
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


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    if kind == "move":
        move(*words)
    else:
        write(words[0], words[1], words[2] == "held")
