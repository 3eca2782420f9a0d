"""FastAPI: `rayces = Rayces(db, domain="example.org", secret=…)`, then `rayces.install(app)`.

    @app.post("/appointments", status_code=201)
    def book(me: rayces.CurrentUser, data: BookIn, key: rayces.IdempotencyKey = None) -> AppointmentOut: ...

Endpoints that are plain `def` run in threads, at most as many at once as there are connections, and call the library
as they like. In an `async def` one awaits `rayces.run(function, …)`.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of dependencies, which know `self`.
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Final, ParamSpec, TypeVar, cast

import peewee

from rayces_core.errors import BodyTooLargeError, RaycesError, UnauthenticatedError
from rayces_core.integrations.host import HEALTH, Host, checked_roles, is_own_page
from rayces_core.integrations.needed import missing
from rayces_core.integrations.problems import MEDIA_TYPE, Problem, encoded, fault_at, http_problem, invalid_request
from rayces_core.models.user import Role, User
from rayces_core.sign_in import Claims
from rayces_core.tenancy.organization import Organization

try:
    import anyio
    import anyio.to_thread
    from fastapi import Depends, FastAPI, Header, Request, Response, Security
    from fastapi.exceptions import RequestValidationError
    from fastapi.security import HTTPBearer
    from starlette.exceptions import HTTPException
    from starlette.requests import HTTPConnection
    from starlette.routing import Match, Mount
    from starlette.websockets import WebSocket
except ImportError:
    raise missing("FastAPI", "fastapi") from None

from rayces_core.integrations.asgi import FAILED, REFUSED, BodyLimit, TenantMiddleware
from rayces_core.integrations.openapi import describe_problems
from rayces_core.integrations.tenants import organization_of

logger = logging.getLogger("rayces_core")

P = ParamSpec("P")
T = TypeVar("T")

# Where a request keeps who has signed in, for the language of its answers.
USER: Final = "rayces.user"
METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
# Close codes of web sockets: try again later.
LATER: Final = 1013


class _Bearer(HTTPBearer):
    """Shows in the API's description that a token is wanted; `Rayces` reads it, off web sockets as well."""

    async def __call__(self, connection: HTTPConnection) -> None:
        """Leave the token to its reader."""


class _RequestTooLargeError(BodyTooLargeError, HTTPException):
    """The same; whatever else fails while FastAPI reads a body is a bad request to it."""

    def __init__(self, limit: int) -> None:
        BodyTooLargeError.__init__(self, limit)
        self.status_code, self.detail, self.headers = 413, str(self), None


