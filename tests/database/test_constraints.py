"""Every rule of the database, broken on purpose: its name, its error and the columns it speaks of."""

import peewee
import psycopg2
import pytest

from rayces_core import (
    CheckFailedError,
    CreditTransaction,
    DuplicateError,
    OverlapError,
    ReferenceNotFoundError,
    SlotTakenError,
    StillReferencedError,
    Student,
)
from rayces_core.database.constraints import COLUMNS, SENTENCES, columns_of, translate
from rayces_core.models import TENANT_MODELS
from tests.factory import (
    MAKERS,
    START,
    make_appointment,
    make_balance,
    make_completed,
    make_like,
    make_series,
    make_student,
    make_transaction,
    make_user,
)
from tests.walking import walked

PENDING = "pre_confirmed_at = now(), expires_at = now()"
CHECKS = {
    "appointments_buffer_minutes_check": "buffer_minutes = -1",
    "appointments_buffer_before_minutes_check": "buffer_before_minutes = -1",
    "appointments_cancellation_reason_check": "cancellation_reason = 'x'",
    "appointments_cancelled_at_check": "cancelled_at = now()",
    "appointments_confirmed_at_check": "confirmed_at = now()",
    "appointments_credits_used_check": "credits_used = -1",
    "appointments_currency_check": "price_cents = 1, currency = 'ars'",
    "appointments_duration_minutes_check": "duration_minutes = 14",
    "appointments_executed_at_check": "executed_at = now()",
    "appointments_expires_at_check": "expires_at = now()",
    "appointments_expires_at_order_check": "state = 'pre_confirmed', pre_confirmed_at = now(), "
    "expires_at = now() - interval '1 second'",
    "appointments_idempotency_key_check": "idempotency_key = '', request_fingerprint = 'x'",
    "appointments_occurrence_at_check": "occurrence_at = now()",
    "appointments_metadata_check": "metadata = '[]'",
    "appointments_no_show_at_check": "no_show_at = now()",
    "appointments_price_cents_check": "price_cents = 1",
    "appointments_pre_confirmed_at_check": PENDING,
    "appointments_request_fingerprint_check": "idempotency_key = 'x'",
    "appointments_scheduled_at_check": "scheduled_at = scheduled_at + interval '1 second'",
    "appointments_state_check": f"state = 'unknown', {PENDING}",
    "credit_balances_balance_check": "balance = -1",
    "credit_balances_last_sequence_check": "balance = 1",
    "credit_balances_lifetime_purchased_check": "lifetime_purchased = -1",
    "credit_balances_lifetime_used_check": "lifetime_used = -1",
    "credit_transactions_amount_check": "amount = -1",
    "credit_transactions_appointment_id_check": "transaction_type = 'cancellation_refund'",
    "credit_transactions_balance_after_check": "balance_after = 5",
    "credit_transactions_balance_before_check": "balance_before = 0",
    "credit_transactions_created_by_id_check": "transaction_type = 'admin_adjustment', reason = 'x'",
    "credit_balances_in_lots_check": "in_lots = 1",
    "credit_balances_reserved_check": "reserved = 1",
    "appointments_reserved_credits_check": "reserved_credits = 1",
    "credit_lot_movements_amount_check": "amount = 0",
    "credit_lots_credits_check": "credits = 0, remaining = 0",
    "credit_lots_remaining_check": "remaining = -1",
    "credit_packages_credits_check": "credits = 0",
    "credit_packages_currency_check": "price_cents = 1, currency = 'pesos'",
    "credit_packages_name_check": "name = ' '",
    "credit_packages_price_cents_check": "price_cents = 1",
    "credit_packages_valid_days_check": "valid_days = -1",
    "credit_packages_last_day_check": "valid_days = NULL, valid_until = '9999-12-31'",
    "credit_packages_valid_until_check": "valid_days = 1, valid_until = '2031-01-01'",
    "credit_transactions_credit_package_id_check": "credit_package_id = 1, transaction_type = 'expiry', amount = -1",
    "credit_transactions_package_name_check": "package_name = 'Ten'",
    "credit_transactions_valid_days_check": "valid_days = 3",
    "credit_transactions_valid_until_check": "valid_until = '2031-01-01'",
    "credit_transactions_takes_back_sequence_check": "takes_back_sequence = 1",
    "credit_kinds_id_check": "id = 0",
    "credit_kinds_name_check": "name = ' '",
    "credit_transactions_amount_cents_check": "amount_cents = 1",
    "credit_transactions_currency_check": "amount_cents = 1, currency = 'pesos'",
    "credit_transactions_idempotency_key_check": "idempotency_key = ''",
    "credit_transactions_metadata_check": "metadata = '[]'",
    "credit_transactions_payment_attempt_check": "payment_attempt = 0",
    "credit_transactions_payment_method_check": "payment_method = ' '",
    "credit_transactions_payment_reference_check": "payment_reference = ''",
    "credit_transactions_previous_sequence_check": "previous_sequence = 1",
    "credit_transactions_processed_at_check": "processed_at = now()",
    "credit_transactions_refundable_after_check": "refundable_after = 1",
    "credit_transactions_reason_check": "transaction_type = 'admin_adjustment', created_by_id = user_id",
    "credit_transactions_sequence_check": "sequence = 1",
    "credit_transactions_status_check": "status = 'unknown', processed_at = now()",
    "credit_transactions_transaction_type_check": "transaction_type = 'unknown'",
    "appointment_series_ends_before_check": "ends_before = '2000-01-01'",
    "appointment_series_follows_id_check": "follows_id = id",
    "appointment_series_rule_check": "rule = 'FREQ=HOURLY'",
    "appointments_group_session_id_check": "seat = 1, seats = 1",
    "appointments_seat_check": f"state = 'pre_confirmed', {PENDING}, group_session_id = 1, seat = 0, seats = 1",
    "group_sessions_buffer_minutes_check": "buffer_minutes = -1",
    "group_sessions_cancellation_reason_check": "cancellation_reason = 'x'",
    "group_sessions_cancelled_at_check": "cancelled_at = now()",
    "group_sessions_capacity_check": "capacity = 0, open_seats = 0",
    "group_sessions_duration_minutes_check": "duration_minutes = 14",
    "group_sessions_name_check": "name = ' '",
    "group_sessions_open_seats_check": "open_seats = 5",
    "group_sessions_scheduled_at_check": "scheduled_at = scheduled_at + interval '1 second'",
    "group_sessions_state_check": "state = 'unknown', open_seats = 0",
    "closed_days_name_check": "name = ' '",
    "closed_days_region_check": "region = 'Argentina'",
    "time_off_requests_decided_at_check": "decided_at = now()",
    "time_off_requests_ends_on_check": "ends_on = starts_on - 1",
    "time_off_requests_from_time_check": "from_time = '9:00', until_time = '9:30'",
    "time_off_requests_note_check": "note = ' '",
    "time_off_requests_state_check": "state = 'unknown', decided_at = now()",
    "time_off_requests_until_time_check": "from_time = '09:00', until_time = '09:00'",
    "slot_requests_duration_minutes_check": "duration_minutes = 14",
    "slot_requests_from_time_check": "from_time = '9:00', until_time = '9:30'",
    "slot_requests_service_id_check": "service_id = 1, duration_minutes = 60",
    "slot_requests_state_check": "state = 'unknown'",
    "slot_requests_until_day_check": "until_day = from_day - 1",
    "slot_requests_until_time_check": "from_time = '09:00', until_time = '09:00'",
    "slot_requests_weekdays_check": "weekdays = '[]'",
    "import_runs_created_check": "created = -1",
    "import_runs_last_row_check": "last_row = -1",
    "import_runs_record_type_check": "record_type = ' '",
    "credentials_password_hash_check": "password_hash = 'plain', password_changed_at = now()",
    "credentials_email_confirmed_at_check": "email_confirmed_at = now()",
    "credentials_password_changed_at_check": "password_changed_at = now()",
    "devices_name_check": "name = ' '",
    "calendar_feeds_changed_at_check": "changed_at = now()",
    "calendar_feeds_details_check": "details = 'some'",
    "calendar_feeds_revoked_at_check": "revoked_at = now()",
    "calendar_feeds_secret_hash_check": "secret_hash = 'secret'",
    "outside_busy_ends_at_check": "ends_at = begins_at",
    "outside_calendars_failing_since_check": "failure = 'no answer'",
    "outside_calendars_name_check": "name = ' '",
    "outside_calendars_url_check": "url = 'file:///etc/passwd'",
    "single_use_tokens_purpose_check": "purpose = 'other'",
    "single_use_tokens_hashes_check": "hashes = '{}'",
    "sign_in_attempts_failures_check": "failures = -1",
    "webhook_endpoints_secrets_check": "secrets = '[]'",
    "webhook_endpoints_topics_check": "topics = '{}'",
    "webhook_endpoints_url_check": "url = 'ftp://example.org'",
    "organizations_currency_check": "currency = 'ars'",
    "organizations_moving_check": "moving = 'away', moving_cell = 'b'",
    "organizations_name_check": "name = ' '",
    "organizations_settings_check": "settings = '[]'",
    "organizations_subdomain_check": "subdomain = 'North'",
    "organizations_time_zone_check": "time_zone = ''",
    "professionals_blocked_dates_check": "blocked_dates = '{}'",
    "professionals_buffer_before_minutes_check": "buffer_before_minutes = -1",
    "professionals_dated_schedules_check": "dated_schedules = '{}'",
    "professionals_date_overrides_check": "date_overrides = '{}'",
    "professionals_buffer_minutes_check": "buffer_minutes = -1",
    "professionals_currency_check": "currency = 'pesos'",
    "professionals_session_duration_minutes_check": "session_duration_minutes = 0",
    "professionals_session_price_cents_check": "session_price_cents = -1",
    "professionals_weekly_schedule_check": "weekly_schedule = '[]'",
    "professional_services_currency_check": "price_cents = 1, currency = 'pesos'",
    "professional_services_duration_minutes_check": "duration_minutes = 14",
    "professional_services_price_cents_check": "price_cents = 1",
    "appointments_second_professional_id_check": "second_professional_id = professional_id",
    "appointments_device_id_check": "room_id = 1, device_id = 1",
    "group_sessions_second_professional_id_check": "second_professional_id = professional_id",
    "group_sessions_device_id_check": "room_id = 1, device_id = 1",
    "resources_blocked_dates_check": "blocked_dates = '{}'",
    "resources_features_check": "features = '{}'",
    "resources_kind_check": "kind = 'car'",
    "resources_name_check": "name = ' '",
    "services_room_features_check": "room_features = '{}'",
    "services_tax_basis_points_check": "tax_basis_points = 10001",
    "credit_packages_tax_basis_points_check": "tax_basis_points = -1",
    "services_buffer_after_minutes_check": "buffer_after_minutes = 1441",
    "services_buffer_before_minutes_check": "buffer_before_minutes = -1",
    "services_colour_check": "colour = 'red'",
    "services_credits_check": "credits = -1",
    "services_currency_check": "price_cents = 1, currency = 'pesos'",
    "services_duration_minutes_check": "duration_minutes = 481",
    "services_name_check": "name = ' '",
    "services_price_cents_check": "currency = 'ARS'",
    "state_transitions_details_check": "details = '[]'",
    "state_transitions_request_fingerprint_check": "idempotency_key = 'x'",
    "students_admission_state_check": "admission_state = 'unknown'",
    "students_discharge_date_check": "admission_date = '2031-03-02', discharge_date = '2031-03-01'",
    "students_documents_check": "documents = '[]'",
    "students_emergency_contacts_check": "emergency_contacts = '{}'",
    "students_first_name_check": "first_name = ' '",
    "students_last_name_check": "last_name = ''",
    "students_on_leave_until_check": "on_leave_until = '2031-03-01'",
    "notices_attempts_check": "attempts = -1",
    "notices_channel_check": "channel = 'E-mail'",
    "notices_event_check": "event = 'seen'",
    "notices_minutes_before_check": "minutes_before = 5",
    "notices_purchase_id_check": "event = 'credits_expiring', minutes_before = 5",
    "notices_reason_check": "state = 'skipped'",
    "notices_sent_at_check": "sent_at = now()",
    "notices_state_check": "state = 'lost', reason = 'x', attempts = 1",
    "users_muted_channels_check": "muted_channels = '{}'",
    "users_language_check": "language = 'xx'",
    "users_email_check": "email = 'Ana@Example.org'",
    "users_role_check": "role = 4",
    "users_merged_email_check": "email = 'merged-0123abcd-17@merged.invalid'",
    "users_merged_into_id_check": "merged_into_id = id, merged_at = now()",
}
# A second row that repeats the first: what to copy from it.
ISSUED = (
    "state = 'issued', number = 1, series = '', biller = '{}', issued_at = now(), issued_on = '2031-04-01', "
    "due_on = '2031-04-01', line_count = 1, net_cents = 1, tax_cents = 0, total_cents = 1"
)
NOTE = "kind = 'credit_note', starts_on = NULL, ends_on = NULL, corrects_series = '', corrects_number = 1"
CHECKS |= {
    "invoice_counters_kind_check": "kind = 'other'",
    "invoice_counters_last_number_check": "last_number = -1",
    "invoices_kind_check": "kind = 'other', starts_on = NULL, ends_on = NULL",
    "invoices_state_check": "state = 'unknown'",
    "invoices_language_check": "language = 'fr'",
    "invoices_currency_check": "currency = 'pesos'",
    "invoices_ends_on_check": "ends_on = starts_on - 1",
    "invoices_corrects_number_check": "corrects_number = 1",
    "invoices_reason_check": f"{NOTE}, reason = ' '",
    "invoices_positions_check": "positions = '{}'",
    "invoices_customer_check": "customer = '[]'",
    "invoices_biller_check": "biller = '[]'",
    "invoices_series_check": ISSUED.replace("series = ''", "series = 'a b'"),
    "invoices_number_check": "number = 1",
    "invoices_due_on_check": "issued_on = '2031-04-02', due_on = '2031-04-01'",
    "invoices_total_cents_check": ISSUED.replace("total_cents = 1", "total_cents = 2"),
    "invoice_lines_position_check": "position = 2",
    "invoice_lines_net_before_check": "net_before = 1, invoice_net_cents = invoice_net_cents + 1",
    "invoice_lines_rate_before_check": "rate_before = 1",
    "invoice_lines_invoice_net_cents_check": "invoice_net_cents = 0",
    "invoice_lines_description_check": "description = ' '",
    "invoice_lines_appointment_id_check": "appointment_id = NULL",
    "invoice_lines_turn_check": "turn = 2",
    "invoice_lines_quantity_check": "quantity = 0",
    "invoice_lines_unit_cents_check": "unit_cents = 0, total_cents = 0, invoice_net_cents = 0",
    "invoice_lines_tax_basis_points_check": "tax_basis_points = 10001",
    "invoice_lines_tax_cents_check": "tax_cents = 1, invoice_tax_cents = 1, invoice_net_cents = invoice_net_cents - 1",
    "invoice_lines_total_cents_check": "total_cents = total_cents + 1, invoice_net_cents = invoice_net_cents + 1",
}
CHECKS |= {
    f"{table}_external_id_check": "external_id = ' 17'"
    for table in ("appointments", "professionals", "students", "users")
}
UNIQUES = {
    "closed_days_organization_id_day_key": "day",
    "appointments_organization_id_group_session_id_seat_key": None,  # see tests/scheduling/test_raw_groups.py
    "appointments_organization_id_group_session_id_student_id_key": None,  # the same
    "group_sessions_place_key": None,  # id is the primary key already, so that one answers first
    "appointments_organization_id_idempotency_key_key": "idempotency_key request_fingerprint",
    "appointments_organization_id_series_id_occurrence_at_key": "series_id occurrence_at",
    "appointments_organization_id_slot_request_id_key": None,  # see tests/scheduling/test_slot_offers.py
    "credit_balances_whose_key": None,  # id is the primary key already, so that one answers first
    "credit_balances_user_id_credit_kind_key_key": "user_id credit_kind_id",
    "credit_kinds_organization_id_name_key": "name",
    "credit_lot_movements_credit_transaction_id_credit_lot_id_key": "credit_transaction_id credit_lot_id",
    "credit_lots_organization_id_credit_transaction_id_key": "credit_transaction_id",
    "credit_packages_organization_id_name_key": "name",
    "credentials_organization_id_user_id_key": "user_id",
    "devices_organization_id_token_id_key": "token_id",
    "outside_busy_organization_id_calendar_id_begins_at_key": "calendar_id begins_at",
    "outside_calendars_organization_id_professional_id_url_key": "professional_id url",
    "sign_in_attempts_organization_id_key_key": "key",
    "credit_transactions_chain_key": None,  # the place alone is unique already, so that one answers first
    "credit_transactions_credit_balance_id_sequence_key": "credit_balance_id user_id sequence balance_before "
    "balance_after status processed_at",
    "credit_transactions_organization_id_idempotency_key_key": "idempotency_key",
    "credit_transactions_payment_attempt_key": "payment_method payment_reference payment_attempt",
    "credit_transactions_refundable_key": None,  # see tests/credits/test_guarantees.py
    "likes_organization_id_user_id_post_id_key": "user_id post_id",
    "organizations_subdomain_key": "subdomain",
    "professional_services_professional_id_service_id_key": "professional_id service_id",
    "professionals_organization_id_user_id_key": "user_id",
    "services_organization_id_name_key": "name",
    "resources_organization_id_name_key": "name",
    "resources_organization_id_room_key": None,  # id is the primary key already, so that one answers first
    "resources_organization_id_device_key": None,  # id is the primary key already, so that one answers first
    "state_transitions_organization_id_idempotency_key_key": "idempotency_key request_fingerprint",
    "notices_of_credits_once_key": None,  # see tests/notices/test_expiring.py
    "notices_once_key": "appointment_id event minutes_before cause_id occurs_at channel recipient_id",
    "users_organization_id_email_key": "email",
    "users_organization_id_jti_key": "jti",
    **{
        f"{table}_organization_id_external_id_key": "external_id"
        for table in ("appointments", "professionals", "students", "users")
    },
    "invoice_counters_organization_id_kind_series_key": "kind series",
    "invoices_organization_id_kind_series_number_key": None,  # see tests/invoicing/test_guarantees.py
    "invoices_corrected_key": None,  # kind, series and number are unique already, so that one answers first
    "invoices_figures_key": None,  # id is the primary key already, so that one answers first
    "invoice_lines_organization_id_invoice_id_position_key": None,  # see tests/invoicing/test_guarantees.py
    "invoice_lines_chain_key": None,  # the place alone is unique already, so that one answers first
    "invoice_lines_rate_position_key": None,  # see tests/invoicing/test_guarantees.py
    "invoice_lines_rate_chain_key": None,  # the place alone is unique already, so that one answers first
    "invoice_lines_organization_id_source_key_turn_key": None,  # see tests/invoicing/test_guarantees.py
    "invoice_lines_amounts_key": None,  # the turn alone is unique already, so that one answers first
    "idx_no_double_booking": None,  # the overlap is noticed first; see below
    "index_credit_transactions_on_live_debit": "appointment_id transaction_type amount",
    "index_credit_transactions_on_live_payment": "payment_method payment_reference",
    "index_credit_transactions_on_refundable_before": None,  # see tests/credits/test_guarantees.py
}


