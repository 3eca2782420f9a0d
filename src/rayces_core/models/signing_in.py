"""What signing in needs to remember: hashes, devices, links that work once, failed attempts; never a secret itself."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, overload

from peewee import Check

from rayces_core import clock
from rayces_core.errors import InvalidDataError
from rayces_core.fields import EnumField, InetField, IntegerField, JSONField, StringField, UTCDateTimeField
from rayces_core.fields.base import V
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TenantModel, TimestampedTenantModel


class Unlogged(str):
    """A text that is not shown where a statement's values are, as in Peewee's log."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


class PasswordHashField(StringField[V]):
    """A hash of a password, which no log of statements shows."""

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> PasswordHashField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> PasswordHashField[str]: ...

    def db_value(self, value: object) -> str | None:
        """Give the hash to store; a refusal does not tell it."""
        try:
            text = super().db_value(value)
        except InvalidDataError as error:
            raise InvalidDataError(self.name, None, error.reason) from None
        return None if text is None else Unlogged(text)


def email_hash(email: str) -> str:
    """What stands for an e-mail address where only "is it the same one still?" is asked."""
    return hashlib.sha256(email.strip().lower().encode(errors="surrogatepass")).hexdigest()


class Credential(TimestampedTenantModel):
    """A user's password, hashed, and since when which e-mail address is known to be the user's."""

    user = TenantForeignKey(User, backref="credentials", on_delete="CASCADE")
    user_id: int
    password_hash = PasswordHashField(null=True)
    password_changed_at = UTCDateTimeField(null=True)
    email_confirmed_at = UTCDateTimeField(null=True)
    email_hash = StringField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "credentials"
        personal = {"gone": "password_hash email_hash"}
        merging = {"removed": "user_id"}
        erased_with = "user_id"
        defaults_in_database = True
        constraints = [
            Check("left(password_hash, 1) = '$'", name="credentials_password_hash_check"),
            Check(
                "(password_hash IS NULL) = (password_changed_at IS NULL)",
                name="credentials_password_changed_at_check",
            ),
            Check("(email_confirmed_at IS NULL) = (email_hash IS NULL)", name="credentials_email_confirmed_at_check"),
        ]

    def confirms(self, email: str) -> bool:
        """Whether it was this address that was confirmed, and not one that the user had before."""
        return self.email_confirmed_at is not None and self.email_hash == email_hash(email)


class Device(TenantModel):
    """A device that is signed in: its access tokens name it by `token_id`, and stop working when this row goes."""

    user = TenantForeignKey(User, backref="devices", on_delete="CASCADE")
    user_id: int
    token_id = StringField()
    name = StringField()
    address = InetField(null=True)
    created_at = UTCDateTimeField(default=clock.now)
    expires_at = UTCDateTimeField()

    class Meta:
        """The table and its rules."""

        table_name = "devices"
        personal = {"gone": "token_id name address"}
        merging = {"removed": "user_id"}
        erased_with = "user_id"
        defaults_in_database = True
        constraints = [Check("btrim(name) <> ''", name="devices_name_check")]


class Purpose(StrEnum):
    """What a link that works once is for."""

    RESET = "reset"
    CONFIRMATION = "confirmation"
    INVITATION = "invitation"


class SingleUseToken(TenantModel):
    """A link that was asked for. `hashes` are those of the secrets that were sent for it; one use ends all of them.

    It is for the address that the user had then, and of no use after a change of it.
    """

    user = TenantForeignKey(User, backref="single_use_tokens", on_delete="CASCADE")
    user_id: int
    purpose = EnumField(Purpose)
    email_hash = StringField()
    hashes: JSONField[list[str]] = JSONField(list[str], default=list)
    created_at = UTCDateTimeField(default=clock.now)
    expires_at = UTCDateTimeField()
    used_at = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "single_use_tokens"
        personal = {"gone": "purpose email_hash hashes"}
        merging = {"removed": "user_id"}
        erased_with = "user_id"
        defaults_in_database = True
        constraints = [
            Check("purpose IN ('reset', 'confirmation', 'invitation')", name="single_use_tokens_purpose_check"),
            Check("jsonb_typeof(hashes) = 'array'", name="single_use_tokens_hashes_check"),
        ]

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be used, if its user's address is still the same."""
        return self.used_at is None and self.expires_at > now


class SignInAttempt(TenantModel):
    """Failed attempts under one key: a hash of the address, the e-mail address, or both."""

    key = StringField()
    failures = IntegerField(default=0)
    last_at = UTCDateTimeField(default=clock.now)
    blocked_until = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "sign_in_attempts"
        personal = {"gone": "key"}
        defaults_in_database = True
        constraints = [Check("failures >= 0", name="sign_in_attempts_failures_check")]


Credential.add_index(
    Credential.organization, Credential.user, unique=True, name="credentials_organization_id_user_id_key"
)
Device.add_index(Device.organization, Device.token_id, unique=True, name="devices_organization_id_token_id_key")
Device.add_index(Device.organization, Device.user, name="index_devices_on_user_id")
SingleUseToken.add_index(SingleUseToken.organization, SingleUseToken.user, name="index_single_use_tokens_on_user_id")
SignInAttempt.add_index(
    SignInAttempt.organization, SignInAttempt.key, unique=True, name="sign_in_attempts_organization_id_key_key"
)
