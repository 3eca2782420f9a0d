"""The models: one noun a file. Their tables are made by the migrations, never from here."""

from rayces_core.tenancy.organization import Organization  # isort: skip - every other model belongs to one
from rayces_core.models.appointment import Appointment, AppointmentState

from rayces_core.models import endings as endings  # isort: skip - attaches what goes with a student's leaving
from rayces_core.models import slot_offers as slot_offers  # isort: skip - attaches what becomes of a slot request
from rayces_core.models.calendar_feed import CalendarFeed, FeedDetails
from rayces_core.models.closed_day import ClosedDay
from rayces_core.models.credit import CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.credit_kind import CreditKind
from rayces_core.models.credit_lot import CreditLot, CreditLotMovement
from rayces_core.models.credit_package import CreditPackage
from rayces_core.models.group_session import GroupSession, GroupState
from rayces_core.models.imports import ImportRun
from rayces_core.models.invoice import Invoice, InvoiceCounter, InvoiceKind, InvoiceLine, InvoiceState
from rayces_core.models.journal import StateTransition
from rayces_core.models.notice import Notice, NoticeState
from rayces_core.models.outbox import MessageState, OutboxMessage
from rayces_core.models.outside_calendar import OutsideBusy, OutsideCalendar
from rayces_core.models.professional import Professional
from rayces_core.models.resource import Resource, ResourceKind
from rayces_core.models.series import AppointmentSeries
from rayces_core.models.service import ProfessionalService, Service
from rayces_core.models.signing_in import Credential, Device, SignInAttempt, SingleUseToken
from rayces_core.models.slot_request import SlotRequest, SlotRequestState
from rayces_core.models.social import Like, Post
from rayces_core.models.student import AdmissionState, Student
from rayces_core.models.time_off import TimeOffRequest, TimeOffState
from rayces_core.models.user import Language, Role, User
from rayces_core.models.webhook import WebhookEndpoint
from rayces_core.tenancy.model import TenantModel

from rayces_core.models import visibility as visibility  # isort: skip - says who reads them

__all__ = [
    "TENANT_MODELS",
    "AdmissionState",
    "Appointment",
    "AppointmentSeries",
    "AppointmentState",
    "CalendarFeed",
    "ClosedDay",
    "Credential",
    "CreditBalance",
    "CreditKind",
    "CreditLot",
    "CreditLotMovement",
    "CreditPackage",
    "CreditTransaction",
    "Device",
    "FeedDetails",
    "GroupSession",
    "GroupState",
    "ImportRun",
    "Invoice",
    "InvoiceCounter",
    "InvoiceKind",
    "InvoiceLine",
    "InvoiceState",
    "Language",
    "Like",
    "MessageState",
    "Notice",
    "NoticeState",
    "Organization",
    "OutboxMessage",
    "OutsideBusy",
    "OutsideCalendar",
    "Post",
    "Professional",
    "ProfessionalService",
    "Resource",
    "ResourceKind",
    "Role",
    "Service",
    "SignInAttempt",
    "SingleUseToken",
    "SlotRequest",
    "SlotRequestState",
    "StateTransition",
    "Student",
    "TimeOffRequest",
    "TimeOffState",
    "TransactionStatus",
    "TransactionType",
    "User",
    "WebhookEndpoint",
]

TENANT_MODELS: tuple[type[TenantModel], ...] = (
    User,
    Post,
    Like,
    Professional,
    CreditKind,
    CreditPackage,
    Service,
    ProfessionalService,
    Resource,
    ClosedDay,
    TimeOffRequest,
    Student,
    SlotRequest,
    AppointmentSeries,
    GroupSession,
    Appointment,
    CreditBalance,
    CreditTransaction,
    CreditLot,
    CreditLotMovement,
    InvoiceCounter,
    Invoice,
    InvoiceLine,
    StateTransition,
    ImportRun,
    OutboxMessage,
    WebhookEndpoint,
    Credential,
    Device,
    SingleUseToken,
    SignInAttempt,
    Notice,
    CalendarFeed,
    OutsideCalendar,
    OutsideBusy,
)
