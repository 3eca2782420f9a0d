"""Ctrl-C, and a notebook's Interrupt, end the statement that the server is working on; psycopg2 would wait for it.

While the main thread waits for the server inside the driver, Python runs no handler of signals. It tells a socket of
them at once, though, and a thread that listens there has the server cancel the statement; the driver then comes back,
and Python raises KeyboardInterrupt as ever. On by itself in a session of IPython, elsewhere by `db.interruptible()`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case
from psycopg2.extensions import get_wait_callback

from rayces_core.errors import ConfigurationError

AGAIN_SECONDS = 0.2  # a request to cancel may have come before the statement
PATIENCE_SECONDS = 1.0  # from then on a second Ctrl-C leaves the server alone
GIVE_UP_SECONDS = 5.0  # a server that does not answer to this is not waited for any more

_switched_on = 0


def is_on() -> bool:
    """Whether statements of this thread can be interrupted: signals reach the main thread only."""
    if not _switched_on and "IPython" not in sys.modules:
        return False
    return (
        threading.get_ident() == threading.main_thread().ident
        and (_switched_on > 0 or in_ipython())
        and get_wait_callback() is None  # else who waits for the driver sees to it
    )


def in_ipython() -> bool:
    """Whether a shell of IPython has been started in this process."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and get_ipython() is not None


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """For the block, Ctrl-C cancels the statement under way.

    Raises:
        ConfigurationError: this is not the main thread, which no signal reaches.
    """
    global _switched_on
    if threading.get_ident() != threading.main_thread().ident:
        raise ConfigurationError("Ctrl-C reaches the main thread only; call db.interruptible() there")
    _switched_on += 1
    try:
        yield
    finally:
        _switched_on -= 1


def run_interruptibly(connection: Connection, act: Callable[..., Any], *given: Any) -> Any:
    """Call `act(*given)`, which waits for the server on `connection`; Ctrl-C has the server cancel it."""
    listener, waited = _listener(os.getpid()), _Waited(connection)
    try:
        listener.begin(waited)
        return act(*given)
    except psycopg2.Error as error:
        if waited.is_interrupted:  # a handler of signals need not raise it, such as that of a cell with await
            raise KeyboardInterrupt from error
        raise
    finally:
        listener.end(waited)


class _Waited:
    """One statement that is waited for."""

    __slots__ = ("asking", "connection", "is_interrupted")

    def __init__(self, connection: Connection) -> None:
        self.connection, self.is_interrupted = connection, False
        self.asking: list[threading.Thread] = []


class _Listener:
    """The thread that hears of signals while the main one waits inside the driver."""

    def __init__(self) -> None:
        self._hears, self._told = socket.socketpair()
        self._told.setblocking(False)
        self._waited: _Waited | None = None
        self._before = -1  # where signals are told of besides, such as to an event loop
        threading.Thread(target=self._listen, name="rayces-interrupt", daemon=True).start()

    def begin(self, waited: _Waited) -> None:
        """From now on a signal is about this statement."""
        self._waited = waited
        before = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        if before != self._told.fileno():  # else the end of the last one was interrupted itself
            self._before = before

    def end(self, waited: _Waited) -> None:
        """It is over."""
        signal.set_wakeup_fd(self._before)
        if self._waited is waited:
            self._waited = None
        if waited.is_interrupted:  # a request that is under way would meet the connection's next statement
            for asking in waited.asking:
                asking.join(PATIENCE_SECONDS)

    def _listen(self) -> None:
        while self._hear() is not None:
            pass

    def _hear(self) -> bool | None:
        """Wait for signals; returns whether there was a Ctrl-C among them, None at the end."""
        heard = self._hears.recv(4096)
        if self._before != -1:
            with contextlib.suppress(OSError):
                os.write(self._before, heard)
        is_ctrl_c, waited = signal.SIGINT in heard, self._waited
        if is_ctrl_c and waited is not None:
            self._cancel(waited)
        return is_ctrl_c if heard else None

    def _cancel(self, waited: _Waited) -> None:
        began, presses, waited.is_interrupted = time.monotonic(), 1, True
        while self._waited is waited:
            # Asking is a connection of its own, to a server that may not answer.
            asking = threading.Thread(target=_ask_to_cancel, args=(waited.connection,), daemon=True)
            waited.asking.append(asking)
            asking.start()
            # What is heard once this statement is over is about the next one, and stays there for it.
            if select.select([self._hears], [], [], AGAIN_SECONDS)[0] and self._waited is waited:
                presses += signal.SIGINT in self._hears.recv(1)
            waited_for = time.monotonic() - began
            if waited_for > GIVE_UP_SECONDS or (presses > 1 and waited_for > PATIENCE_SECONDS):
                if self._waited is waited:
                    waited.asking.clear()
                    _hang_up(waited.connection)
                return


@cache
def _listener(_process: int) -> _Listener:
    """The one of this process; a forked one has no thread of its parent's."""
    return _Listener()


def _ask_to_cancel(connection: Connection) -> None:
    """Have the server cancel what it does for `connection`, without keeping other threads from running meanwhile."""
    libpq = _libpq()
    if libpq is None:
        with contextlib.suppress(psycopg2.Error):
            connection.cancel()
        return
    with contextlib.suppress(psycopg2.Error):
        request = libpq.PQgetCancel(connection.pgconn_ptr)
        if request:
            libpq.PQcancel(request, ctypes.create_string_buffer(256), 256)
            libpq.PQfreeCancel(request)


@cache
def _libpq() -> Any:
    """The driver's own libpq, whose functions let other threads run; `connection.cancel()` does not."""
    try:
        libpq = ctypes.CDLL(sys.modules["psycopg2._psycopg"].__file__)
        libpq.PQgetCancel.argtypes, libpq.PQgetCancel.restype = [ctypes.c_void_p], ctypes.c_void_p
        libpq.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        libpq.PQfreeCancel.argtypes, libpq.PQfreeCancel.restype = [ctypes.c_void_p], None
    except (OSError, AttributeError):
        return None
    return libpq


def _hang_up(connection: Connection) -> None:
    """End the wait for a server that does not answer: the connection is lost, with what was begun on it."""
    with contextlib.suppress(psycopg2.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as other:
        other.shutdown(socket.SHUT_RDWR)
