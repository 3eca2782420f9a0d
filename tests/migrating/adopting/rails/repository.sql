-- The database of rayces-v3's repository, schema version 2025_07_18_000016, as Rails 7.1 makes it: students have one parent,
-- a session need not have a student, roles and availability have tables of their own.
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying NOT NULL PRIMARY KEY, value character varying,
    created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
INSERT INTO schema_migrations VALUES ('20250718000016');
CREATE TABLE appointments (
    id bigserial PRIMARY KEY,
    organization_id bigint NOT NULL,
    professional_id bigint NOT NULL,
    client_id bigint NOT NULL,
    student_id bigint,
    scheduled_at timestamp(6) NOT NULL,
    duration_minutes integer DEFAULT 60 NOT NULL,
    state character varying DEFAULT 'draft' NOT NULL,
    notes text,
    cancellation_reason text,
    cancelled_at timestamp(6),
    cancelled_by_id integer,
    price numeric(10,2),
    uses_credits boolean DEFAULT false,
    credits_used integer,
    metadata jsonb DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    confirmed_at timestamp(6),
    executed_at timestamp(6),
    professional_notes text,
    uses_credit boolean DEFAULT false
);
CREATE TABLE availability_rules (
    id bigserial PRIMARY KEY,
    professional_id bigint NOT NULL,
    organization_id bigint NOT NULL,
    day_of_week integer NOT NULL,
    start_time time NOT NULL,
    end_time time NOT NULL,
    active boolean DEFAULT true NOT NULL,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT chk_valid_day_of_week CHECK (day_of_week >= 0 AND day_of_week <= 6)
);
CREATE TABLE credit_balances (
    id bigserial PRIMARY KEY,
    organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    balance integer DEFAULT 0 NOT NULL,
    lifetime_purchased integer DEFAULT 0 NOT NULL,
    lifetime_used integer DEFAULT 0 NOT NULL,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE TABLE credit_transactions (
    id bigserial PRIMARY KEY,
    organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    credit_balance_id bigint NOT NULL,
    appointment_id bigint,
    amount integer NOT NULL,
    transaction_type character varying NOT NULL,
    status character varying DEFAULT 'pending' NOT NULL,
    metadata jsonb DEFAULT '{}',
    payment_method character varying,
    payment_reference character varying,
    processed_at timestamp(6),
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT chk_valid_transaction_type CHECK (transaction_type::text = ANY (ARRAY['purchase'::character varying, 'cancellation_refund'::character varying, 'appointment_debit'::character varying, 'admin_adjustment'::character varying]::text[]))
);
CREATE TABLE likes (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL,
    post_id bigint NOT NULL,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    organization_id bigint NOT NULL
);
CREATE TABLE organizations (
    id bigserial PRIMARY KEY,
    name character varying NOT NULL,
    subdomain character varying NOT NULL,
    active boolean DEFAULT true NOT NULL,
    settings jsonb DEFAULT '{}',
    phone character varying,
    email character varying,
    address text,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE TABLE posts (
    id bigserial PRIMARY KEY,
    post_id integer,
    hash_id character varying,
    source character varying,
    metadata text,
    filename character varying,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    user_id bigint NOT NULL,
    organization_id bigint NOT NULL,
    content text,
    published boolean
);
CREATE TABLE professionals (
    id bigserial PRIMARY KEY,
    organization_id bigint NOT NULL,
    user_id bigint NOT NULL,
    title character varying,
    specialization character varying,
    bio text,
    license_number character varying,
    license_expiry date,
    availability jsonb DEFAULT '{}',
    session_duration_minutes integer DEFAULT 60,
    hourly_rate numeric(10,2),
    active boolean DEFAULT true,
    settings jsonb DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    weekly_schedule jsonb DEFAULT '{}',
    blocked_dates jsonb DEFAULT '[]',
    buffer_minutes integer DEFAULT 15,
    accepts_new_clients boolean DEFAULT true,
    session_price_cents integer,
    currency character varying DEFAULT 'ARS'
);
CREATE TABLE roles (
    id bigserial PRIMARY KEY,
    name character varying NOT NULL,
    key character varying NOT NULL,
    description text,
    active boolean DEFAULT true NOT NULL,
    organization_id bigint NOT NULL,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE TABLE students (
    id bigserial PRIMARY KEY,
    organization_id bigint NOT NULL,
    parent_id bigint NOT NULL,
    first_name character varying NOT NULL,
    last_name character varying NOT NULL,
    date_of_birth date,
    gender character varying,
    grade_level character varying,
    medical_notes text,
    educational_notes text,
    emergency_contacts jsonb DEFAULT '[]',
    active boolean DEFAULT true,
    metadata jsonb DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE TABLE time_slots (
    id bigserial PRIMARY KEY,
    professional_id bigint NOT NULL,
    organization_id bigint NOT NULL,
    appointment_id bigint,
    date date NOT NULL,
    start_time time NOT NULL,
    end_time time NOT NULL,
    available boolean DEFAULT true NOT NULL,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE TABLE user_roles (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL,
    role_id bigint NOT NULL,
    organization_id bigint NOT NULL,
    active boolean DEFAULT true NOT NULL,
    assigned_at timestamp(6) DEFAULT CURRENT_TIMESTAMP,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL
);
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    name character varying,
    email character varying NOT NULL,
    image character varying,
    username character varying,
    uid character varying,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    organization_id bigint NOT NULL,
    role integer DEFAULT 3 NOT NULL,
    encrypted_password character varying DEFAULT '' NOT NULL,
    reset_password_token character varying,
    reset_password_sent_at timestamp(6),
    remember_created_at timestamp(6),
    sign_in_count integer DEFAULT 0 NOT NULL,
    current_sign_in_at timestamp(6),
    last_sign_in_at timestamp(6),
    current_sign_in_ip character varying,
    last_sign_in_ip character varying,
    first_name character varying,
    last_name character varying,
    phone character varying,
    jti character varying NOT NULL,
    provider character varying
);
CREATE INDEX index_appointments_on_client_id_and_scheduled_at ON appointments (client_id, scheduled_at);
CREATE INDEX index_appointments_on_client_id ON appointments (client_id);
CREATE INDEX index_appointments_on_organization_id_and_scheduled_at ON appointments (organization_id, scheduled_at);
CREATE INDEX index_appointments_on_organization_id_and_state ON appointments (organization_id, state);
CREATE INDEX index_appointments_on_organization_id ON appointments (organization_id);
CREATE INDEX index_appointments_on_professional_id_and_scheduled_at ON appointments (professional_id, scheduled_at);
CREATE INDEX index_appointments_on_professional_id ON appointments (professional_id);
CREATE INDEX index_appointments_on_scheduled_at ON appointments (scheduled_at);
CREATE INDEX index_appointments_on_state ON appointments (state);
CREATE INDEX index_appointments_on_student_id ON appointments (student_id);
CREATE INDEX idx_org_availability ON availability_rules (organization_id, active);
CREATE INDEX index_availability_rules_on_organization_id ON availability_rules (organization_id);
CREATE INDEX idx_availability_lookup ON availability_rules (professional_id, day_of_week, active);
CREATE INDEX index_availability_rules_on_professional_id ON availability_rules (professional_id);
CREATE INDEX idx_org_balance_lookup ON credit_balances (organization_id, balance);
CREATE UNIQUE INDEX idx_unique_user_credit_balance ON credit_balances (organization_id, user_id);
CREATE INDEX index_credit_balances_on_organization_id ON credit_balances (organization_id);
CREATE INDEX index_credit_balances_on_user_id ON credit_balances (user_id);
CREATE INDEX index_credit_transactions_on_appointment_id ON credit_transactions (appointment_id);
CREATE INDEX index_credit_transactions_on_credit_balance_id ON credit_transactions (credit_balance_id);
CREATE INDEX idx_credit_trans_org_status ON credit_transactions (organization_id, status);
CREATE INDEX idx_credit_trans_org_user_date ON credit_transactions (organization_id, user_id, created_at);
CREATE INDEX index_credit_transactions_on_organization_id ON credit_transactions (organization_id);
CREATE INDEX idx_credit_trans_payment_ref ON credit_transactions (payment_reference);
CREATE INDEX index_credit_transactions_on_user_id ON credit_transactions (user_id);
CREATE UNIQUE INDEX index_likes_on_org_user_post ON likes (organization_id, user_id, post_id);
CREATE INDEX index_likes_on_organization_id ON likes (organization_id);
CREATE INDEX index_likes_on_post_id ON likes (post_id);
CREATE INDEX index_likes_on_user_id ON likes (user_id);
CREATE INDEX index_organizations_on_active ON organizations (active);
CREATE INDEX index_organizations_on_name ON organizations (name);
CREATE UNIQUE INDEX index_organizations_on_subdomain ON organizations (subdomain);
CREATE INDEX index_posts_on_organization_id_and_created_at ON posts (organization_id, created_at);
CREATE INDEX index_posts_on_organization_id ON posts (organization_id);
CREATE INDEX index_posts_on_user_id ON posts (user_id);
CREATE INDEX index_professionals_on_active ON professionals (active);
CREATE INDEX index_professionals_on_organization_id_and_specialization ON professionals (organization_id, specialization);
CREATE UNIQUE INDEX index_professionals_on_organization_id_and_user_id ON professionals (organization_id, user_id);
CREATE INDEX index_professionals_on_organization_id ON professionals (organization_id);
CREATE INDEX index_professionals_on_specialization ON professionals (specialization);
CREATE INDEX index_professionals_on_user_id ON professionals (user_id);
CREATE INDEX index_roles_on_active ON roles (active);
CREATE UNIQUE INDEX index_roles_on_organization_and_key ON roles (organization_id, key);
CREATE INDEX index_roles_on_organization_id ON roles (organization_id);
CREATE INDEX index_students_on_active ON students (active);
CREATE INDEX index_students_on_first_name_and_last_name ON students (first_name, last_name);
CREATE INDEX index_students_on_organization_id_and_parent_id ON students (organization_id, parent_id);
CREATE INDEX index_students_on_organization_id ON students (organization_id);
CREATE INDEX index_students_on_parent_id ON students (parent_id);
CREATE INDEX index_time_slots_on_appointment_id ON time_slots (appointment_id);
CREATE INDEX idx_org_date_slots ON time_slots (organization_id, date);
CREATE INDEX index_time_slots_on_organization_id ON time_slots (organization_id);
CREATE INDEX idx_available_slots ON time_slots (professional_id, date, available);
CREATE UNIQUE INDEX idx_unique_time_slot ON time_slots (professional_id, date, start_time);
CREATE INDEX index_time_slots_on_professional_id ON time_slots (professional_id);
CREATE INDEX index_user_roles_on_active ON user_roles (active);
CREATE INDEX index_user_roles_on_assigned_at ON user_roles (assigned_at);
CREATE INDEX index_user_roles_on_org_role ON user_roles (organization_id, role_id);
CREATE INDEX index_user_roles_on_org_user ON user_roles (organization_id, user_id);
CREATE INDEX index_user_roles_on_organization_id ON user_roles (organization_id);
CREATE INDEX index_user_roles_on_role_id ON user_roles (role_id);
CREATE UNIQUE INDEX index_user_roles_on_user_role_org ON user_roles (user_id, role_id, organization_id);
CREATE INDEX index_user_roles_on_user_id ON user_roles (user_id);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE UNIQUE INDEX index_users_on_jti ON users (jti);
CREATE UNIQUE INDEX index_users_on_organization_id_and_email ON users (organization_id, email);
CREATE INDEX index_users_on_organization_id_and_role ON users (organization_id, role);
CREATE INDEX index_users_on_organization_id ON users (organization_id);
CREATE UNIQUE INDEX index_users_on_reset_password_token ON users (reset_password_token);
CREATE INDEX index_users_on_role ON users (role);
CREATE UNIQUE INDEX index_users_on_uid ON users (uid);
ALTER TABLE appointments ADD CONSTRAINT fk_rails_c17c050ca5 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE appointments ADD CONSTRAINT fk_rails_e9bc525c8c FOREIGN KEY (student_id) REFERENCES students (id);
ALTER TABLE appointments ADD CONSTRAINT fk_rails_6497fe64e8 FOREIGN KEY (client_id) REFERENCES users (id);
ALTER TABLE appointments ADD CONSTRAINT fk_rails_e6009ecf68 FOREIGN KEY (professional_id) REFERENCES users (id);
ALTER TABLE availability_rules ADD CONSTRAINT fk_rails_e009a1d035 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE availability_rules ADD CONSTRAINT fk_rails_3b8c06ee98 FOREIGN KEY (professional_id) REFERENCES professionals (id);
ALTER TABLE credit_balances ADD CONSTRAINT fk_rails_f8151c9f53 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE credit_balances ADD CONSTRAINT fk_rails_087f02c2f0 FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE credit_transactions ADD CONSTRAINT fk_rails_051ec1cec1 FOREIGN KEY (appointment_id) REFERENCES appointments (id);
ALTER TABLE credit_transactions ADD CONSTRAINT fk_rails_661252878d FOREIGN KEY (credit_balance_id) REFERENCES credit_balances (id);
ALTER TABLE credit_transactions ADD CONSTRAINT fk_rails_12309485d0 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE credit_transactions ADD CONSTRAINT fk_rails_db0c649885 FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_0d796c2d74 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE posts ADD CONSTRAINT fk_rails_eb7f8546a1 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE posts ADD CONSTRAINT fk_rails_5b5ddfd518 FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE professionals ADD CONSTRAINT fk_rails_c848dfd091 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE professionals ADD CONSTRAINT fk_rails_84604d2557 FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE roles ADD CONSTRAINT fk_rails_2f99738edd FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE students ADD CONSTRAINT fk_rails_2c3c300d44 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE students ADD CONSTRAINT fk_rails_d3631a714a FOREIGN KEY (parent_id) REFERENCES users (id);
ALTER TABLE time_slots ADD CONSTRAINT fk_rails_14eec1d95a FOREIGN KEY (appointment_id) REFERENCES appointments (id);
ALTER TABLE time_slots ADD CONSTRAINT fk_rails_5b4541fa66 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE time_slots ADD CONSTRAINT fk_rails_d7e5e61c7e FOREIGN KEY (professional_id) REFERENCES professionals (id);
ALTER TABLE user_roles ADD CONSTRAINT fk_rails_1acf31dbb5 FOREIGN KEY (organization_id) REFERENCES organizations (id);
ALTER TABLE user_roles ADD CONSTRAINT fk_rails_3369e0d5fc FOREIGN KEY (role_id) REFERENCES roles (id);
ALTER TABLE user_roles ADD CONSTRAINT fk_rails_318345354e FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE users ADD CONSTRAINT fk_rails_d7b9ff90af FOREIGN KEY (organization_id) REFERENCES organizations (id);
