"""The rules of the domain that the database itself holds: each row that breaks one is refused by the rule's name."""

from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from tests.migrating.filler import STATES, Filler
from tests.walking import walked


def _all(cursor: Any, sql: str, *values: object) -> list[Any]:
    cursor.execute(sql, values or None)
    return cursor.fetchall()


# What an entry has only while it counts.
NO_PLACE = (
    "balance_before = NULL, balance_after = NULL, sequence = NULL, previous_sequence = NULL, refundable_before = NULL, "
    "refundable_after = NULL"
)
REFUSED = [
    *(
        (f"{table}_external_id_check", f"UPDATE {table} SET external_id = {value}")
        for table in ("users", "students", "professionals", "appointments")
        for value in ("''", "' 17'", "repeat('1', 201)")
    ),
    ("organizations_name_check", "UPDATE organizations SET name = ' '"),
    ("organizations_subdomain_check", "UPDATE organizations SET subdomain = 'North'"),
    ("organizations_subdomain_check", "UPDATE organizations SET subdomain = '-north'"),
    ("organizations_subdomain_check", "UPDATE organizations SET subdomain = repeat('n', 64)"),
    ("organizations_subdomain_check", "UPDATE organizations SET subdomain = E'north\n'"),
    ("organizations_subdomain_key", "UPDATE organizations SET subdomain = 'same'"),
    ("organizations_time_zone_check", "UPDATE organizations SET time_zone = ''"),
    ("organizations_currency_check", "UPDATE organizations SET currency = 'peso'"),
    ("organizations_settings_check", "UPDATE organizations SET settings = '[]'"),
    ("users_role_check", "UPDATE users SET role = 4"),
    ("users_email_check", "UPDATE users SET email = 'Ana@example.com' WHERE role = 0"),
    ("users_email_check", "UPDATE users SET email = ''"),
    ("users_organization_id_email_key", "UPDATE users SET email = 'same@example.com'"),
    ("users_organization_id_jti_key", "UPDATE users SET jti = 'same'"),
    ("users_organization_id_external_id_key", "UPDATE users SET external_id = 'same'"),
    (
        "likes_organization_id_user_id_post_id_key",
        "INSERT INTO likes (organization_id, user_id, post_id) SELECT organization_id, user_id, post_id FROM likes",
    ),
    (
        "professionals_organization_id_user_id_key",
        "INSERT INTO professionals (organization_id, user_id) SELECT organization_id, user_id FROM professionals",
    ),
    ("professionals_weekly_schedule_check", "UPDATE professionals SET weekly_schedule = '[]'"),
    ("professionals_blocked_dates_check", "UPDATE professionals SET blocked_dates = '{}'"),
    ("professionals_session_duration_minutes_check", "UPDATE professionals SET session_duration_minutes = 0"),
    ("professionals_buffer_minutes_check", "UPDATE professionals SET buffer_minutes = -1"),
    ("professionals_session_price_cents_check", "UPDATE professionals SET session_price_cents = -1"),
    ("professionals_currency_check", "UPDATE professionals SET currency = 'ars'"),
    ("students_first_name_check", "UPDATE students SET first_name = ' '"),
    ("students_last_name_check", "UPDATE students SET last_name = ''"),
    ("students_admission_state_check", "UPDATE students SET admission_state = 'unknown'"),
    (
        "students_discharge_date_check",
        "UPDATE students SET admission_date = '2026-03-01', discharge_date = '2026-02-28'",
    ),
    ("students_on_leave_until_check", "UPDATE students SET on_leave_until = '2026-03-01'"),
    ("students_emergency_contacts_check", "UPDATE students SET emergency_contacts = '{}'"),
    ("students_documents_check", "UPDATE students SET documents = '[]'"),
    ("appointments_duration_minutes_check", "UPDATE appointments SET duration_minutes = 14 WHERE state = 'draft'"),
    ("appointments_duration_minutes_check", "UPDATE appointments SET duration_minutes = 481 WHERE state = 'draft'"),
    ("appointments_buffer_minutes_check", "UPDATE appointments SET buffer_minutes = -1 WHERE state = 'draft'"),
    ("appointments_credits_used_check", "UPDATE appointments SET credits_used = -1"),
    ("appointments_price_cents_check", "UPDATE appointments SET price_cents = -1, currency = 'ARS'"),
    ("appointments_price_cents_check", "UPDATE appointments SET price_cents = 1"),
    ("appointments_price_cents_check", "UPDATE appointments SET currency = 'ARS'"),
    ("appointments_currency_check", "UPDATE appointments SET price_cents = 1, currency = 'ars'"),
    ("appointments_metadata_check", "UPDATE appointments SET metadata = '1'"),
    ("appointments_state_check", "UPDATE appointments SET state = 'lost' WHERE state = 'pre_confirmed'"),
    (
        "appointments_cancellation_reason_check",
        "UPDATE appointments SET cancellation_reason = ' ' WHERE state = 'cancelled'",
    ),
    (
        "appointments_cancellation_reason_check",
        "UPDATE appointments SET cancellation_reason = NULL WHERE state = 'cancelled'",
    ),
    (
        "appointments_cancellation_reason_check",
        "UPDATE appointments SET cancelled_by_id = client_id WHERE state = 'draft'",
    ),
    ("appointments_confirmed_at_check", "UPDATE appointments SET confirmed_at = now() WHERE state = 'cancelled'"),
    (
        "appointments_no_overlap",
        "UPDATE appointments SET scheduled_at = '2026-02-01 10:30+00' WHERE state = 'executed'",
    ),
    ("appointments_no_overlap", "UPDATE appointments SET buffer_minutes = 1 WHERE state = 'pre_confirmed'"),
    ("credit_balances_balance_check", "UPDATE credit_balances SET balance = -1"),
    ("credit_balances_lifetime_purchased_check", "UPDATE credit_balances SET lifetime_purchased = -1"),
    ("credit_balances_lifetime_used_check", "UPDATE credit_balances SET lifetime_used = -1"),
    (
        "credit_balances_user_id_credit_kind_key_key",
        "INSERT INTO credit_balances (organization_id, user_id) SELECT organization_id, user_id FROM credit_balances",
    ),
    (
        "credit_transactions_transaction_type_check",
        "UPDATE credit_transactions SET transaction_type = 'gift' WHERE amount > 0",
    ),
    (
        "credit_transactions_amount_check",
        "UPDATE credit_transactions SET amount = 0 WHERE transaction_type = 'admin_adjustment'",
    ),
    (
        "credit_transactions_amount_check",
        "UPDATE credit_transactions SET amount = 1 WHERE transaction_type = 'appointment_debit'",
    ),
    (
        "credit_transactions_amount_check",
        "UPDATE credit_transactions SET amount = -1 WHERE transaction_type = 'purchase'",
    ),
    (
        "credit_transactions_amount_check",
        "UPDATE credit_transactions SET amount = -1 WHERE transaction_type = 'cancellation_refund'",
    ),
    ("credit_transactions_status_check", f"UPDATE credit_transactions SET status = 'lost', {NO_PLACE}"),
    ("credit_transactions_balance_after_check", "UPDATE credit_transactions SET balance_after = NULL"),
    ("credit_transactions_balance_after_check", "UPDATE credit_transactions SET balance_after = -1"),
    ("credit_transactions_balance_after_check", "UPDATE credit_transactions SET status = 'failed'"),
    ("credit_transactions_processed_at_check", "UPDATE credit_transactions SET processed_at = NULL"),
    (
        "credit_transactions_processed_at_check",
        f"UPDATE credit_transactions SET status = 'pending', {NO_PLACE}",
    ),
    ("credit_balances_last_sequence_check", "UPDATE credit_balances SET last_sequence = NULL"),
    ("credit_balances_last_entry_fkey", "UPDATE credit_balances SET balance = 5"),
    ("credit_balances_last_entry_fkey", "UPDATE credit_balances SET balance = 1000, last_sequence = 5"),
    ("credit_transactions_sequence_check", "UPDATE credit_transactions SET sequence = NULL, previous_sequence = NULL"),
    (
        "credit_transactions_previous_sequence_check",
        "UPDATE credit_transactions SET previous_sequence = 1 WHERE sequence = 3",
    ),
    (
        "credit_transactions_previous_sequence_check",
        "UPDATE credit_transactions SET previous_sequence = NULL WHERE sequence = 3",
    ),
    (
        "credit_transactions_balance_before_check",
        "UPDATE credit_transactions SET amount = amount + 1 WHERE transaction_type = 'purchase'",
    ),
    (
        "credit_transactions_balance_before_check",
        "UPDATE credit_transactions SET balance_before = 1, balance_after = 6 WHERE sequence = 1",
    ),
    (
        "credit_transactions_previous_fkey",
        "UPDATE credit_transactions SET amount = -2, balance_before = 6 WHERE sequence = 4",
    ),
    (
        "credit_transactions_previous_fkey",
        "UPDATE credit_transactions SET amount = 6, balance_after = 6 WHERE sequence = 1",
    ),
    (
        "credit_transactions_credit_balance_id_sequence_key",
        "UPDATE credit_transactions SET sequence = 2, previous_sequence = 1 WHERE sequence = 3",
    ),
    (
        "credit_transactions_appointment_id_check",
        "UPDATE credit_transactions SET appointment_id = NULL WHERE amount = 1",
    ),
    (
        "credit_transactions_reason_check",
        "UPDATE credit_transactions SET reason = ' ' WHERE transaction_type = 'admin_adjustment'",
    ),
    (
        "credit_transactions_amount_cents_check",
        "UPDATE credit_transactions SET amount_cents = 1 WHERE transaction_type = 'purchase'",
    ),
    (
        "credit_transactions_amount_cents_check",
        "UPDATE credit_transactions SET currency = 'ARS' WHERE transaction_type = 'purchase'",
    ),
    (
        "credit_transactions_amount_cents_check",
        "UPDATE credit_transactions SET amount_cents = -1, currency = 'ARS' WHERE transaction_type = 'purchase'",
    ),
    (
        "credit_transactions_amount_cents_check",
        "UPDATE credit_transactions SET amount_cents = 1, currency = 'ARS' WHERE amount < 0",
    ),
    (
        "credit_transactions_currency_check",
        "UPDATE credit_transactions SET amount_cents = 1, currency = 'peso' WHERE transaction_type = 'purchase'",
    ),
    ("state_transitions_details_check", "UPDATE state_transitions SET details = '[]'"),
    ("credit_transactions_created_by_id_check", "UPDATE credit_transactions SET created_by_id = NULL"),
    ("credit_transactions_metadata_check", "UPDATE credit_transactions SET metadata = '[]'"),
    (
        "credit_transactions_organization_id_idempotency_key_key",
        "UPDATE credit_transactions SET idempotency_key = 'same'",
    ),
    (
        "index_credit_transactions_on_live_payment",
        "UPDATE credit_transactions SET payment_method = 'card', payment_reference = '1'",
    ),
    (
        "credit_transactions_payment_attempt_key",
        f"UPDATE credit_transactions SET payment_method = 'c', payment_reference = '1', status = 'failed', {NO_PLACE}",
    ),
    ("credit_transactions_payment_attempt_check", "UPDATE credit_transactions SET payment_attempt = 0"),
    ("credit_transactions_idempotency_key_check", "UPDATE credit_transactions SET idempotency_key = ' '"),
    ("credit_transactions_payment_method_check", "UPDATE credit_transactions SET payment_method = ''"),
    ("credit_transactions_payment_reference_check", "UPDATE credit_transactions SET payment_reference = ''"),
    ("appointments_idempotency_key_check", "UPDATE appointments SET idempotency_key = '', request_fingerprint = 'f'"),
    (
        "credit_transactions_refundable_after_check",
        "UPDATE credit_transactions SET refundable_after = 2 WHERE transaction_type = 'appointment_debit'",
    ),
    (
        "credit_transactions_refundable_after_check",
        "UPDATE credit_transactions SET refundable_before = 0, refundable_after = -1 WHERE amount = 1",
    ),
    (
        "credit_transactions_refundable_before_fkey",
        "UPDATE credit_transactions SET refundable_before = 3, refundable_after = 2 WHERE amount = 1",
    ),
    (
        "credit_transactions_whose_fkey",
        "UPDATE credit_transactions SET user_id = created_by_id WHERE created_by_id IS NOT NULL",
    ),
    (
        "idx_no_double_booking",
        (
            "ALTER TABLE appointments DROP CONSTRAINT appointments_no_overlap; "
            "UPDATE appointments SET scheduled_at = '2026-02-03 12:00+00', state = 'confirmed', confirmed_at = now(), "
            "executed_at = NULL WHERE state IN ('confirmed', 'executed')"
        ),
    ),
]


