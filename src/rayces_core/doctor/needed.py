"""The rights without which this library's models do not work, table by table.

Rule it guards: a right that a migration grants is listed here, so that the doctor misses it when it is gone.
"""

from __future__ import annotations

from typing import Final

# Table → what the application's role may write there; UPDATE by column, so that whose a row is never changes.
WRITES: Final[dict[str, str]] = {
    "organizations": "name time_zone currency settings email phone address updated_at",
    "users": "INSERT DELETE email uid provider created_at updated_at role first_name last_name phone jti sign_in_count "
    "current_sign_in_at last_sign_in_at current_sign_in_ip last_sign_in_ip external_id muted_channels merged_into_id "
    "merged_at language",
    "posts": "INSERT DELETE user_id content created_at updated_at",
    "likes": "INSERT DELETE user_id post_id created_at updated_at",
    "professionals": "INSERT DELETE user_id title specialization bio license_number weekly_schedule blocked_dates "
    "session_duration_minutes buffer_minutes active accepts_new_clients session_price_cents currency created_at "
    "updated_at external_id dated_schedules date_overrides buffer_before_minutes",
    "closed_days": "INSERT DELETE day name region is_open created_at updated_at",
    "time_off_requests": "INSERT state decided_at updated_at",
    "slot_requests": "INSERT client_id state place_at updated_at",
    "calendar_feeds": "INSERT user_id secret_hash revoked_at last_read_at body_hash changed_at",
    "outside_calendars": "INSERT DELETE name etag last_modified read_at tried_at failing_since failure updated_at",
    "outside_busy": "INSERT DELETE",
    "students": "INSERT DELETE first_name last_name date_of_birth grade_level primary_contact_id secondary_contact_id "
    "medical_notes educational_notes emergency_contacts admission_state admission_date discharge_date documents "
    "created_at updated_at on_leave_until external_id",
    "appointments": "INSERT professional_id student_id client_id scheduled_at duration_minutes buffer_minutes state "
    "pre_confirmed_at expires_at confirmed_at executed_at no_show_at cancelled_at cancelled_by_id cancellation_reason "
    "notes professional_notes uses_credit credits_used metadata created_at updated_at "
    "allows_overlap price_cents currency external_id created_at_made_up service_id buffer_before_minutes "
    "seat seats series_id occurrence_at second_professional_id room_id device_id reserved_credits",
    "appointment_series": "INSERT ends_before follows_id updated_at",
    "services": "INSERT DELETE name duration_minutes buffer_before_minutes buffer_after_minutes price_cents currency "
    "credits colour families_may_book active created_at updated_at credit_kind_id room_features "
    "tax_basis_points",
    "resources": "INSERT DELETE name features active blocked_dates created_at updated_at",
    "credit_kinds": "INSERT DELETE name created_at updated_at",
    "professional_services": "INSERT DELETE professional_id service_id duration_minutes price_cents currency "
    "created_at updated_at",
    "group_sessions": "INSERT name scheduled_at duration_minutes buffer_minutes capacity open_seats state cancelled_at "
    "cancelled_by_id cancellation_reason updated_at second_professional_id room_id device_id",
    "credit_packages": "INSERT DELETE name credit_kind_id credits price_cents currency valid_days valid_until active "
    "created_at updated_at tax_basis_points",
    "credit_lots": "INSERT remaining updated_at",
    "credit_lot_movements": "INSERT",
    "invoice_counters": "INSERT last_number",
    "invoices": "INSERT state customer biller series number issued_at issued_on due_on line_count net_cents tax_cents "
    "total_cents updated_at",
    "invoice_lines": "INSERT",
    "credit_balances": "INSERT balance lifetime_purchased lifetime_used updated_at last_sequence in_lots reserved",
    "credit_transactions": "INSERT status processed_at balance_before balance_after sequence previous_sequence "
    "refundable_before refundable_after metadata updated_at",
    "state_transitions": "INSERT",
    "import_runs": "INSERT last_row created updated unchanged skipped finished_at updated_at",
    "outbox_messages": "",
    "credentials": "INSERT DELETE password_hash password_changed_at email_confirmed_at email_hash updated_at",
    "devices": "INSERT DELETE expires_at",
    "single_use_tokens": "INSERT DELETE hashes used_at",
    "sign_in_attempts": "INSERT DELETE failures last_at blocked_until",
    "webhook_endpoints": "INSERT DELETE url secrets topics enabled disabled_reason description updated_at",
    "notices": "INSERT DELETE recipient_id address state reason attempts retry_at sent_at reference updated_at",
}
# What the admin role needs where that is not all of it.
_ADMIN: Final[dict[str, str]] = {
    "outbox_messages": "INSERT DELETE attempts available_at delivered_to last_error settled_at dead payload",
    "credit_transactions": f"{WRITES['credit_transactions']} reason",
    "state_transitions": f"{WRITES['state_transitions']} reason details",
}
# Tables that the application's role may add rows to with these columns alone.
_INSERTS: Final[dict[str, str]] = {
    "outbox_messages": "organization_id id message_id topic version subject_type subject_id payload available_at "
    "occurred_at",
}
# What is kept as it was written the admin role cannot change either.
_KEPT: Final = ("credit_transactions", "credit_lot_movements", "state_transitions", "invoices", "invoice_lines")

