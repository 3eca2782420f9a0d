"""Rooms, and the lines of rent that they are billed by."""

from rayces_core import TenantForeignKey, TimestampedTenantModel, User, hosting
from rayces_core.fields import BigIntegerField, DateField, IntegerField, StringField, TextField
from rayces_core.models.visibility import everyone, readable


class Room(TimestampedTenantModel):
    """A room of an organization, known by its name."""

    name = StringField()
    seats = IntegerField(null=True, between=(1, 500))
    keeper = TenantForeignKey(User, backref="rooms", null=True, on_delete="SET NULL")

    class Meta:
        table_name = "rooms"


class RentLine(TimestampedTenantModel):
    """What a client is billed, known by its number."""

    number = StringField()
    client = TenantForeignKey(User, backref="rent_lines")
    room = TenantForeignKey(Room, backref="rent_lines", null=True)
    day = DateField()
    description = TextField()
    price_cents = BigIntegerField()

    class Meta:
        table_name = "rent_lines"


readable(Room, everyone)
readable(RentLine, lambda line, user: user.is_staff or line.client == user)

hosting.register(Room, key="name", words={"name": ("sala",)}, examples={"name": "Sala azul", "seats": "12"})
hosting.register(
    RentLine,
    key="number",
    words={"client": ("cliente",), "price_cents": ("importe",)},
    examples={"number": "2026-17", "client": "ana.paz@example.org", "room": "Sala azul", "day": "03/03/2026"},
)
