"""Access tokens that carry the user's `jti`: whoever changes it revokes all that were issued.

Rule it guards: a token is one organization's. Its audience is the one that was bound when it was issued, and must be
the one that is bound where it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import ConfigurationError, MissingExtraError, UnauthenticatedError
from rayces_core.models.user import User

try:
    import jwt
except ImportError:
    raise MissingExtraError("PyJWT is not installed: pip install 'rayces-core[sign-in]'") from None

ALGORITHM: Final = "HS256"
# RFC 7518, 3.2: a key of at least as many bits as the hash has.
SHORTEST_SECRET: Final = 32
_REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub", "jti")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: ids of user and organization, and the `jti` that the user had."""

    user_id: int
    organization_id: int
    jti: str


class Tokens:
    """Issues access tokens and reads them.

    Args:
        secret: at least 32 bytes; the first of a list signs, each of them is accepted, so that keys can be changed.
        ttl: how long a token is valid. issuer: who issues them.

    Raises:
        ConfigurationError: a secret is too short, or there is none.
    """

    def __init__(self, secret: str | list[str], *, ttl: timedelta = timedelta(hours=1), issuer: str = "rayces") -> None:
        self._secrets = [secret] if isinstance(secret, str) else list(secret)
        if not self._secrets or any(len(each.encode()) < SHORTEST_SECRET for each in self._secrets):
            raise ConfigurationError(f"a secret of access tokens has at least {SHORTEST_SECRET} bytes")
        self._ttl, self._issuer = ttl, issuer

    def issue(self, user: User) -> str:
        """A token of this user, for the user's organization. No query."""
        now = clock.now()
        said = {"iss": self._issuer, "aud": str(user.organization_id), "sub": str(user.id), "jti": user.jti}
        return jwt.encode(said | {"iat": now, "exp": now + self._ttl}, self._secrets[0], ALGORITHM)

    def claims(self, token: str) -> Claims:
        """What a token of the bound organization says, without a query: it may have been revoked.

        Raises:
            UnauthenticatedError: it is malformed, forged, expired, or of another organization.
        """
        audience = str(current().organization_id)
        for secret in self._secrets:
            try:
                said = self._read(token, secret, audience)
                return Claims(int(said["sub"]), int(said["aud"]), said["jti"])
            except (jwt.InvalidTokenError, ValueError):
                continue
        raise UnauthenticatedError("the access token is not valid here; sign in again")

    def user(self, token: str) -> User:
        """The user of a token of the bound organization, by one query.

        Raises:
            UnauthenticatedError: as for `claims`, or it was revoked.
        """
        said = self.claims(token)
        user: User | None = User.get_or_none((User.id == said.user_id) & (User.jti == said.jti))
        if user is None:
            raise UnauthenticatedError("the access token was revoked; sign in again")
        return user

    def _read(self, token: str, secret: str, audience: str) -> dict[str, Any]:
        said: dict[str, Any] = jwt.decode(
            token, secret, [ALGORITHM], audience=audience, issuer=self._issuer, options={"require": list(_REQUIRED)}
        )
        return said