ROLES: Final = """(SELECT oid, rolname, false AS is_admin FROM app
                    UNION ALL SELECT oid, rolname, true FROM admin WHERE NOT rolsuper)"""


def _rows(is_admin: bool) -> str:
    rows = []
    for table, words in WRITES.items():
        held = words
        if is_admin:
            held = _ADMIN.get(table, words if table in _KEPT else "INSERT UPDATE DELETE")
        privileges = ["SELECT", *(word for word in held.split() if word.isupper())]
        columns = [word for word in held.split() if word.islower()]
        inserts = [] if is_admin else _INSERTS.get(table, "").split()
        arrays = ", ".join(f"'{{{','.join(words)}}}'::text[]" for words in (privileges, columns, inserts))
        rows.append(f"('{table}', {is_admin}, {arrays})")
    return ", ".join(rows)


def _columns(table: str) -> list[str]:
    words = " ".join((WRITES[table], _ADMIN.get(table, ""), _INSERTS.get(table, ""))).split()
    return sorted({word for word in words if word.islower()})


# Table → every column of it that is named above, whoever writes it.
WRITTEN: Final = "VALUES " + ", ".join(f"('{table}', '{{{','.join(_columns(table))}}}'::text[])" for table in WRITES)

# One row for each right that is not there. A table of the host's that may be inserted into is as it is meant: it may be
# append-only. One that may not be is useless, unless a comment on it says `rayces: read-only`.
# Columns are the table, the role, a number to sort by, the right as GRANT spells it.
MISSING: Final = f"""
WITH needed(relname, is_admin, privileges, columns, inserts) AS (VALUES {_rows(False)}, {_rows(True)})
SELECT t.object, r.rolname, 1, privilege
  FROM {ROLES} r JOIN needed n USING (is_admin) JOIN tenant t ON t.is_home AND t.relname = n.relname,
       unnest(n.privileges) AS privilege
 WHERE NOT has_table_privilege(r.oid, t.oid, privilege)
UNION ALL
SELECT t.object, r.rolname, 2, c.command || ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
  FROM {ROLES} r JOIN needed n USING (is_admin) JOIN tenant t ON t.is_home AND t.relname = n.relname
  CROSS JOIN LATERAL (VALUES ('INSERT', n.inserts), ('UPDATE', n.columns)) AS c(command, columns)
  JOIN pg_attribute a ON a.attrelid = t.oid AND NOT a.attisdropped AND a.attname::text = ANY (c.columns)
 WHERE NOT has_column_privilege(r.oid, t.oid, a.attnum, c.command) GROUP BY 1, 2, c.command
UNION ALL
SELECT t.object, r.rolname, h.place, h.privilege
  FROM {ROLES} r CROSS JOIN tenant t
  CROSS JOIN LATERAL (
      SELECT has_any_column_privilege(r.oid, t.oid, 'INSERT')
             OR coalesce(obj_description(t.oid, 'pg_class'), '') ~ '\\mrayces: read-only\\M' AS as_meant
  ) AS w
  CROSS JOIN LATERAL (
      SELECT 1, 'SELECT' WHERE NOT has_any_column_privilege(r.oid, t.oid, 'SELECT')
      UNION ALL SELECT 1, 'INSERT' WHERE NOT w.as_meant
      UNION ALL SELECT 1, 'DELETE' WHERE NOT w.as_meant AND NOT has_table_privilege(r.oid, t.oid, 'DELETE')
      UNION ALL
      SELECT 2, 'UPDATE' || CASE WHEN r.is_admin THEN ''
                                 ELSE format(' (%%s)', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)) END
        FROM pg_attribute a
       WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
         AND a.attname NOT IN ('organization_id', 'id')
         AND NOT w.as_meant AND NOT has_any_column_privilege(r.oid, t.oid, 'UPDATE')
      HAVING count(*) > 0
  ) AS h(place, privilege)
 WHERE NOT t.is_child AND NOT (t.is_home AND t.relname IN (SELECT relname FROM needed))
"""
