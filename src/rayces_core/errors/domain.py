"""What lifecycles, booking and credits raise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from rayces_core.errors.base import RaycesError
from rayces_core.errors.server import OverlapError


class LifecycleError(RaycesError):
    """A row's state was not changed; nothing was written."""

    code = "lifecycle"


class InvalidTransitionError(LifecycleError):
    """The event does not start from the state that the row has in the database.

    Attributes: `event`; `from_state`, the state that the database has; `allowed`, the events that start from it.
    """

    code = "invalid_transition"

    def __init__(self, subject: str, event: str, from_state: str, allowed: tuple[str, ...]) -> None:
        self.event, self.from_state, self.allowed = event, from_state, allowed
        events = f"it allows {', '.join(allowed)}" if allowed else "nothing can follow it"
        super().__init__(f"{event} is not possible: the {subject} is {from_state}; {events}")


class TransitionRefusedError(LifecycleError):
    """A condition of the event does not hold.

    Attributes: `event`; `reason`, which condition, a stable name such as "expired"; `sentence`, the same in words.
    """

    code = "transition_refused"

    def __init__(self, event: str, reason: str, sentence: str) -> None:
        self.event, self.reason, self.sentence = event, reason, sentence
        super().__init__(f"{event} is refused: {sentence}")


class StateAssignmentError(LifecycleError, AttributeError):
    """A state was assigned; call the event that leads to it, such as `appointment.confirm()`."""

    code = "state_assignment"


class SettledFieldError(LifecycleError, AttributeError):
    """A column of a saved row was assigned that is changed another way. Attributes: `field`; `way`, what to call."""

    code = "settled_field"

    def __init__(self, field: str, way: str) -> None:
        self.field, self.way = field, way
        super().__init__(f"{field} is not assigned once the row is saved: {way}")


class NotPermittedError(RaycesError):
    """The acting user may not do that. Attributes: `action`; `actor_id`; `allowed`, who may."""

    code = "not_permitted"

    def __init__(self, action: str, actor_id: object, allowed: tuple[str, ...]) -> None:
        self.action, self.actor_id, self.allowed = action, actor_id, allowed
        super().__init__(f"user {actor_id} may not {action}; allowed: {', '.join(allowed)}")


class BookingError(RaycesError):
    """An appointment was not booked or moved; nothing was written. Attribute: `scheduled_at`, the start asked for."""

    code = "booking"

    scheduled_at: datetime | None = None


class SlotTakenError(BookingError, OverlapError):
    """The professional's time is already taken.

    Attribute: `conflicting_id`, id of the appointment that holds it, where that is known.
    """

    code = "slot_taken"

    def __init__(
        self,
        message: str = "the professional already has an appointment at that time",
        *,
        conflicting_id: int | None = None,
        constraint: str = "appointments_no_overlap",
        table: str = "appointments",
        fields: tuple[str, ...] = ("professional_id", "scheduled_at"),
    ) -> None:
        self.conflicting_id = conflicting_id
        super().__init__(message, constraint=constraint, table=table, fields=fields)


class SecondProfessionalTakenError(SlotTakenError):
    """The second professional's time is already taken. Attribute: `conflicting_id`, as of `SlotTakenError`."""

    code = "second_professional_taken"


class RoomTakenError(SlotTakenError):
    """The room is already taken, or every room that would do. Attribute: `conflicting_id`, as of `SlotTakenError`."""

    code = "room_taken"


class DeviceTakenError(SlotTakenError):
    """The device is already taken. Attribute: `conflicting_id`, as of `SlotTakenError`."""

    code = "device_taken"


class SeriesConflictError(BookingError):
    """A series was not changed, since not all of its sessions can be moved; none was.

    Attribute: `conflicts`, for each that cannot, in order of time, the start that it was to have (`scheduled_at`) and
    the BookingError that says why (`error`).
    """

    code = "series_conflict"

    def __init__(self, conflicts: Sequence[Any]) -> None:
        self.conflicts = tuple(conflicts)
        first = self.conflicts[0]
        count = len(self.conflicts)
        super().__init__(
            f"{count} {'session' if count == 1 else 'sessions'} cannot be moved, the first one to "
            f"{first.scheduled_at.isoformat()}: {first.error}; choose another time, or give skip_conflicts=True"
        )