@pytest.fixture
def superuser(db):
    """Writes past grants and policies, so that nothing but the constraint answers."""
    connection = psycopg2.connect(db.url)
    yield connection.cursor()
    connection.rollback()
    connection.close()


def table_of(constraint: str) -> str:
    tables = sorted((model._meta.table_name for model in TENANT_MODELS), key=len, reverse=True)
    return next((table for table in (*tables, "organizations") if constraint.startswith(f"{table}_")), "")


def make(db, organization, table):
    if table == "organizations":
        return organization
    model = next(model for model in TENANT_MODELS if model._meta.table_name == table)
    with db.tenant(organization):
        return MAKERS[model]()


def refused(cursor, statement, values=()):
    with pytest.raises(psycopg2.Error) as caught:
        cursor.execute(statement, values)
    return translate(caught.value)


def catalogue(cursor, kind):
    cursor.execute(
        "select conname, conrelid::regclass::text from pg_constraint where contype = %s "
        "and connamespace = 'public'::regnamespace and conrelid <> 'rayces_migrations'::regclass",
        (kind,),
    )
    return dict(cursor.fetchall())


def test_every_check_is_broken_here(superuser):
    assert set(CHECKS) == set(catalogue(superuser, "c"))


def test_every_unique_constraint_and_index_is_broken_here(superuser):
    superuser.execute(
        "select indexrelid::regclass::text from pg_index where indisunique and not indisprimary "
        "and indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace) "
        "and indrelid <> 'rayces_migrations'::regclass"
    )
    assert set(UNIQUES) == {name for (name,) in superuser.fetchall()}


