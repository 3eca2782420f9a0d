# ruff: noqa: E501, ISC004 - what goes in and what comes out stand in one line
"""Two organizations with a handful of rows, and what makes them dirty."""

from __future__ import annotations

STAMPS = "'2025-01-01', '2025-01-02'"
# 1, 2: Norte's admin and professional; 3, 4: its guardians; 11 to 14: Sur's.
FEW = f"""
INSERT INTO organizations (id, name, subdomain, created_at, updated_at) VALUES
    (1, 'Norte', 'norte', {STAMPS}), (2, 'Sur', 'sur', {STAMPS});
INSERT INTO users (id, email, uid, organization_id, role, first_name, jti, created_at, updated_at)
SELECT o * 10 + n - 10, 'u' || n || '.' || o || '@example.org', 'uid' || o || n, o, CASE n WHEN 1 THEN 0 WHEN 2 THEN 1 ELSE 3 END,
       'Ana', 'jti' || o || n, {STAMPS} FROM generate_series(1, 2) AS o, generate_series(1, 4) AS n;
INSERT INTO posts (id, user_id, content, organization_id, created_at, updated_at)
SELECT o * 10 - 9, o * 10 - 7, 'hello', o, {STAMPS} FROM generate_series(1, 2) AS o;
INSERT INTO likes (id, user_id, post_id, organization_id, created_at, updated_at)
SELECT o * 10 - 9, o * 10 - 6, o * 10 - 9, o, {STAMPS} FROM generate_series(1, 2) AS o;
INSERT INTO professionals (id, user_id, organization_id, created_at, updated_at)
SELECT o * 10 - 9, o * 10 - 8, o, {STAMPS} FROM generate_series(1, 2) AS o;
INSERT INTO students (id, organization_id, first_name, last_name, primary_contact_id, created_at, updated_at)
SELECT o * 10 - 9, o, 'Mia', 'Paz', o * 10 - 7, {STAMPS} FROM generate_series(1, 2) AS o;
INSERT INTO appointments (id, organization_id, professional_id, student_id, client_id, scheduled_at, state, confirmed_at,
                          executed_at, uses_credit, created_at, updated_at)
SELECT o * 10 - 9, o, o * 10 - 8, o * 10 - 9, o * 10 - 7, '2025-02-01 10:00', 'executed', '2025-01-05', '2025-02-01 11:00',
       true, {STAMPS} FROM generate_series(1, 2) AS o;
INSERT INTO credit_balances (id, organization_id, user_id, balance, lifetime_purchased, lifetime_used, created_at, updated_at)
SELECT o * 10 - 9, o, o * 10 - 7, 4, 5, 1, {STAMPS} FROM generate_series(1, 2) AS o;
INSERT INTO credit_transactions (id, organization_id, user_id, credit_balance_id, appointment_id, amount, transaction_type,
                                 status, processed_at, created_at, updated_at)
SELECT o * 10 - 9 + n, o, o * 10 - 7, o * 10 - 9, CASE n WHEN 1 THEN o * 10 - 9 END, CASE n WHEN 0 THEN 5 ELSE -1 END,
       CASE n WHEN 0 THEN 'purchase' ELSE 'appointment_debit' END, 'completed', timestamp '2025-01-03' + n * interval '1 day',
       {STAMPS} FROM generate_series(1, 2) AS o, generate_series(0, 1) AS n;
"""
APPOINTMENT = (
    "INSERT INTO appointments (id, organization_id, professional_id, student_id, client_id, scheduled_at, state, "
    f"created_at, updated_at) VALUES ({{}}, {STAMPS})"
)
ENTRY = (
    "INSERT INTO credit_transactions (id, organization_id, user_id, credit_balance_id, amount, transaction_type, status, "
    "appointment_id, metadata, payment_method, payment_reference, processed_at, created_at, updated_at) "
    f"VALUES ({{}}, {STAMPS})"
)
# Each: what makes the database dirty; (kind, table) → how many rows are found; a query and what it gives afterwards.
Dirt = tuple[str, dict[tuple[str, str], int], str, list[tuple[object, ...]]]
DIRT: dict[str, Dirt] = {
    "a subdomain with capitals, another with a line under it": (
        "UPDATE organizations SET subdomain = CASE id WHEN 1 THEN ' Norte ' ELSE '_mi_centro_' END",
        {("subdomains", "organizations"): 2},
        "SELECT id, subdomain FROM organizations ORDER BY 1",
        [(1, "norte"), (2, "mi-centro")],
    ),
    "two subdomains that become one": (
        "UPDATE organizations SET subdomain = 'NORTE' WHERE id = 2",
        {("subdomains", "organizations"): 1},
        "SELECT id, subdomain FROM organizations ORDER BY 1",
        [(1, "norte"), (2, "norte-2")],
    ),
    "blank names": (
        "UPDATE organizations SET name = ' ' WHERE id = 2; UPDATE students SET last_name = '' WHERE id = 1",
        {("blank-names", "organizations"): 1, ("blank-names", "students"): 1},
        "SELECT name, (SELECT last_name FROM students WHERE id = 1) FROM organizations WHERE id = 2",
        [("Organization 2", "(no name)")],
    ),
    "settings of another shape": (
        """UPDATE organizations SET settings = CASE id WHEN 1 THEN '[1]'::jsonb ELSE '{"booking_window_days": "12",
           "cancellation_notice_hours": "soon", "book_prospects": "yes", "theme": {"dark": true},
           "timezone": "Atlantis"}' END""",
        {("shapes", "organizations"): 2, ("unknown-values", "organizations"): 1},
        "SELECT settings, time_zone FROM organizations ORDER BY id",
        [({}, "America/Argentina/Buenos_Aires"), (
            {"booking_window_days": 12, "theme": {"dark": True}, "timezone": "Atlantis"},
            "America/Argentina/Buenos_Aires")],
    ),
    "the same address in two spellings, in one organization and in the other": (
        "UPDATE users SET email = 'Ana@Example.org' WHERE id = 3; UPDATE users SET email = ' ana@example.ORG' WHERE id = 4; "
        "UPDATE users SET email = 'ANA@example.org' WHERE id = 13",
        {("emails", "users"): 1},
        "SELECT id, email FROM users WHERE id IN (3, 4, 13) ORDER BY 1",
        [(3, "ana@example.org"), (4, "ana+4@example.org"), (13, "ana@example.org")],
    ),
    "an address that is blank": (
        "UPDATE users SET email = E'\\t\\u00a0' WHERE id = 4",
        {("missing-emails", "users"): 1},
        "SELECT email FROM users WHERE id = 4",
        [("user-4@myhub.invalid",)],
    ),
    "a role that is none": (
        "UPDATE users SET role = 7 WHERE id = 4",
        {("unknown-roles", "users"): 1},
        "SELECT role FROM users WHERE id = 4",
        [(0,)],
    ),
    "a sign-in address that is none, a negative count": (
        "UPDATE users SET current_sign_in_ip = 'unknown', last_sign_in_ip = '::1', sign_in_count = -1 WHERE id = 4",
        {("unknown-values", "users"): 1},
        "SELECT current_sign_in_ip, host(last_sign_in_ip), sign_in_count FROM users WHERE id = 4",
        [(None, "::1", 0)],
    ),
    "users, posts and likes without an organization": (
        "UPDATE users SET organization_id = NULL WHERE id = 4; UPDATE likes SET organization_id = NULL; "
        "UPDATE posts SET organization_id = NULL WHERE id = 1",
        {("missing-organization", "users"): 1, ("missing-organization", "likes"): 1},
        "SELECT (SELECT count(*) FROM users WHERE id = 4), (SELECT organization_id FROM posts WHERE id = 1), "
        "(SELECT array_agg(id) FROM likes)",
        [(0, 1, [11])],
    ),
    "a post without an author, and its like": (
        "UPDATE posts SET user_id = NULL WHERE id = 1",
        {("missing-author", "posts"): 1, ("missing-author", "likes"): 1},
        "SELECT (SELECT array_agg(id) FROM posts), (SELECT array_agg(id) FROM likes)",
        [([11], [11])],
    ),
    "a post and a like of another organization": (
        "UPDATE posts SET organization_id = 2 WHERE id = 1; UPDATE likes SET post_id = 1 WHERE id = 11",
        {("other-organizations", "posts"): 1, ("other-organizations", "likes"): 2},
        "SELECT (SELECT array_agg(id) FROM posts), (SELECT count(*) FROM likes)",
        [([11], 0)],
    ),
    "a like that is written twice": (
        f"DROP INDEX index_likes_on_user_id_and_post_id; INSERT INTO likes (id, user_id, post_id, organization_id, "
        f"created_at, updated_at) VALUES (5, 4, 1, 1, {STAMPS})",
        {("repeated-likes", "likes"): 1},
        "SELECT id FROM likes WHERE post_id = 1",
        [(1,)],
    ),
    "empty values where there is a default": (
        "UPDATE professionals SET weekly_schedule = NULL, blocked_dates = NULL, session_duration_minutes = NULL, "
        "buffer_minutes = NULL, active = NULL, accepts_new_clients = NULL, currency = NULL WHERE id = 1; "
        "UPDATE students SET emergency_contacts = NULL, documents = NULL, admission_state = NULL WHERE id = 1; "
        "UPDATE appointments SET metadata = NULL, uses_credit = NULL WHERE id = 11",
        {},
        "SELECT weekly_schedule, blocked_dates, session_duration_minutes, buffer_minutes, active, accepts_new_clients, "
        "currency, (SELECT admission_state FROM students WHERE id = 1), "
        "(SELECT uses_credit FROM appointments WHERE id = 11) FROM professionals WHERE id = 1",
        [({}, [], 60, 15, False, False, "ARS", "prospect", False)],
    ),
    "lengths, buffers and prices that are none": (
        "UPDATE professionals SET session_duration_minutes = 5, buffer_minutes = -1, session_price_cents = -100 "
        "WHERE id = 1; UPDATE professionals SET session_duration_minutes = 600, buffer_minutes = 2000, currency = 'pesos' "
        "WHERE id = 11; UPDATE appointments SET duration_minutes = 1 WHERE id = 1",
        {("numbers", "professionals"): 2, ("unknown-values", "professionals"): 1, ("numbers", "appointments"): 1},
        "SELECT session_duration_minutes, buffer_minutes, session_price_cents, currency, (SELECT duration_minutes "
        "FROM appointments WHERE id = p.id) FROM professionals p ORDER BY id",
        [(15, 0, 0, "ARS", 15), (480, 1440, None, "ARS", 60)],
    ),
    "schedules and blocked dates of another shape": (
        """UPDATE professionals SET weekly_schedule = '{"monday": {"start": "17:00", "end": "09:00"}, "lunes": [],
           "tuesday": [{"start": "08:00", "end": "12:00"}, {"start": "11:00", "end": "13:00"}], "sunday": "closed",
           "wednesday": [{"start": "14:00", "end": "00:00"}, {"start": "8:00", "end": "12:00:00"}]}',
           blocked_dates = '["2025-02-30", "2025-03-01", {"start": "2025-05-02", "end": "2025-05-01"}, 7, null]'
           WHERE id = 1""",
        {("shapes", "professionals"): 1},
        "SELECT weekly_schedule, blocked_dates FROM professionals WHERE id = 1",
        [({"tuesday": [{"start": "08:00", "end": "12:00"}],
           "wednesday": [{"start": "08:00", "end": "12:00"}, {"start": "14:00", "end": "24:00"}]},
          [{"start": "2025-03-01", "end": "2025-03-01"}])],
    ),
    "contacts and documents of another shape": (
        """UPDATE students SET emergency_contacts = '[{"name": "Eva", "phone": "1"}, "Eva 555", {"name": " Leo ",
           "relation": "uncle", "phone": 555, "email": "none"}, {"name": "Ana", "relationship": "mother", "phone": "2"}]',
           documents = '{"a": {"url": "ftp://x/y", "uploaded_at": "2025-01-01T10:00:00-03:00", "kind": "scan"},
           "b": {"url": "nowhere"}, " c ": "https://x.org/c", "d": ["x"], "e": {"url": "https://x", "uploaded_at": "now"}}'
           WHERE id = 1""",
        {("shapes", "students"): 1},
        "SELECT emergency_contacts, documents FROM students WHERE id = 1",
        [([{"name": "Leo", "relationship": "uncle", "phone": "555"},
           {"name": "Ana", "relationship": "mother", "phone": "2"}],
          {"a": {"url": "ftp://x/y", "uploaded_at": "2025-01-01T13:00:00.000000Z", "kind": "scan"},
           "c": {"url": "https://x.org/c", "uploaded_at": "2025-01-02T00:00:00.000000Z"}})],
    ),
    "contacts of another organization": (
        "UPDATE students SET primary_contact_id = 13, secondary_contact_id = 4 WHERE id = 1",
        {("other-organizations", "students"): 1},
        "SELECT primary_contact_id, secondary_contact_id FROM students WHERE id = 1",
        [(None, 4)],
    ),
    "a discharge before the admission": (
        "UPDATE students SET admission_date = '2025-02-01', discharge_date = '2025-01-01' WHERE id = 1",
        {("dates", "students"): 1},
        "SELECT admission_date::text, discharge_date FROM students WHERE id = 1",
        [("2025-02-01", None)],
    ),
    "states in other spellings, and unknown ones": (
        "UPDATE students SET admission_state = CASE id WHEN 1 THEN ' On-Leave' ELSE 'graduated' END; "
        + APPOINTMENT.format("2, 1, 2, 1, 3, '2031-02-01 12:00', 'Canceled'") + "; "
        + APPOINTMENT.format("3, 1, 2, 1, 3, '2031-02-01 12:00', 'rescheduled'"),
        {("states", "students"): 1, ("states", "appointments"): 1, ("moments", "appointments"): 1},
        "SELECT s.id, s.admission_state, (SELECT array_agg(state ORDER BY id) FROM appointments a "
        "WHERE a.organization_id = s.organization_id) FROM students s ORDER BY id",
        [(1, "on_leave", ["executed", "cancelled", "draft"]), (11, "prospect", ["executed"])],
    ),
    "moments that the old application never wrote, and stray ones": (
        "UPDATE appointments SET confirmed_at = NULL, executed_at = NULL WHERE id = 1; "
        + APPOINTMENT.format("2, 1, 2, 1, 3, '2031-02-01 12:00', 'confirmed'") + "; "
        + APPOINTMENT.format("3, 1, 2, 1, 3, '2031-02-01 14:00', 'pre_confirmed'")
        + "; UPDATE appointments SET cancelled_at = '2025-01-01', cancellation_reason = 'x' WHERE id = 3",
        {("moments", "appointments"): 3},
        "SELECT id, confirmed_at::text, executed_at::text, cancelled_at, pre_confirmed_at::text, "
        "expires_at > now() FROM appointments WHERE organization_id = 1 ORDER BY 1",
        [(1, "2025-01-02 00:00:00+00", "2025-02-01 11:00:00+00", None, "2025-01-01 00:00:00+00", False),
         (2, "2025-01-02 00:00:00+00", None, None, "2025-01-01 00:00:00+00", False),
         (3, None, None, None, "2025-01-01 00:00:00+00", True)],
    ),
    "holds on credit: the earliest have what the balance covers": (
        "; ".join(APPOINTMENT.format(f"{key}, 1, 2, 1, 3, '2031-02-01 {at}', 'pre_confirmed'") for key, at in (
            (2, "10:00"), (3, "12:00"), (4, "14:00"), (5, "16:00"), (6, "18:00")))
        + "; UPDATE appointments SET uses_credit = true WHERE id BETWEEN 2 AND 6",
        {},
        "SELECT array_agg(reserved_credits ORDER BY id), (SELECT reserved FROM credit_balances "
        "WHERE organization_id = 1) FROM appointments WHERE id BETWEEN 2 AND 6",
        [([1, 1, 1, 1, 0], 4)],
    ),
    "a start within a minute": (
        APPOINTMENT.format("2, 1, 2, 1, 3, '2031-02-01 12:00:31.5', 'draft'"),
        {("starts", "appointments"): 1},
        "SELECT scheduled_at::text FROM appointments WHERE id = 2",
        [("2031-02-01 12:00:00+00",)],
    ),
    "sessions at one time: the more certain one stays, else the earlier": (
        "; ".join(APPOINTMENT.format(f"{key}, 1, 2, 1, 3, '2031-02-01 {at}', '{state}'") for key, at, state in (
            (2, "10:00", "pre_confirmed"), (3, "10:30", "confirmed"), (4, "11:00", "confirmed"), (5, "11:30", "draft"),
            (6, "11:30", "pre_confirmed"), (7, "12:00", "pre_confirmed")))
        + "; UPDATE appointments SET confirmed_at = '2025-01-02' WHERE state = 'confirmed'",
        {("overlaps", "appointments"): 3},
        "SELECT id, state, cancellation_reason FROM appointments WHERE id BETWEEN 2 AND 7 ORDER BY 1",
        [(2, "cancelled", "it overlaps appointment 3 in the old application"), (3, "confirmed", None),
         (4, "cancelled", "it overlaps appointment 3 in the old application"), (5, "draft", None),
         (6, "pre_confirmed", None), (7, "cancelled", "it overlaps appointment 6 in the old application")],
    ),
    "a session with a user who has no profile": (
        APPOINTMENT.format("2, 1, 4, 1, 3, '2031-02-01 12:00', 'draft'"),
        {("missing-profiles", "appointments"): 1},
        "SELECT user_id, active, accepts_new_clients FROM professionals WHERE organization_id = 1 ORDER BY 1",
        [(2, True, True), (4, False, False)],
    ),
    "sessions of another organization's people": (
        APPOINTMENT.format("2, 1, 2, 11, 3, '2031-02-01 12:00', 'draft'") + "; "
        + APPOINTMENT.format("3, 1, 2, 1, 13, '2031-02-01 12:00', 'draft'") + "; "
        + APPOINTMENT.format("4, 2, 2, 1, 3, '2031-02-01 12:00', 'draft'"),
        {("other-organizations", "appointments"): 3},
        "SELECT array_agg(id ORDER BY id) FROM appointments",
        [([1, 11],)],
    ),
    "a profile and a balance of another organization": (
        "UPDATE professionals SET organization_id = 2 WHERE id = 1; UPDATE credit_balances SET organization_id = 2 WHERE id = 1",
        {("other-organizations", "professionals"): 1, ("other-organizations", "credit_balances"): 1,
         ("other-organizations", "credit_transactions"): 2, ("missing-profiles", "appointments"): 1},
        "SELECT (SELECT array_agg(id) FROM credit_balances), (SELECT array_agg(id ORDER BY id) FROM credit_transactions)",
        [([11], [11, 12])],
    ),
}  # fmt: skip
# The same of the ledger; `(amount, type, status)` of the entries of Norte's balance in the order of the chain.
LEDGER: dict[str, tuple[str, dict[tuple[str, str], int], int, list[tuple[object, ...]]]] = {
    "as it should be": (
        "", {}, 4, [(5, "purchase", "completed"), (-1, "appointment_debit", "completed")],
    ),
    "a balance that was written over": (
        "UPDATE credit_balances SET balance = 9 WHERE id = 1", {("ledger", "credit_balances"): 1}, 9,
        [(5, "admin_adjustment", "completed"), (5, "purchase", "completed"), (-1, "appointment_debit", "completed")],
    ),
    "less than its entries give": (
        "UPDATE credit_balances SET balance = 1 WHERE id = 1", {("ledger", "credit_balances"): 1}, 1,
        [(5, "purchase", "completed"), (-1, "appointment_debit", "completed"), (-3, "admin_adjustment", "completed")],
    ),
    "below zero": (
        "UPDATE credit_balances SET balance = -2 WHERE id = 1",
        {("ledger", "credit_balances"): 1, ("negative-balances", "credit_balances"): 1}, 0,
        [(5, "purchase", "completed"), (-1, "appointment_debit", "completed"), (-4, "admin_adjustment", "completed")],
    ),
    "spent before it was bought": (
        "UPDATE credit_transactions SET processed_at = '2025-01-09' WHERE id = 1", {("ledger", "credit_balances"): 1}, 4,
        [(1, "admin_adjustment", "completed"), (-1, "appointment_debit", "completed"), (5, "purchase", "completed"),
         (-1, "admin_adjustment", "completed")],
    ),
    "without entries": (
        "DELETE FROM credit_transactions WHERE organization_id = 1", {("ledger", "credit_balances"): 1}, 4,
        [(4, "admin_adjustment", "completed")],
    ),
    "a refund, in part, of the debit that its metadata names": (
        "UPDATE credit_transactions SET amount = -3 WHERE id = 2; UPDATE credit_balances SET balance = 4 WHERE id = 1; "
        + ENTRY.format("3, 1, 3, 1, 2, 'cancellation_refund', 'completed', NULL, '{\"appointment_id\": 1}', NULL, NULL, '2025-01-06'"),
        {}, 4,
        [(5, "purchase", "completed"), (-3, "appointment_debit", "completed"), (2, "cancellation_refund", "completed")],
    ),
    "refunds of more than was taken, of nothing, and without an appointment": (
        "UPDATE credit_balances SET balance = 9 WHERE id = 1; "
        + "; ".join(ENTRY.format(f"{key}, 1, 3, 1, {amount}, 'cancellation_refund', 'completed', {on}, '{{}}', NULL, NULL, NULL")
                    for key, amount, on in ((3, 1, 1), (4, 1, 1), (5, 3, "NULL"))),
        {("entries", "credit_transactions"): 2}, 9,
        [(1, "cancellation_refund", "completed"), (1, "admin_adjustment", "completed"), (3, "admin_adjustment", "completed"),
         (5, "purchase", "completed"), (-1, "appointment_debit", "completed")],
    ),
    "the same session paid twice, the third time still to come": (
        "UPDATE credit_balances SET balance = 3 WHERE id = 1; "
        + ENTRY.format("3, 1, 3, 1, -1, 'appointment_debit', 'completed', 1, NULL, NULL, NULL, '2025-01-07'") + "; "
        + ENTRY.format("4, 1, 3, 1, -1, 'appointment_debit', 'pending', 1, '7', NULL, NULL, NULL"),
        {("entries", "credit_transactions"): 2}, 3,
        [(5, "purchase", "completed"), (-1, "appointment_debit", "completed"), (-1, "admin_adjustment", "completed"),
         (-1, "appointment_debit", "failed")],
    ),
    "signs, types and states that are none": (
        "UPDATE credit_balances SET balance = 8 WHERE id = 1; "
        + "; ".join(ENTRY.format(f"{key}, 1, 3, 1, {amount}, '{kind}', {status}, NULL, '{{}}', NULL, NULL, '2025-01-0{key}'")
                    for key, amount, kind, status in (
                        (3, -2, "purchase", "'completed'"), (4, 2, "appointment_debit", "'completed'"),
                        (5, 4, "bonus", "'completed'"), (6, 0, "purchase", "'completed'"), (7, 9, "purchase", "'refunded'"),
                        (8, 9, "purchase", "NULL"))),
        {("entries", "credit_transactions"): 4, ("states", "credit_transactions"): 1}, 8,
        [(5, "purchase", "completed"), (-2, "admin_adjustment", "completed"), (-1, "appointment_debit", "completed"),
         (2, "admin_adjustment", "completed"), (4, "admin_adjustment", "completed"), (9, "purchase", "failed"),
         (9, "purchase", "pending")],
    ),
    "a payment told three times, failed once before": (
        "UPDATE credit_balances SET balance = 14 WHERE id = 1; "
        + "; ".join(ENTRY.format(f"{key}, 1, 3, 1, 5, 'purchase', '{status}', NULL, NULL, 'mp', ' p1 ', '2025-01-0{key}'")
                    for key, status in ((3, "failed"), (4, "completed"), (5, "completed"), (6, "pending"))),
        {("payments", "credit_transactions"): 2}, 14,
        [(5, "purchase", "completed"), (-1, "appointment_debit", "completed"), (5, "purchase", "completed"),
         (5, "purchase", "completed"), (5, "purchase", "failed"), (5, "purchase", "pending")],
    ),
    "an entry of another user, another of another organization": (
        "UPDATE credit_transactions SET user_id = 4 WHERE id = 1; UPDATE credit_transactions SET organization_id = 2 WHERE id = 2",
        {("owners", "credit_transactions"): 1, ("other-organizations", "credit_transactions"): 1,
         ("ledger", "credit_balances"): 1}, 4,
        [(5, "purchase", "completed"), (-1, "admin_adjustment", "completed")],
    ),
    "two balances of one user": (
        "DROP INDEX index_credit_balances_on_organization_id_and_user_id; INSERT INTO credit_balances (id, organization_id, "
        f"user_id, balance, created_at, updated_at) VALUES (2, 1, 3, 7, {STAMPS}); "
        + ENTRY.format("3, 1, 3, 2, 7, 'purchase', 'completed', NULL, NULL, NULL, NULL, '2025-01-08'"),
        {("repeated-balances", "credit_balances"): 1}, 11,
        [(5, "purchase", "completed"), (-1, "appointment_debit", "completed"), (7, "purchase", "completed")],
    ),
}  # fmt: skip
