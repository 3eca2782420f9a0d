"""TenantModel: a model whose rows belong to one organization each.

Rule it guards: reads are scoped at the SQL source, writes are stamped and checked, a row never changes hands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayces_core import clock
from rayces_core.fields import IdField, UTCDateTimeField
from rayces_core.tenancy.organization import Organization
from rayces_core.tenancy.relations import OrganizationKey, TenantForeignKey
from rayces_core.tenancy.scoped import ScopedModel

__all__ = ["TenantForeignKey", "TenantModel", "TimestampedTenantModel"]


class TenantModel(ScopedModel):
    """A row of one organization: `id`, `organization_id` and `organization`, and nothing of another's."""

    id = IdField()

    if TYPE_CHECKING:
        organization: Organization
        organization_id: int

    @classmethod
    def validate_model(cls) -> None:
        """Give every subclass its organization; Peewee calls this when the class is complete."""
        if cls.__module__ == __name__ or "organization" in cls._meta.fields:
            return  # a base class of this file, or inherited already
        key = OrganizationKey(Organization, column_name="organization_id", backref="+", index=False)
        cls._meta.add_field("organization", key)


class TimestampedTenantModel(TenantModel):
    """A TenantModel that knows when it was made and last changed."""

    created_at = UTCDateTimeField(default=clock.now)
    updated_at = UTCDateTimeField(default=clock.now)
