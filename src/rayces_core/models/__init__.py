"""The models: one noun a file. Their tables are made by the migrations, never from here."""

from rayces_core.tenancy.organization import Organization  # isort: skip - every other model belongs to one
from rayces_core.models.appointment import Appointment, AppointmentState

from rayces_core.models import endings as endings  # isort: skip - attaches what goes with a student's leaving
from rayces_core.models.credit import CreditBalance, CreditTransaction, TransactionStatus, TransactionType
from rayces_core.models.imports import ImportRun
from rayces_core.models.journal import StateTransition
from rayces_core.models.outbox import MessageState, OutboxMessage
from rayces_core.models.professional import Professional
from rayces_core.models.signing_in import Credential, Device, SignInAttempt, SingleUseToken
from rayces_core.models.social import Like, Post
from rayces_core.models.student import AdmissionState, Student
from rayces_core.models.user import Role, User
from rayces_core.models.webhook import WebhookEndpoint
from rayces_core.tenancy.model import TenantModel

from rayces_core.models import visibility as visibility  # isort: skip - says who reads them

__all__ = [
    "TENANT_MODELS",
    "AdmissionState",
    "Appointment",
    "AppointmentState",
    "Credential",
    "CreditBalance",
    "CreditTransaction",
    "Device",
    "ImportRun",
    "Like",
    "MessageState",
    "Organization",
    "OutboxMessage",
    "Post",
    "Professional",
    "Role",
    "SignInAttempt",
    "SingleUseToken",
    "StateTransition",
    "Student",
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
    Student,
    Appointment,
    CreditBalance,
    CreditTransaction,
    StateTransition,
    ImportRun,
    OutboxMessage,
    WebhookEndpoint,
    Credential,
    Device,
    SingleUseToken,
    SignInAttempt,
)