class Rayces(Host):
    """The library in a FastAPI application. Its arguments are those of `Host`; `install` brings it in.

    For the annotations of endpoints and dependencies, and in lower case for `Annotated[User, rayces.current_user]`,
    which type checkers understand:

    Attributes:
        Tenant: the request's Organization. No query.
        CurrentUser: the User who has signed in, by one query; UnauthenticatedError (401) where nobody has.
        Claims: what the token says of the user, without a query, and so without knowing whether it was revoked.
        IdempotencyKey: the Idempotency-Key header with the user's id before it, or None.
    """

    def _prepare(self) -> None:
        bearer = Security(_Bearer(auto_error=False))

        async def tenant(connection: HTTPConnection) -> Organization:
            return organization_of(connection.scope)

        async def claims(connection: HTTPConnection, _: Annotated[None, bearer]) -> Claims:
            return self.claims_of(self._token_of(connection))

        def user(connection: HTTPConnection, _: Annotated[None, bearer]) -> User:
            found = connection.scope[USER] = self.user_of(self._token_of(connection))
            return found

        async def key(
            me: Annotated[User, Depends(user)],
            idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
        ) -> str | None:
            return self.key_of(me.id, idempotency_key)

        self.tenant, self.claims = Depends(tenant), Depends(claims)
        self.current_user, self.idempotency_key = Depends(user), Depends(key)
        self.Tenant = Annotated[Organization, self.tenant]
        self.Claims = Annotated[Claims, self.claims]
        self.CurrentUser = Annotated[User, self.current_user]
        self.IdempotencyKey = Annotated[str | None, self.idempotency_key]

    def requires(self, *roles: Role) -> Any:
        """A dependency that gives the user who has signed in if of one of these roles; an admin counts as staff.

            @app.get("/students", dependencies=[rayces.requires(Role.STAFF)])
            def students(me: Annotated[User, rayces.requires(Role.STAFF)]): ...

        Raises:
            NotPermittedError: (403) at requests of others. ConfigurationError: these are no roles.
        """
        wanted = checked_roles(roles)

        async def check(me: Annotated[User, self.current_user]) -> User:
            self.check_role(me, wanted)
            return me

        return Depends(check)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that uses the database in a thread, under the request's tenant, and await what it returns.

        It waits for a free thread; there are as many as connections. What has begun goes on to its end, also where the
        caller is cancelled.
        """
        return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))

    # -- pages --------------------------------------------------------------------------------------------------------

    def check_own_page(self, request: Request) -> None:
        """Refuse a form that a page of another origin has sent: for a sign-in, where no cookie is there to look at.

        Raises:
            UnauthenticatedError: it names another origin.
        """
        if not is_own_page(request.headers, request.url.scheme):
            raise UnauthenticatedError("the form was sent by a page of another site")

    def set_cookie(self, request: Request, response: Response, token: str) -> None:
        """Let the browser keep a token, as long as it lasts, for this host alone, out of reach of scripts.

        Secure where https is spoken, as far as the server knows.
        """
        cookie = self.cookie_of(https=request.url.scheme == "https")
        response.set_cookie(value=token, max_age=self.seconds_left(token), **cookie)

    def clear_cookie(self, request: Request, response: Response) -> None:
        """Let the browser forget the token; that ends no token: `sign_in.sign_out(me, said.device)` does."""
        response.delete_cookie(**self.cookie_of(https=request.url.scheme == "https"))

    # -- installation -------------------------------------------------------------------------------------------------

    def install(self, app: FastAPI, *, health: bool = True) -> None:
        """Bring tenants, problems, threads and health into an application.

        Once for each application, also for one that is mounted in another (health=False there).
        """
        # Starlette's own annotation tells handlers of requests and of web sockets apart; these are both.
        on_error, on_http = cast(Any, self._on_error), cast(Any, self._on_http)
        for kind in (RaycesError, peewee.DoesNotExist, Exception):
            app.add_exception_handler(kind, on_error)
        app.add_exception_handler(RequestValidationError, cast(Any, self._on_invalid))
        app.add_exception_handler(HTTPException, on_http)
        own = [app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url, *HEALTH]
        app.add_middleware(
            TenantMiddleware,
            resolver=self.resolver,
            exempt=[*(path for path in own if path), *self._exempt],
            language=self._language,
            token=self._tenant_of if self._tenant_from_token else None,
        )
        if self._max_body is not None:
            app.add_middleware(BodyLimit, limit=self._max_body, language=self._language, error=_RequestTooLargeError)
        app.router.lifespan_context = self._lifespan(app.router.lifespan_context)
        describe_problems(app)
        if health:
            app.add_api_route("/healthz", _alive, include_in_schema=False)
            app.add_api_route("/readyz", self._ready, include_in_schema=False)

    def _lifespan(self, inner: Any) -> Any:
        """The application's own life, with threads before it and no connection after it."""

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            size = self.db.max_connections
            anyio.to_thread.current_default_thread_limiter().total_tokens = size
            try:
                async with inner(app) as state:
                    yield state
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self.disconnect, limiter=anyio.CapacityLimiter(1))

        return lifespan

    def _token_of(self, connection: HTTPConnection) -> str | None:
        scope = connection.scope
        return self.token_in(scope.get("method"), connection.headers, connection.cookies, scope.get("scheme", "http"))

    def _tenant_of(self, scope: Any) -> int | None:
        # As if it only read: whether the cookie counts is told by the endpoint, which answers with a problem.
        connection = HTTPConnection(scope)
        return self.tenant_named_by(self.token_in("GET", connection.headers, connection.cookies))

    # -- answers ------------------------------------------------------------------------------------------------------

    async def _on_error(self, connection: HTTPConnection, error: Exception) -> Response | None:
        where = f"{connection.scope.get('method', 'websocket')} {connection.url.path}"
        answer = self.told(error, self._language_of_request(connection), where)
        if isinstance(connection, WebSocket):
            code = {503: LATER}.get(answer[0], FAILED if answer[0] >= 500 else REFUSED)
            await connection.close(code, answer[1]["title"])
            return None
        return _answered(connection, answer)

    async def _on_invalid(self, request: Request, error: RequestValidationError) -> Response:
        told = [fault_at(str(loc[0]) if (loc := fault["loc"]) else "body", loc[1:], fault) for fault in error.errors()]
        return _answered(request, invalid_request(told, self._language_of_request(request)))

    async def _on_http(self, request: HTTPConnection, error: Exception) -> Response | None:
        if isinstance(request, WebSocket):
            await request.close(REFUSED)
            return None
        status, detail = getattr(error, "status_code", 500), getattr(error, "detail", None)
        headers = dict(getattr(error, "headers", None) or {})
        if "Allow" in headers:
            headers["Allow"] = ", ".join(_allowed(request, headers["Allow"].split(", ")))
        if status < 400 or status == 304:
            return Response(status_code=status, headers=headers)
        said = detail if isinstance(detail, str) else None
        answer = http_problem(status, self._language_of_request(request), said)
        return _answered(request, (answer[0], answer[1], answer[2] | headers))

    def _language_of_request(self, connection: HTTPConnection) -> str:
        return self.language_for(connection.scope.get(USER), connection.headers.get("accept-language"))

    # -- health -------------------------------------------------------------------------------------------------------

    async def _ready(self, response: Response) -> dict[str, str]:
        is_ready = False
        with anyio.move_on_after(self._ready_seconds):
            # In a thread of its own, and not one of those that wait for a busy or dead database.
            is_ready = await anyio.to_thread.run_sync(
                self.is_ready, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        if not is_ready:
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        return {"status": "ok" if is_ready else "unavailable"}


async def _alive() -> dict[str, str]:
    return {"status": "ok"}


def _allowed(connection: HTTPConnection, named: list[str]) -> list[str]:
    """Every method of an address (RFC 9110, 15.5.6): the framework names those of the first route alone."""
    routes = [route for route in connection.app.routes if not isinstance(route, Mount)]
    asked = [{**connection.scope, "method": method} for method in METHODS]
    found = {scope["method"] for scope in asked for route in routes if route.matches(scope)[0] is Match.FULL}
    return sorted({*named, *found})


def _answered(connection: HTTPConnection, answer: Problem) -> Response:
    status, body, headers = answer
    content = encoded(body | {"instance": connection.url.path})
    return Response(content, status, headers, MEDIA_TYPE)
