"""One HTTP request to where tenants say: only to checked addresses, no redirect, and over after a time.

The connection is made to the very address that was looked at; the certificate is still that of the host's name.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpcore

from rayces_core.errors import DeliveryError
from rayces_core.outbox.addresses import Network, resolved

LONGEST_ANSWER: Final = 4096
LONGEST_HEADER: Final = 1024


class Poster:
    """Sends requests; `allowed` networks are sent to although they are not public."""

    def __init__(self, seconds: float, allowed: Iterable[Network], context: ssl.SSLContext | None) -> None:
        self._seconds, self._allowed = seconds, tuple(allowed)
        self._context = context or ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Send it; returns the status, the headers and how the answer begins.

        Raises:
            AddressRefusedError: the host is not public. DeliveryError: there was no answer in time.
        """
        return self._ask("POST", url, headers, LONGEST_ANSWER, body)

    def get(self, url: str, headers: Mapping[str, str], most: int) -> tuple[int, dict[str, str], bytes]:
        """Read what is there; returns the status, the headers and at most so many bytes of the answer.

        Raises:
            AddressRefusedError: the host is not public. DeliveryError: the answer was not whole in time.
        """
        return self._ask("GET", url, headers, most)

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], most: int, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        until = time.monotonic() + self._seconds
        backend = _Backend(self._allowed, until)
        connections = httpcore.ConnectionPool(ssl_context=self._context, network_backend=backend, max_connections=1)
        try:
            with connections, connections.stream(method, url, headers=list(headers.items()), content=body) as answer:
                named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                return (
                    answer.status,
                    {name: value[:LONGEST_HEADER] for name, value in named.items()},
                    _beginning(answer, most),
                )
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            said = str(error) or f"no answer within {self._seconds:g} s"
            raise DeliveryError(f"{type(error).__name__}: {said}") from error


def _beginning(answer: httpcore.Response, most: int) -> bytes:
    body = bytearray()
    for piece in answer.iter_stream():  # what is left unread is cut off with the connection
        body += piece
        if len(body) >= most:
            break
    return bytes(body[:most])


class _Backend(httpcore.NetworkBackend):
    """Connects to checked addresses, and gives streams that end at a moment however much trickles in."""

    def __init__(self, allowed: tuple[Network, ...], until: float) -> None:
        self._allowed, self._until = allowed, until
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the moment counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        error: Exception | None = None
        for address in resolved(host, port, self._allowed):
            try:
                stream = self._sockets.connect_tcp(address, port, _left(self._until), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
            else:
                return _Stream(stream, self._until)
        raise error or httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A stream whose operations are over at a moment."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream, self._until = stream, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._until))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._until))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._until))
        return _Stream(stream, self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for it is over")
    return left
