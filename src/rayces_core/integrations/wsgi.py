"""WSGI middleware that binds the tenant until the response is closed, whatever framework serves it.

A streamed body is read after the application has returned, so a tenant that is bound in a framework's hooks before and
after a request is gone when its rows are read. A server closes what it was given when it is done with it (PEP 3333),
also where the client has left.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rayces_core.database.blocks import TenantBlock
from rayces_core.errors import BodyTooLargeError, RaycesError, TenantNotCachedError, UnknownTenantError
from rayces_core.integrations.exempt import Exempt
from rayces_core.integrations.languages import preferred
from rayces_core.integrations.problems import MEDIA_TYPE, Problem, encoded, problem
from rayces_core.integrations.tenants import TENANT, Resolver

logger = logging.getLogger("rayces_core")

# As in `asgi`: read of a body that is too large, and thrown away, so that who still sends hears the answer.
DRAINED: Final = 16 * 1024**2
AT_ONCE: Final = 64 * 1024


class TenantMiddleware:
    """Binds the tenant of each request; one that is for none is answered with 404. See `asgi.TenantMiddleware`."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        resolver: Resolver,
        exempt: Iterable[str] = (),
        language: str = "en",
        token: Callable[[WSGIEnvironment], int | None] | None = None,
    ) -> None:
        self.app, self._resolver, self._db = app, resolver, resolver.db
        self._exempt, self._language, self._token = Exempt(exempt), language, token
        self._header = None if resolver.header is None else "HTTP_" + resolver.header.upper().replace("-", "_")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request within its tenant's block; one that is mounted in another is within already."""
        if TENANT in environ or environ.get("PATH_INFO", "") in self._exempt:
            return self.app(environ, start_response)
        try:
            block = self._block(environ)
        except RaycesError as error:
            return self._refuse(environ, start_response, error)
        with ExitStack() as stack:
            environ[TENANT] = stack.enter_context(block)
            answer = self.app(environ, start_response)
            parts = iter(answer)  # what fails here leaves the tenant
            return _Bound(answer, parts, stack.pop_all())

    def _block(self, environ: WSGIEnvironment) -> TenantBlock[Any]:
        path = environ.get("PATH_INFO", "")
        header = environ.get(self._header) if self._header is not None else None
        name: str | int | None
        name, prefix = self._resolver.named(environ.get("HTTP_HOST"), header, path)
        if prefix:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
            environ["PATH_INFO"] = path[len(prefix) :]
        if name is None and self._token is not None:
            name = self._token(environ)
        if name is None:
            raise UnknownTenantError(None, "the request names no tenant")
        try:
            return self._db.known_tenant(name).found()
        except TenantNotCachedError:
            return self._db.tenant(self._resolver.resolve(name), cached_only=True).found()

    def _refuse(self, environ: WSGIEnvironment, start_response: StartResponse, error: RaycesError) -> list[bytes]:
        answer = problem(error, preferred(environ.get("HTTP_ACCEPT_LANGUAGE", ""), self._language))
        if answer[0] >= 500:
            logger.error("the tenant of a request could not be found", exc_info=error)
        return refuse(environ, start_response, answer)


class _Bound:
    """A response under the tenant that it was made under, until it is closed."""

    def __init__(self, answer: Iterable[bytes], parts: Iterator[bytes], stack: ExitStack) -> None:
        self._answer, self._parts, self._stack = answer, parts, stack

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Close the application's response, then leave the tenant."""
        stack, self._stack = self._stack, ExitStack()
        with stack:
            close: Any = getattr(self._answer, "close", None)
            if close is not None:
                close()


class BodyLimit:
    """Lets an application read at most so many bytes of a request's body; see `asgi.BodyLimit`."""

    def __init__(self, app: WSGIApplication, *, limit: int, language: str = "en") -> None:
        self.app, self._limit, self._language = app, limit, language

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request; what it reads of the body is counted."""
        environ["wsgi.input"] = LimitedInput(environ["wsgi.input"], self._limit, _announced(environ))
        try:
            return self.app(environ, start_response)
        except BodyTooLargeError as error:
            answer = problem(error, preferred(environ.get("HTTP_ACCEPT_LANGUAGE", ""), self._language))
            # An application may have begun to answer: the server knows whether anything was sent.
            return refuse(environ, start_response, answer, sys.exc_info())


class LimitedInput:
    """A request's input, of which so many bytes are given; asking for more than that raises BodyTooLargeError.

    Args:
        stream: the server's. limit: bytes. announced: the Content-Length, or None: then the stream ends by itself.
    """

    def __init__(self, stream: Any, limit: int, announced: int | None) -> None:
        self._stream, self._limit, self._announced, self._given = stream, limit, announced, 0

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, or all there are."""
        if size is not None and size >= 0:
            return self._counted(self._stream.read, size)
        return b"".join(iter(partial(self.read, AT_ONCE), b""))

    def readline(self, size: int | None = -1) -> bytes:
        """Read up to the end of the line."""
        return self._counted(self._stream.readline, self._limit + 1 if size is None or size < 0 else size)

    def readlines(self, _hint: int = -1) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _counted(self, read: Callable[[int], bytes], size: int) -> bytes:
        if max(self._given, self._announced or 0) > self._limit:
            self._refuse()
        ends = self._limit + 1 if self._announced is None else self._announced
        part = read(min(size, ends - self._given))
        self._given += len(part)
        if self._given > self._limit:
            self._refuse()
        return part

    def _refuse(self) -> None:
        ends = DRAINED if self._announced is None else min(DRAINED, self._announced)
        while self._given < ends and (part := self._stream.read(min(AT_ONCE, ends - self._given))):
            self._given += len(part)
        self._given = max(self._given, ends)  # whoever asks again is refused again, and waits for nothing
        raise BodyTooLargeError(self._limit)


def _announced(environ: WSGIEnvironment) -> int | None:
    """The Content-Length; None where the server says that the input ends with the body, as a chunked one does.

    Without either there is no body (PEP 3333 has no other way to tell where it ends).
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        return int(length)
    return None if environ.get("wsgi.input_terminated") else 0


def refuse(
    environ: WSGIEnvironment, start_response: StartResponse, answer: Problem, failed: Any = (None, None, None)
) -> list[bytes]:
    """Answer a request with a problem; `failed` is the error of an application that may have begun to answer."""
    status, body, headers = answer
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # WSGI gives the bytes of a path as if they were Latin-1 (PEP 3333).
    content = encoded(body | {"instance": path.encode("latin-1", "replace").decode(errors="replace")})
    fields = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(content))} | headers
    start_response(f"{status} {HTTPStatus(status).phrase}", list(fields.items()), *([failed] if failed[0] else []))
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [content]