@walked(("constraint", "statement"), REFUSED, anew="cursor", ids=[f"{name}-{n}" for n, (name, _) in enumerate(REFUSED)])
def test_a_row_that_breaks_a_rule_is_refused_by_its_name(cursor: Any, constraint: str, statement: str) -> None:
    with pytest.raises(psycopg2.IntegrityError) as caught:
        cursor.execute(statement)
    assert caught.value.diag.constraint_name == constraint


LIVE = """
INSERT INTO credit_transactions
    (organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type)
SELECT organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type
  FROM credit_transactions
 WHERE transaction_type = '{0}'
"""


def test_an_appointment_has_one_live_debit_and_any_number_of_failed_ones(cursor: Any) -> None:
    kind = "appointment_debit"
    cursor.execute("SAVEPOINT before")
    with pytest.raises(errors.UniqueViolation) as caught:
        cursor.execute(LIVE.format(kind))
    assert caught.value.diag.constraint_name == "index_credit_transactions_on_live_debit"
    cursor.execute("ROLLBACK TO before")
    cursor.execute("UPDATE credit_balances SET balance = 0, last_sequence = NULL")
    cursor.execute(f"UPDATE credit_transactions SET status = 'failed', {NO_PLACE}")
    cursor.execute(LIVE.format(kind))
    assert cursor.rowcount == 2