@pytest.mark.slow
@walked("constraint", CHECKS)
def test_a_row_that_breaks_a_check_is_refused_by_its_name(db, a, superuser, constraint):
    table = table_of(constraint)
    row = make(db, a, table)

    error = refused(superuser, f"update {table} set {CHECKS[constraint]} where id = %s", (row.id,))
    superuser.connection.rollback()

    assert (type(error), error.constraint, error.table) == (CheckFailedError, constraint, table)
    assert (error.code, error.sqlstate, error.orig.diag.constraint_name) == ("check_failed", "23514", constraint)
    assert error.fields == columns_of(constraint, table)
    assert str(error) == SENTENCES.get(constraint) or constraint in str(error)


def two_rows(db, a, b, table, constraint):
    if table == "organizations":
        return a, b
    with db.tenant(a):
        if "live_debit" in constraint:
            values = {"appointment": make_appointment(), "transaction_type": "appointment_debit", "amount": -1}
            return make_transaction(**values), make_transaction()
        if "payment_attempt" in constraint:
            failed = {"status": "failed", "processed_at": START}
            return make_transaction(**failed, payment_method="card", payment_reference="1"), make_transaction(**failed)
        if "sequence" in constraint:
            return make_completed(), make_transaction()
        if table == "credit_transactions":
            values = {"idempotency_key": "key", "payment_method": "card", "payment_reference": "1"}
            return make_transaction(**values), make_transaction()
        maker = MAKERS[next(model for model in TENANT_MODELS if model._meta.table_name == table)]
        if "external_id" in constraint:
            return maker(external_id="17"), maker()
        if "occurrence_at" in constraint:
            return maker(series=make_series(), occurrence_at=START), maker()
        if table in ("appointments", "state_transitions"):
            return maker(idempotency_key="key", request_fingerprint="asked"), maker()
    return make(db, a, table), make(db, a, table)


