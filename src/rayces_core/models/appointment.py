"""Appointment: a session that a client books for a student with a professional."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from peewee import ModelSelect

from rayces_core.errors import TransitionRefusedError
from rayces_core.fields import (
    BooleanField,
    CurrencyField,
    GeneratedDateTimeField,
    IntegerField,
    JSONField,
    StateField,
    StringField,
    TextField,
    UTCDateTimeField,
    settled,
)
from rayces_core.fields.schemas import Metadata
from rayces_core.fields.text import is_blank
from rayces_core.models import appointment_changes as changes
from rayces_core.models import credit_holding, holdings
from rayces_core.models.appointment_actors import Actors
from rayces_core.models.appointment_rules import RULES, add_indexes
from rayces_core.models.appointment_scopes import AppointmentSelect, Scoped
from rayces_core.models.appointment_states import (
    CANCELLED,
    CONFIRMED,
    DRAFT,
    EXECUTED,
    EXPIRED,
    NO_SHOW,
    OCCUPYING,
    OCCUPYING_SQL,
    PRE_CONFIRMED,
    AppointmentState,
)
from rayces_core.models.appointment_time import (
    AHEAD,
    BEGUN,
    CONFIRMATION_HOURS,
    HELD_UNTIL,
    NOT_EXPIRED,
    OVERDUE,
    TIME_IS_FREE,
)
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.group_session import GroupSession
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import (
    ADMIN,
    OWN_CLIENT,
    OWN_CLIENT_BEFORE_CONFIRMATION,
    OWN_PROFESSIONAL,
    STAFF,
)
from rayces_core.models.professional import Professional
from rayces_core.models.series import CHANGED, AppointmentSeries
from rayces_core.models.service import Service
from rayces_core.models.slot_request import SlotRequest
from rayces_core.models.student import Student
from rayces_core.models.user import User
from rayces_core.state_machine import Predicate, StateMachine, Writes
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect

__all__ = [
    "CANCELLED",
    "CONFIRMATION_HOURS",
    "CONFIRMED",
    "DRAFT",
    "EXECUTED",
    "EXPIRED",
    "NOT_EXPIRED",
    "NO_SHOW",
    "OCCUPYING",
    "OCCUPYING_SQL",
    "PRE_CONFIRMED",
    "Appointment",
    "AppointmentState",
]

# What a saved row's own columns are changed by.
MOVED = "move it with scheduling.reschedule(appointment, start, ...)"
GIVEN_AWAY = "give it to another one with scheduling.reschedule(appointment, start, professional=...)"
HELD = "call scheduling.reschedule(appointment, start, second_professional=..., room=..., device=...)"
RESERVED = "its events reserve credits and free them"
PRICED = "call appointment.change_price(price_cents=..., by=...)"
# What a message about an appointment has besides; names and addresses are read when it is delivered.
TOLD = (
    *("professional", "student", "client", "scheduled_at", "duration_minutes", "expires_at"),
    *("uses_credit", "price_cents", "currency", "service", "credit_kind", "group_session"),
    *("second_professional", "room", "device", "slot_request"),
)
LEFT = {"seat": None, "seats": None, "reserved_credits": 0}
ENDS_HOLD: dict[str, Any] = {"afterwards": credit_holding.FREED, "picks": credit_holding.PICKED}
BOOKED = "cancel it and book another one with scheduling.book(...)"


class Appointment(Actors, Scoped, TimestampedTenantModel):  # type: ignore[misc]
    """A session at a moment. `professional_id` is the id of the professional's user.

    While the state occupies time, `occupied_from` to `occupied_until` (both buffers included, the end not) is the
    professional's, and the second one's, the room's and the device's where it has them: the database lets no two
    overlap, but those of one group session. There `seat` is the one taken of
    `seats`, the group's, until it is cancelled. `created_at_made_up` says that an import was not told
    `created_at`, when it was booked, and took its own moment.
    One that is of a `series` is the occurrence of it that was to begin at `occurrence_at`, wherever it was moved since.
    One that has a `slot_request` was offered to the family that waits for a time.
    """

    professional = settled(
        TenantForeignKey(Professional, field="user", column_name="professional_id", backref="appointments"), GIVEN_AWAY
    )
    professional_id: int
    student = settled(TenantForeignKey(Student, backref="appointments"), BOOKED)
    student_id: int
    client = settled(TenantForeignKey(User, backref="booked_appointments"), BOOKED)
    client_id: int
    scheduled_at = settled(UTCDateTimeField(), MOVED)
    duration_minutes = settled(IntegerField(default=60), MOVED)
    buffer_minutes = IntegerField(default=0)
    buffer_before_minutes = IntegerField(default=0)
    occupied_from = GeneratedDateTimeField(null=True)
    occupied_until = GeneratedDateTimeField(null=True)
    state = StateField(AppointmentState, default=AppointmentState.DRAFT)
    pre_confirmed_at = UTCDateTimeField(null=True)
    expires_at = UTCDateTimeField(null=True)
    confirmed_at = UTCDateTimeField(null=True)
    executed_at = UTCDateTimeField(null=True)
    no_show_at = UTCDateTimeField(null=True)
    cancelled_at = UTCDateTimeField(null=True)
    cancelled_by = TenantForeignKey(User, backref="cancelled_appointments", null=True)
    cancelled_by_id: int | None
    cancellation_reason = StringField(null=True)
    notes = TextField(null=True)
    professional_notes = TextField(null=True)
    uses_credit = BooleanField(default=False)
    credits_used = IntegerField(default=0)
    price_cents = settled(IntegerField(null=True, between=(0, 2**31 - 1)), PRICED)
    currency = settled(CurrencyField(null=True), PRICED)
    metadata: JSONField[dict[str, Any]] = JSONField(Metadata, default=dict)
    idempotency_key = StringField(null=True)
    request_fingerprint = StringField(null=True)
    allows_overlap = BooleanField(default=False)
    external_id = StringField(null=True)
    created_at_made_up = BooleanField(default=False)
    service = settled(TenantForeignKey(Service, backref="appointments", null=True), BOOKED)
    service_id: int | None
    # The default is told, so that confirming one that was just made has not to read which kind it costs.
    credit_kind = settled(TenantForeignKey(CreditKind, backref="appointments", null=True, default=lambda: None), BOOKED)
    credit_kind_id: int | None
    group_session = settled(TenantForeignKey(GroupSession, backref="appointments", null=True), BOOKED)
    group_session_id: int | None
    seat = IntegerField(null=True)
    seats = IntegerField(null=True)
    series = settled(TenantForeignKey(AppointmentSeries, backref="appointments", null=True), CHANGED)
    series_id: int | None
    occurrence_at = settled(UTCDateTimeField(null=True), CHANGED)
    second_professional = holdings.second_professional("appointments", HELD)
    second_professional_id: int | None
    room = holdings.room("appointments", HELD)
    room_id: int | None
    device = holdings.device("appointments", HELD)
    device_id: int | None
    slot_request = settled(
        TenantForeignKey(SlotRequest, backref="appointments", null=True, default=lambda: None), BOOKED
    )
    slot_request_id: int | None
    reserved_credits = settled(IntegerField(default=0), RESERVED)

    was_repeated = False
    """Whether `book` or `reschedule`, called with an idempotency key, found that it had done this before."""

    _select_class = AppointmentSelect

    class Meta:
        """The table and its rules."""

        table_name = "appointments"
        personal = {
            "own": "external_id",
            "words": "notes professional_notes cancellation_reason metadata",
            "kept": "idempotency_key",
            "plain": "state currency request_fingerprint",
        }
        merging = {"moved": "client_id", "kept": "cancelled_by_id"}
        defaults_in_database = True
        constraints = RULES

    lifecycle = StateMachine(
        "state",
        AppointmentState,
        journal=StateTransition,
        keeping=("reschedule",),
        wired_by=("rayces_core.credits", "rayces_core.scheduling.drafts"),
        tells=TOLD,
    )

    if TYPE_CHECKING:
        can_pre_confirm: Predicate
        can_confirm: Predicate
        can_execute: Predicate
        can_mark_no_show: Predicate
        can_cancel: Predicate
        can_expire: Predicate
        can_correct_to_executed: Predicate
        can_correct_to_no_show: Predicate
        can_reopen: Predicate
        can_change_price: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]

    @lifecycle.transition(
        source=DRAFT,
        target=PRE_CONFIRMED,
        stamp="pre_confirmed_at",
        permitted=(STAFF, OWN_PROFESSIONAL),
        guards=(AHEAD,),
        database_guard=TIME_IS_FREE,
        steps=credit_holding.HOLDING,
        afterwards=credit_holding.RESERVED,
        picks=credit_holding.PICKED,
    )
    def pre_confirm(
        self,
        *,
        by: User | None = None,
        reason: str | None = None,
        override_blocked: bool = False,
        now: datetime | None = None,
    ) -> Writes:
        """Take the time slot, and hold it for the organization's `confirmation_hours`, at most until the start.

        What it costs is reserved, unless `reserve_credits` is off. It is decided on as a booking is, but for hours,
        notice and window; staff may set blocked dates aside (`override_blocked`).

        Raises:
            BookingError, InsufficientCreditsError: as for `scheduling.book`.
            TransitionRefusedError: `begun`. InvalidTransitionError, NotPermittedError.
        """
        return {"expires_at": HELD_UNTIL, "reserved_credits": credit_holding.HELD}

    @lifecycle.transition(
        source=PRE_CONFIRMED,
        target=CONFIRMED,
        stamp="confirmed_at",
        permitted=(STAFF, OWN_PROFESSIONAL, OWN_CLIENT),
        guards=(NOT_EXPIRED,),
        **ENDS_HOLD,
    )
    def confirm(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Make the appointment firm; one that uses credit is debited in the same unit of work, of what it has reserved.

        Raises:
            TransitionRefusedError: `expired`, the hold has ended. InvalidTransitionError, NotPermittedError.
            InsufficientCreditsError: the client has too few credits; the appointment stays pre_confirmed.
            AlreadyRefundedError: it was debited by hand, and that was given back.
            AlreadyDebitedError: a debit by hand still waits to be completed.
        """
        return {"reserved_credits": 0}

    @lifecycle.transition(
        source=CONFIRMED,
        target=EXECUTED,
        stamp="executed_at",
        permitted=(OWN_PROFESSIONAL, ADMIN),
        guards=(BEGUN,),
    )
    def execute(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Record that the session took place.

        Raises:
            TransitionRefusedError: `not_begun`. InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(
        source=CONFIRMED,
        target=NO_SHOW,
        stamp="no_show_at",
        permitted=(STAFF, OWN_PROFESSIONAL),
        guards=(BEGUN,),
    )
    def mark_no_show(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """Record that the student did not come.

        Raises:
            TransitionRefusedError: `not_begun`. InvalidTransitionError, NotPermittedError.
        """

    @lifecycle.transition(
        source=(DRAFT, PRE_CONFIRMED, CONFIRMED),
        target=CANCELLED,
        stamp="cancelled_at",
        permitted=(STAFF, OWN_CLIENT_BEFORE_CONFIRMATION),
        **ENDS_HOLD,
    )
    def cancel(
        self,
        *,
        by: User | None = None,
        reason: str | None = None,
        refund: bool | None = None,
        now: datetime | None = None,
    ) -> Writes:
        """Give the time back. At least one of `by` and `reason` says who or why.

        Credits that were debited come back when it is at least the organization's `cancellation_notice_hours` ahead;
        `refund=True` gives them back and `refund=False` keeps them in any case.

        Raises:
            TransitionRefusedError: `no_reason`, neither is given. InvalidTransitionError, NotPermittedError.
        """
        if by is None and is_blank(reason or ""):
            raise TransitionRefusedError("cancel", "no_reason", "say who cancels (by=) or why (reason=)")
        return {"cancelled_by": by, "cancellation_reason": reason, **LEFT}

    @lifecycle.transition(
        source=PRE_CONFIRMED,
        target=CANCELLED,
        stamp="cancelled_at",
        permitted=(STAFF,),
        guards=(OVERDUE,),
        **ENDS_HOLD,
    )
    def expire(self, *, by: User | None = None, reason: str = EXPIRED, now: datetime | None = None) -> Writes:
        """Cancel an appointment that was not confirmed in time; `scheduling.expire_overdue` does it for all of them.

        Raises:
            TransitionRefusedError: `not_overdue`. InvalidTransitionError, NotPermittedError.
        """
        return {"cancelled_by": by, "cancellation_reason": reason, **LEFT}

    change_price = lifecycle.transition(
        source=(DRAFT, PRE_CONFIRMED, CONFIRMED),
        target=None,
        permitted=(STAFF,),
        remembers=("price_cents", "currency"),
    )(changes.change_price)
    correct_to_executed = lifecycle.transition(
        source=NO_SHOW, target=EXECUTED, **changes.correcting("correct_to_executed")
    )(changes.correct_to_executed)
    correct_to_no_show = lifecycle.transition(
        source=EXECUTED, target=NO_SHOW, **changes.correcting("correct_to_no_show")
    )(changes.correct_to_no_show)
    reopen = lifecycle.transition(source=(EXECUTED, NO_SHOW), target=CONFIRMED, **changes.correcting("reopen"))(
        changes.reopen
    )

    # -- readers ----------------------------------------------------------------------------------------------

    @property
    def ends_at(self) -> datetime:
        """When the session itself ends, without the buffers around it."""
        return self.scheduled_at + timedelta(minutes=self.duration_minutes)

    def conflicting_id(self, now: datetime | None = None, role: str = "professional") -> int | None:
        """Id of an appointment that holds the professional's time over this one's; None if there is none.

        Args:
            role: or what this one needs besides: `second_professional`, `room` or `device`.
        """
        others = Appointment.select().occupying(self.occupies_from, self.occupies_until, now=now)
        others = others.holding(role, getattr(self, f"{role}_id")).where(Appointment.id != self.id)
        if self.organization_id is not None:
            # In privileged work another organization's user may have the professional's id.
            others = others.where(Appointment.organization == self.organization_id)
        other = others.first()
        return None if other is None else other.id

    @property
    def occupies_from(self) -> datetime:
        """From when on the professional's time is taken: the buffer before the session."""
        return self.scheduled_at - timedelta(minutes=self.buffer_before_minutes)

    @property
    def occupies_until(self) -> datetime:
        """Until when the professional's time is taken, the buffer after the session included."""
        return self.ends_at + timedelta(minutes=self.buffer_minutes)

    if TYPE_CHECKING:
        credit_transactions: TenantSelect[Any]  # rows of a model that knows this one, and not the other way round

        @classmethod
        def select(cls, *fields: Any) -> AppointmentSelect[Self]:
            """Appointments of the bound tenant, with the scopes of AppointmentSelect."""

        @classmethod
        def visible_to(cls, user: Any) -> AppointmentSelect[Self]:
            """Appointments that this user may read, with the scopes of AppointmentSelect."""


add_indexes(Appointment)
