"""A proxy that counts the query messages a client sends; round trips cannot be counted from the client's side."""

from __future__ import annotations

import re
import socket
import struct
import threading
from contextlib import closing

from psycopg2.extensions import make_dsn, parse_dsn

# Before 18 a prepared statement binds it, as pg_stat_statements would keep a line of each SET LOCAL.
_BINDS = re.compile(r"SET LOCAL rayces\.organization_id TO '\d+'|EXECUTE rayces_[0-9a-f]{16}\('\d+'\)")


def binds_tenant(message: str) -> bool:
    """Whether the message says whose work it is."""
    return bool(_BINDS.search(message))


class Wire:
    """Listens on a local port and forwards to the server; `sent` holds the text of each simple query message."""

    def __init__(self, url: str) -> None:
        self._target = parse_dsn(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = make_dsn(url, host="127.0.0.1", port=str(self._listener.getsockname()[1]), sslmode="disable")
        self.sent: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._connect()
            threading.Thread(target=self._forward_counting, args=(client, server), daemon=True).start()
            threading.Thread(target=_forward, args=(server, client), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = self._target.get("host", "localhost"), int(self._target.get("port", 5432))
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((host, port))

    def _forward_counting(self, client: socket.socket, server: socket.socket) -> None:
        with client.makefile("rb") as stream, client, server:
            startup = stream.read(4)
            server.sendall(startup + stream.read(struct.unpack("!I", startup)[0] - 4))
            while header := stream.read(5):
                kind, length = struct.unpack("!cI", header)
                body = stream.read(length - 4)
                if kind == b"Q":
                    self.sent.append(body.rstrip(b"\0").decode())
                server.sendall(header + body)

    def close(self) -> None:
        self._listener.close()


def _forward(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()


def wire(url: str) -> closing[Wire]:
    """A proxy to the server of that URL, for a `with` block."""
    return closing(Wire(url))