@pytest.mark.parametrize("constraint", [name for name, columns in UNIQUES.items() if columns])
def test_a_repeated_row_is_refused_by_the_name_of_its_key(db, a, b, superuser, constraint):
    table = table_of(constraint) or "credit_transactions"
    first, second = two_rows(db, a, b, table, constraint)
    copied = ", ".join(f"{column} = f.{column}" for column in UNIQUES[constraint].split())

    error = refused(
        superuser, f"update {table} s set {copied} from {table} f where s.id = %s and f.id = %s", (second.id, first.id)
    )

    assert (type(error), error.constraint) == (DuplicateError, constraint)
    assert error.fields == columns_of(constraint, table)
    assert set(error.fields) <= set(UNIQUES[constraint].split())
    assert "organization" not in str(error) or table == "organizations"


def test_a_primary_key_speaks_of_the_id(db, a, superuser):
    with db.tenant(a):
        first, second = make_user(), make_user()
    error = refused(superuser, "update users set id = %s where id = %s", (first.id, second.id))
    assert (type(error), error.fields) == (DuplicateError, ("id",))


def test_an_overlap_is_refused_even_from_raw_sql(db, a):
    with db.tenant(a):
        taken = {"state": "pre_confirmed", "pre_confirmed_at": START, "expires_at": START, "scheduled_at": START}
        first = make_appointment(**taken)
        with pytest.raises(OverlapError, match="is taken at that time") as caught:
            make_appointment(professional=first.professional, **taken)
    assert caught.value.constraint == "appointments_no_overlap"
    assert caught.value.fields == ("professional_id", "scheduled_at")


