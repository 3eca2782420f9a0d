"""ASGI middleware that binds the tenant around the whole of a request, whatever framework serves it.

It is a plain ASGI one, so nothing is copied to another task: endpoints of either kind, streamed bodies, background
tasks, web sockets and mounted applications see what it binds. It stands outside a framework's handlers of errors, so
it answers by itself where there is no such tenant.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from rayces_core.database.blocks import TenantBlock
from rayces_core.errors import BodyTooLargeError, RaycesError, TenantNotCachedError, UnknownTenantError
from rayces_core.integrations.exempt import Exempt
from rayces_core.integrations.languages import preferred
from rayces_core.integrations.needed import missing
from rayces_core.integrations.problems import MEDIA_TYPE, Problem, encoded, problem
from rayces_core.integrations.tenants import LOOK_UPS_AT_ONCE, TENANT, Resolver

try:
    from anyio import CapacityLimiter
    from anyio.lowlevel import RunVar
    from anyio.to_thread import run_sync
except ImportError:
    raise missing("anyio", "fastapi") from None

logger = logging.getLogger("rayces_core")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Look-ups have threads of their own: behind endpoints that wait for the database, known tenants would wait as well.
_look_ups: RunVar[CapacityLimiter] = RunVar("rayces_look_ups")

# What is read of a body that is too large, and thrown away: who still sends might not hear the answer otherwise.
DRAINED: Final = 16 * 1024**2

# RFC 6455: a policy is broken, and something failed in the server.
REFUSED, FAILED = 1008, 1011


class TenantMiddleware:
    """Binds the tenant of each http and websocket request; one that is for none is answered with 404.

    Args:
        app: the application around which it stands.
        resolver: tells which tenant a request is for.
        exempt: paths that are served without a tenant: "/healthz", "/static/*".
        language: of answers where the client says nothing.
        token: reads an organization's id off a request that names no tenant, if its token does.
    """

    def __init__(
        self,
        app: Application,
        *,
        resolver: Resolver,
        exempt: Iterable[str] = (),
        language: str = "en",
        token: Callable[[Scope], int | None] | None = None,
    ) -> None:
        self.app, self._resolver, self._db = app, resolver, resolver.db
        self._exempt, self._language, self._token = Exempt(exempt), language, token
        self._header = None if resolver.header is None else resolver.header.encode("latin-1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within its tenant's block; one that is mounted in another is within already."""
        if scope["type"] not in ("http", "websocket") or TENANT in scope or (path := route_path(scope)) in self._exempt:
            await self.app(scope, receive, send)
            return
        try:
            name = self._name(scope, path)
            try:
                block = [self._db.known_tenant(name).found()]
            except TenantNotCachedError:
                block = [await self._looked_up(name)]
        except RaycesError as error:
            await refuse(scope, send, self._told(scope, error))
            return
        with block.pop() as named:  # nobody but the statement has it, so whatever ends it leaves nothing bound
            scope[TENANT] = named
            await self.app(scope, receive, send)

    def _name(self, scope: Scope, path: str) -> str | int:
        """What names the tenant; UnknownTenantError where nothing does."""
        host, header = self._said(scope["headers"])
        name, prefix = self._resolver.named(host, header, path)
        if prefix:
            scope["root_path"] = scope.get("root_path", "") + prefix
        named = self._token(scope) if name is None and self._token is not None else name
        if named is None:
            raise UnknownTenantError(None, "the request names no tenant")
        return named

    async def _looked_up(self, name: str | int) -> TenantBlock[Any]:
        """The tenant's block; entering it asks nothing of the database."""
        organization = await run_sync(self._resolver.resolve, name, limiter=_limiter())
        return self._db.tenant(organization, cached_only=True).found()

    def _said(self, fields: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, str | None]:
        """What the request says of its host and in the header; UnknownTenantError where it says two things."""
        host = header = None
        for key, value in fields:
            if key == b"host":
                host = _once(host, value)
            elif key == self._header:
                header = _once(header, value)
        return _text(host), _text(header)

    def _told(self, scope: Scope, error: RaycesError) -> Problem:
        answer = problem(error, language_of(scope, self._language))
        if answer[0] >= 500:
            logger.error("the tenant of a request could not be found", exc_info=error)
        return answer


