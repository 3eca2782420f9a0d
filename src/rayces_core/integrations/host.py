"""What a `Rayces` is in any framework: a database, whose requests are for whom, and who has signed in."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from rayces_core import clock
from rayces_core.errors import (
    ConfigurationError,
    InvalidDataError,
    NotPermittedError,
    RaycesError,
    UnauthenticatedError,
)
from rayces_core.integrations.languages import LANGUAGES, preferred
from rayces_core.integrations.needed import missing
from rayces_core.integrations.problems import Problem, problem
from rayces_core.integrations.tenants import Resolver, Served
from rayces_core.models.user import Role, User
from rayces_core.sign_in import Claims, Tokens

try:
    import jwt
except ImportError:
    raise missing("PyJWT", "sign-in") from None

logger = logging.getLogger("rayces_core")

# Methods that change nothing.
READING: Final = ("GET", "HEAD", "OPTIONS")
HEALTH: Final = ("/healthz", "/readyz")
# A key in the database is a column of 255 characters, and stands behind the user's id.
LONGEST_KEY: Final = 200
PORTS: Final = {"http": 80, "https": 443}
SECURED: Final = {"ws": "http", "wss": "https"}
_ID: Final = re.compile(r"[0-9]{1,18}")


class Host:
    """What the `Rayces` of each framework shares; the arguments are those of both.

    Args:
        db: the Database, or Cells. It refuses statements in the thread of a running event loop from now on.
        domain, header, path_prefix: which tenant a request is for; see `tenants.Resolver`.
        tenant_from_token: where nothing else names the tenant, the token does.
        secret: what access tokens are signed with, 32 characters at least; the first of a list signs, all are accepted.
        tokens: a `sign_in.Tokens` instead, for another lifetime or issuer.
        cookie: name of a cookie that may bring the token, for pages; `set_cookie` and `clear_cookie` write it.
        language: of answers where the client says nothing: "en" or "es".
        language_of: tells the language of a user who has signed in, in place of the user's own; both go before what the
            client says.
        exempt: paths that are served without a tenant: "/about", "/static/*".
        in_event_loop: "allow" leaves the database as it is.
        ready_seconds: how long /readyz waits for the database.
        max_body: bytes that a request's body may have (413 for more); None leaves that to the server.
    """

    def __init__(
        self,
        db: Served,
        *,
        domain: str | list[str] | None = None,
        header: str | None = None,
        path_prefix: str | None = None,
        tenant_from_token: bool = False,
        secret: str | list[str] | None = None,
        tokens: Tokens | None = None,
        cookie: str | None = None,
        language: str = "en",
        language_of: Callable[[User], str | None] | None = None,
        exempt: Iterable[str] = (),
        in_event_loop: Literal["allow", "refuse"] = "refuse",
        ready_seconds: float = 2.0,
        max_body: int | None = None,
    ) -> None:
        if language not in LANGUAGES:
            raise ConfigurationError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
        if not (domain or header or path_prefix or tenant_from_token):
            raise ConfigurationError("say how requests name their tenant: domain=, header=, path_prefix= or the token")
        if max_body is not None and max_body < 1:
            raise ConfigurationError(f"max_body is a number of bytes, or None for no limit, not {max_body!r}")
        self.db, self.resolver = db, Resolver(db, domain=domain, header=header, path_prefix=path_prefix)
        self._given_tokens = Tokens(secret) if tokens is None and secret is not None else tokens
        self._cookie, self._language, self._language_of = cookie, language, language_of
        self._tenant_from_token, self._exempt = tenant_from_token, tuple(exempt)
        self._ready_seconds, self._max_body = ready_seconds, max_body
        if in_event_loop == "refuse":
            db.refuse_event_loops()
        self._prepare()

    def _prepare(self) -> None:
        """What a framework's own needs besides, once the arguments are known."""

    @property
    def tokens(self) -> Tokens:
        """Issues and reads access tokens; ConfigurationError where there is no secret."""
        if self._given_tokens is None:
            raise ConfigurationError("give Rayces(…, secret=os.environ[…]) so that users can sign in")
        return self._given_tokens

    # -- who asks -----------------------------------------------------------------------------------------------------

    def token_in(
        self, method: str | None, headers: Any, cookies: Mapping[str, str], scheme: str = "http"
    ) -> str | None:
        """The access token of a request: of the Authorization header, else of the cookie.

        Browsers send cookies along with what other sites' pages ask for, so a cookie counts only where the request
        reads, or comes from a page of the same origin. A web socket has no method and is treated as one that writes.
        `scheme` is what the server believes was spoken.
        """
        kind, _, token = str(headers.get("authorization", "")).partition(" ")
        if kind.lower() == "bearer" and token.strip():
            return token.strip()
        found = cookies.get(self._cookie) if self._cookie is not None else None
        if found is not None and method not in READING and not is_own_page(headers, scheme):
            raise UnauthenticatedError("the cookie was sent along by a page of another site")
        return found

    def cookie_of(self, *, https: bool) -> dict[str, Any]:
        """Name and attributes of the cookie that keeps a token; frameworks' own `set_cookie` and the other take them.

        Raises:
            ConfigurationError: it was given no name.
        """
        if self._cookie is None:
            raise ConfigurationError("give Rayces(…, cookie='session') so that a browser can keep tokens")
        return {"key": self._cookie, "httponly": True, "samesite": "lax", "secure": https}

    def seconds_left(self, token: str) -> int | None:
        """How long a token that was issued just now lasts, and so its cookie; None where it does not say so."""
        expires_at = _unverified(token).get("exp")
        if not isinstance(expires_at, int):
            return None
        return max(0, expires_at - int(clock.now().timestamp()))

    def claims_of(self, token: str | None) -> Claims:
        """What a valid token of the bound tenant says; no query. UnauthenticatedError without one."""
        if token is None:
            raise UnauthenticatedError("no access token was sent")
        return self.tokens.claims(token)

    def user_of(self, token: str | None) -> User:
        """The user of a valid token, by one query, which also tells whether it was revoked."""
        if token is None:
            raise UnauthenticatedError("no access token was sent")
        return self.tokens.user(token)

    def tenant_named_by(self, token: str | None) -> int | None:
        """Id of the organization that a token names. Not proved here: a name opens nothing."""
        audience = _unverified(token).get("aud")
        return int(audience) if isinstance(audience, str) and _ID.fullmatch(audience) else None

    # -- rules of requests --------------------------------------------------------------------------------------------

    def check_role(self, user: User, roles: tuple[Role, ...]) -> None:
        """Raise NotPermittedError unless the user has one of these roles; an admin counts as staff."""
        if user.role not in roles and not (Role.STAFF in roles and user.is_admin):
            raise NotPermittedError("do this", user.id, tuple(role.name.lower() for role in roles))

    def key_of(self, user_id: int, key: str | None) -> str | None:
        """An Idempotency-Key as the library takes it: keys are the tenant's, so the user's id stands before it.

        Raises:
            InvalidDataError: it is empty, too long, or has other characters than the printable ones of ASCII.
        """
        if key is None:
            return None
        key = key.strip()
        if not 0 < len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
            reason = f"must have 1 to {LONGEST_KEY} printable characters of ASCII"
            raise InvalidDataError("Idempotency-Key", key, reason)
        return f"{user_id}:{key}"

    # -- answers ------------------------------------------------------------------------------------------------------

    def language_for(self, user: User | None, accept_language: str | None) -> str:
        """The language of an answer: the user's, else what the client likes best, else the host's."""
        known = None if user is None else self._language_known(user)
        return known if known in LANGUAGES else preferred(accept_language or "", self._language)

    def _language_known(self, user: User) -> str | None:
        told = None if self._language_of is None else self._language_of(user)
        return told or user.language

    def told(self, error: Exception, language: str, where: str) -> Problem:
        """The answer to an error; a fault of the server is logged, since the answer says nothing of it."""
        answer = problem(error, language)
        if answer[0] >= 500:
            logger.error("%s failed", where, exc_info=error)
        return answer

    # -- health -------------------------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether the database answers in time. Blocking."""
        try:
            self.db.ping(self._ready_seconds)
        except RaycesError:
            logger.warning("not ready: the database does not answer", exc_info=True)
            return False
        return True

    def disconnect(self) -> None:
        """Close all connections, at the end of the server."""
        self.db.disconnect()


def is_own_page(headers: Any, scheme: str) -> bool:
    """Whether no page of another origin sent a request; browsers name the page's, other clients need not.

    The same host and port, those of the scheme where none is named. Who speaks https is sent nothing by a page that
    anybody on the way could have written; where the server says http, a proxy before it may have spoken https.
    """
    origin = headers.get("origin")
    if origin is None:
        return True
    spoken = SECURED.get(scheme, scheme)
    try:
        page = urlsplit(origin)
        here = urlsplit(f"{page.scheme if spoken == 'http' else spoken}://{headers.get('host', '')}")
        return page.hostname is not None and _origin(page) == _origin(here)
    except ValueError:  # no origin that a browser would send
        return False


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _unverified(token: str | None) -> dict[str, Any]:
    """What a token says, believed by nobody."""
    try:
        said: dict[str, Any] = jwt.decode(token or "", options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}
    return said


def checked_roles(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    """The roles, if there are any; ConfigurationError for anything else."""
    if not roles or not all(isinstance(role, Role) for role in roles):
        raise ConfigurationError(f"requires(Role.STAFF, …) takes roles, not {roles!r}")
    return roles