def test_the_double_booking_index_holds_by_itself(db, a, superuser):
    with db.tenant(a):
        first = make_appointment()
        second = make_appointment(professional=first.professional)
    superuser.execute("alter table appointments drop constraint appointments_no_overlap")
    confirmed = "state = 'confirmed', pre_confirmed_at = now(), expires_at = now(), confirmed_at = now()"
    superuser.execute(f"update appointments set {confirmed} where id = %s", (first.id,))

    same = f"update appointments set {confirmed}, scheduled_at = %s where id = %s"
    error = refused(superuser, same, (first.scheduled_at, second.id))

    assert (type(error), error.constraint) == (SlotTakenError, "idx_no_double_booking")


LINKS = {
    "credit_balances_last_entry_fkey": "last_sequence = 1, balance = 7",
    "credit_transactions_refundable_before_fkey": "transaction_type = 'cancellation_refund', status = 'completed', "
    "processed_at = now(), sequence = 1, balance_before = 0, balance_after = amount, refundable_before = amount + 1, "
    "refundable_after = 1, appointment_id = (select max(id) from appointments "
    "where organization_id = credit_transactions.organization_id)",
    "credit_transactions_previous_fkey": "status = 'completed', processed_at = now(), sequence = 2, "
    "previous_sequence = 1, balance_before = 1, balance_after = amount + 1",
    "credit_transactions_takes_back_fkey": "takes_back_balance_id = credit_balance_id, takes_back_sequence = 99, "
    "amount = -1, transaction_type = 'appointment_debit'",
}


