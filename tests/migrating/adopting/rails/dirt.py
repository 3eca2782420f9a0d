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
