"""CreditKind: what a credit is good for, where a centre sells more than one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import SQL, Check

from rayces_core.fields import StringField
from rayces_core.tenancy.model import TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class CreditKind(TimestampedTenantModel):
    """A kind of credit besides the default one, which has no row: a user has a balance of each."""

    name = StringField()

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        services: TenantSelect[Any]
        appointments: TenantSelect[Any]
        credit_balances: TenantSelect[Any]
        credit_transactions: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "credit_kinds"
        personal = {"plain": "name"}
        defaults_in_database = True
        constraints = [
            Check("id > 0", name="credit_kinds_id_check"),
            Check("name = btrim(name) AND name <> '' AND length(name) <= 200", name="credit_kinds_name_check"),
        ]


CreditKind.add_index(
    CreditKind.organization, SQL("lower(name)"), unique=True, name="credit_kinds_organization_id_name_key"
)
