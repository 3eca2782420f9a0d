"""Indexes of the booking tables: those of the specification, tenant-first, and one for each foreign key that lacks one."""

from rayces_core.migrations import MigrationDatabase, Migrator

ATOMIC = False

# (unique, table, name, columns, condition); a column that is mostly empty is indexed where it is not.
INDEXES = (
    ("", "professionals", "index_professionals_on_organization_id_and_active", "active", ""),
    ("", "professionals", "index_professionals_on_organization_id_and_specialization", "specialization", ""),
    ("", "students", "index_students_on_organization_id_and_last_name_and_first_name", "last_name, first_name", ""),
    ("", "students", "index_students_on_organization_id_and_admission_state", "admission_state", ""),
    ("", "students", "index_students_on_organization_id_and_primary_contact_id", "primary_contact_id", ""),
    (
        "",
        "students",
        "index_students_on_organization_id_and_secondary_contact_id",
        "secondary_contact_id",
        "secondary_contact_id IS NOT NULL",
    ),
    ("", "appointments", "index_appointments_on_organization_id_and_scheduled_at", "scheduled_at", ""),
    ("", "appointments", "index_appointments_on_professional_id_and_scheduled_at", "professional_id, scheduled_at", ""),
    ("", "appointments", "index_appointments_on_organization_id_and_student_id_and_state", "student_id, state", ""),
    ("", "appointments", "index_appointments_on_state_and_scheduled_at", "state, scheduled_at", ""),
    ("", "appointments", "index_appointments_on_client_id_and_scheduled_at", "client_id, scheduled_at", ""),
    (
        "",
        "appointments",
        "index_appointments_on_organization_id_and_cancelled_by_id",
        "cancelled_by_id",
        "cancelled_by_id IS NOT NULL",
    ),
    (
        "",
        "appointments",
        "index_appointments_on_organization_id_and_expires_at",
        "expires_at",
        "state = 'pre_confirmed'",
    ),
    (
        "UNIQUE",
        "appointments",
        "idx_no_double_booking",
        "professional_id, scheduled_at, state",
        "state IN ('confirmed', 'executed')",
    ),
    ("", "credit_transactions", "index_credit_transactions_on_user_id_and_created_at", "user_id, created_at", ""),
    ("", "credit_transactions", "index_credit_transactions_on_organization_id_and_status", "status", ""),
    ("", "credit_transactions", "index_credit_transactions_on_credit_balance_id_and_id", "credit_balance_id, id", ""),
    (
        "",
        "credit_transactions",
        "index_credit_transactions_on_organization_id_and_appointment_id",
        "appointment_id",
        "appointment_id IS NOT NULL",
    ),
    (
        "",
        "credit_transactions",
        "index_credit_transactions_on_organization_id_and_created_by_id",
        "created_by_id",
        "created_by_id IS NOT NULL",
    ),
    (
        "UNIQUE",
        "credit_transactions",
        "index_credit_transactions_on_live_debit",
        "appointment_id",
        "transaction_type = 'appointment_debit' AND status <> 'failed'",
    ),
    (
        "UNIQUE",
        "credit_transactions",
        "index_credit_transactions_on_live_refund",
        "appointment_id",
        "transaction_type = 'cancellation_refund' AND status <> 'failed'",
    ),
    (
        "",
        "state_transitions",
        "index_state_transitions_on_subject_type_and_subject_id_and_id",
        "subject_type, subject_id, id",
        "",
    ),
    (
        "",
        "state_transitions",
        "index_state_transitions_on_organization_id_and_actor_id",
        "actor_id",
        "actor_id IS NOT NULL",
    ),
)


def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for unique, table, name, columns, condition in INDEXES:
        where = f" WHERE {condition}" if condition else ""
        migrator.sql(
            f"CREATE {unique} INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} (organization_id, {columns}){where}"
        )


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
    for _unique, _table, name, _columns, _condition in reversed(INDEXES):
        migrator.sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
