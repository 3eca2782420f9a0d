"""ASGI middleware that binds the tenant around the whole of a request, whatever framework serves it.

It is a plain ASGI one, so nothing is copied to another task: endpoints of either kind, streamed bodies, background
tasks, web sockets and mounted applications see what it binds. It stands outside a framework's handlers of errors, so
it answers by itself where there is no such tenant.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from rayces_core.database.blocks import TenantBlock
from rayces_core.errors import RaycesError, TenantNotCachedError, UnknownTenantError
from rayces_core.integrations.exempt import Exempt
from rayces_core.integrations.languages import preferred
from rayces_core.integrations.needed import missing
from rayces_core.integrations.problems import MEDIA_TYPE, Problem, encoded, problem
from rayces_core.integrations.tenants import LOOK_UPS_AT_ONCE, Resolver
from rayces_core.tenancy.organization import Organization

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

# Where a request keeps its organization.
TENANT = "rayces.tenant"
# Look-ups have threads of their own: behind endpoints that wait for the database, known tenants would wait as well.
_look_ups: RunVar[CapacityLimiter] = RunVar("rayces_look_ups")

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
        if scope["type"] not in ("http", "websocket") or TENANT in scope or route_path(scope) in self._exempt:
            return await self.app(scope, receive, send)
        try:
            block = [await self._block(scope)]
        except RaycesError as error:
            return await refuse(scope, send, self._told(scope, error))
        with block.pop() as organization:  # nobody but the statement has it, so whatever ends it leaves nothing bound
            scope[TENANT] = organization
            await self.app(scope, receive, send)
        return None

    async def _block(self, scope: Scope) -> TenantBlock[Organization]:
        """The tenant's block, found; entering it asks nothing of the database."""
        name: str | int | None
        name, prefix = self._resolver.named(*self._said(scope), route_path(scope))
        if prefix:
            scope["root_path"] = scope.get("root_path", "") + prefix
        if name is None and self._token is not None:
            name = self._token(scope)
        if name is None:
            raise UnknownTenantError(None, "the request names no tenant")
        try:
            return self._db.tenant(name, cached_only=True).found()
        except TenantNotCachedError:
            organization = await run_sync(self._resolver.resolve, name, limiter=_limiter())
            return self._db.tenant(organization, cached_only=True).found()

    def _said(self, scope: Scope) -> tuple[str | None, str | None]:
        """What the request says of its host and in the header; nothing where it says two things."""
        hosts, headers = [], []
        for key, value in scope["headers"]:
            if key == b"host":
                hosts.append(value)
            elif key == self._header:
                headers.append(value)
        if len(set(hosts)) > 1 or len(set(headers)) > 1:
            raise UnknownTenantError(None, "the request names two hosts or tenants")
        return (
            hosts[0].decode("latin-1") if hosts else None,
            headers[0].decode("latin-1") if headers else None,
        )

    def _told(self, scope: Scope, error: RaycesError) -> Problem:
        answer = problem(error, language_of(scope, self._language))
        if answer[0] >= 500:
            logger.error("the tenant of a request could not be found", exc_info=error)
        return answer


def _limiter() -> CapacityLimiter:
    try:
        return _look_ups.get()
    except LookupError:
        limiter = CapacityLimiter(LOOK_UPS_AT_ONCE)
        _look_ups.set(limiter)
        return limiter


def route_path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


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
