-- A Rails application of before 5.1, with has_secure_password: integer keys, and users who are known by the very text of their address.
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying NOT NULL PRIMARY KEY, value character varying, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE TABLE users (id serial PRIMARY KEY, username character varying NOT NULL, email character varying NOT NULL, password_digest character varying NOT NULL, session_token character varying NOT NULL, title character varying, private boolean DEFAULT false NOT NULL, description text, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE UNIQUE INDEX index_users_on_username ON users (username);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE TABLE posts (id serial PRIMARY KEY, title character varying, body text, user_id integer NOT NULL, post_type character varying NOT NULL, private boolean DEFAULT false NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE INDEX index_posts_on_user_id ON posts (user_id);
CREATE TABLE likes (id serial PRIMARY KEY, user_id integer NOT NULL, post_id integer NOT NULL, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);
CREATE UNIQUE INDEX index_likes_on_user_id_and_post_id ON likes (user_id, post_id);
INSERT INTO schema_migrations VALUES ('20170620184542');
INSERT INTO users (username, email, password_digest, session_token, created_at, updated_at) SELECT 'n' || g, 'U' || g || '@example.com', 'd', 's' || g, now(), now() FROM generate_series(1, 20) g;
INSERT INTO posts (title, body, user_id, post_type, created_at, updated_at) SELECT 't', 'b', 1 + mod(g, 20), 'text', now(), now() FROM generate_series(1, 30) g;
INSERT INTO likes (user_id, post_id, created_at, updated_at) SELECT 1 + mod(g, 20), 1 + mod(g * 7, 30), now(), now() FROM generate_series(1, 50) g ON CONFLICT DO NOTHING;