@pytest.mark.parametrize("constraint", LINKS)
def test_a_link_of_the_ledgers_chain_that_leads_nowhere_is_refused_in_its_own_words(db, a, superuser, constraint):
    table = table_of(constraint)
    row = make(db, a, table)
    with db.tenant(a):
        make_appointment()

    error = refused(superuser, f"update {table} set {LINKS[constraint]} where id = %s", (row.id,))

    assert (type(error), error.constraint, error.table) == (ReferenceNotFoundError, constraint, table)
    assert error.fields == COLUMNS[constraint]
    assert str(error) == SENTENCES[constraint]
    assert "rayces_core.credits" in str(error)


# Links of invoices, over columns that the database computes; see tests/invoicing/test_guarantees.py.
OF_INVOICES = {
    *("invoices_previous_number_fkey", "invoices_corrects_fkey", "invoice_lines_figures_fkey"),
    "invoice_lines_previous_rate_fkey",
    *("invoice_lines_previous_fkey", "invoice_lines_previous_turn_fkey", "invoice_lines_credited_turn_fkey"),
}


@pytest.mark.slow
def test_every_foreign_key_refuses_what_is_not_there(db, a, superuser):
    assert set(LINKS) | OF_INVOICES <= set(catalogue(superuser, "f"))
    for constraint, table in catalogue(superuser, "f").items():
        # An appointment has a group only with a seat in it; see tests/scheduling/test_raw_groups.py.
        if constraint.endswith("_organization_id_fkey") or constraint in {*LINKS, *OF_INVOICES}:
            continue
        if "_group_session_" in constraint:
            continue
        column = columns_of(constraint, table)[0]
        row = make(db, a, table)
        superuser.execute("savepoint s")
        also = ", state = 'cancelled', cancelled_at = now()" if column == "cancelled_by_id" else ""
        also += ", open_seats = 0" if also and table == "group_sessions" else ""
        also += ", appointment_id = NULL" if table == "invoice_lines" and column == "credit_transaction_id" else ""
        also += ", occurrence_at = now()" if column == "series_id" else ""
        of_credits = table == "notices" and column == "purchase_id"
        also += ", appointment_id = NULL, event = 'credits_expiring', minutes_before = 5" if of_credits else ""
        also += ", merged_at = now()" if column == "merged_into_id" else ""
        also += (
            ", takes_back_sequence = 1, amount = -1, transaction_type = 'appointment_debit'"
            if column == "takes_back_balance_id"
            else ""
        )
        error = refused(superuser, f"update {table} set {column} = 1000000000000000{also} where id = %s", (row.id,))
        superuser.execute("rollback to savepoint s")
        assert type(error) is ReferenceNotFoundError, constraint
        assert error.constraint == constraint or column == "user_id", constraint
        assert f"{table}." in str(error)


