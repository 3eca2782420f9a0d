"""Adoptions by processes that are killed; each is forked from one that has imported what they need."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from rayces_core.migrating.adopting import Adoption
from rayces_core.migrating.adopting.rails import RailsAdoption
from rayces_core.migrations.session import MigrationDatabase

# How far a process goes on while the one that kills it is stopped.
AHEAD = 20


@dataclass
class Telling:
    """What a process says each step by, and waits by once nobody has heard the last ones."""

    line: Connection
    ahead: Any

    def say(self, *_: object) -> None:
        """Say one."""
        self.ahead.acquire()
        self.line.send(None)


def adopt(told: Telling, url: str, choices: dict[str, str]) -> None:
    """Adopt a MyHub, and say each step before it is taken."""
    Adoption(url, name="North Hub", subdomain="north", choices=choices, on_step=told.say).run()


def adopt_rails(told: Telling, url: str, choices: dict[str, str]) -> None:
    """Adopt a Rails database, and say each statement before it is sent."""
    _tell_statements(told)
    RailsAdoption(url, choices=choices).run()


def go_back_to_rails(told: Telling, url: str) -> None:
    """Undo such an adoption, and say each statement before it is sent."""
    _tell_statements(told)
    RailsAdoption(url).undo()


def _tell_statements(told: Telling) -> None:
    send = MigrationDatabase.execute_sql

    def tell(self: MigrationDatabase, sql: str, params: Any = None) -> Any:
        told.say()
        return send(self, sql, params)

    MigrationDatabase.execute_sql = tell  # type: ignore[method-assign]


def killed_after(steps: int, seconds: float, target: Callable[..., None], *arguments: object) -> bool:
    """Run until so many steps have begun and a moment longer, then SIGKILL; whether it came to that."""
    context = multiprocessing.get_context("forkserver")
    hearing, line = context.Pipe(duplex=False)
    telling = Telling(line, context.Semaphore(AHEAD))
    running = context.Process(target=target, args=(telling, *arguments))
    running.start()
    line.close()
    begun = 0
    with suppress(EOFError):
        while begun < steps:
            hearing.recv()
            telling.ahead.release()
            begun += 1
    time.sleep(seconds)
    running.kill()
    running.join()
    hearing.close()
    assert begun == steps or running.exitcode == 0
    return running.exitcode == -signal.SIGKILL