@walked("state", STATES)
@walked("stamps_of", STATES, anew="cursor")
def test_an_appointments_timestamps_are_those_of_its_state(cursor: Any, state: str, stamps_of: str) -> None:
    columns = (
        "pre_confirmed_at",
        "expires_at",
        "confirmed_at",
        "executed_at",
        "no_show_at",
        "cancelled_at",
        "cancellation_reason",
    )
    values = [STATES[stamps_of].get(column) for column in columns]
    change = (
        f"UPDATE appointments SET state = %s, {', '.join(f'{column} = %s' for column in columns)} WHERE state = 'draft'"
    )
    if stamps_of == state:
        cursor.execute(change, [state, *values])
        return
    with pytest.raises(errors.CheckViolation):
        cursor.execute(change, [state, *values])


@pytest.mark.parametrize("reached", ["draft", "pre_confirmed", "confirmed"])
def test_a_cancelled_appointment_keeps_the_timestamps_it_had(cursor: Any, reached: str) -> None:
    cursor.execute(
        "UPDATE appointments SET state = 'cancelled', cancelled_at = now(), cancelled_by_id = client_id "
        "WHERE state = %s",
        (reached,),
    )
    assert cursor.rowcount == 2


def test_an_appointment_may_begin_the_moment_another_ends(cursor: Any) -> None:
    cursor.execute(
        "UPDATE appointments SET scheduled_at = '2026-02-01 13:00+00', buffer_minutes = 30 WHERE state = 'no_show'"
    )
    cursor.execute("UPDATE appointments SET scheduled_at = '2026-02-01 14:30+00' WHERE state = 'executed'")
    with pytest.raises(errors.ExclusionViolation):
        cursor.execute("UPDATE appointments SET scheduled_at = '2026-02-01 14:29+00' WHERE state = 'executed'")