def test_an_organization_with_rows_cannot_be_deleted(db, a, superuser):
    with db.tenant(a):
        make_student()
    error = refused(superuser, "delete from organizations where id = %s", (a.id,))
    assert type(error) is StillReferencedError
    assert error.fields == ("organization_id",)


def test_what_others_still_name_says_who_they_are(db, a):
    with db.tenant(a):
        student = make_appointment().student
        with pytest.raises(StillReferencedError, match=r"rows of appointments still name this one \(student_id\)"):
            student.delete_instance()
        assert Student.get_by_id(student.id) == student


def test_an_entry_of_the_ledger_cannot_name_another_users_balance(db, a):
    with db.tenant(a):
        balance, other = make_balance(), make_user()
        with pytest.raises(ReferenceNotFoundError) as caught:
            CreditTransaction.create(user=other, credit_balance=balance, amount=1, transaction_type="purchase")
    assert caught.value.fields == ("credit_balance_id", "user_id", "credit_kind_id")


def test_deleting_a_user_takes_posts_and_likes_but_never_appointments(db, a):
    with db.tenant(a):
        like = make_like()
        like.user.delete_instance()
        assert type(like).select().count() == 0
        client = make_appointment().client
        with pytest.raises(StillReferencedError):
            client.delete_instance()