class OutsideScheduleError(BookingError):
    """The session does not lie in working time, or meets a blocked date.

    Attributes: `reason`, "outside_schedule", "blocked_date", "closed_day", "busy_elsewhere" or
    "resource_blocked"; `nearest`, the nearest free Slot, or None.
    """

    code = "outside_schedule"

    def __init__(self, message: str, *, reason: str, nearest: Any = None) -> None:
        self.reason, self.nearest = reason, nearest
        super().__init__(message)


class TooSoonError(BookingError):
    """The start has passed or is nearer than the minimum notice. Attribute: `earliest`, the first start allowed."""

    code = "too_soon"

    def __init__(self, message: str, *, earliest: datetime) -> None:
        self.earliest = earliest
        super().__init__(message)


class StartOffGridError(BookingError):
    """Families book starts of a grid only. Attributes: `every_minutes`, from local midnight on; `nearest`, a Slot."""

    code = "start_off_grid"

    def __init__(self, message: str, *, every_minutes: int, nearest: Any = None) -> None:
        self.every_minutes, self.nearest = every_minutes, nearest
        super().__init__(message)


class ClientLimitError(BookingError):
    """The client has as many appointments as one client may have.

    Attributes: `setting`, "open_holds_per_client" or "future_sessions_per_client"; `limit`, what it says.
    """

    code = "client_limit"

    def __init__(self, message: str, *, setting: str, limit: int) -> None:
        self.setting, self.limit = setting, limit
        super().__init__(message)


class BookingWindowError(BookingError):
    """The start is further ahead than bookings are taken. Attribute: `latest`, the last start allowed."""

    code = "booking_window"

    def __init__(self, message: str, *, latest: datetime) -> None:
        self.latest = latest
        super().__init__(message)


class ProfessionalInactiveError(BookingError):
    """The professional takes no bookings."""

    code = "professional_inactive"


class NewClientsRefusedError(ProfessionalInactiveError):
    """The professional takes no new clients, and the student has had no appointment there."""

    code = "new_clients_refused"


class ServiceInactiveError(BookingError):
    """The service is not offered any more. Attribute: `service_id`."""

    code = "service_inactive"

    def __init__(self, message: str, *, service_id: int) -> None:
        self.service_id = service_id
        super().__init__(message)


class ServiceNotGivenError(BookingError):
    """The professional does not give the service. Attribute: `service_id`."""

    code = "service_not_given"

    def __init__(self, message: str, *, service_id: int) -> None:
        self.service_id = service_id
        super().__init__(message)


class ResourceUnfitError(BookingError):
    """A room or a device is not booked, or lacks what is needed; or no room has it.

    Attribute: `resource_id`, None where no room has it.
    """

    code = "resource_unfit"

    def __init__(self, message: str, *, resource_id: int | None = None) -> None:
        self.resource_id = resource_id
        super().__init__(message)


class StudentNotAdmittedError(BookingError):
    """The student's admission does not allow a booking. Attribute: `admission_state`."""

    code = "student_not_admitted"

    def __init__(self, message: str, *, admission_state: str) -> None:
        self.admission_state = admission_state
        super().__init__(message)


class StudentBusyError(BookingError):
    """The student has another appointment at that time. Attribute: `conflicting_id`, that appointment's id."""

    code = "student_busy"

    def __init__(self, message: str, *, conflicting_id: int) -> None:
        self.conflicting_id = conflicting_id
        super().__init__(message)


class ClientBusyError(StudentBusyError):
    """The client has another appointment at that time, with another student."""

    code = "client_busy"