@pytest.mark.parametrize("free", ["draft", "cancelled"])
def test_drafts_and_cancelled_appointments_take_no_time(cursor: Any, free: str) -> None:
    cursor.execute("UPDATE appointments SET scheduled_at = '2026-02-01 10:00+00' WHERE state = %s", (free,))
    assert cursor.rowcount == 2


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "America/Argentina/Buenos_Aires"])
def test_occupied_time_is_right_across_a_daylight_saving_change(cursor: Any, zone: str) -> None:
    cursor.execute("SELECT set_config('timezone', %s, true)", (zone,))
    cursor.execute(
        "UPDATE appointments SET scheduled_at = '2026-03-08 06:30+00', duration_minutes = 60, buffer_minutes = 15 "
        "WHERE state = 'draft'"
    )
    found = _all(
        cursor, "SELECT DISTINCT occupied_until - scheduled_at = '75 minutes' FROM appointments WHERE state = 'draft'"
    )
    assert found == [(True,)]


# Of which rows a reference may be changed without breaking another rule first.
WHICH = {
    "cancelled_by_id": "state = 'cancelled'",
    "credit_package_id": "transaction_type = 'purchase'",
    "takes_back_balance_id": "amount < 0 AND appointment_id IS NULL",
    "slot_request_id": "state = 'draft'",
    "credit_lot_movements": "amount > 0",
    "professionals": "title = 'Assistant'",
}
# What has to be written with it.
ALONG = {"series_id": ", occurrence_at = scheduled_at", "merged_into_id": ", merged_at = now()"}
ALONG |= {"takes_back_balance_id": ", takes_back_sequence = 1"}
ALONG |= {"notices": ", event = 'credits_expiring', appointment_id = NULL, minutes_before = 60"}


