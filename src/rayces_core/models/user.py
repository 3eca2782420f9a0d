"""User: a person of one organization, with the role that says what the person may do there."""

from __future__ import annotations

import uuid
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from peewee import SQL, Check

from rayces_core.fields import (
    EmailField,
    EnumField,
    InetField,
    IntegerField,
    IntEnumField,
    JSONField,
    StringField,
    UTCDateTimeField,
    settled,
)
from rayces_core.fields.notices import Muted
from rayces_core.models.external_ids import add_external_id_index, external_id_check
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect

MERGED = "merge two users with people.merge_users(keep, duplicate, by=...)"


class Role(IntEnum):
    """What a user is in the organization. The default, 0, is the least privileged."""

    GUARDIAN = 0
    PROFESSIONAL = 1
    STAFF = 2
    ADMIN = 3


class Language(StrEnum):
    """A language that the library has words of."""

    ENGLISH = "en"
    SPANISH = "es"


def new_token_id() -> str:
    """Make a random `jti`, the id that a user's access tokens carry; changing it revokes them."""
    return str(uuid.uuid4())


class User(TimestampedTenantModel):
    """A guardian, a professional, a member of the staff or an admin. The e-mail address is unique per organization.

    Attributes:
        muted_channels: over which the user wants no notices, such as ["sms"].
        language: in which the user is written to and told of errors; None is the organization's.
        merged_into: who a duplicate turned out to be (`people.merge_users`). erased_at: when the person was forgotten.
    """

    decides: ClassVar[tuple[str, ...]] = ("role",)  # assigned and not saved, it convinces nobody

    email = EmailField()
    uid = StringField(null=True)
    provider = StringField(null=True)
    role = IntEnumField(Role, default=Role.GUARDIAN)
    first_name = StringField(null=True)
    last_name = StringField(null=True)
    phone = StringField(null=True)
    jti = StringField(null=True, default=new_token_id)
    sign_in_count = IntegerField(default=0)
    current_sign_in_at = UTCDateTimeField(null=True)
    last_sign_in_at = UTCDateTimeField(null=True)
    current_sign_in_ip = InetField(null=True)
    last_sign_in_ip = InetField(null=True)
    external_id = StringField(null=True)
    muted_channels: JSONField[list[str]] = JSONField(Muted, default=list)
    merged_into = settled(TenantForeignKey("self", backref="duplicates", null=True), MERGED)
    merged_into_id: int | None
    merged_at = settled(UTCDateTimeField(null=True), MERGED)
    erased_at = settled(UTCDateTimeField(null=True), "forget a person with people.erase_user(db, user, by=...)")
    language = EnumField(Language, null=True)

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        posts: TenantSelect[Any]
        likes: TenantSelect[Any]
        professional_profiles: TenantSelect[Any]
        students_as_primary_contact: TenantSelect[Any]
        students_as_secondary_contact: TenantSelect[Any]
        booked_appointments: TenantSelect[Any]
        cancelled_appointments: TenantSelect[Any]
        credit_balances: TenantSelect[Any]
        credit_transactions: TenantSelect[Any]
        created_credit_transactions: TenantSelect[Any]
        state_transitions: TenantSelect[Any]
        notices: TenantSelect[Any]
        duplicates: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "users"
        personal = {
            "own": "email uid provider first_name last_name phone jti current_sign_in_ip last_sign_in_ip "
            "external_id language",
            "plain": "muted_channels",
        }
        merging = {"moved": "merged_into_id"}
        erased_as = {
            # Not by the id alone: that may be another one's where an archive was brought in.
            "email": "'erased-' || %(once)s || id || '@erased.invalid'",
            "jti": "%(jti)s || id",
            "sign_in_count": "0",
            **dict.fromkeys(("current_sign_in_at", "last_sign_in_at"), "NULL"),
        }
        defaults_in_database = True
        constraints = [
            Check("email = lower(btrim(email)) AND email <> ''", name="users_email_check"),
            Check("role BETWEEN 0 AND 3", name="users_role_check"),
            external_id_check("users"),
            Check("jsonb_typeof(muted_channels) = 'array'", name="users_muted_channels_check"),
            Check("language IN ('en', 'es')", name="users_language_check"),
            Check(
                "(merged_into_id IS NULL) = (merged_at IS NULL) AND merged_into_id <> id",
                name="users_merged_into_id_check",
            ),
            # What `people.merge_users` calls a duplicate.
            Check(
                r"merged_into_id IS NOT NULL OR email::text !~ '^merged-[0-9a-f]{8}-[0-9]+@merged\.invalid$'",
                name="users_merged_email_check",
            ),
        ]

    @property
    def absence(self) -> str | None:
        """Why nobody acts as this user any more; None where somebody may."""
        if self.erased_at is not None:
            return "was erased, and nobody acts as it"
        if self.merged_into_id is not None:
            return f"was merged into user {self.merged_into_id}, who acts instead"
        return None

    @property
    def full_name(self) -> str:
        """First and last name, or the e-mail address of a user who has neither."""
        return " ".join(filter(None, (self.first_name, self.last_name))) or self.email

    @property
    def is_guardian(self) -> bool:
        """Whether the user's role is guardian."""
        return self.role == Role.GUARDIAN

    @property
    def is_professional(self) -> bool:
        """Whether the user's role is professional."""
        return self.role == Role.PROFESSIONAL

    @property
    def is_staff(self) -> bool:
        """Whether the user works at the desk: staff, and admins too."""
        return self.role in (Role.STAFF, Role.ADMIN)

    @property
    def is_admin(self) -> bool:
        """Whether the user's role is admin."""
        return self.role == Role.ADMIN


def person_id(key: int) -> int:
    """The id of the user that a duplicate was merged into; of anybody else, and of nobody, the id itself."""
    found = User.get_or_none(User.id == key)
    return key if found is None or found.merged_into_id is None else int(found.merged_into_id)


User.add_index(User.organization, User.email, unique=True, name="users_organization_id_email_key")
User.add_index(User.organization, User.jti, unique=True, name="users_organization_id_jti_key")
add_external_id_index(User)
User.add_index(
    User.organization,
    User.merged_into,
    where=SQL("merged_into_id IS NOT NULL"),
    name="index_users_on_merged_into_id",
)
