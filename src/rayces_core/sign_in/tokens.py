"""Access tokens: signed, for one organization, valid as long as the user's `jti`, or the device's row, stays.

Rule it guards: the algorithm is ours and fixed, what the token says of its own is only which key signed it; the
database has the last word on whether it still counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from peewee import fn

from rayces_core import clock
from rayces_core.database.binding import current
from rayces_core.errors import (
    ConfigurationError,
    InactiveTenantError,
    InvalidDataError,
    TenantNotSetError,
    UnauthenticatedError,
)
from rayces_core.fields.text import unstorable
from rayces_core.models.signing_in import Device
from rayces_core.models.user import User
from rayces_core.sign_in.devices import add_device
from rayces_core.sign_in.needed import jwt_module
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.scoping import check_saved

ALGORITHM: Final = "HS256"
SHORTEST_SECRET: Final = 32
LEEWAY: Final = timedelta(seconds=5)
LONGEST_TOKEN: Final = 4096
REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "exp")
# Times are looked at by the library's own clock.
OPTIONS: Final = {"require": list(REQUIRED), "verify_exp": False, "verify_iat": False, "verify_nbf": False}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: whose it is, of which organization, until when; nothing was asked of the database."""

    user_id: int
    organization_id: int
    jti: str
    device: str | None
    issued_at: datetime
    expires_at: datetime


class Tokens:
    """Issues access tokens and knows its own again.

    Args:
        secret: at least 32 characters, random; or several, the first one signs and all are believed, so that a key can
            be changed without signing anybody out.
        ttl: how long a token without a device is valid; device_ttl: one of a device.
        issuer: a name of your own, where several applications share a secret.

    Raises:
        ConfigurationError: a secret is too short, or there is none.
    """

    def __init__(
        self,
        secret: str | Sequence[str],
        *,
        ttl: timedelta = timedelta(hours=1),
        device_ttl: timedelta = timedelta(days=30),
        issuer: str = "rayces",
    ) -> None:
        secrets = [secret] if isinstance(secret, str) else list(secret)
        if not secrets or not all(map(_is_long_enough, secrets)):
            raise ConfigurationError(
                f"a secret of access tokens is text of {SHORTEST_SECRET} characters up; secrets.token_hex(32) makes one"
            )
        self.ttl, self.device_ttl, self.issuer = ttl, device_ttl, issuer
        self._secrets = {_name_of(each): each for each in secrets}
        self._signing = _name_of(secrets[0])

    def __repr__(self) -> str:
        return f"<Tokens of {self.issuer!r}, {len(self._secrets)} keys>"

    def issue(self, user: User, device: str | None = None, *, address: str | None = None) -> str:
        """Make an access token of the user; with a device's name, one that can be signed out by itself.

        Costs no query without a device, one with it. `address` is where the device is.
        """
        check_saved(user, User, "user")
        if user.organization_id is None or user.id is None or not user.jti:
            raise InvalidDataError("user", None, "needs a saved user with a jti; sign_out(user) gives one")
        now = clock.now()
        expires_at = now + (self.ttl if device is None else self.device_ttl)
        said: dict[str, Any] = {
            "iss": self.issuer,
            "aud": str(user.organization_id),
            "sub": str(user.id),
            "jti": user.jti,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        if device is not None:
            said["device"] = add_device(user, device, address, expires_at).token_id
        made: str = jwt_module().encode(said, self._secrets[self._signing], ALGORITHM, headers={"kid": self._signing})
        return made

    def claims(self, token: str | None) -> Claims:
        """What the token says, if it was signed here for the bound organization and has not expired; no query.

        Raises:
            UnauthenticatedError: it is no such token. That its user has signed out since is not known here.
        """
        organization_id = current().organization_id
        if organization_id is None:
            raise TenantNotSetError("a token is one organization's; wrap the code in `with db.tenant(...):`")
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
            raise UnauthenticatedError
        found = self._read(token, organization_id)
        if found is None or found.expires_at + LEEWAY <= clock.now() or found.issued_at - LEEWAY > clock.now():
            raise UnauthenticatedError
        return found

    def user(self, token: str | None) -> User:
        """The user whose token it is, by one query.

        Raises:
            UnauthenticatedError: it is not valid here, or has been signed out.
            InactiveTenantError: the organization has been switched off since the block was entered.
        """
        return self.user_of(self.claims(token))

    def user_of(self, claims: Claims) -> User:
        """The same, of claims that were read before."""
        query = User.select(User, Organization.active).where(User.id == claims.user_id, User.jti == claims.jti)
        query = query.join(Organization, on=(Organization.id == User.organization), attr="mine")
        if claims.device is not None:
            here = Device.select(Device.id).where(Device.token_id == claims.device, Device.user == claims.user_id)
            query = query.where(fn.EXISTS(here))
        try:
            found: Any = query.first()
        except InvalidDataError:  # no id, or no text, that the database knows: it is nobody's
            found = None
        if found is None:
            raise UnauthenticatedError
        if not found.__dict__.pop("mine").active:
            raise InactiveTenantError(claims.organization_id)
        user: User = found
        return user

    def _read(self, token: str, organization_id: int) -> Claims | None:
        jwt = jwt_module()
        try:
            secret = self._secrets[jwt.get_unverified_header(token)["kid"]]
            said = jwt.decode(
                token, secret, [ALGORITHM], audience=str(organization_id), issuer=self.issuer, options=OPTIONS
            )
            device = said.get("device")
            return Claims(
                int(said["sub"]),
                organization_id,
                str(said["jti"]),
                None if device is None else str(device),
                _moment(said["iat"]),
                _moment(said["exp"]),
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
            return None


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _is_long_enough(secret: object) -> bool:
    return isinstance(secret, str) and len(secret) >= SHORTEST_SECRET and unstorable(secret.replace("\0", "")) is None


def _name_of(secret: str) -> str:
    return hashlib.sha256(b"rayces key id " + secret.encode()).hexdigest()[:12]
