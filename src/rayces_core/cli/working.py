"""What commands share that run until they are stopped: what they run with, and how they stop."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import subdomain_or_id

if TYPE_CHECKING:
    from rayces_core.database.database import Database


def named(handlers: str) -> Any:
    """What MODULE:NAME names; the current folder is searched first. Raises UsageError."""
    module, colon, name = handlers.partition(":")
    if not colon or not module or not name:
        raise click.UsageError(f"{handlers!r} is not MODULE:NAME, such as myapp.messages:handlers")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise click.UsageError(f"there is no module {error.name}") from error
    except AttributeError as error:
        raise click.UsageError(f"{module} has no {name}") from error


@contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[None]:
    """For the block, the first SIGTERM or Ctrl-C stops the work gently; another Ctrl-C does at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def gently(number: int, _: object) -> None:
        signal.signal(number, signal.default_int_handler)
        stop()

    before = {number: signal.signal(number, gently) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def organization_id(database: Database, name: str | None) -> int | None:
    """The id of the organization with that subdomain or id; None where none is named. Raises UnknownTenantError."""
    if name is None:
        return None
    from rayces_core.errors import UnknownTenantError

    key = subdomain_or_id(name)
    found = database.find_tenant(key)
    if found is None:
        raise UnknownTenantError(key)
    return int(found.id)