class BodyLimit:
    """Lets an application read at most so many bytes of a request's body, whether its length was announced or not.

    Reading raises BodyTooLargeError, which the application answers as it answers others; if it does not, 413 is said
    here. What an application does not read is not looked at.

    Args:
        app: the application around which it stands.
        limit: bytes.
        language: of the answer where the client says nothing.
        error: makes another error of the limit, for a framework that takes this one for something else.
    """

    def __init__(
        self,
        app: Application,
        *,
        limit: int,
        language: str = "en",
        error: Callable[[int], BodyTooLargeError] = BodyTooLargeError,
    ) -> None:
        self.app, self._limit, self._language, self._error = app, limit, language, error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; messages of web sockets are the server's to limit."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, self._limited(scope, receive), noted)
        except BodyTooLargeError as error:
            if has_begun:
                raise
            await refuse(scope, send, problem(error, language_of(scope, self._language)))
        return None

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        left, is_refused = self._limit, False
        announced = _announced(scope)

        async def limited() -> Message:
            nonlocal left, is_refused
            if is_refused:  # whoever listens on is told when the client leaves, and no more of the body
                return await _thrown_away(receive, None)
            goes_on = not _waits_to_be_asked(scope)
            if announced <= self._limit:
                message = await receive()
                goes_on = message.get("more_body", False)
                left -= len(message.get("body", b""))
                if left >= 0:
                    return message
            is_refused = True
            if goes_on:  # asked again after its end, a server would wait for the client to leave
                await _thrown_away(receive, DRAINED)
            raise self._error(self._limit)

        return limited


def _announced(scope: Scope) -> int:
    """The Content-Length; 0 where there is none, or none that a server would let through."""
    lengths = [value for key, value in scope["headers"] if key == b"content-length"]
    return max((int(value) for value in lengths if value.isdigit()), default=0)


def _waits_to_be_asked(scope: Scope) -> bool:
    """Whether the client sends its body only after `100 Continue`, which the first reading makes a server say."""
    return any(key == b"expect" and value.lower() == b"100-continue" for key, value in scope["headers"])


async def _thrown_away(receive: Receive, most: int | None) -> Message:
    """Read on to the end of the body, or `most` bytes; without `most`, until the client leaves."""
    read = 0
    while True:
        message = await receive()
        read += len(message.get("body", b""))
        is_over = most is not None and (read >= most or not message.get("more_body"))
        if is_over or message["type"] == "http.disconnect":
            return message


def _limiter() -> CapacityLimiter:
    try:
        return _look_ups.get()
    except LookupError:
        limiter = CapacityLimiter(LOOK_UPS_AT_ONCE)
        _look_ups.set(limiter)
        return limiter


def _once(before: bytes | None, value: bytes) -> bytes:
    if before is not None and before != value:
        raise UnknownTenantError(None, "the request names two hosts or tenants")
    return value


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def route_path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    if not root:
        return path
    root = root.rstrip("/")
    return path[len(root) :] if path.startswith(root + "/") else path


def language_of(scope: Scope, default: str) -> str:
    """The language that the client of a request reads."""
    for key, value in scope["headers"]:
        if key == b"accept-language":
            return preferred(value.decode("latin-1"), default)
    return default


async def refuse(scope: Scope, send: Send, answer: Problem) -> None:
    """Answer a request with a problem; a web socket is told so where the server can, else closed."""
    status, body, headers = answer
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            return await send({"type": "websocket.close", "code": FAILED if status >= 500 else REFUSED})
        kind = "websocket.http.response"
    content = encoded(body | {"instance": scope["path"]})
    fields = {"content-type": MEDIA_TYPE, "content-length": str(len(content))} | headers
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": f"{kind}.start", "status": status, "headers": raw})
    await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else content})
    return None
