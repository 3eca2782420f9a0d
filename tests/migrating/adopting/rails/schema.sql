-- The database of the specification's Rails application, as Rails 7.1 makes it.
-- The migrations are those of INITIAL-SCRUM-35, in the order in which they can run (students before appointments). Two
-- things had to be added, as they do not run without: organizations, which it implies, and organization_id of posts and
-- likes, which it asks for in words. One is left out: its second index of primary_contact_id has the name of the first.

-- MyHub, schema version 2024_06_06_034427
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying NOT NULL PRIMARY KEY, value character varying,
    created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE TABLE users (id bigserial PRIMARY KEY, name character varying, email character varying NOT NULL,
    image character varying, username character varying, uid character varying NOT NULL,
    created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE UNIQUE INDEX index_users_on_uid ON users (uid);
CREATE TABLE posts (id bigserial PRIMARY KEY, post_id integer, hash_id character varying, source character varying,
    metadata text, filename character varying, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE TABLE likes (id bigserial PRIMARY KEY, user_id bigint NOT NULL, post_id bigint NOT NULL,
    created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE INDEX index_likes_on_post_id ON likes (post_id);
CREATE INDEX index_likes_on_user_id ON likes (user_id);
CREATE UNIQUE INDEX index_likes_on_user_id_and_post_id ON likes (user_id, post_id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id);
INSERT INTO schema_migrations VALUES ('20240606034427'), ('20250718000001'), ('20250718000002'), ('20250718000003'),
    ('20250718000004'), ('20250718000005');
INSERT INTO ar_internal_metadata VALUES ('environment', 'production', '2024-06-01', '2024-06-01');

-- what the specification says that posts have, and that MyHub's had not
ALTER TABLE posts ADD user_id bigint, ADD content text;
CREATE INDEX index_posts_on_user_id ON posts (user_id);
ALTER TABLE posts ADD CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users (id);

-- organizations: implied by the specification, as the repository made it
CREATE TABLE organizations (
    id bigserial primary key,
    name character varying NOT NULL,
    subdomain character varying NOT NULL,
    active boolean DEFAULT TRUE NOT NULL,
    settings jsonb DEFAULT '{}',
    phone character varying,
    email character varying,
    address text,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE UNIQUE INDEX index_organizations_on_subdomain ON organizations (subdomain);
-- Example 1
ALTER TABLE users ADD organization_id bigint;
CREATE INDEX index_users_on_organization_id ON users (organization_id);
ALTER TABLE users ADD CONSTRAINT fk_rails_d7b9ff90af FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE users ADD role integer DEFAULT 0 NOT NULL;
ALTER TABLE users ADD first_name character varying;
ALTER TABLE users ADD last_name character varying;
ALTER TABLE users ADD phone character varying;
ALTER TABLE users ADD jti character varying;
CREATE UNIQUE INDEX index_users_on_jti ON users (jti);
ALTER TABLE users ADD sign_in_count integer DEFAULT 0 NOT NULL;
ALTER TABLE users ADD current_sign_in_at timestamp(6);
ALTER TABLE users ADD last_sign_in_at timestamp(6);
ALTER TABLE users ADD current_sign_in_ip character varying;
ALTER TABLE users ADD last_sign_in_ip character varying;
CREATE INDEX index_users_on_organization_id_and_email ON users (organization_id, email);
CREATE INDEX index_users_on_organization_id_and_role ON users (organization_id, role);
-- "Add organization_id to existing User, Post, Like models", in the manner of example 1
ALTER TABLE posts ADD organization_id bigint;
CREATE INDEX index_posts_on_organization_id ON posts (organization_id);
ALTER TABLE posts ADD CONSTRAINT fk_rails_eb7f8546a1 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE likes ADD organization_id bigint;
CREATE INDEX index_likes_on_organization_id ON likes (organization_id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_0d796c2d74 FOREIGN KEY (organization_id) REFERENCES organizations (id);
-- Example 3
CREATE TABLE professionals (
    id bigserial primary key,
    user_id bigint NOT NULL,
    organization_id bigint NOT NULL,
    title character varying,
    specialization character varying,
    bio text,
    license_number character varying,
    weekly_schedule jsonb DEFAULT '{}',
    blocked_dates jsonb DEFAULT '[]',
    session_duration_minutes integer DEFAULT 60,
    buffer_minutes integer DEFAULT 15,
    active boolean DEFAULT TRUE,
    accepts_new_clients boolean DEFAULT TRUE,
    session_price_cents integer,
    currency character varying DEFAULT 'ARS',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_84604d2557 FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_rails_c848dfd091 FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE UNIQUE INDEX index_professionals_on_user_id ON professionals (user_id);
CREATE INDEX index_professionals_on_organization_id ON professionals (organization_id);
CREATE INDEX index_professionals_on_organization_id_and_active ON professionals (organization_id, active);
CREATE INDEX index_professionals_on_organization_id_and_specialization ON professionals (organization_id, specialization);
-- Example 4
CREATE TABLE students (
    id bigserial primary key,
    organization_id bigint NOT NULL,
    first_name character varying NOT NULL,
    last_name character varying NOT NULL,
    date_of_birth date,
    grade_level character varying,
    primary_contact_id bigint,
    secondary_contact_id bigint,
    medical_notes text,
    educational_notes text,
    emergency_contacts jsonb DEFAULT '[]',
    admission_state character varying DEFAULT 'prospect',
    admission_date date,
    discharge_date date,
    documents jsonb DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_2c3c300d44 FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT fk_rails_d94cc21cd8 FOREIGN KEY (primary_contact_id) REFERENCES users (id),
    CONSTRAINT fk_rails_be908f1b3d FOREIGN KEY (secondary_contact_id) REFERENCES users (id)
);
CREATE INDEX index_students_on_organization_id ON students (organization_id);
CREATE INDEX index_students_on_primary_contact_id ON students (primary_contact_id);
CREATE INDEX index_students_on_secondary_contact_id ON students (secondary_contact_id);
CREATE INDEX index_students_on_organization_id_and_last_name_and_first_name ON students (organization_id, last_name, first_name);
CREATE INDEX index_students_on_organization_id_and_admission_state ON students (organization_id, admission_state);
-- Example 2
CREATE TABLE appointments (
    id bigserial primary key,
    organization_id bigint NOT NULL,
    professional_id bigint NOT NULL,
    student_id bigint NOT NULL,
    client_id bigint NOT NULL,
    scheduled_at timestamp(6) NOT NULL,
    duration_minutes integer DEFAULT 60 NOT NULL,
    confirmed_at timestamp(6),
    executed_at timestamp(6),
    cancelled_at timestamp(6),
    state character varying DEFAULT 'draft' NOT NULL,
    cancellation_reason character varying,
    notes text,
    professional_notes text,
    uses_credit boolean DEFAULT FALSE,
    metadata jsonb DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_c17c050ca5 FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT fk_rails_e6009ecf68 FOREIGN KEY (professional_id) REFERENCES users (id),
    CONSTRAINT fk_rails_e9bc525c8c FOREIGN KEY (student_id) REFERENCES students (id),
    CONSTRAINT fk_rails_6497fe64e8 FOREIGN KEY (client_id) REFERENCES users (id)
);
CREATE INDEX index_appointments_on_organization_id ON appointments (organization_id);
CREATE INDEX index_appointments_on_professional_id ON appointments (professional_id);
CREATE INDEX index_appointments_on_student_id ON appointments (student_id);
CREATE INDEX index_appointments_on_client_id ON appointments (client_id);
CREATE INDEX index_appointments_on_organization_id_and_scheduled_at ON appointments (organization_id, scheduled_at);
CREATE INDEX index_appointments_on_professional_id_and_scheduled_at ON appointments (professional_id, scheduled_at);
CREATE INDEX index_appointments_on_student_id_and_state ON appointments (student_id, state);
CREATE INDEX idx_on_organization_id_state_scheduled_at_844579f00e ON appointments (organization_id, state, scheduled_at);
CREATE UNIQUE INDEX idx_no_double_booking ON appointments (professional_id, scheduled_at, state) WHERE (state IN ('confirmed', 'executed'));
-- Example 5
CREATE TABLE credit_balances (
    id bigserial primary key,
    organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    balance integer DEFAULT 0 NOT NULL,
    lifetime_purchased integer DEFAULT 0,
    lifetime_used integer DEFAULT 0,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_f8151c9f53 FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT fk_rails_087f02c2f0 FOREIGN KEY (user_id) REFERENCES users (id)
);
CREATE INDEX index_credit_balances_on_organization_id ON credit_balances (organization_id);
CREATE INDEX index_credit_balances_on_user_id ON credit_balances (user_id);
CREATE UNIQUE INDEX index_credit_balances_on_organization_id_and_user_id ON credit_balances (organization_id, user_id);
CREATE TABLE credit_transactions (
    id bigserial primary key,
    organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    credit_balance_id bigint NOT NULL,
    appointment_id bigint,
    amount integer NOT NULL,
    transaction_type character varying NOT NULL,
    status character varying DEFAULT 'pending',
    metadata jsonb DEFAULT '{}',
    payment_method character varying,
    payment_reference character varying,
    processed_at timestamp(6),
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_12309485d0 FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT fk_rails_db0c649885 FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_rails_661252878d FOREIGN KEY (credit_balance_id) REFERENCES credit_balances (id),
    CONSTRAINT fk_rails_051ec1cec1 FOREIGN KEY (appointment_id) REFERENCES appointments (id)
);
CREATE INDEX index_credit_transactions_on_organization_id ON credit_transactions (organization_id);
CREATE INDEX index_credit_transactions_on_user_id ON credit_transactions (user_id);
CREATE INDEX index_credit_transactions_on_credit_balance_id ON credit_transactions (credit_balance_id);
CREATE INDEX index_credit_transactions_on_appointment_id ON credit_transactions (appointment_id);
CREATE INDEX idx_on_organization_id_user_id_created_at_f6cbe9d975 ON credit_transactions (organization_id, user_id, created_at);
CREATE INDEX index_credit_transactions_on_organization_id_and_status ON credit_transactions (organization_id, status);
