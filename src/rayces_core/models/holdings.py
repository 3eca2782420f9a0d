"""What a session holds besides its professional: a second one, a room and a device, on each model that holds time."""

from __future__ import annotations

from typing import Any, Final

from peewee import Check

from rayces_core.fields import settled
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource
from rayces_core.tenancy.model import TenantForeignKey

COLUMNS: Final = ("second_professional_id", "room_id", "device_id")


def second_professional(backref: str, way: str) -> Any:
    """The field of the second professional."""
    key = TenantForeignKey(
        Professional, field="user", column_name="second_professional_id", backref=f"second_{backref}", null=True
    )
    return settled(key, way)


def room(backref: str, way: str) -> Any:
    """The field of the room."""
    return settled(TenantForeignKey(Resource, backref=backref, null=True), way)


def device(backref: str, way: str) -> Any:
    """The field of the device."""
    return settled(TenantForeignKey(Resource, backref=f"device_{backref}", null=True), way)


def rules(table: str) -> list[Any]:
    """Nothing is held twice by one row."""
    return [
        Check("second_professional_id <> professional_id", name=f"{table}_second_professional_id_check"),
        Check("device_id <> room_id", name=f"{table}_device_id_check"),
    ]


def add_indexes(model: Any) -> None:
    """What is held is looked for by when."""
    table = model._meta.table_name
    for field in (model.second_professional, model.room, model.device):
        model.add_index(
            model.organization,
            field,
            model.scheduled_at,
            name=f"index_{table}_on_{field.column_name}",
            where=field.is_null(False),
        )
