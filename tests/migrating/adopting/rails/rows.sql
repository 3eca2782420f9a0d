INSERT INTO organizations (id, name, subdomain, active, settings, phone, email, address, created_at, updated_at) VALUES
    (1, 'Rayces', 'rayces', true, '{"timezone": "America/Argentina/Buenos_Aires", "booking_window_days": 30,
        "cancellation_policy_hours": 24, "currency": "ARS", "language": "es-AR"}', '+54 11 4567-8900',
        'Carlos@Rayces.com', 'Av. Santa Fe 1234', '2025-01-01', '2025-01-01'),
    (2, 'Norte', 'norte', true, '{}', NULL, NULL, NULL, '2025-01-02', '2025-01-02'),
    (3, 'Demo', 'demo', true, '{"timezone": "Madrid", "currency": "eur"}', NULL, NULL, NULL, '2025-01-03', '2025-01-03');
SELECT setval('organizations_id_seq', 9);
-- Rails' roles: 0 admin, 1 professional, 2 staff, 3 guardian
INSERT INTO users (name, email, image, username, uid, organization_id, role, first_name, last_name, phone, jti,
                   sign_in_count, current_sign_in_at, current_sign_in_ip, created_at, updated_at)
SELECT 'User ' || g, 'User' || g || '@Example.org', 'face.png', 'user' || g, 'uid' || g, 1 + g % 3,
       CASE WHEN g <= 3 THEN 0 WHEN g <= 30 THEN 1 WHEN g <= 36 THEN 2 ELSE 3 END, 'Ana ' || g, 'Paz', '+54 11 ' || g,
       md5('jti' || g), g % 7, '2025-06-01 10:00:00.123456', '10.0.0.' || g % 250, '2024-06-01 10:00', '2025-06-01 10:00'
  FROM generate_series(1, 900) AS g;
INSERT INTO posts (post_id, hash_id, source, metadata, filename, user_id, content, organization_id, created_at, updated_at)
SELECT g, md5(g::text), 'feed', '{"summary": "x"}', g || '.json', 1 + g % 900, '50% of ' || g, 1 + (1 + g % 900) % 3,
       '2025-02-01', '2025-02-01' FROM generate_series(1, 1200) AS g;
INSERT INTO likes (user_id, post_id, organization_id, created_at, updated_at)
SELECT u.id, p.id, u.organization_id, '2025-03-01', '2025-03-01' FROM users u JOIN posts p USING (organization_id)
 WHERE (u.id + p.id) % 190 = 0;
INSERT INTO professionals (user_id, organization_id, title, specialization, weekly_schedule, blocked_dates,
                           session_price_cents, created_at, updated_at)
SELECT id, organization_id, 'Lic.', 'speech therapy',
       '{"monday": {"start": "09:00", "end": "17:00"}, "tuesday": [{"start": "9:30", "end": "12:00"}], "friday": {}}',
       '["2031-01-01", {"start_date": "2031-02-01", "end_date": "2031-02-07", "reason": "holidays"}]', 150000,
       '2025-01-05', '2025-01-05' FROM users WHERE role = 1;
INSERT INTO students (organization_id, first_name, last_name, date_of_birth, primary_contact_id, emergency_contacts,
                      admission_state, admission_date, documents, created_at, updated_at)
SELECT organization_id, 'Mia ' || id, 'Paz', '2018-01-01', id,
       '[{"name": "Eva", "relationship": "mother", "phone": "+54 11 1", "email": "Eva@Example.org"}]',
       CASE id % 4 WHEN 0 THEN 'prospect' WHEN 1 THEN 'admitted' ELSE 'enrolled' END, '2025-02-01',
       '{"report": "https://files.example.org/r.pdf"}', '2025-01-06', '2025-01-06' FROM users WHERE role = 3;
-- An hour each from the professional's first one on, so that nothing overlaps.
INSERT INTO appointments (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes,
                          confirmed_at, executed_at, cancelled_at, state, cancellation_reason, uses_credit,
                          created_at, updated_at)
SELECT s.organization_id, p.user_id, s.id, s.primary_contact_id, at, 60,
       CASE WHEN state IN ('confirmed', 'executed') THEN at - interval '2 days' END,
       CASE state WHEN 'executed' THEN at + interval '1 hour' END,
       CASE state WHEN 'cancelled' THEN at - interval '1 day' END, state,
       CASE state WHEN 'cancelled' THEN 'ill' END, s.id % 2 = 0, at - interval '10 days', at - interval '1 hour'
  FROM (SELECT students.*, row_number() OVER (PARTITION BY organization_id ORDER BY id) AS n FROM students) AS s
  CROSS JOIN LATERAL (VALUES ('executed', 0), ('cancelled', 1), ('confirmed', 2000), ('draft', 2001),
                             ('pre_confirmed', 2002)) AS v (state, later)
  JOIN LATERAL (SELECT user_id FROM professionals WHERE organization_id = s.organization_id ORDER BY user_id
                 OFFSET s.n % 9 LIMIT 1) AS p ON true
  CROSS JOIN LATERAL (SELECT CASE WHEN later < 2000 THEN timestamp '2025-04-01' ELSE timestamp '2031-04-01' END
                             + make_interval(hours => (s.n * 5 + later % 10)::int) AS at) AS t;
INSERT INTO credit_balances (organization_id, user_id, balance, lifetime_purchased, lifetime_used, created_at, updated_at)
SELECT organization_id, id, 10 - CASE id % 2 WHEN 0 THEN 1 ELSE 0 END, 10, 1, '2025-03-01', '2025-05-01'
  FROM users WHERE role = 3;
INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type, status,
                                 payment_method, payment_reference, processed_at, created_at, updated_at)
SELECT organization_id, user_id, id, 10, 'purchase', 'completed', 'mercado_pago', 'mp-' || id, '2025-03-02', '2025-03-01',
       '2025-03-02' FROM credit_balances;
INSERT INTO credit_transactions (organization_id, user_id, credit_balance_id, amount, transaction_type, status, metadata,
                                 processed_at, created_at, updated_at)
SELECT b.organization_id, b.user_id, b.id, -1, 'appointment_debit', 'completed',
       jsonb_build_object('appointment_id', a.id), '2025-04-01', '2025-04-01', '2025-04-01'
  FROM credit_balances b JOIN appointments a ON a.client_id = b.user_id AND a.state = 'executed'
   AND a.uses_credit;
