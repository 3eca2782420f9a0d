"""Flask: `rayces = Rayces(db, domain="example.org", secret=…)`, then `rayces.install(app)`.

    @app.post("/appointments")
    @rayces.signed_in
    def book():
        appointment = scheduling.book(..., by=rayces.current_user, idempotency_key=rayces.idempotency_key)

The tenant is bound until the response is closed, so streamed bodies have it; `before_request` and `teardown_request`
would unbind it before they are read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import peewee
from pydantic import BaseModel, TypeAdapter, ValidationError

from rayces_core.errors import RaycesError, UnauthenticatedError
from rayces_core.integrations.host import HEALTH, Host, checked_roles, is_own_page
from rayces_core.integrations.needed import missing
from rayces_core.integrations.problems import MEDIA_TYPE, Problem, encoded, fault_at, http_problem, invalid_request
from rayces_core.integrations.tenants import organization_of
from rayces_core.integrations.wsgi import BodyLimit, TenantMiddleware
from rayces_core.models.user import Role, User
from rayces_core.sign_in import Claims
from rayces_core.tenancy.organization import Organization

try:
    from flask import Flask, Request, Response, request
    from werkzeug.exceptions import HTTPException, UnprocessableEntity
except ImportError:
    raise missing("Flask", "flask") from None

# Where a request keeps who has signed in.
USER: Final = "rayces.user"

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Rayces(Host):
    """The library in a Flask application. Its arguments are those of `Host`; `install` brings it in."""

    # -- who asks: within a request -----------------------------------------------------------------------------------

    @property
    def tenant(self) -> Organization:
        """The request's organization. No query."""
        return organization_of(request.environ)

    @property
    def current_user(self) -> User:
        """The user who has signed in, by one query for a request; UnauthenticatedError (401) where nobody has."""
        # Not in `g`, which requests share that are made within one app_context().
        if USER not in request.environ:
            request.environ[USER] = self.user_of(self._token_of(request))
        user: User = request.environ[USER]
        return user

    @property
    def claims(self) -> Claims:
        """What the token says of the user, without a query, and so without knowing whether it was revoked."""
        return self.claims_of(self._token_of(request))

    @property
    def idempotency_key(self) -> str | None:
        """The Idempotency-Key header with the user's id before it, or None."""
        key = request.headers.get("Idempotency-Key")
        return None if key is None else self.key_of(self.current_user.id, key)

    def signed_in(self, view: Callable[P, T]) -> Callable[P, T]:
        """A view for whoever has signed in; 401 for others."""

        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            _ = self.current_user
            return view(*args, **kwargs)

        return checked

    def requires(self, *roles: Role) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """A view for users of these roles; 403 for others. An admin counts as staff.

        Raises:
            ConfigurationError: these are no roles.
        """
        wanted = checked_roles(roles)

        def decorate(view: Callable[P, T]) -> Callable[P, T]:
            @wraps(view)
            def checked(*args: P.args, **kwargs: P.kwargs) -> T:
                self.check_role(self.current_user, wanted)
                return view(*args, **kwargs)

            return checked

        return decorate

    # -- what is asked and answered -----------------------------------------------------------------------------------

    def body(self, schema: type[M]) -> M:
        """The request's JSON body as a Pydantic model, `data = rayces.body(BookIn)`; 422 names each fault's place."""
        return _read(schema, request.get_json(), "body", self._language_now)

    def query(self, schema: type[M]) -> M:
        """What stands after the question mark, as a Pydantic model; 422 names each fault's place."""
        return _read(schema, request.args.to_dict(), "query", self._language_now)

    def answer(self, schema: Any, value: Any) -> Response:
        """What a schema shows of a row, or of rows: `rayces.answer(list[StudentOut], list(Student.select()))`."""
        adapter = TypeAdapter(schema)
        shown = adapter.validate_python(value, from_attributes=True)
        return Response(adapter.dump_json(shown), content_type="application/json")

    # -- pages --------------------------------------------------------------------------------------------------------

    def check_own_page(self) -> None:
        """Refuse a form that a page of another origin has sent: for a sign-in, where no cookie is there to look at.

        Raises:
            UnauthenticatedError: it names another origin.
        """
        if not is_own_page(request.headers, request.scheme):
            raise UnauthenticatedError("the form was sent by a page of another site")

    def set_cookie(self, response: Response, token: str) -> None:
        """Let the browser keep a token, as long as it lasts, for this host alone, out of reach of scripts.

        Secure where https is spoken, as far as the server knows.
        """
        cookie = self.cookie_of(https=request.is_secure)
        response.set_cookie(value=token, max_age=self.seconds_left(token), **cookie)

    def clear_cookie(self, response: Response) -> None:
        """Let the browser forget the token; that ends no token: `sign_in.sign_out(me, said.device)` does."""
        response.delete_cookie(**self.cookie_of(https=request.is_secure))

    # -- installation -------------------------------------------------------------------------------------------------

    def install(self, app: Flask, *, health: bool = True) -> None:
        """Bring tenants, problems and health into an application."""
        for kind in (RaycesError, peewee.DoesNotExist):
            app.register_error_handler(kind, self._on_error)
        app.register_error_handler(HTTPException, self._on_http)
        app.wsgi_app = TenantMiddleware(  # type: ignore[method-assign]
            app.wsgi_app,
            resolver=self.resolver,
            exempt=[*HEALTH, *self._exempt],
            language=self._language,
            token=self._tenant_of if self._tenant_from_token else None,
        )
        if self._max_body is not None:
            limited = BodyLimit(app.wsgi_app, limit=self._max_body, language=self._language)
            app.wsgi_app = limited  # type: ignore[method-assign]
        if health:
            app.add_url_rule("/healthz", "rayces_alive", lambda: {"status": "ok"})
            app.add_url_rule("/readyz", "rayces_ready", self._ready)

    def _ready(self) -> Any:
        if self.is_ready():
            return {"status": "ok"}
        return {"status": "unavailable"}, 503, {"Retry-After": "1"}

    def _token_of(self, asked: Request) -> str | None:
        return self.token_in(asked.method, asked.headers, asked.cookies, asked.scheme)

    def _tenant_of(self, environ: Any) -> int | None:
        return self.tenant_named_by(self.token_in("GET", (asked := Request(environ)).headers, asked.cookies))

    # -- answers ------------------------------------------------------------------------------------------------------

    def _on_error(self, error: Exception) -> Response:
        return _answered(self.told(error, self._language_now(), f"{request.method} {request.path}"))

    def _on_http(self, error: HTTPException) -> Any:
        status = error.code or 500
        if error.response is not None or status < 400:
            return error
        own = error.description if error.description != type(error).description else None
        answer = http_problem(status, self._language_now(), own)
        kept = [(name, value) for name, value in error.get_headers(request.environ) if name != "Content-Type"]
        return _answered((answer[0], answer[1], dict(kept) | answer[2]))

    def _language_now(self) -> str:
        return self.language_for(request.environ.get(USER), request.headers.get("Accept-Language"))


def _read(schema: type[M], given: Any, where: str, language: Callable[[], str]) -> M:
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        told = [fault_at(where, fault["loc"], fault) for fault in error.errors()]
        raise UnprocessableEntity(response=_answered(invalid_request(told, language()))) from None


def _answered(answer: Problem) -> Response:
    status, body, headers = answer
    content = encoded(body | {"instance": request.path})
    return Response(content, status, headers, content_type=MEDIA_TYPE)