def test_a_reference_to_another_organizations_row_is_refused(cursor: Any) -> None:
    cursor.execute("SAVEPOINT before")
    references = _all(
        cursor,
        "SELECT k.conrelid::regclass::text, a.attname::text, p.relname::text, b.attname::text FROM pg_constraint k "
        "JOIN pg_class p ON p.oid = k.confrelid "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[2] "
        "JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = k.confkey[2] "
        "WHERE k.contype = 'f' AND cardinality(k.conkey) > 1 AND a.attname <> 'group_session_id' "
        # Links of invoices by other columns than ids; see tests/invoicing/test_guarantees.py.
        "AND (k.conname !~ '^invoice' OR cardinality(k.conkey) = 2)",
    )
    assert len(references) == 66
    for table, column, parent, key in references:
        foreign = f"(SELECT min({key}) FROM {parent} AS p WHERE p.organization_id <> {table}.organization_id)"
        along = ALONG.get(column, ALONG.get(table, "") if column == "purchase_id" else "")
        along += ", appointment_id = NULL" if (table, column) == ("invoice_lines", "credit_transaction_id") else ""
        which = WHICH.get(column, WHICH.get(table, "true"))
        with pytest.raises(errors.ForeignKeyViolation):
            cursor.execute(f"UPDATE {table} SET {column} = {foreign}{along} WHERE {which}")
        cursor.execute("ROLLBACK TO before")


def test_a_user_with_bookings_or_credits_cannot_be_deleted(cursor: Any) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        cursor.execute("DELETE FROM users")


def test_a_users_posts_and_likes_go_with_the_user(cursor: Any) -> None:
    filler = Filler(cursor.connection)
    ((organization,),) = _all(cursor, "SELECT min(id) FROM organizations")
    user = filler.insert("users", organization_id=organization, email="gone@example.com")
    post = filler.insert("posts", organization_id=organization, user_id=user)
    filler.insert("likes", organization_id=organization, user_id=user, post_id=post)
    cursor.execute("DELETE FROM users WHERE id = %s", (user,))
    assert _all(cursor, "SELECT count(*) FROM posts WHERE id = %s", post) == [(0,)]
