"""A proxy that cuts one connection at a chosen byte of a chosen message, on its way to the server or of its answer."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import parse_dsn

from tests.wire import Wire

READY = b"Z\0\0\0\5"  # and one byte more: the end of every answer


@dataclass
class Cut:
    """Where a connection is cut: at the first message that contains `text`, or after so many of them.

    `sent` bytes of it reach the server, None for all; then `answered` bytes of the answer reach the client, once the
    whole of it is there. With `leaves_ghost` the server is not told that its client is gone; with `late_seconds` the
    message reaches it so long after the client was cut. `then` is called just before the client is cut.
    """

    text: str
    sent: int | None = None
    answered: int = 0
    skip: int = 0
    leaves_ghost: bool = False
    late_seconds: float | None = None
    then: Callable[[], object] = lambda: None


class Cutter(Wire):
    """Forwards to the server; `cut()` has the next fitting message cut, `was_cut` says whether that has happened."""

    def __init__(self, url: str) -> None:
        self._armed: Cut | None = None
        self._ghosts: list[socket.socket] = []
        self._late = threading.Event()
        super().__init__(url)

    def cut(self, text: str = "COMMIT", **where: Any) -> None:
        self._late.clear()
        self._armed = Cut(text, **where)

    def lead_to(self, url: str) -> None:
        """Forward new connections to this server."""
        self._target = parse_dsn(url)

    @property
    def was_cut(self) -> bool:
        return self._armed is None

    def wait_for_the_late(self) -> None:
        """Return once a message that was to come late has been sent on, and the server has had time for it."""
        assert self._late.wait(60)
        time.sleep(0.1)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        with contextlib.suppress(OSError):
            self._talk(client, server)
        _end(client)
        if server not in self._ghosts:
            _end(server)

    def _talk(self, client: socket.socket, server: socket.socket) -> None:
        pending = b""
        has_started = False
        while True:
            readable, _, _ = select.select([client, server], [], [])
            if server in readable:
                answer = server.recv(65536)
                if not answer:
                    return
                client.sendall(answer)
            if client in readable:
                piece = client.recv(65536)
                if not piece:
                    return
                pending += piece
                while message := _first_message(pending, has_started):
                    pending, has_started = pending[len(message) :], True
                    cut = self._fitting(message)
                    if cut is not None:
                        self._carry_out(cut, message, client, server)
                        return
                    server.sendall(message)

    def _fitting(self, message: bytes) -> Cut | None:
        if message[:1] != b"Q":
            return None
        text = message[5:].rstrip(b"\0").decode("utf-8", "replace")
        self.sent.append(text)
        cut = self._armed
        if cut is None or cut.text not in text:
            return None
        if cut.skip:
            cut.skip -= 1
            return None
        self._armed = None
        return cut

    def _carry_out(self, cut: Cut, message: bytes, client: socket.socket, server: socket.socket) -> None:
        if cut.leaves_ghost or cut.late_seconds is not None:
            self._ghosts.append(server)
        if cut.late_seconds is not None:
            _end(client)
            time.sleep(cut.late_seconds)
            with contextlib.suppress(OSError):
                server.sendall(message)
            self._late.set()
        elif cut.sent is not None:
            server.sendall(message[: cut.sent])
            cut.then()
        else:
            server.sendall(message)
            answer = _whole_answer(server)
            cut.then()
            client.sendall(answer[: cut.answered])

    def close(self) -> None:
        super().close()
        for ghost in self._ghosts:
            _end(ghost)


def _first_message(pending: bytes, has_started: bool) -> bytes:
    """The first whole message, of which the very first has no kind; b"" if it is not there yet."""
    at = 1 if has_started else 0
    if len(pending) < at + 4:
        return b""
    end = at + struct.unpack("!I", pending[at : at + 4])[0]
    return pending[:end] if len(pending) >= end else b""


def _whole_answer(server: socket.socket) -> bytes:
    answer = b""
    while answer[-6:-1] != READY:
        piece = server.recv(65536)
        if not piece:
            break
        answer += piece
    return answer


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def cutter(url: str) -> closing[Cutter]:
    """A proxy to the server of that URL, for a `with` block."""
    return closing(Cutter(url))