def test_the_drivers_error_is_behind_each_as_peewee_would_have_it(db, a):
    with db.tenant(a):
        user = make_user()
        with pytest.raises(peewee.IntegrityError) as caught:
            make_user(email=user.email)
    error = caught.value
    assert (type(error), error.sqlstate, error.code) == (DuplicateError, "23505", "duplicate")
    assert type(error.orig) is psycopg2.errors.UniqueViolation
    assert error.__cause__ is error.orig


def test_a_reference_with_restrict_is_told_by_either_code(superuser):
    superuser.execute(
        "CREATE TEMP TABLE rooms (id int PRIMARY KEY);"
        "CREATE TEMP TABLE chairs (room_id int CONSTRAINT chairs_room_id_fkey REFERENCES rooms ON DELETE RESTRICT);"
        "INSERT INTO rooms VALUES (1); INSERT INTO chairs VALUES (1)"
    )
    error = refused(superuser, "DELETE FROM rooms")
    assert error.sqlstate in ("23001", "23503")  # PostgreSQL 18, and those before it
    assert (type(error), error.table, error.fields) == (StillReferencedError, "chairs", ("room_id",))


SPOKEN = {
    "update o delete en «users» viola la llave foránea «posts_user_id_fkey» en la tabla «posts»": StillReferencedError,
    "inserción o actualización en la tabla «posts» viola la llave foránea «posts_user_id_fkey»": ReferenceNotFoundError,
}


@pytest.mark.parametrize("sentence", SPOKEN)
def test_a_server_of_another_language_is_understood(superuser, sentence):
    raising = (
        "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '23503', CONSTRAINT = 'posts_user_id_fkey', TABLE = 'posts', "
        f"MESSAGE = '{sentence}'; END$$"
    )
    error = refused(superuser, raising)
    assert (type(error), error.table, error.fields) == (SPOKEN[sentence], "posts", ("user_id",))


def test_every_constraint_named_in_the_code_is_there(superuser):
    superuser.execute("select conname from pg_constraint union select relname from pg_class where relkind = 'i'")
    there = {name for (name,) in superuser.fetchall()}
    assert set(SENTENCES) | set(COLUMNS) <= there
