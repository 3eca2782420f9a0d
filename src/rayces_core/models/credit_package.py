"""CreditPackage: so many credits of a kind, at a price, that hold until a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import SQL, Check

from rayces_core.fields import BooleanField, CurrencyField, DateField, IntegerField, StringField
from rayces_core.models.credit_kind import CreditKind
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect

MOST_DAYS = 36_500


class CreditPackage(TimestampedTenantModel):
    """What a centre sells: so many credits of a kind, at a price.

    Attributes:
        credit_kind: of which kind; without it of the default one.
        valid_days, valid_until: until which local day they hold, counted from the day they count or for everyone the
            same; with neither they hold for ever.
        active: whether it is still sold. tax_basis_points: the tax that is in its price; without it the organization's.
    """

    name = StringField()
    credit_kind = TenantForeignKey(CreditKind, backref="credit_packages", null=True)
    credit_kind_id: int | None
    credits = IntegerField(between=(1, 1_000_000_000))
    price_cents = IntegerField(null=True, between=(0, 2**31 - 1))
    currency = CurrencyField(null=True)
    valid_days = IntegerField(null=True, between=(0, MOST_DAYS))
    valid_until = DateField(null=True)
    active = BooleanField(default=True)
    tax_basis_points = IntegerField(null=True, between=(0, 10_000))

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        credit_transactions: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "credit_packages"
        personal = {"plain": "name currency"}
        defaults_in_database = True
        constraints = [
            Check("name = btrim(name) AND name <> '' AND length(name) <= 200", name="credit_packages_name_check"),
            Check("credits BETWEEN 1 AND 1000000000", name="credit_packages_credits_check"),
            Check(
                "(price_cents IS NULL) = (currency IS NULL) AND coalesce(price_cents, 0) >= 0",
                name="credit_packages_price_cents_check",
            ),
            Check("currency ~ '^[A-Z]{3}$'", name="credit_packages_currency_check"),
            Check(f"valid_days BETWEEN 0 AND {MOST_DAYS}", name="credit_packages_valid_days_check"),
            Check("valid_days IS NULL OR valid_until IS NULL", name="credit_packages_valid_until_check"),
            Check("valid_until < DATE '9999-01-01'", name="credit_packages_last_day_check"),
            Check("tax_basis_points BETWEEN 0 AND 10000", name="credit_packages_tax_basis_points_check"),
        ]


CreditPackage.add_index(
    CreditPackage.organization, SQL("lower(name)"), unique=True, name="credit_packages_organization_id_name_key"
)
CreditPackage.add_index(
    CreditPackage.organization,
    CreditPackage.credit_kind,
    where=SQL("credit_kind_id IS NOT NULL"),
    name="index_credit_packages_on_credit_kind_id",
)
