"""Invoice, InvoiceLine, InvoiceCounter: what families are asked to pay, numbered without gaps.

Rule: what was issued never changes and never vanishes. A credit note corrects it, line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from peewee import SQL, Check, ModelSelect
from pydantic import Field, StrictInt

from rayces_core.errors import TransitionRefusedError
from rayces_core.fields import (
    BigIntegerField,
    CurrencyField,
    DateField,
    EnumField,
    GeneratedBigIntegerField,
    IntegerField,
    JSONField,
    StateField,
    StringField,
    UTCDateTimeField,
    settled,
)
from rayces_core.fields.schemas import Metadata
from rayces_core.models.appointment import Appointment
from rayces_core.models.credit import CreditTransaction
from rayces_core.models.invoice_statements import ALL_THERE, ISSUED, ISSUING, NEXT_NUMBER, NUMBER
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.state_machine import DatabaseGuard, Predicate, StateMachine, Writes
from rayces_core.tenancy.model import TenantForeignKey, TenantModel, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class InvoiceKind(StrEnum):
    """What a document asks for money, or gives it back."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class InvoiceState(StrEnum):
    """Where an invoice stands. Issued and discarded ones stay as they are."""

    DRAFT = "draft"
    ISSUED = "issued"
    DISCARDED = "discarded"


DRAFT, ISSUED_STATE, DISCARDED = InvoiceState
MADE: Final = "discard the draft and make another one with invoicing.draft_invoice(...)"
KINDS: Final = "kind IN ('invoice', 'credit_note')"
Positions = Annotated[list[Annotated[StrictInt, Field(ge=1)]], Field(max_length=10_000)]
# What a message about an invoice has besides.
TOLD: Final = ("kind", "user", "currency", "series", "number", "total_cents")
SOMETHING: Final = DatabaseGuard(
    "there is something to invoice, or all that is to be credited is invoiced",
    (NEXT_NUMBER,),
    ALL_THERE,
    lambda row, _: TransitionRefusedError(
        "issue",
        "nothing_to_invoice" if row.kind == InvoiceKind.INVOICE else "credited_already",
        "nothing of this period is left to invoice"
        if row.kind == InvoiceKind.INVOICE
        else "those lines are credited already, or none of the invoice",
    ),
)
WRITTEN: Final[Writes] = {
    "series": SQL("(SELECT series FROM whose)"),
    "number": SQL(NUMBER),
    "biller": SQL("(SELECT biller FROM whose)"),
    "customer": SQL("(SELECT customer FROM whose)"),
    "issued_on": SQL("(SELECT today FROM whose)"),
    "due_on": SQL("(SELECT today + due_days FROM whose)"),
    "line_count": SQL("(SELECT count(*) FROM drawn)"),
    "net_cents": SQL("(SELECT sum(drawn.total_cents - drawn.tax_cents)::bigint FROM drawn)"),
    "tax_cents": SQL("(SELECT sum(drawn.tax_cents)::bigint FROM drawn)"),
    "total_cents": SQL("(SELECT sum(drawn.total_cents)::bigint FROM drawn)"),
}


class InvoiceCounter(TenantModel):
    """The last number of a kind and series; whoever issues holds it until the number is committed or gone."""

    kind = EnumField(InvoiceKind)
    series = StringField()
    last_number = BigIntegerField(default=0)

    class Meta:
        """The table and its rules."""

        table_name = "invoice_counters"
        personal = {"plain": "kind series"}
        defaults_in_database = True
        constraints = [
            Check(KINDS, name="invoice_counters_kind_check"),
            Check("last_number >= 0", name="invoice_counters_last_number_check"),
        ]


