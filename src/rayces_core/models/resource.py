"""Resource: a room or a device that sessions need, held by one of them at a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from peewee import SQL, Check
from pydantic import TypeAdapter

from rayces_core.fields import BooleanField, EnumField, GeneratedBigIntegerField, JSONField, StringField, settled
from rayces_core.fields.schemas import BlockedDates, BlockedPeriod, Features
from rayces_core.tenancy.model import TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect

_blocked_dates: TypeAdapter[list[BlockedPeriod]] = TypeAdapter(BlockedDates)


class ResourceKind(StrEnum):
    """What a resource is."""

    ROOM = "room"
    DEVICE = "device"


class Resource(TimestampedTenantModel):
    """A room or a device. What holds it, and when, is told by the appointments and group sessions that name it.

    Attributes:
        features: what it has, in lower case and in order: ["mirror", "ramp"]. A service may ask for them.
        active: whether it is booked; sessions that hold it already keep it.
        blocked_dates: days, or hours of days, on which it is not booked, as those of a professional. What holds it
            then keeps it, and `hits()` lists it.
    """

    kind = settled(EnumField(ResourceKind), "make another one: Resource.create(kind=..., name=...)")
    name = StringField()
    features: JSONField[list[str]] = JSONField(Features, default=list)
    active = BooleanField(default=True)
    blocked_dates: JSONField[list[Any]] = JSONField(BlockedDates, default=list)
    # The id where it is of that kind: what sessions refer to.
    room_key = GeneratedBigIntegerField(null=True)
    device_key = GeneratedBigIntegerField(null=True)

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        appointments: TenantSelect[Any]
        device_appointments: TenantSelect[Any]
        group_sessions: TenantSelect[Any]
        device_group_sessions: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "resources"
        personal = {"plain": "kind name features blocked_dates"}
        defaults_in_database = True
        constraints = [
            Check("kind IN ('room', 'device')", name="resources_kind_check"),
            Check("name = btrim(name) AND name <> '' AND length(name) <= 200", name="resources_name_check"),
            Check("jsonb_typeof(features) = 'array'", name="resources_features_check"),
            Check("jsonb_typeof(blocked_dates) = 'array'", name="resources_blocked_dates_check"),
        ]

    @property
    def blocked_periods(self) -> list[BlockedPeriod]:
        """The blocked dates as objects, by start."""
        return _blocked_dates.validate_python(self.blocked_dates)

    def has(self, features: Iterable[str]) -> bool:
        """Whether it has all of these features."""
        return set(features) <= set(self.features)

    def hits(self, *, now: datetime | None = None) -> Any:
        """The future sessions that hold it on its blocked dates, as `scheduling.TimeOffHits`, saved or not yet.

        Once they are saved nothing is booked there, so what this gives then is all of it.

        Raises:
            TransactionFailedError: the unit of work, at REPEATABLE READ or SERIALIZABLE, would not see all of them.
        """
        # The calendar is arithmetic of a layer above.
        return import_module("rayces_core.scheduling.time_off").hits_of_resource(self, now)


Resource.add_index(Resource.organization, SQL("lower(name)"), unique=True, name="resources_organization_id_name_key")
for _kind, _key in (("room", Resource.room_key), ("device", Resource.device_key)):
    Resource.add_index(Resource.organization, _key, unique=True, name=f"resources_organization_id_{_kind}_key")
