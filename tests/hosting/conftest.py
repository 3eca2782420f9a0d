"""A centre with rooms, who keeps them, and what is billed for them; registered for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum, StrEnum

import peewee
import pytest
from playhouse.postgres_ext import BinaryJSONField

from rayces_core import (
    Appointment,
    Database,
    Organization,
    Professional,
    Student,
    TenantForeignKey,
    TenantModel,
    TimestampedTenantModel,
    User,
    hosting,
)
from rayces_core.exporting import records as exports
from rayces_core.fields import (
    BigIntegerField,
    BooleanField,
    CurrencyField,
    DateField,
    EmailField,
    EnumField,
    IntegerField,
    IntEnumField,
    StringField,
    TextField,
    UTCDateTimeField,
)
from rayces_core.hosting import registering
from rayces_core.importing import records as imports
from tests.archive.hosting import NUMBERED, host
from tests.conftest import cloned


class Floor(StrEnum):
    """Where a room is."""

    GROUND = "ground"
    FIRST = "first"


class Size(IntEnum):
    """How large a room is."""

    SMALL = 0
    LARGE = 1


class Room(TimestampedTenantModel):
    """A room, known by its name."""

    name = StringField()
    keeper = TenantForeignKey(User, backref="+", null=True)
    within = TenantForeignKey("self", backref="+", null=True)
    floor = EnumField(Floor, default=Floor.GROUND)
    size = IntEnumField(Size, null=True)
    seats = IntegerField(null=True, between=(0, 500))
    price_cents = BigIntegerField(null=True)
    currency = CurrencyField(default="ARS")
    area = peewee.DecimalField(null=True)
    accessible = BooleanField(default=False)
    opened_on = DateField(null=True)
    cleaned_at = UTCDateTimeField(null=True)
    notes = TextField(null=True)
    equipment = BinaryJSONField(default=list)
    contact = EmailField(null=True)

    class Meta:
        table_name = "rooms"


class Stay(TenantModel):
    """A child in a room, known by room and number; without stamps, in another schema."""

    room = TenantForeignKey(Room, backref="+")
    number = IntegerField()
    student = TenantForeignKey(Student, backref="+", null=True)
    professional = TenantForeignKey(Professional, backref="+", null=True)
    assistant = TenantForeignKey(Professional, field="user", backref="+", null=True)
    appointment = TenantForeignKey(Appointment, backref="+", null=True)

    class Meta:
        table_name = "stays"
        schema = "front desk"


class Bill(TimestampedTenantModel):
    """What a stay costs, known by the stay."""

    stay = TenantForeignKey(Stay, backref="+")
    total_cents = BigIntegerField()

    class Meta:
        table_name = "bills"


TABLES = f"""
CREATE TABLE rooms ({NUMBERED}, name varchar NOT NULL, keeper_id bigint, within_id bigint, floor varchar NOT NULL,
    size smallint, seats int, price_cents bigint, currency varchar NOT NULL, area numeric, accessible boolean NOT NULL,
    opened_on date, cleaned_at timestamptz, notes text, equipment jsonb NOT NULL, contact varchar,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, UNIQUE (organization_id, name),
    FOREIGN KEY (organization_id, keeper_id) REFERENCES users (organization_id, id),
    FOREIGN KEY (organization_id, within_id) REFERENCES rooms (organization_id, id));
CREATE SCHEMA "front desk"; GRANT USAGE ON SCHEMA "front desk" TO rayces_app, rayces_admin;
CREATE TABLE "front desk".stays ({NUMBERED}, room_id bigint NOT NULL, number int NOT NULL, student_id bigint,
    professional_id bigint, assistant_id bigint, appointment_id bigint, UNIQUE (organization_id, room_id, number),
    FOREIGN KEY (organization_id, room_id) REFERENCES rooms (organization_id, id));
CREATE TABLE bills ({NUMBERED}, stay_id bigint NOT NULL, total_cents bigint NOT NULL, created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL, FOREIGN KEY (organization_id, stay_id)
    REFERENCES "front desk".stays (organization_id, id))"""
AREA = Decimal("12.345")


@pytest.fixture(scope="session")
def centre(server_url: str, template: str) -> Iterator[Database]:
    """A database with the host's tables."""
    with cloned(server_url, template) as url:
        host(url, TABLES)
        with Database.connect(url) as database:
            yield database


@pytest.fixture
def unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for owner, name in (
        (imports, "RECORDS"),
        (imports, "_BY_MODEL"),
        (exports, "RECORDS"),
        (registering, "_registered"),
    ):
        monkeypatch.setattr(owner, name, dict(getattr(owner, name)))


@pytest.fixture
def registered(unregistered: None) -> None:
    """The centre's models are record types."""
    hosting.register(Room, key="name", words={"name": ("sala",)}, examples={"name": "Sala 1"})
    hosting.register(Stay, key=("room", "number"))
    hosting.register(Bill, key="stay")


@pytest.fixture
def tenant(centre: Database) -> Iterator[Organization]:
    """A tenant of the test's own, bound."""
    from tests.factory import make_organization

    with centre.tenant(make_organization(centre)) as organization:
        yield organization