class Invoice(TimestampedTenantModel):
    """An invoice, or a credit note that corrects one. Made with `invoicing.draft_invoice` and `invoicing.credit_note`.

    A draft has no lines: what it would have is whatever is due when it is issued. Then it gets its number, its lines
    and the data of both parties as they are at that moment, and stays so.

    Attributes:
        starts_on, ends_on: the local days whose sessions and purchases it asks for; None for a credit note.
        corrects_series, corrects_number: which invoice a credit note corrects. positions: which of its lines; empty
            for all that are left. reason: why.
        customer: tax_id, address and other data of whoever pays; once issued, with name and e-mail address.
        biller: the centre's data as it was issued. series, number: 1, 2, 3 … of each kind and series.
        net_cents, tax_cents, total_cents: sums of the lines, in cents of `currency`.
    """

    kind = settled(EnumField(InvoiceKind, default=InvoiceKind.INVOICE), MADE)
    state = StateField(InvoiceState, default=InvoiceState.DRAFT)
    user = settled(TenantForeignKey(User, backref="invoices"), MADE)
    user_id: int
    language = settled(StringField(default="es"), MADE)
    currency = settled(CurrencyField(), MADE)
    starts_on = settled(DateField(null=True), MADE)
    ends_on = settled(DateField(null=True), MADE)
    corrects_series = settled(StringField(null=True), MADE)
    corrects_number = settled(BigIntegerField(null=True), MADE)
    positions: JSONField[list[int]] = settled(JSONField(Positions, default=list), MADE)
    reason = settled(StringField(null=True), MADE)
    customer: JSONField[dict[str, Any]] = JSONField(Metadata, default=dict)
    biller: JSONField[dict[str, Any] | None] = JSONField(Metadata, null=True)
    series = StringField(null=True)
    number = BigIntegerField(null=True)
    previous_number = GeneratedBigIntegerField(null=True)
    invoice_number = GeneratedBigIntegerField(null=True)
    issued_at = UTCDateTimeField(null=True)
    issued_on = DateField(null=True)
    due_on = DateField(null=True)
    line_count = IntegerField(null=True)
    net_cents = BigIntegerField(null=True)
    tax_cents = BigIntegerField(null=True)
    total_cents = BigIntegerField(null=True)

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        lines: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "invoices"
        personal = {
            "kept": "customer reason",
            "plain": "kind state language currency corrects_series positions biller series",
        }
        merging = {"kept": "user_id"}
        defaults_in_database = True
        constraints = [
            Check(KINDS, name="invoices_kind_check"),
            Check("state IN ('draft', 'issued', 'discarded')", name="invoices_state_check"),
            Check("language IN ('en', 'es')", name="invoices_language_check"),
            Check("currency ~ '^[A-Z]{3}$'", name="invoices_currency_check"),
            Check(
                "CASE kind WHEN 'invoice' THEN coalesce(ends_on >= starts_on, false) "
                "ELSE starts_on IS NULL AND ends_on IS NULL END",
                name="invoices_ends_on_check",
            ),
            Check(
                "num_nonnulls(corrects_series, corrects_number, reason) "
                "= CASE kind WHEN 'credit_note' THEN 3 ELSE 0 END",
                name="invoices_corrects_number_check",
            ),
            Check("reason = btrim(reason) AND reason <> '' AND length(reason) <= 500", name="invoices_reason_check"),
            Check("jsonb_typeof(positions) = 'array'", name="invoices_positions_check"),
            Check("jsonb_typeof(customer) = 'object'", name="invoices_customer_check"),
            Check("jsonb_typeof(biller) = 'object'", name="invoices_biller_check"),
            Check("series ~ '^[A-Za-z0-9/-]{0,20}$'", name="invoices_series_check"),
            Check(
                "num_nonnulls(number, series, biller, issued_at, issued_on, due_on, line_count, net_cents, tax_cents, "
                "total_cents) = CASE state WHEN 'issued' THEN 10 ELSE 0 END AND coalesce(number, 1) > 0",
                name="invoices_number_check",
            ),
            Check("due_on >= issued_on", name="invoices_due_on_check"),
            Check(
                "total_cents = net_cents + tax_cents AND net_cents >= 0 AND tax_cents >= 0 AND line_count > 0",
                name="invoices_total_cents_check",
            ),
        ]

    lifecycle = StateMachine("state", InvoiceState, journal=StateTransition, tells=TOLD)

    if TYPE_CHECKING:
        can_issue: Predicate
        can_discard: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]

    @lifecycle.transition(
        source=DRAFT,
        target=ISSUED_STATE,
        stamp="issued_at",
        permitted=(STAFF,),
        database_guard=SOMETHING,
        steps=ISSUING.strip(),
        afterwards=ISSUED.strip(),
    )
    def issue(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Give it its number and its lines; from then on it stays as it is.

        Raises:
            TransitionRefusedError: `nothing_to_invoice`, or `credited_already` for a credit note.
            InvalidTransitionError, NotPermittedError.
        """
        return WRITTEN

    @lifecycle.transition(source=DRAFT, target=DISCARDED, permitted=(STAFF,))
    def discard(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Give the draft up; it never had a number, and what it said of the customer goes.

        Raises:
            InvalidTransitionError, NotPermittedError.
        """
        return {"customer": {}}

    @property
    def title(self) -> str | None:
        """Series and number, as `A-12`; None until it is issued."""
        return None if self.number is None else f"{self.series}{self.number}"


class InvoiceLine(TenantModel):
    """One line: a session or a purchase, and what it costs with the tax in it.

    The lines of an invoice are a chain that adds up to its sums: each goes on from `net_after` and `tax_after` of the
    one before. So do those of one tax rate, by `rate_position` and `rate_after`, what they cost so far: a line's tax is
    by how much it raises the tax of all of that, so an invoice's tax is rounded once for each rate.
    A source's lines take turns: odd ones invoice it, even ones credit the one before, with its amounts.

    Attributes:
        position: 1 to `line_count`. happened_on: the local day of the session or the purchase.
        tax_basis_points: the tax in hundredths of a percent, as billed. tax_cents: how much of `total_cents` it is.
    """

    invoice = TenantForeignKey(Invoice, backref="lines")
    invoice_id: int
    kind = EnumField(InvoiceKind)
    position = IntegerField()
    previous_position = GeneratedBigIntegerField(null=True)
    description = StringField()
    happened_on = DateField()
    appointment = TenantForeignKey(Appointment, backref="invoice_lines", null=True)
    appointment_id: int | None
    credit_transaction = TenantForeignKey(CreditTransaction, backref="invoice_lines", null=True)
    credit_transaction_id: int | None
    source_key = GeneratedBigIntegerField(null=True)
    turn = IntegerField()
    previous_turn = GeneratedBigIntegerField(null=True)
    credited_turn = GeneratedBigIntegerField(null=True)
    quantity = IntegerField()
    unit_cents = BigIntegerField()
    tax_basis_points = IntegerField()
    total_cents = BigIntegerField()
    tax_cents = BigIntegerField()
    net_cents = GeneratedBigIntegerField(null=True)
    net_before = BigIntegerField()
    tax_before = BigIntegerField()
    net_after = GeneratedBigIntegerField(null=True)
    tax_after = GeneratedBigIntegerField(null=True)
    rate_position = IntegerField()
    previous_rate_position = GeneratedBigIntegerField(null=True)
    rate_before = BigIntegerField()
    rate_after = GeneratedBigIntegerField(null=True)
    line_count = IntegerField()
    invoice_net_cents = BigIntegerField()
    invoice_tax_cents = BigIntegerField()

    class Meta:
        """The table and its rules."""

        table_name = "invoice_lines"
        personal = {"kept": "description", "plain": "kind"}
        defaults_in_database = True
        constraints = [
            Check("position BETWEEN 1 AND line_count", name="invoice_lines_position_check"),
            Check("position > 1 OR net_before = 0 AND tax_before = 0", name="invoice_lines_net_before_check"),
            Check(
                "position < line_count OR net_before + total_cents - tax_cents = invoice_net_cents "
                "AND tax_before + tax_cents = invoice_tax_cents",
                name="invoice_lines_invoice_net_cents_check",
            ),
            Check("btrim(description) <> '' AND length(description) <= 700", name="invoice_lines_description_check"),
            Check("num_nonnulls(appointment_id, credit_transaction_id) = 1", name="invoice_lines_appointment_id_check"),
            Check("turn > 0 AND (mod(turn, 2) = 1) = (kind = 'invoice')", name="invoice_lines_turn_check"),
            Check("quantity > 0", name="invoice_lines_quantity_check"),
            Check("unit_cents > 0", name="invoice_lines_unit_cents_check"),
            Check("tax_basis_points BETWEEN 0 AND 10000", name="invoice_lines_tax_basis_points_check"),
            Check("total_cents = quantity * unit_cents", name="invoice_lines_total_cents_check"),
            Check("rate_position > 1 OR rate_position = 1 AND rate_before = 0", name="invoice_lines_rate_before_check"),
            Check(
                "kind = 'credit_note' OR tax_cents = "
                "(2 * (rate_before + total_cents) * tax_basis_points + 10000 + tax_basis_points) "
                "/ (2 * (10000 + tax_basis_points)) "
                "- (2 * rate_before * tax_basis_points + 10000 + tax_basis_points) / (2 * (10000 + tax_basis_points))",
                name="invoice_lines_tax_cents_check",
            ),
        ]


_I, _L = Invoice, InvoiceLine
InvoiceCounter.add_index(
    *(InvoiceCounter.organization, InvoiceCounter.kind, InvoiceCounter.series),
    unique=True,
    name="invoice_counters_organization_id_kind_series_key",
)
_I.add_index(
    *(_I.organization, _I.kind, _I.series, _I.number),
    unique=True,
    name="invoices_organization_id_kind_series_number_key",
)
# What a credit note refers to, so that it corrects an invoice of the same user, in the same currency.
_I.add_index(
    *(_I.organization, _I.series, _I.invoice_number, _I.currency, _I.user), unique=True, name="invoices_corrected_key"
)
# What lines refer to, so that they add up to what the invoice says.
_I.add_index(
    *(_I.organization, _I.id, _I.kind, _I.line_count, _I.net_cents, _I.tax_cents),
    unique=True,
    name="invoices_figures_key",
)
_I.add_index(_I.organization, _I.user, _I.id, name="index_invoices_on_user_id")
_I.add_index(
    *(_I.organization, _I.corrects_series, _I.corrects_number),
    where=SQL("corrects_number IS NOT NULL"),
    name="index_invoices_on_corrects_number",
)
_L.add_index(
    *(_L.organization, _L.invoice, _L.position),
    unique=True,
    name="invoice_lines_organization_id_invoice_id_position_key",
)
_L.add_index(
    *(_L.organization, _L.invoice, _L.position, _L.net_after, _L.tax_after), unique=True, name="invoice_lines_chain_key"
)
_L.add_index(
    *(_L.organization, _L.invoice, _L.tax_basis_points, _L.rate_position),
    unique=True,
    name="invoice_lines_rate_position_key",
)
_L.add_index(
    *(_L.organization, _L.invoice, _L.tax_basis_points, _L.rate_position, _L.rate_after),
    unique=True,
    name="invoice_lines_rate_chain_key",
)
_L.add_index(
    *(_L.organization, _L.source_key, _L.turn), unique=True, name="invoice_lines_organization_id_source_key_turn_key"
)
_L.add_index(
    *(_L.organization, _L.source_key, _L.turn, _L.quantity, _L.unit_cents, _L.tax_basis_points, _L.tax_cents),
    unique=True,
    name="invoice_lines_amounts_key",
)
_L.add_index(
    *(_L.organization, _L.appointment),
    where=SQL("appointment_id IS NOT NULL"),
    name="index_invoice_lines_on_appointment_id",
)
_L.add_index(
    *(_L.organization, _L.credit_transaction),
    where=SQL("credit_transaction_id IS NOT NULL"),
    name="index_invoice_lines_on_credit_transaction_id",
)
