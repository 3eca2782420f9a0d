"""What signing in needs to remember: hashes, devices, links that work once, failed attempts; never a secret itself."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from peewee import Check

from rayces_core import clock
from rayces_core.fields import EnumField, InetField, IntegerField, JSONField, StringField, UTCDateTimeField
from rayces_core.models.user import User
from rayces_core.tenancy.model import TenantForeignKey, TenantModel, TimestampedTenantModel


class Credential(TimestampedTenantModel):
    """A user's password, hashed, and since when the e-mail address is known to be the user's."""

    user = TenantForeignKey(User, backref="credentials", on_delete="CASCADE")
    user_id: int
    password_hash = StringField(null=True)
    password_changed_at = UTCDateTimeField(null=True)
    email_confirmed_at = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "credentials"
        defaults_in_database = True
        constraints = [
            Check("left(password_hash, 1) = '$'", name="credentials_password_hash_check"),
            Check(
                "(password_hash IS NULL) = (password_changed_at IS NULL)",
                name="credentials_password_changed_at_check",
            ),
        ]


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
        defaults_in_database = True
        constraints = [Check("btrim(name) <> ''", name="devices_name_check")]


class Purpose(StrEnum):
    """What a link that works once is for."""

    RESET = "reset"
    CONFIRMATION = "confirmation"
    INVITATION = "invitation"


class SingleUseToken(TenantModel):
    """A link that was asked for. `hashes` are those of the secrets that were sent for it; one use ends all of them."""

    user = TenantForeignKey(User, backref="single_use_tokens", on_delete="CASCADE")
    user_id: int
    purpose = EnumField(Purpose)
    hashes: JSONField[list[str]] = JSONField(list[str], default=list)
    created_at = UTCDateTimeField(default=clock.now)
    expires_at = UTCDateTimeField()
    used_at = UTCDateTimeField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "single_use_tokens"
        defaults_in_database = True
        constraints = [
            Check("purpose IN ('reset', 'confirmation', 'invitation')", name="single_use_tokens_purpose_check"),
            Check("jsonb_typeof(hashes) = 'array'", name="single_use_tokens_hashes_check"),
        ]

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be used."""
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
