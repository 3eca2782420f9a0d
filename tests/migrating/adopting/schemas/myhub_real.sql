-- The database that MyHub really had (schema version 2024_06_06_034427), tables and columns as Rails 7.1 made them, with some rows.
CREATE TABLE schema_migrations (version character varying NOT NULL PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key character varying NOT NULL PRIMARY KEY, value character varying, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE TABLE users (id bigserial PRIMARY KEY, name character varying, email character varying NOT NULL, image character varying, username character varying, uid character varying NOT NULL, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE UNIQUE INDEX index_users_on_email ON users (email);
CREATE UNIQUE INDEX index_users_on_uid ON users (uid);
CREATE TABLE posts (id bigserial PRIMARY KEY, post_id integer, hash_id character varying, source character varying, metadata text, filename character varying, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE TABLE likes (id bigserial PRIMARY KEY, user_id bigint NOT NULL, post_id bigint NOT NULL, created_at timestamp(6) NOT NULL, updated_at timestamp(6) NOT NULL);
CREATE INDEX index_likes_on_post_id ON likes (post_id);
CREATE INDEX index_likes_on_user_id ON likes (user_id);
CREATE UNIQUE INDEX index_likes_on_user_id_and_post_id ON likes (user_id, post_id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_87a8aac469 FOREIGN KEY (post_id) REFERENCES posts (id);
ALTER TABLE likes ADD CONSTRAINT fk_rails_1e09b5dabf FOREIGN KEY (user_id) REFERENCES users (id);
INSERT INTO schema_migrations VALUES ('20240606034427');
INSERT INTO users (name, email, image, username, uid, created_at, updated_at)
  SELECT 'User ' || g, 'User' || g || '@Example.org', 'face.png', 'user' || g, 'uid' || g, timestamp '2024-06-01 10:00', now() FROM generate_series(1, 20) g;
INSERT INTO posts (post_id, hash_id, source, metadata, filename, created_at, updated_at)
  SELECT g, md5(g::text), 'feed', '{"summary": "x"}', g || '.json', now(), now() FROM generate_series(1, 30) g;
INSERT INTO likes (user_id, post_id, created_at, updated_at)
  SELECT 1 + mod(g, 20), 1 + mod(g * 7, 30), now(), now() FROM generate_series(1, 50) g ON CONFLICT DO NOTHING;