class GroupFullError(BookingError):
    """Every seat of the group session is taken. Attributes: `group_session_id`; `capacity`, how many seats it has."""

    code = "group_full"

    def __init__(self, message: str, *, group_session_id: int, capacity: int) -> None:
        self.group_session_id, self.capacity = group_session_id, capacity
        super().__init__(message)


class IdempotencyConflictError(RaycesError):
    """An idempotency key, or a payment's reference, came again with another request. Attribute: `key`, either."""

    code = "idempotency_conflict"

    def __init__(self, key: str, message: str = "") -> None:
        self.key = key
        super().__init__(
            message or f"the idempotency key {key!r} was used for another request; use a new key for a new request"
        )


class CreditError(RaycesError):
    """Credits were not moved; nothing was written."""

    code = "credit"


class InsufficientCreditsError(CreditError):
    """Too few credits are free. Attributes: `required`, `available`, `balance`, `reserved`, whole credits."""

    code = "insufficient_credits"

    def __init__(
        self, *, required: int, available: int, balance: int | None = None, reserved: int | None = None
    ) -> None:
        self.required, self.available = required, available
        self.balance, self.reserved = balance, reserved
        held = f", as {reserved} of {balance} are reserved by what waits to be confirmed" if reserved else ""
        super().__init__(f"{required} credits are needed and {available} are there{held}; buy more, or take fewer")


class BalanceTooLargeError(CreditError):
    """No balance can hold that much. Attributes: `added`, what was to be added; `balance`, if known."""

    code = "balance_too_large"

    def __init__(self, added: int, balance: int | None) -> None:
        self.added, self.balance = added, balance
        super().__init__(f"{added} credits would take the balance beyond 2,147,483,647")


class PackageExpiredError(CreditError):
    """The payment came after the last day of what it was for. Attribute: `valid_until`, that day."""

    code = "package_expired"

    def __init__(self, valid_until: date) -> None:
        self.valid_until = valid_until
        super().__init__(
            f"what was bought held until {valid_until.isoformat()}, so nobody could use it any more: fail() the entry "
            "if it waits, and give the money back, or purchase something else with the same payment reference"
        )


class AlreadyDebitedError(CreditError):
    """The appointment has been paid with credits. Attributes: `transaction_id`, `appointment_id`."""

    code = "already_debited"

    def __init__(self, transaction_id: int, appointment_id: int | None) -> None:
        self.transaction_id, self.appointment_id = transaction_id, appointment_id
        super().__init__(f"appointment {appointment_id} has been debited already, by entry {transaction_id}")


class AlreadyRefundedError(CreditError):
    """All that was debited was given back. Attributes: `transaction_id`, the last refund's; `appointment_id`."""

    code = "already_refunded"

    def __init__(self, transaction_id: int, appointment_id: int | None) -> None:
        self.transaction_id, self.appointment_id = transaction_id, appointment_id
        super().__init__(f"appointment {appointment_id} has been refunded already, by entry {transaction_id}")


class NothingToRefundError(CreditError):
    """The appointment was not paid with credits. Attribute: `appointment_id`."""

    code = "nothing_to_refund"

    def __init__(self, appointment_id: int) -> None:
        self.appointment_id = appointment_id
        super().__init__(f"appointment {appointment_id} has no debit, so there is nothing to refund")


class MergeRefusedError(RaycesError):
    """Two users cannot be merged. Attribute: `reason`, such as "professional", a stable word."""

    code = "merge_refused"

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class ErasureRefusedError(RaycesError):
    """A person is still needed. Attributes: `sessions` that are open, `credits_left`, `payments` that are awaited."""

    code = "erasure_refused"

    def __init__(self, sessions: int, credits_left: int, payments: int) -> None:
        self.sessions, self.credits_left, self.payments = sessions, credits_left, payments
        super().__init__(
            f"the person has {sessions} open sessions, {credits_left} credits left and {payments} payments awaited; "
            "settle them first, or give cancel=True for the sessions and forfeit=True for the rest"
        )
