"""Service: what a centre offers, and which professionals give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import SQL, Check

from rayces_core.fields import BooleanField, CurrencyField, IntegerField, JSONField, StringField
from rayces_core.fields.schemas import Features
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.professional import Professional
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class Service(TimestampedTenantModel):
    """A kind of session: how long it is, what it costs and how much time around it is kept free.

    What it says is copied to an appointment when it is booked, so a change is about bookings from then on.

    Attributes:
        buffer_before_minutes, buffer_after_minutes: kept free around the session; without the latter it is the
            professional's.
        price_cents, currency: both or neither; without them the professional's price is asked.
        credits: how many a session costs, where it is paid with credits; 0 costs none. credit_kind: of which kind;
            without it of the default one.
        tax_basis_points: the tax that is in its price, in hundredths of a percent; without it the organization's.
        room_features: it is given in a room that has all of these; without any, where the centre says.
        colour: as "#1f6feb", for calendars. families_may_book: or only the centre does. active: whether it is offered.
    """

    name = StringField()
    duration_minutes = IntegerField(default=60, between=(15, 480))
    buffer_before_minutes = IntegerField(default=0, between=(0, 1440))
    buffer_after_minutes = IntegerField(null=True, between=(0, 1440))
    price_cents = IntegerField(null=True, between=(0, 2**31 - 1))
    currency = CurrencyField(null=True)
    credits = IntegerField(default=1, between=(0, 1_000_000))
    credit_kind = TenantForeignKey(CreditKind, backref="services", null=True)
    credit_kind_id: int | None
    colour = StringField(null=True)
    families_may_book = BooleanField(default=True)
    active = BooleanField(default=True)
    room_features: JSONField[list[str]] = JSONField(Features, default=list)
    tax_basis_points = IntegerField(null=True, between=(0, 10_000))

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        appointments: TenantSelect[Any]
        givers: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "services"
        personal = {"plain": "name currency colour room_features"}
        defaults_in_database = True
        constraints = [
            Check("name = btrim(name) AND name <> '' AND length(name) <= 200", name="services_name_check"),
            Check("duration_minutes BETWEEN 15 AND 480", name="services_duration_minutes_check"),
            Check("buffer_before_minutes BETWEEN 0 AND 1440", name="services_buffer_before_minutes_check"),
            Check("buffer_after_minutes BETWEEN 0 AND 1440", name="services_buffer_after_minutes_check"),
            Check(
                "(price_cents IS NULL) = (currency IS NULL) AND coalesce(price_cents, 0) >= 0",
                name="services_price_cents_check",
            ),
            Check("currency ~ '^[A-Z]{3}$'", name="services_currency_check"),
            Check("credits >= 0", name="services_credits_check"),
            Check("colour ~ '^#[0-9a-f]{6}$'", name="services_colour_check"),
            Check("jsonb_typeof(room_features) = 'array'", name="services_room_features_check"),
            Check("tax_basis_points BETWEEN 0 AND 10000", name="services_tax_basis_points_check"),
        ]


class ProfessionalService(TimestampedTenantModel):
    """A professional gives a service, at the service's length and price or at own ones."""

    professional = TenantForeignKey(
        Professional, field="user", column_name="professional_id", backref="services_given", on_delete="CASCADE"
    )
    professional_id: int
    service = TenantForeignKey(Service, backref="givers", on_delete="CASCADE")
    service_id: int
    duration_minutes = IntegerField(null=True, between=(15, 480))
    price_cents = IntegerField(null=True, between=(0, 2**31 - 1))
    currency = CurrencyField(null=True)

    class Meta:
        """The table and its rules."""

        table_name = "professional_services"
        personal = {"plain": "currency"}
        defaults_in_database = True
        constraints = [
            Check("duration_minutes BETWEEN 15 AND 480", name="professional_services_duration_minutes_check"),
            Check(
                "(price_cents IS NULL) = (currency IS NULL) AND coalesce(price_cents, 0) >= 0",
                name="professional_services_price_cents_check",
            ),
            Check("currency ~ '^[A-Z]{3}$'", name="professional_services_currency_check"),
        ]


Service.add_index(Service.organization, SQL("lower(name)"), unique=True, name="services_organization_id_name_key")
Service.add_index(
    Service.organization,
    Service.credit_kind,
    where=SQL("credit_kind_id IS NOT NULL"),
    name="index_services_on_credit_kind_id",
)
ProfessionalService.add_index(
    ProfessionalService.organization,
    ProfessionalService.professional,
    ProfessionalService.service,
    unique=True,
    name="professional_services_professional_id_service_id_key",
)
ProfessionalService.add_index(
    ProfessionalService.organization, ProfessionalService.service, name="index_professional_services_on_service_id"
)
