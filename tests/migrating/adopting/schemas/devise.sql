-- Devise with tracking and tokens, as `rails generate devise User` and devise-jwt make it on Rails 4.2: integer keys,
-- lengths, defaults of '', a token that must be there, and posts shorter than the library's.
CREATE TABLE schema_migrations (version character varying(255) NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying(255) NOT NULL PRIMARY KEY, value character varying(255), created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE users (
    id serial PRIMARY KEY,
    email character varying(255) DEFAULT '' NOT NULL,
    encrypted_password character varying(255) DEFAULT '' NOT NULL,
    reset_password_token character varying(255),
    reset_password_sent_at timestamp,
    remember_created_at timestamp,
    sign_in_count integer DEFAULT 0 NOT NULL,
    current_sign_in_at timestamp,
    last_sign_in_at timestamp,
    current_sign_in_ip inet,
    last_sign_in_ip inet,
    provider character varying DEFAULT 'email' NOT NULL,
    uid character varying DEFAULT '' NOT NULL,
    jti character varying NOT NULL,
    first_name character varying(50),
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE UNIQUE INDEX index_users_on_reset_password_token ON users (reset_password_token);
CREATE UNIQUE INDEX index_users_on_uid_and_provider ON users (uid, provider);
CREATE UNIQUE INDEX index_users_on_jti ON users (jti);
CREATE TABLE posts (
    id serial PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users,
    content character varying(280) DEFAULT '' NOT NULL,
    memo text,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX index_posts_on_user_id_and_created_at ON posts (user_id, created_at);
CREATE TABLE likes (
    id serial PRIMARY KEY,
    user_id integer NOT NULL,
    post_id integer NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id)
);
CREATE UNIQUE INDEX index_likes_on_user_id_and_post_id ON likes (user_id, post_id);
INSERT INTO users (email, uid, jti, sign_in_count, current_sign_in_at, current_sign_in_ip, created_at, updated_at)
  SELECT 'u' || g || '@example.com', 'u' || g, 'token ' || g, g, '2020-02-03 04:05', '192.0.2.7', '2020-01-01', '2020-01-02' FROM generate_series(1, 12) g;
INSERT INTO posts (user_id, content, created_at, updated_at) SELECT 1 + g % 12, 'post ' || g, '2020-01-01', '2020-01-01' FROM generate_series(1, 20) g;
INSERT INTO likes (user_id, post_id, created_at, updated_at) SELECT 1 + g % 12, g, '2020-01-01', '2020-01-01' FROM generate_series(1, 20) g;
