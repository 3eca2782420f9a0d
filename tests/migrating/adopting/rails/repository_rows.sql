INSERT INTO organizations (id, name, subdomain, settings, created_at, updated_at) VALUES
    (1, 'Rayces', 'rayces', '{"timezone": "America/Argentina/Buenos_Aires"}', '2025-01-01', '2025-01-02'), (2, 'Demo', 'demo', '{}', '2025-01-01', '2025-01-02');
INSERT INTO users (id, email, organization_id, role, first_name, last_name, jti, encrypted_password, created_at, updated_at)
SELECT o * 10 + n - 10, 'u' || n || '.' || o || '@example.org', o, n - 1, 'Ana', 'Paz', 'j' || o || n, '$2a$x', '2025-01-01', '2025-01-02'
  FROM generate_series(1, 2) AS o, generate_series(1, 4) AS n;
INSERT INTO roles (id, name, key, organization_id, created_at, updated_at) VALUES (1, 'Admin', 'admin', 1, '2025-01-01', '2025-01-02');
INSERT INTO user_roles (user_id, role_id, organization_id, created_at, updated_at) VALUES (1, 1, 1, '2025-01-01', '2025-01-02');
INSERT INTO posts (id, source, user_id, organization_id, created_at, updated_at) VALUES (1, 'x', 4, 1, '2025-01-01', '2025-01-02');
INSERT INTO likes (user_id, post_id, organization_id, created_at, updated_at) VALUES (3, 1, 1, '2025-01-01', '2025-01-02');
INSERT INTO professionals (id, organization_id, user_id, availability, hourly_rate, created_at, updated_at)
VALUES (1, 1, 2, '{"monday": {"start": "09:00", "end": "17:00"}}', 1500.50, '2025-01-01', '2025-01-02');
INSERT INTO availability_rules (professional_id, organization_id, day_of_week, start_time, end_time, created_at, updated_at)
VALUES (1, 1, 1, '09:00', '17:00', '2025-01-01', '2025-01-02');
INSERT INTO students (id, organization_id, parent_id, first_name, last_name, gender, created_at, updated_at)
VALUES (1, 1, 4, 'Mia', 'Paz', 'other', '2025-01-01', '2025-01-02');
INSERT INTO appointments (id, organization_id, professional_id, client_id, student_id, scheduled_at, state, price, uses_credits,
                          credits_used, cancelled_by_id, cancelled_at, created_at, updated_at) VALUES
    (1, 1, 2, 4, 1, '2031-01-01 10:00', 'draft', 1200.5, true, 3, NULL, NULL, '2025-01-01', '2025-01-02'),
    (2, 1, 2, 4, NULL, '2031-01-02 10:00', 'draft', NULL, false, NULL, NULL, NULL, '2025-01-01', '2025-01-02'),
    (3, 1, 2, 4, 1, '2031-01-03 10:00', 'cancelled', NULL, false, NULL, 3, '2025-01-05', '2025-01-01', '2025-01-02');
INSERT INTO credit_balances (id, organization_id, user_id, balance, lifetime_purchased, created_at, updated_at)
VALUES (1, 1, 4, 5, 5, '2025-01-01', '2025-01-02');
INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type, status, processed_at,
                                 created_at, updated_at) VALUES (1, 4, 1, 5, 'purchase', 'completed', '2025-01-01', '2025-01-01', '2025-01-02');
CREATE VIEW busiest AS SELECT professional_id, count(*) FROM appointments GROUP BY 1;
CREATE TABLE devices (id bigserial PRIMARY KEY, name character varying);
INSERT INTO devices (name) VALUES ('of the old application');
